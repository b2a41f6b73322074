"""A recipe: an ordered, hashable tuple of steps, with a YAML round trip."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.methods.step import Context, Stage, Step


@dataclass(frozen=True)
class Recipe:
    """Steps in order. Stages never go back (SHAPE, STRUCTURE, VALUES, STORAGE); TUNE stands anywhere."""

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        last = Stage.SHAPE
        for step in self.steps:
            if step.stage is Stage.TUNE:
                continue
            if step.stage < last:
                raise BadInput(
                    f"recipe step {step.name}",
                    f"a {step.stage.name} step comes after a {last.name} step",
                    "the order is SHAPE, STRUCTURE, VALUES, STORAGE",
                    "Move it forward",
                )
            last = step.stage

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """Run all steps; the graph is checked after each."""
        return [graph, *self.walk(graph, ctx)][-1]

    def walk(self, graph: Graph, ctx: Context, done: int = 0) -> Iterator[Graph]:
        """The graph after each step, checked; the first `done` steps have already made `graph`."""
        for number, step in enumerate(self.steps[done:], start=done):
            ctx.report(number / len(self.steps), step.name)
            graph = step.apply(graph, ctx)
            graph.check()
            yield graph

    def to_yaml(self) -> str:
        steps = [{step.name: _settings(step)} for step in self.steps]
        return str(yaml.safe_dump(steps, sort_keys=False))

    @staticmethod
    def from_yaml(text: str) -> Recipe:
        """Parse a recipe. Raises BadInput naming the entry that is wrong."""
        try:
            entries = yaml.safe_load(text)
        except yaml.YAMLError as problem:
            raise BadInput("recipe", f"not YAML ({str(problem).splitlines()[0]})") from problem
        if not isinstance(entries, list):
            raise BadInput("recipe", f"a {type(entries).__name__}", "a list of steps is needed")
        return Recipe(tuple(_parse(entry) for entry in entries))

    def __str__(self) -> str:
        return " → ".join(describe(step) for step in self.steps) or "unchanged"


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises BadInput."""
    try:
        return Recipe.from_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        remedy = "See smidgen methods for the steps"
        raise BadInput(str(path), f"it can't be read ({why})", "a recipe file is needed", remedy) from problem


def describe(step: Step) -> str:
    """`quantize.affine(bits=4)`: the settings that differ from their defaults."""
    changed = [
        f"{f.name}={getattr(step, f.name)}"
        for f in fields(step)  # type: ignore[arg-type]
        if getattr(step, f.name) != f.default
    ]
    return step.name + (f"({', '.join(changed)})" if changed else "")


def step_class(name: str) -> type[Step]:
    """The step called `<family>.<name>`. Raises BadInput listing the known ones."""
    try:
        module = importlib.import_module(f"smidgen.methods.{name}")
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.startswith("smidgen"):
            raise BadInput(
                "recipe", f"unknown step {name!r}", f"known: {', '.join(step_names())}"
            ) from missing
        raise
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Step) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise BadInput("recipe", f"unknown step {name!r}", f"known: {', '.join(step_names())}")
    return found[0]


def step_names() -> tuple[str, ...]:
    """All techniques, found by path: every module in a family folder."""
    import smidgen.methods as root

    families = [m.name for m in pkgutil.iter_modules(root.__path__) if m.ispkg]
    return tuple(
        f"{family}.{module.name}"
        for family in families
        for module in pkgutil.iter_modules([f"{path}/{family}" for path in root.__path__])
        if not module.name.startswith("_")
    )


def _settings(step: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(step).items()}


def _parse(entry: Any) -> Step:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise BadInput("recipe", f"entry {entry!r}", "each entry is one step: {name: {setting: value}}")
    ((name, settings),) = entry.items()
    cls = step_class(str(name))
    settings = settings or {}
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    if not isinstance(settings, Mapping) or (unknown := [k for k in settings if k not in known]):
        found = f"setting {unknown[0]!r}" if isinstance(settings, Mapping) else f"settings {settings!r}"
        raise BadInput(f"recipe step {name}", found, f"it takes {', '.join(known) or 'no settings'}")
    try:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    except (TypeError, ValueError) as problem:
        raise BadInput(f"recipe step {name}", str(problem)) from problem
