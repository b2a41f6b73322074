"""Runs a scan node: its body once a step, with whatever functions interpret the graph around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.graph.scan import body_of, states_of
from smidgen.numerics import Array
from smidgen.run.interpreter import Function, Site, interpret
from smidgen.run.rest import at_rest


def run_scan(site: Site, x: Sequence[Array], functions: Mapping[str, Function]) -> Sequence[Array]:
    """x [n, T, ..] and perhaps initial states [n, ..] -> sequence outputs [n, T, ..] and final states."""
    body, names = body_of(site.node), states_of(site.node)
    samples, steps = x[0].shape[:2]
    states = list(x[1:]) or [at_rest(body.values[name], samples) for name in names]
    kept: list[list[Array]] = [[] for _ in body.outputs[: len(body.outputs) - len(names)]]
    for t in reversed(range(steps)) if site.attrs["reverse"] else range(steps):
        made = interpret(body, [x[0][:, t], *states], functions, site.weights.__getitem__, site.watch)
        for sequence, step in zip(kept, made):
            sequence.append(step)
        states = list(made[len(kept) :])
    if site.attrs["reverse"]:
        kept = [sequence[::-1] for sequence in kept]
    return [*(np.stack(sequence, axis=1) for sequence in kept), *states]
