"""All recipes a search may try, as one flat set of named parameters.

A recipe is a row of slots: channels cut, weights zeroed, binarized, recovery, numbers quantized,
distillation, training. The slots follow from stage and family of the discovered steps, so a new method joins
by existing. Every setting of every method is a parameter even where another method is chosen: crossover needs
the same parameters in all trials. Inactive ones change nothing, and equal recipes are measured once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from smidgen.data.dataset import Splits
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.methods.recipe import Recipe, step_class, step_names
from smidgen.methods.space import Choice, Range
from smidgen.methods.step import Stage, Step
from smidgen.search.pace import Pace

NONE = "none"
RECOVER = "recover"
TRAINING = "tune.fit"
# Every quantization folds first; quantize.layer means nothing before somebody names a layer.
LEFT_OUT = ("quantize.fold_batch_norm", "quantize.layer")
# Left to --method where there is data: quantize.affine then makes integers of the activations as well, files
# of half precision are larger than int8, and float files have no kernels.
WITHOUT_DATA = ("quantize.weights", "quantize.half")


def usable_methods(methods: Sequence[str] | None, data: Splits) -> tuple[str, ...]:
    """The steps to search over: those asked for (None: all) that `data` serve.

    Raises BadInput: a step was asked for that needs more, or none is left that makes a network smaller.
    """
    served = {"nothing"} if data.synthetic else {"nothing", "data"} | ({"classes"} if data.classes else set())
    if methods is None:
        names = [name for name in step_names() if step_class(name).needs in served]
        return tuple(name for name in names if data.synthetic or name not in WITHOUT_DATA)
    for name in methods:
        needs = step_class(name).needs
        if needs not in served:
            what = "labels of classes" if needs == "classes" else "data"
            able = ", ".join(usable_methods(None, data))
            raise BadInput("method", f"{name} needs {what}", "there are none", f"Use {able}")
    return tuple(methods)


class Trial(Protocol):
    """What optuna's trials offer (the part that is used here)."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True)
class Slot:
    """One place in a recipe: at most one of `methods`, exactly one if `required`."""

    name: str
    methods: tuple[str, ...]
    required: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        return self.methods if self.required else (NONE, *self.methods)


class RecipeSpace:
    """The recipes for one graph; `methods` restricts it to some steps (None: all that are installed)."""

    def __init__(self, graph: Graph, methods: Sequence[str] | None = None, pace: Pace | None = None) -> None:
        names = tuple(step_names() if methods is None else methods)
        self._classes: dict[str, type[Step]] = {name: step_class(name) for name in names}
        self.slots = _slots(self._classes)
        self._settings = {name: dict(cls().space(graph)) for name, cls in self._classes.items()}
        if pace and TRAINING in names:
            chosen = {"epochs": Choice(pace.epochs), "batch_size": Choice((pace.batch_size,))}
            self._settings[TRAINING] |= chosen

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all steps that some recipe has."""
        return tuple(sorted({method for slot in self.slots for method in slot.methods}))

    def recipe(self, trial: Trial) -> Recipe:
        """The recipe that a trial's parameters stand for. Raises ValueError or BadInput if they clash."""
        steps: list[Step] = []
        for slot in self.slots:
            chosen = trial.suggest_categorical(slot.name, slot.options)
            for method in slot.methods:
                settings = self._suggest(trial, slot, method)
                if method == chosen:
                    steps.append(self._classes[method](**settings))
        return Recipe(_effective(steps))

    def parameters(self, recipe: Recipe) -> dict[str, Any]:
        """The parameters that lead to `recipe` (its settings moved to the nearest allowed ones)."""
        left = [step for step in recipe.steps if step.name not in LEFT_OUT]
        found: dict[str, Any] = {}
        for slot in self.slots:
            fits = left and left[0].name in slot.methods
            found[slot.name] = left[0].name if fits else (slot.methods[0] if slot.required else NONE)
            if fits:
                step = left.pop(0)
                for field, domain in self._settings[step.name].items():
                    found[_name(slot, step.name, field)] = _nearest(domain, getattr(step, field))
        return found

    def holds(self, recipe: Recipe) -> bool:
        """Whether all of the recipe's steps may be used."""
        return all(step.name in self._classes for step in recipe.steps)

    def describe(self) -> dict[str, Any]:
        """JSON-able: identifies the space in the settings of a run."""
        return {
            slot.name: {m: {k: str(v) for k, v in self._settings[m].items()} for m in slot.methods}
            for slot in self.slots
        }

    def _suggest(self, trial: Trial, slot: Slot, method: str) -> dict[str, Any]:
        cls, settings = self._classes[method], {}
        for field, domain in self._settings[method].items():
            name = _name(slot, method, field)
            if isinstance(domain, Choice):
                settings[field] = trial.suggest_categorical(name, domain.options)
            else:
                value = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
                settings[field] = _typed(cls, field, value)
        return settings


def _slots(classes: dict[str, type[Step]]) -> tuple[Slot, ...]:
    """Slots in the order of a recipe."""
    families: dict[tuple[Stage, str], list[str]] = {}
    for name, cls in sorted(classes.items()):
        if name not in (*LEFT_OUT, TRAINING):
            # One slot for all kinds of weights, and of values: a weight has one representation.
            single = cls.stage in (Stage.WEIGHTS, Stage.VALUES)
            family = "" if single else "." + name.split(".")[0]
            families.setdefault((cls.stage, family), []).append(name)
    slots = [
        Slot(f"{stage.name.lower()}{family}", tuple(methods), required=stage is Stage.VALUES)
        for (stage, family), methods in sorted(families.items())
    ]
    if TRAINING not in classes:
        return tuple(slots)
    before = [slot for slot in slots if slot.name.startswith(("shape.", "structure.", "weights"))]
    recover = [Slot(RECOVER, (TRAINING,))] if before else []
    return (*before, *recover, *slots[len(before) :], Slot("training", (TRAINING,)))


def _effective(steps: list[Step]) -> tuple[Step, ...]:
    """Without declarations that no training follows, such as a distillation that never happens."""
    last = max((i for i, step in enumerate(steps) if step.name == TRAINING), default=-1)
    return tuple(s for i, s in enumerate(steps) if s.stage is not Stage.TUNE or i <= last)


def _name(slot: Slot, method: str, field: str) -> str:
    return f"{slot.name}.{method.split('.')[1]}.{field}"


def _nearest(domain: Choice | Range, value: Any) -> Any:
    if isinstance(domain, Range):
        return min(max(float(value), domain.low), domain.high)
    if value in domain.options or isinstance(value, (str, bool)):
        return value if value in domain.options else domain.options[0]
    numbers = [option for option in domain.options if isinstance(option, (int, float))]
    return min(numbers, key=lambda option: abs(option - value)) if numbers else domain.options[0]


def _typed(cls: type[Step], field: str, value: float) -> float | int:
    """Whole numbers where the step's default is one; three digits otherwise, as a person would write it."""
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return round(value) if type(defaults[field]) is int else float(f"{value:.3g}")
