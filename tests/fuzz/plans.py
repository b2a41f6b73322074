"""Loads and runs damaged plans: `python -m tests.fuzz.plans FIRST COUNT`, one line of JSON at the end.

A plan must be refused, or run without leaving its memory. The number of a case is printed before it begins,
so that what kills the process can be made again.
"""

from __future__ import annotations

import json
import sys
from random import Random
from typing import Any

import numpy as np

from smidgen.graph import Graph
from smidgen.kernels import native
from smidgen.lower import lower
from smidgen.lower.schedule import expand_weights
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.native import native_plan
from smidgen.run.plan_code import serialize
from tests.fuzz.harness import seeded
from tests.networks import few_bits_cnn, kitchen_sink, noise_like, small_cnn
from tests.random_trees import integer_trees, random_trees
from tests.recurrent import integers_of_recurrent, recurrent_network

EXTREMES = (-(2**31), -1, 0, 1, 2, 127, 2**15, 2**24, 2**30, 2**31 - 1)
SLOWEST_WORK = 1 << 22  # bytes of ports: beyond it nothing new is found, and allocating takes long

Code = tuple[np.ndarray, np.ndarray]


def lowered(graph: Graph, bits: int) -> Graph:
    return lower(AffineQuantization(bits=bits).apply(graph, Context(noise_like(graph), graph)))


def sound_plans() -> list[Code]:
    """Kernels of every kind: windows, planes of bits, decoders, tables, loops, 16 bits, trees."""
    graphs = [
        lowered(small_cnn(), 8),
        lowered(few_bits_cnn(), 8),
        expand_weights(lowered(kitchen_sink(), 4)),
        integers_of_recurrent(recurrent_network("lstm")),
        integers_of_recurrent(recurrent_network("gru_before", streaming=True)),
        integer_trees(random_trees(np.random.default_rng(0), 5, 16, 4, 2), 5),
    ]
    return [serialize(native_plan(graph).program) for graph in graphs]


def damaged(rng: Random, code: Code) -> Code:
    """A few words or bytes changed, cut out, doubled, or swapped with others."""
    words, constants = code[0].tolist(), bytearray(code[1].tobytes())
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(words))
        kind = rng.randrange(8)
        if kind < 3:
            words[at] += rng.randint(-4, 4)
        elif kind == 3:
            words[at] = rng.choice(EXTREMES)
        elif kind == 4:
            words[at] = words[rng.randrange(len(words))]
        elif kind == 5:
            length = rng.randrange(1, 9)
            words[at : at + length] = words[at : at + length] * rng.choice((0, 2))
        elif constants:
            constants[rng.randrange(len(constants))] = rng.randrange(256)
        if not words:
            break
    clipped = np.clip(np.array(words, np.int64), EXTREMES[0], EXTREMES[-1]).astype(np.int32)
    return clipped, np.frombuffer(bytes(constants), np.uint8)


def outcome(rng: Random, code: Code) -> str:
    """What became of it: `refused`, `ran`, or `large` (ports that nobody would give it)."""
    names = ["", "ref", "avx2", "avx512", "avx512 im2col", "avx512 amx", "\xff"]
    choices = [rng.choice(names) for _ in range(rng.randrange(0, 40))]
    try:
        plan: Any = native().Plan(*code, rng.choice(native().supported_isas()), choices)
    except ValueError:
        return "refused"
    inputs, outputs = _ports(code[0])
    samples = rng.choice((0, 1, 3))
    if sum(inputs) + sum(outputs) > SLOWEST_WORK:
        return "large"
    filler = np.random.default_rng(rng.randrange(2**32))
    given = [filler.integers(0, 256, samples * n).astype(np.uint8) for n in inputs]
    plan.run(given, [np.zeros(samples * n, np.uint8) for n in outputs], samples, rng.randrange(1, 4))
    return "ran"


def _ports(words: np.ndarray) -> tuple[list[int], list[int]]:
    """Bytes of the inputs and of the outputs: the start of the code, as plan.hpp has it."""
    first, last = int(words[2]), int(words[3])
    return words[4 : 4 + first].tolist(), words[4 + first : 4 + first + last].tolist()


def main(first: int, count: int) -> None:
    plans, found = sound_plans(), {"refused": 0, "ran": 0, "large": 0}
    for number in range(first, first + count):
        print(number, file=sys.stderr, flush=True)
        rng = seeded("plan", number)
        found[outcome(rng, damaged(rng, rng.choice(plans)))] += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
