"""Runs kernels on arrays that end, or begin, where no memory is: a byte too far kills the process.

    python -m tests.kernels.guarded ROUNDS [sin]

With `sin` it reads one byte too far itself: the control that the guard works. Prints how many plans ran.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator

import numpy as np

from smidgen.graph import Graph
from smidgen.run.isa import chosen_isa
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.plan_code import load, serialize
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_integers, random_ratios

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """`nbytes` of memory between pages that can't be touched, flush with one of them."""

    def __init__(self, nbytes: int, at_end: bool) -> None:
        inner = -(-nbytes // PAGE) * PAGE
        self._memory = mmap.mmap(-1, inner + 2 * PAGE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for page in (self.address, self.address + PAGE + inner):
            if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self._start = PAGE + (inner - nbytes if at_end else 0)
        self._nbytes = nbytes

    def array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        raw = np.frombuffer(self._memory, np.uint8, self._nbytes, self._start)
        return raw.view(dtype).reshape(shape)


def guarded_like(array: np.ndarray, at_end: bool) -> np.ndarray:
    made = Guarded(array.nbytes, at_end).array(array.shape, array.dtype.name)
    made[...] = array
    return made


def layer(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    bias = rng.integers(-(2**20), 2**20, shape[0]).astype(np.int32)
    return {"weight": random_int8(rng, *shape), "bias": bias, **random_ratios(rng, shape[0])}


def graphs(rng: np.random.Generator) -> Iterator[Graph]:
    """One operator each, of random sizes around the widths of vectors."""
    h, w, c, o, k = (int(v) for v in rng.integers(1, [9, 9, 70, 70, 4]))
    space, bounds = (h + k, w + k, c), {"lo": LO, "hi": HI}
    windows = {"stride": (1, 2), "padding": ((1, 0), (0, k - 1)), "dilation": (1, 1)}
    yield one_node("q.linear", [(c,)], layer(rng, o, c), (3,), **bounds)
    yield one_node("q.linear", [(h, c)], layer(rng, o, c), (3,), out_bits=16, **bounds)
    yield one_node("q.linear", [(h + 15, c)], layer(rng, o, c), (3,), **bounds)
    whole = layer(rng, o, c)
    for packed in (whole["weight"] // 16, whole["weight"] // 64, whole["weight"] * (np.arange(c) % 3 == 0)):
        yield one_node("q.linear", [(h, c)], {**whole, "weight": packed}, (3,), **bounds)
    yield one_node("q.conv", [space], layer(rng, o, k, k, c), (3,), groups=1, **windows, **bounds)
    yield one_node("q.conv", [space], layer(rng, c, k, k, 1), (3,), groups=c, **windows, **bounds)
    pool = {"kernel": (k, k), "stride": (1, 2), "padding": ((0, 0), (0, 0))}
    yield one_node("q.max_pool", [space], {}, (-5,), **pool)
    mean = random_ratios(rng, 1)
    yield one_node("q.mean", [space], mean, (3,), axes=(0, 1), keepdims=False, **bounds)
    yield one_node("q.requantize", [(h, c)], random_ratios(rng, c), (3,), **bounds)
    yield one_node("q.mul", [(h, c), (h, c)], random_ratios(rng, 1), **bounds)
    pair = {"multiplier": rng.integers(-65535, 65536, 2).astype(np.int32)}
    yield one_node("q.add", [(h, c), (1, c)], pair, shift=20, **bounds)
    wide = {"bits": (16, 8), "out_bits": 16}
    yield one_node("q.add", [(h, c), (h, c)], pair, (0, 5), 0, shift=20, lo=-30000, hi=30000, **wide)
    rows = [(h, c + 60), (h, c + 60)]
    yield one_node("q.add", rows, pair, (0, 0), 0, (16, 16), 16, shift=20, lo=-30000, hi=30000)
    yield one_node("q.mul", rows, random_ratios(rng, 1), (0, 0), 0, (16, 16), 16, lo=-30000, hi=30000)
    table = np.sort(rng.integers(-(2**15), 2**15, 257)).astype(np.int16)
    yield one_node("q.table", [(c,)], {"table": table}, (0,), bits=(16,), out_bits=16)
    yield one_node("q.table", [(c,)], {"table": random_int8(rng, 256)})
    exponentials = np.maximum(rng.integers(0, 65536, 256), np.eye(256, dtype=int)[0]).astype(np.uint16)
    yield one_node("q.softmax", [(h, c)], {"table": exponentials})
    scores = {"table": exponentials, **random_ratios(rng, 1)}
    yield one_node("q.softmax", [(h, c)], scores, (0,), bits=(16,))
    vectors = {role: rng.integers(-(2**16), 2**16, c).astype(np.int32) for role in ("multiplier", "bias")}
    normal = {"root_shift": 4, "epsilon": 7, "epsilon_shift": 3, "shift": 20, "axes": (1,), "centered": True}
    yield one_node("q.normalize", [(h, c)], vectors, (3,), **normal, **bounds)
    yield one_node("q.normalize", [(h, c)], vectors, (0,), bits=(16,), **normal, **bounds)
    yield one_node("q.matmul", [(h, c), (c, w)], random_ratios(rng, 1), out_bits=16, **bounds)
    yield one_node("q.transpose", [space], {}, (-5,), perm=(2, 0, 1))
    yield one_node("q.concat", [(h, c), (h, o)], {}, (-5, -5), axis=1)
    yield one_node("q.pad", [space], {}, (-5,), pads=((1, 0), (0, 2), (0, 1)))


def run_guarded(graph: Graph, rng: np.random.Generator) -> int:
    """Every candidate on both ends of the memory. How many plans ran."""
    usual = native_plan(graph)
    code = serialize(usual.program)
    samples, done = int(rng.choice([1, 2, 3, 17])), 0
    values = [graph.values[name] for name in graph.inputs]
    x = [random_integers(rng, int(v.dtype[3:]), samples, *v.shape) for v in values]
    expected = usual.run(x)
    for name in {name for pairs in load("one", *code).candidates(chosen_isa()) for name, _ in pairs}:
        plan = NativePlan(graph, usual.program, [name] * len(usual.program.calls))
        for at_end in (True, False):
            given = [guarded_like(array, at_end) for array in x]
            y = guarded_like(np.zeros_like(expected), at_end)
            plan._plan.run(given, [y], samples, 1)
            np.testing.assert_array_equal(y, expected)
            done += 1
    return done


if __name__ == "__main__":
    rounds = int(sys.argv[1])
    if "sin" in sys.argv:
        array = Guarded(5, at_end=True)
        print(ctypes.string_at(array.address + 2 * PAGE, 1))
    done = 0
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        for graph in graphs(rng):
            done += run_guarded(graph, rng)
    print(done)
