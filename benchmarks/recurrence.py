"""Orders in which an int8 LSTM can be computed, as the loops that run it and the memory they touch.

A schedule lists events: one row of a product, or the cell of one step. `run` carries them out on integers, so
that an order which breaks a dependency gives other outputs; `accesses` says what each reads and writes.
Ref: Thakker, Dasika, Beu, Mattina 2019, "Measuring scheduling efficiency of RNNs" (arXiv:1904.03302).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.cache import LINE_BYTES, Access

GATES = 4
BLOCK_ROWS = LINE_BYTES // 2  # whole lines of sums: columns of them would fall into few sets of the cache
Event = tuple[str, int, int]  # ("input" | "hidden", step, row) or ("cell", step, 0)
Order = Callable[[int, int], Sequence[int]]  # (step, rows) -> the rows in their order


@dataclass(frozen=True)
class Lstm:
    """Sizes: inputs and states are int8, memory cells and sums of gates int16."""

    steps: int
    inputs: int
    hidden: int

    @property
    def rows(self) -> int:
        return GATES * self.hidden

    @property
    def input_bytes(self) -> int:
        """Weights of the input."""
        return self.rows * self.inputs

    @property
    def hidden_bytes(self) -> int:
        """Recurrent weights."""
        return self.rows * self.hidden

    def starts(self) -> dict[str, int]:
        """Where each array lies, at the start of a line."""
        sizes = {
            "x": self.steps * self.inputs,
            "input": self.input_bytes,
            "hidden": self.hidden_bytes,
            "sums": self.steps * self.rows * 2,
            "gates": self.rows * 2,
            "h": self.hidden,
            "c": self.hidden * 2,
            "out": self.steps * self.hidden,
        }
        found, at = {}, 0
        for name, size in sizes.items():
            found[name] = at
            at += -(-size // LINE_BYTES) * LINE_BYTES
        return found


def forward(step: int, rows: int) -> Sequence[int]:
    return range(rows)


def serpentine(step: int, rows: int) -> Sequence[int]:
    """Down and up in turns: a step begins with the rows that the last one ended with."""
    return range(rows) if step % 2 == 0 else range(rows - 1, -1, -1)


def gate_by_gate(lstm: Lstm) -> Iterator[Event]:
    """(a) Two products a gate, one gate after the other, in each step."""
    for step in range(lstm.steps):
        for gate in range(GATES):
            rows = range(gate * lstm.hidden, (gate + 1) * lstm.hidden)
            yield from (("input", step, row) for row in rows)
            yield from (("hidden", step, row) for row in rows)
        yield "cell", step, 0


def fused_gates(lstm: Lstm) -> Iterator[Event]:
    """(b) One pass over the rows of all gates and both products in each step."""
    for step in range(lstm.steps):
        for row in range(lstm.rows):
            yield "input", step, row
            yield "hidden", step, row
        yield "cell", step, 0


def batched_input(lstm: Lstm, together: int, order: Order = forward) -> Iterator[Event]:
    """(c) The input's product for `together` steps at once; (e) recurrent rows in `order`."""
    for first in range(0, lstm.steps, together):
        steps = range(first, min(first + together, lstm.steps))
        for start in range(0, lstm.rows, BLOCK_ROWS):
            rows = range(start, min(start + BLOCK_ROWS, lstm.rows))
            yield from (("input", step, row) for step in steps for row in rows)
        for step in steps:
            yield from (("hidden", step, row) for row in order(step, lstm.rows))
            yield "cell", step, 0


def accesses(lstm: Lstm, events: Iterator[Event], kept_steps: int) -> Iterator[Access]:
    """Memory that the events touch; sums of the input are kept for `kept_steps` steps."""
    at = lstm.starts()
    for kind, step, row in events:
        sums = at["sums"] + 2 * (step % kept_steps * lstm.rows + row)
        if kind == "input":
            yield Access(at["input"] + row * lstm.inputs, lstm.inputs, False)
            yield Access(at["x"] + step * lstm.inputs, lstm.inputs, False)
            yield Access(sums, 2, True)
        elif kind == "hidden":
            yield Access(at["hidden"] + row * lstm.hidden, lstm.hidden, False)
            yield Access(at["h"], lstm.hidden, False)
            yield Access(sums, 2, False)
            yield Access(at["gates"] + 2 * row, 2, True)
        else:
            yield Access(at["gates"], 2 * lstm.rows, False)
            yield Access(at["c"], 2 * lstm.hidden, False)
            yield Access(at["c"], 2 * lstm.hidden, True)
            yield Access(at["h"], lstm.hidden, True)
            yield Access(at["out"] + step * lstm.hidden, lstm.hidden, True)


def run(lstm: Lstm, events: Iterator[Event], seed: int = 0) -> npt.NDArray[np.int8]:
    """States [steps, hidden] of a cell with straight-line gates, for random weights and inputs."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (lstm.steps, lstm.inputs))
    input_weight = rng.integers(-128, 128, (lstm.rows, lstm.inputs))
    hidden_weight = rng.integers(-128, 128, (lstm.rows, lstm.hidden))
    sums = np.zeros((lstm.steps, lstm.rows), np.int64)
    h, c = np.zeros(lstm.hidden, np.int64), np.zeros(lstm.hidden, np.int64)
    out = np.zeros((lstm.steps, lstm.hidden), np.int8)
    for kind, step, row in events:
        if kind == "input":
            sums[step, row] += input_weight[row] @ x[step]
        elif kind == "hidden":
            sums[step, row] += hidden_weight[row] @ h
        else:
            i, f, g, o = (sums[step] >> 10).reshape(GATES, lstm.hidden)
            i, f, o = (np.clip(gate + 128, 0, 255) for gate in (i, f, o))
            c = np.clip((f * c + i * np.clip(g, -128, 127)) >> 8, -(2**15), 2**15 - 1)
            h = (o * np.clip(c, -128, 127)) >> 8
            out[step] = h
    return out
