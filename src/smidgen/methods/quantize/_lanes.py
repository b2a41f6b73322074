"""The lanes of graph/overwrite.py as hardware: what each processing element (PE) stores, and what it costs.

A weight-stationary array: PE k of a tile holds weight k and gets lane k of the activations with a state. The
state says whose weight the PE multiplies with, its own or its left neighbour's, and how far the product
is shifted. A tile's first PE has no neighbour, so nothing crosses the border of a tile.

Ref: Zhao, Dotzel et al. 2019 (arXiv 1910.06909), section 4.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.graph.overwrite import Overwrite


class State(enum.IntEnum):
    """What a lane holds."""

    OWN = 0
    UPPER = 1  # the upper half of the left neighbour's large value
    FRACTION = 2  # the fraction of the left neighbour's value
    MOVED = 3  # the left neighbour's value, which made room


@dataclass(frozen=True)
class Lane:
    """`content`: 0..2^bits - 1."""

    content: int
    state: State


@dataclass(frozen=True)
class PeArea:
    """What overwriting adds to a PE, in bits: modelled, not synthesised.

    Attributes:
        state_bits: to be stored with a lane.
        weight_mux_bits: 2:1 multiplexers between the own weight and the neighbour's.
        shift_mux_bits: 2:1 multiplexers behind the product, one a bit of it for every further shift.
        multiplier_cells: one-bit products of the plain multiplier, to compare with.
    """

    state_bits: int
    weight_mux_bits: int
    shift_mux_bits: int
    multiplier_cells: int


def lanes_of(codes: Sequence[int], rule: Overwrite) -> list[Lane]:
    """The lanes that hold `codes` (0..255 each), tile by tile."""
    tiles = (codes[first : first + rule.tile] for first in range(0, len(codes), rule.tile))
    return [lane for tile in tiles for lane in _tile(tile, rule)]


def _tile(codes: Sequence[int], rule: Overwrite) -> list[Lane]:
    q: list[int] = rule.steps(np.asarray(codes, np.int64)).tolist()
    lanes: list[Lane] = []
    while (i := len(lanes)) < len(codes):
        free = next((j for j in range(i + 1, len(q)) if q[j] == 0), len(q)) - i
        if q[i] > rule.most and i + free < len(q) and free <= rule.reach:
            stored = min(q[i], rule.top)
            lanes.append(Lane(stored & rule.most, State.OWN))
            lanes.append(Lane(stored >> rule.bits, State.UPPER))
            lanes += [Lane(min(q[j], rule.most), State.MOVED) for j in range(i + 1, i + free)]
        elif q[i] <= rule.most and codes[i] != q[i] << rule.fraction and q[i + 1 : i + 2] == [0]:
            lanes.append(Lane(codes[i] >> rule.fraction, State.OWN))
            lanes.append(Lane(codes[i] & ((1 << rule.fraction) - 1), State.FRACTION))
        else:
            lanes.append(Lane(min(q[i], rule.most), State.OWN))
    return lanes


def dot(lanes: Sequence[Lane], weights: Sequence[int], rule: Overwrite) -> int:
    """sum over PEs of content * weight << shift: the dot product in fine steps of the activations."""
    shift = {
        State.OWN: rule.fraction,
        State.MOVED: rule.fraction,
        State.UPPER: rule.fraction + rule.bits,
        State.FRACTION: 0,
    }
    total = 0
    for pe, lane in enumerate(lanes):
        neighbour = weights[pe - 1] if pe % rule.tile else None
        weight = weights[pe] if lane.state is State.OWN else neighbour
        if weight is None or not 0 <= lane.content <= rule.most:
            raise ValueError(f"PE {pe} can't compute {lane}")
        total += (lane.content * weight) << shift[lane.state]
    return total


def pe_area(rule: Overwrite, weight_bits: int) -> PeArea:
    """The cost of `rule` beside weights of so many bits; nothing where nothing is overwritten."""
    upper, moved, fraction = rule.reach >= 1, rule.reach >= 2, rule.fraction >= 1
    states = 1 + upper + moved + fraction
    product = rule.bits + weight_bits
    return PeArea(
        math.ceil(math.log2(states)),
        weight_bits if states > 1 else 0,
        product * (upper + fraction),
        rule.bits * weight_bits,
    )
