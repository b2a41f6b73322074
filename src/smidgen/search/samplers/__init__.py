"""Search strategies, one file each, found by path: `nsga2`, `tpe`, `random`."""

from __future__ import annotations

import importlib
import pkgutil

from smidgen.errors import BadInput
from smidgen.search.study import StudySearcher

DEFAULT = "nsga2"


def sampler_names() -> tuple[str, ...]:
    """All samplers: every module of this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def sampler_class(name: str) -> type[StudySearcher]:
    """The searcher called `name`. Raises BadInput listing the known ones."""
    if name not in sampler_names():
        raise BadInput("sampler", f"there is no {name!r}", f"known: {', '.join(sampler_names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    return next(
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, StudySearcher) and item.__module__ == module.__name__
    )
