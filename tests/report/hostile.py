"""A report whose every string tries to become code."""

from __future__ import annotations

from smidgen.report.model import Dropped, Note, Report
from tests.report.reports import LAYERS, POINTS, watch

SCRIPT = "</script><script>window.hacked=1</script>"
IMAGE = "<img src=x onerror=window.hacked=1>"
QUOTES = "\"'><b onmouseover=window.hacked=1>"
EVERYTHING = f"{SCRIPT}{IMAGE}{QUOTES}<!--{{{{7*7}}}}"


def hostile() -> Report:
    plain = watch()
    evil = {"label": EVERYTHING, "recipe": EVERYTHING, "recipe_yaml": EVERYTHING, "notes": (EVERYTHING,)}
    environment = plain.environment.model_copy(
        update={"command": EVERYTHING, "cpu": EVERYTHING, "versions": {EVERYTHING: EVERYTHING}}
    )
    texts = dict.fromkeys(
        ("task", "description", "caveats", "features", "metric", "target", "target_description"), EVERYTHING
    )
    return plain.model_copy(
        update={
            **texts,
            "points": tuple(p.model_copy(update={**evil, "artifact": EVERYTHING}) for p in POINTS),
            "layers": (LAYERS[0].model_copy(update={"name": EVERYTHING, "format": EVERYTHING}),),
            "notes": (Note(level="warning", text=EVERYTHING, remedy=EVERYTHING),),
            "dropped": (Dropped(id="1", label=EVERYTHING, status="failed", reason=EVERYTHING),),
            "environment": environment,
        }
    )
