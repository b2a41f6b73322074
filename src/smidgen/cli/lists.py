"""What there is: tasks, methods, targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from smidgen.cli.tables import table

if TYPE_CHECKING:
    from smidgen.tasks.task import Task


def tasks() -> None:
    """List the built-in tasks: data, an architecture, and what to mind.

    Example:

      smidgen tasks
    """
    from smidgen.tasks.task import load_task, task_names

    made = table("Built-in tasks", "task", "input", "classes", "what", "mind", whole=("task", "input"))
    for name in task_names():
        task = load_task(name)
        shape = "x".join(map(str, task.input_shape))
        classes = str(task.classes or "values")
        mind = f"{task.caveats} {_features(task)}".rstrip()
        made.add_row(name, shape, classes, task.description, mind)
        for variant in task.variants:
            made.add_row(f"{name}:{variant}", shape, classes, "the same data, another network", "")
    Console().print(made)


def _features(task: Task) -> str:
    return f"Input: {task.features}; features excluded from all costs." if task.features else ""


def methods() -> None:
    """List the techniques a recipe can use, with their settings.

    Example:

      smidgen methods
    """
    from dataclasses import fields

    from smidgen.methods.recipe import step_class, step_names

    made = table("Methods", "step", "stage", "what", "settings (defaults)", whole=("step", "stage"))
    for name in step_names():
        cls = step_class(name)
        settings = ", ".join(f"{f.name}={f.default}" for f in fields(cls))  # type: ignore[arg-type]
        what = (cls.__doc__ or "").strip().splitlines()[0]
        made.add_row(name, cls.stage.name.lower(), what, settings)
    Console().print(made)


def targets() -> None:
    """List the built-in devices. A .toml file of the same form can stand wherever a name does.

    Example:

      smidgen targets
    """
    from smidgen.targets import load_target, target_names
    from smidgen.units import format_bytes

    sizes = ("flash", "RAM", "clock")
    made = table("Targets", "target", "kind", *sizes, "what", right=sizes, whole=("target", "kind", *sizes))
    for name in target_names():
        t = load_target(name)
        flash, ram = (format_bytes(n) if n else "–" for n in (t.flash_bytes, t.ram_bytes))
        made.add_row(name, t.kind, flash, ram, f"{t.clock_mhz:g} MHz" if t.clock_mhz else "–", t.description)
    Console().print(made)


COMMANDS = (tasks, methods, targets)
