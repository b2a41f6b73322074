"""What a run achieved, in plain words: the sentences at the top of every report.

All comparisons use the test split when both sides have been run on it, else validation, and say which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from smidgen.data.metrics import AGREEMENT
from smidgen.measurement import Measurement
from smidgen.report.labels import (
    cost_label,
    format_change,
    format_limit,
    format_ratio,
    format_score,
    format_value,
    metric_name,
    plural,
    signed,
    signed_in,
)
from smidgen.report.model import BASELINES, Drop, Point, Report, Score

Split = Literal["test", "validation"]
Tone = Literal["good", "neutral", "bad"]


@dataclass(frozen=True)
class Sentence:
    """One statement and how welcome it is."""

    text: str
    tone: Tone = "neutral"


def headline(report: Report) -> Sentence:
    """The achievement: how much smaller, at what change of accuracy."""
    chosen = report.chosen
    if chosen is None:
        return Sentence(f"No candidate {_demand(report)}.", "bad")
    size, axis = chosen.measurement(report.size_axis), _axis_noun(report)
    before = report.uncompressed.measurement(report.size_axis)
    if size is None:
        return Sentence(f"{chosen.label}: {_change(report, chosen)}.")
    if before is None:
        return Sentence(
            f"{_file_ratio(report, chosen)}{_shown(size)} of {axis} at {_change(report, chosen)}."
        )
    return Sentence(f"{_ratio(before, size)} {axis} at {_change(report, chosen)}.")


def _ratio(before: Measurement, after: Measurement) -> str:
    """`12.3× smaller`."""
    ratio = before.value / after.value
    return f"{format_ratio(max(ratio, 1 / ratio))} {'smaller' if ratio >= 1 else 'larger'}"


def _file_ratio(report: Report, chosen: Point) -> str:
    """`12.3× smaller file, `: what can be compared where the uncompressed network fits no firmware."""
    before, after = (p.measurement("file_bytes") for p in (report.uncompressed, chosen))
    return f"{_ratio(before, after)} file, " if before and after else ""


def _shown(found: Measurement) -> str:
    return format_value(found.value, found.unit)


def sentences(report: Report) -> tuple[Sentence, ...]:
    """What follows the headline: before and after, the paired test, the budget, the strongest baselines."""
    chosen = report.chosen
    if chosen is None:
        return (_closest(report), *_features(report), _tried(report))
    return (
        *_details(report, chosen),
        *_budget(report, chosen),
        *_running_costs(report, chosen),
        _against_baselines(report, chosen),
        *_features(report),
        _tried(report),
    )


def beaten_by(report: Report) -> tuple[Point, ...]:
    """Baselines at least as small and as accurate as the chosen point, the most accurate first."""
    chosen = report.chosen
    if chosen is None:
        return ()
    rivals = [p for p in _rivals(report, chosen) if _scores(p, chosen)[0].gain >= _scores(p, chosen)[1].gain]
    return tuple(sorted(rivals, key=lambda p: -_scores(p, chosen)[0].gain))


def split_of(*points: Point) -> Split:
    """The split on which all of them can be compared."""
    return "test" if all(p.test is not None for p in points) else "validation"


def _scores(*points: Point) -> list[Score]:
    use_test = split_of(*points) == "test"
    return [p.test if use_test and p.test is not None else p.validation for p in points]


def _change(report: Report, chosen: Point) -> str:
    """`−0.4 ± 0.3 points of accuracy (test split)`."""
    after, before = _scores(chosen, report.uncompressed)
    sd = math.hypot(after.sd, before.sd)
    spread = f" ± {sd:.1f}" if max(after.seeds, before.seeds) > 1 else ""
    split = split_of(chosen, report.uncompressed)
    change, name = after.mean - before.mean, metric_name(report.metric)
    if after.unit != "%":
        spread = f" ± {sd:.2g}" if spread else ""
        return f"{signed_in(change, after.unit)}{spread} {name} ({split} split)"
    return f"{signed(change)}{spread} points of {name} ({split} split)"


def _details(report: Report, chosen: Point) -> tuple[Sentence, ...]:
    after, before = _scores(chosen, report.uncompressed)
    split = split_of(chosen, report.uncompressed).capitalize()
    text = f"{split} {metric_name(report.metric)} goes from {format_score(before)} to {format_score(after)}"
    old, new = (p.measurement(report.size_axis) for p in (report.uncompressed, chosen))
    if old and new:
        axis = _axis_noun(report)
        text += f", {axis} from {_shown(old)} to {_shown(new)}"
    found = [Sentence(f"{text}.")]
    if chosen.drop is not None:
        found.append(_paired(report, chosen.drop))
    return tuple(found)


def _paired(report: Report, drop: Drop) -> Sentence:
    """The paired test: what was lost, between which bounds, and whether that proves the limit."""
    over = "" if drop.clusters is None else f" over {plural(drop.clusters, 'cluster')}"
    p = "" if drop.mcnemar_p is None else f", McNemar p = {drop.mcnemar_p:.2g}"
    text = f"Paired on validation samples: {format_change(drop)}, 95% interval{over}{p}"
    if report.max_drop is not None:
        text += f"; up to {report.max_drop:g} may be lost"
        text += f": not proven, it may be {_amount(drop)}" if drop.high > report.max_drop else ""
    return Sentence(f"{text}.")


def _amount(drop: Drop) -> str:
    return f"{drop.high:.1f}" if drop.unit == "%" else f"{drop.high:.4g}"


def _budget(report: Report, chosen: Point) -> tuple[Sentence, ...]:
    if not report.budget:
        return ()
    parts, fits = [], True
    for name, limit in report.budget.items():
        found = chosen.measurement(name)
        fits = fits and found is not None and found.value <= limit
        value = "not measured" if found is None else format_value(found.value, found.unit)
        share = "" if found is None else f" ({found.value / limit:.0%})"
        parts.append(f"{cost_label(name)} {value} of {format_limit(name, limit)}{share}")
    verb = "Fits the budget" if fits else "Does not fit the budget"
    return (Sentence(f"{verb}: {', '.join(parts)}.", "good" if fits else "bad"),)


def _running_costs(report: Report, chosen: Point) -> tuple[Sentence, ...]:
    """What predictions take, and which figures that is computed from."""
    units = {"energy_uj": "a prediction", "cost_per_million_usd": "a million predictions"}
    parts = [
        f"{_shown(found)} {per} ({found.how}; {report.sources[name]})"
        for name, per in units.items()
        if name in report.sources and (found := chosen.measurement(name))
    ]
    return (Sentence(f"Running it takes {' and '.join(parts)}."),) if parts else ()


def _features(report: Report) -> tuple[Sentence, ...]:
    if not report.features:
        return ()
    text = f"Features excluded: computing the network's input ({report.features}) is in none of the costs."
    return (Sentence(text),)


def _rivals(report: Report, chosen: Point) -> list[Point]:
    """Baselines that cost no more."""
    size = report.cost(chosen)
    return [p for p in report.points if p.kind in BASELINES and report.cost(p) <= size]


def _against_baselines(report: Report, chosen: Point) -> Sentence:
    baselines = [p for p in report.points if p.kind in BASELINES]
    if report.metric == AGREEMENT.name:
        text = "Accuracy is unknown: no data were given, and random inputs do not resemble real ones"
        return Sentence(f"{text}. Check the network on your own data.", "bad")
    if not baselines:
        return Sentence(
            "No baseline was trained, so nothing says that a smaller network would not do as well.", "bad"
        )
    if beaten := beaten_by(report):
        return _beaten(report, beaten[0], chosen)
    near = [p for p in _rivals(report, chosen) if _within_noise(p, chosen)]
    if near:
        text = f"{near[0].label} costs no more and is within one standard deviation: the lead may be luck"
        return Sentence(f"{text}. Add seeds.", "neutral")
    text = f"No baseline of its size or smaller, of {plural(len(baselines), 'baseline')}, reaches its"
    return Sentence(f"{text} {metric_name(report.metric)}.", "good")


def _beaten(report: Report, rival: Point, chosen: Point) -> Sentence:
    (theirs, ours), split = _scores(rival, chosen), split_of(rival, chosen)
    better = theirs.gain > ours.gain or report.cost(rival) < report.cost(chosen)
    verb, cost = "beats" if better else "equals", format_limit(report.size_axis, report.cost(rival))
    text = f"A baseline {verb} it: {rival.label} reaches {format_score(theirs)} in {cost}"
    once = min(theirs.seeds, ours.seeds) == 1
    advice = "One seed may be luck: add seeds." if once else "Prefer the baseline, or search longer."
    return Sentence(f"{text}, this one {format_score(ours)} ({split} split). {advice}", "bad")


def _within_noise(rival: Point, chosen: Point) -> bool:
    theirs, ours = _scores(rival, chosen)
    return ours.gain - theirs.gain <= math.hypot(theirs.sd, ours.sd)


def _tried(report: Report) -> Sentence:
    built = sum(p.kind == "compressed" for p in report.points)
    parts = [plural(built, "compressed candidate"), plural(len(report.points) - built, "baseline")]
    lost = {status: sum(d.status == status for d in report.dropped) for status in ("rejected", "failed")}
    parts += [f"{n} {status}" for status, n in lost.items() if n]
    reused = plural(report.reused_steps, "step")
    saved = f" Work of {reused} was shared between candidates." if report.reused_steps else ""
    return Sentence(f"{_listing(parts)}; {plural(len(report.frontier), 'point')} on the frontier.{saved}")


def _closest(report: Report) -> Sentence:
    own = [p for p in report.points if p.kind == "compressed"]
    if not own:
        return Sentence("No compressed candidate could be built; the reasons are listed below.", "bad")
    best = min(own, key=lambda p: (_excess(report, p), -p.validation.gain))
    misses = [
        f"{cost_label(n)} {format_value(m.value, m.unit)} of {format_limit(n, limit)}"
        for n, limit in report.budget.items()
        if (m := best.measurement(n)) and m.value > limit
    ]
    loss = (
        ""
        if best.drop is None
        else f" It changes {metric_name(report.metric)} by {format_change(best.drop)}."
    )
    why = f" ({', '.join(misses)})" if misses else ""
    return Sentence(f"The closest is {best.label}{why}.{loss}")


def _excess(report: Report, point: Point) -> float:
    return sum(max(report.cost(point, name) / limit - 1, 0.0) for name, limit in report.budget.items())


def _demand(report: Report) -> str:
    limits = " and ".join(f"{cost_label(n)} ≤ {format_limit(n, v)}" for n, v in report.budget.items())
    bound = "the whole interval at" if report.strict_drop else "at"
    loss = (
        ""
        if report.max_drop is None
        else f" with {bound} most {report.max_drop:g}{_points(report)} of {metric_name(report.metric)} lost"
    )
    return f"fits {limits or 'the target'}{loss}"


def _points(report: Report) -> str:
    return " points" if report.uncompressed.validation.unit == "%" else ""


def _axis_noun(report: Report) -> str:
    return "flash" if report.size_axis == "flash_bytes" else "file"


def _listing(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
