"""What there is: tasks, methods, targets."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def tasks() -> None:
    """List the built-in tasks, with the committed result of each baseline.

    Example: [bold]smidgen tasks[/]
    """
    from smidgen.tasks.task import load_task, task_names

    table = Table("task", "input", "classes", "what", "mind", title="Built-in tasks")
    for name in task_names():
        task = load_task(name)
        shape = "x".join(map(str, task.input_shape))
        table.add_row(name, shape, str(task.classes), task.description, task.caveats)
    Console().print(table)


def methods() -> None:
    """List the techniques a recipe can use, with their settings.

    Example: [bold]smidgen methods[/]
    """
    from dataclasses import fields

    from smidgen.methods.recipe import step_class, step_names

    table = Table("step", "stage", "what", "settings (defaults)", title="Methods")
    for name in step_names():
        cls = step_class(name)
        settings = ", ".join(f"{f.name}={f.default}" for f in fields(cls))  # type: ignore[arg-type]
        what = (cls.__doc__ or "").strip().splitlines()[0]
        table.add_row(name, cls.stage.name.lower(), what, settings)
    Console().print(table)


def targets() -> None:
    """List the built-in devices. A path to a TOML file of the same form works everywhere a name does.

    Example: [bold]smidgen targets[/]
    """
    from smidgen.targets import load_target, target_names
    from smidgen.units import format_bytes

    table = Table("target", "kind", "flash", "RAM", "clock", "what", title="Targets")
    for name in target_names():
        t = load_target(name)
        flash, ram = (format_bytes(n) if n else "–" for n in (t.flash_bytes, t.ram_bytes))
        table.add_row(name, t.kind, flash, ram, f"{t.clock_mhz:g} MHz" if t.clock_mhz else "–", t.description)
    Console().print(table)


COMMANDS = (tasks, methods, targets)
