"""A recipe: an ordered, hashable tuple of steps, with a YAML round trip."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from smidgen.errors import BadFile, BadInput
from smidgen.files import read_bytes
from smidgen.graph import Graph
from smidgen.methods.step import Context, Stage, Step
from smidgen.methods.yaml_text import read_yaml

MAX_FILE_BYTES = 1 << 20
_NAME = re.compile(r"[a-z]+\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Recipe:
    """Steps in order. Stages never go back: SHAPE, STRUCTURE, WEIGHTS, VALUES, STORAGE; TUNE is anywhere."""

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
                    "the order is SHAPE, STRUCTURE, WEIGHTS, VALUES, STORAGE",
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
        entries = read_yaml(text, "recipe")
        if not isinstance(entries, list):
            raise BadInput("recipe", f"a {type(entries).__name__}", "a list of steps is needed")
        return Recipe(tuple(_parse(entry) for entry in entries))

    def __str__(self) -> str:
        return " → ".join(describe(step) for step in self.steps) or "unchanged"


def recipe_for(step: Step, values: Step, training: Step) -> Recipe:
    """`step` in its place among the other two; `values` puts numbers on grids unless it does so itself."""
    if step.stage is Stage.VALUES:
        return Recipe((step, training))
    if step.stage is Stage.WEIGHTS:
        return Recipe((step, training, values))
    declared = (step, values) if step.stage < Stage.VALUES else (values, step)
    return Recipe((*declared, training))


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises BadFile if the file can't be read, else as `Recipe.from_yaml`."""
    data = read_bytes(path, MAX_FILE_BYTES)
    try:
        return Recipe.from_yaml(data.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise BadFile(str(path), "it is not UTF-8 text", "a recipe file is needed") from problem


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
    unknown = BadInput("recipe", f"unknown step {reprlib.repr(name)}", f"known: {', '.join(step_names())}")
    if not _NAME.fullmatch(name):
        raise unknown
    try:
        module = importlib.import_module(f"smidgen.methods.{name}")
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.startswith("smidgen"):
            raise unknown from missing
        raise
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Step) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise unknown
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
        raise BadInput(
            "recipe", f"entry {reprlib.repr(entry)}", "each entry is one step: {name: {setting: value}}"
        )
    ((name, settings),) = entry.items()
    cls = step_class(str(name))
    settings = settings or {}
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    if not isinstance(settings, Mapping) or (unknown := [k for k in settings if k not in known]):
        found = (
            f"setting {reprlib.repr(unknown[0])}"
            if isinstance(settings, Mapping)
            else f"settings {reprlib.repr(settings)}"
        )
        raise BadInput(f"recipe step {name}", found, f"it takes {', '.join(known) or 'no settings'}")
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    try:
        _settings_of(cls).model_validate(given)
        return cls(**given)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise BadInput(
            f"recipe step {name}", f"the setting {first['loc'][0]} does not fit ({first['msg']})"
        ) from problem
    except (TypeError, ValueError) as problem:
        raise BadInput(f"recipe step {name}", str(problem)) from problem


@functools.cache
def _settings_of(cls: type[Step]) -> type[BaseModel]:
    """Checks that every setting has the type that the class declares; 1 is a real number, true is none."""
    types = get_type_hints(cls)
    declared: dict[str, Any] = {
        f.name: (types[f.name], f.default)
        for f in fields(cls)  # type: ignore[arg-type]
    }
    return create_model(cls.__name__, __config__=ConfigDict(strict=True, allow_inf_nan=False), **declared)
