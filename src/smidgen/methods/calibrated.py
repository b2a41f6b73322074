"""What all steps that set weight values for integer execution have in common: grids for the activations."""

from __future__ import annotations

from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.grids import with_grids
from smidgen.methods.step import Context
from smidgen.probe.calibration import calibrate

BATCH = 64


def with_calibrated_grids(
    graph: Graph, ctx: Context, step: str, bits: int, rule: RangeRule, samples: int
) -> Graph:
    """`graph` (canonical) with grids of `bits` bits (2..8) on all activations.

    Ranges are chosen by `rule` from what `samples` random samples of the training split lead to in `graph`
    as it is given: pass it before its weights are rounded.

    Raises:
        BadInput: there is no data; names `step`.
    """
    data = ctx.need_data(step)
    calibration = data.train.take(ctx.rng().permutation(len(data.train))[:samples])
    batches = (batch.x for batch in calibration.batches(BATCH))
    return with_grids(graph, calibrate(graph, batches, bits, rule, ctx.seed))
