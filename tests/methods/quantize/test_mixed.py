"""Mixed precision: the descent is the greedy one, the tolerance holds for the integers, limits are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.data.dataset import Dataset, Splits
from smidgen.formats import Affine
from smidgen.graph import Graph, GraphBuilder
from smidgen.learn.fit import FitSettings, fit
from smidgen.lower import lower
from smidgen.methods.distill.logits import Logits
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize._descent import descend
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.mixed import MixedPrecision
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.networks import digits, small_cnn

Table = Mapping[tuple[int, ...], int]  # bits of all weights -> right answers
WEIGHTS = {"a": 40, "b": 100, "c": 100}  # parameters


def quiet(fraction: float, bits: Mapping[str, int]) -> None:
    """No progress."""


def judged_by(table: Table, names: tuple[str, ...]) -> Callable[[Mapping[str, int], int], int | None]:
    def judge(bits: Mapping[str, int], needed: int) -> int | None:
        found = table[tuple(bits[name] for name in names)]
        return found if found >= needed else None

    return judge


def exhaustive(sizes: Mapping[str, Mapping[int, int]], table: Table, floor: int) -> tuple[int, ...]:
    """Every move judged in every round, prices as exact fractions."""
    names = tuple(sizes)
    bits = tuple(max(options) for options in sizes.values())
    while table[bits] >= floor:
        moves = []
        for i, name in enumerate(names):
            after = (*bits[:i], bits[i] - 1, *bits[i + 1 :])
            if after[i] in sizes[name] and table[after] >= floor:
                saved = sizes[name][bits[i]] - sizes[name][after[i]]
                moves.append((Fraction(max(table[bits] - table[after], 0), saved), -saved, i, after))
        if not moves:
            break
        bits = min(moves)[-1]
    return bits


@given(
    answers=st.lists(st.integers(60, 100), min_size=64, max_size=64),
    floor=st.integers(60, 100),
    counts=st.tuples(*[st.integers(1, 50)] * 3),
)
def test_descent_makes_the_moves_of_judging_everything(
    answers: list[int], floor: int, counts: tuple[int, ...]
) -> None:
    table = dict(zip(itertools.product(range(5, 9), repeat=3), answers, strict=True))
    sizes = {name: {b: b * n for b in range(5, 9)} for name, n in zip("abc", counts, strict=True)}
    found, right = descend(sizes, judged_by(table, tuple(sizes)), floor, quiet)
    assert tuple(found.values()) == exhaustive(sizes, table, floor)
    assert right == table[tuple(found.values())]


def test_free_move_of_the_largest_weight_is_taken_without_judging_the_others() -> None:
    asked: list[dict[str, int]] = []

    def judge(bits: Mapping[str, int], needed: int) -> int | None:
        asked.append(dict(bits))
        return 10 if bits["large"] >= 7 and bits["small"] == 8 else None

    sizes = {"small": {7: 7, 8: 8}, "large": {7: 70, 8: 80}}
    assert descend(sizes, judge, 10, quiet) == ({"small": 8, "large": 7}, 10)
    assert asked == [{"small": 8, "large": 8}, {"small": 8, "large": 7}, {"small": 7, "large": 7}]


def test_cheaper_loss_wins_over_the_larger_saving() -> None:
    """Losing 3 answers for 10 bits is dearer than losing 1 for 4."""
    table = {(8, 8): 100, (8, 7): 97, (7, 8): 99, (7, 7): 0}
    sizes = {"small": {7: 28, 8: 32}, "large": {7: 70, 8: 80}}
    assert descend(sizes, judged_by(table, tuple(sizes)), 95, quiet) == ({"small": 7, "large": 8}, 99)


@pytest.fixture(scope="module")
def data() -> Splits:
    return digits()


@pytest.fixture(scope="module")
def trained(data: Splits) -> Graph:
    return fit(small_cnn(), data, FitSettings(epochs=6, lr=5e-3))


def bits_of(graph: Graph) -> dict[str, int]:
    return {name: fmt.bits for name, fmt in graph.weights.items() if isinstance(fmt, Affine)}


def right_of(integer: Graph, part: Dataset) -> int:
    """Right answers by the NumPy reference, which shares nothing with the native plan."""
    grid = integer.values[integer.inputs[0]].grid
    assert grid is not None
    outputs = run_integer(integer, grid.quantize(part.x).astype(np.int8))
    return int((outputs.argmax(axis=1) == part.y).sum())


@pytest.mark.parametrize(("points", "errors"), [(2.0, 0.0), (0.5, 2.0)])
def test_integers_stay_within_the_tolerance_with_fewer_bits(
    trained: Graph, data: Splits, points: float, errors: float
) -> None:
    ctx, n = Context(data, trained), len(data.validation)
    mixed = MixedPrecision(points, errors).apply(trained, ctx)
    base = (run_float(trained, data.validation.x).argmax(axis=1) == data.validation.y).mean()
    allowed = max(points / 100, errors * np.sqrt(base * (1 - base) / n))
    assert right_of(lower(mixed), data.validation) >= n * (base - allowed) - 1e-6
    assert min(bits_of(mixed).values()) < 6
    assert len(set(bits_of(mixed).values())) > 1


def test_note_states_the_bits_and_the_accuracy(trained: Graph, data: Splits) -> None:
    ctx = Context(data, trained)
    mixed = MixedPrecision().apply(trained, ctx)
    share = right_of(lower(mixed), data.validation) / len(data.validation)
    assert len(ctx.notes) == 1
    assert ", ".join(f"{n.removesuffix('.weight')} {b}" for n, b in bits_of(mixed).items()) in ctx.notes[0]
    assert f"{100 * share:.1f}% of 350 validation samples right" in ctx.notes[0]


def test_no_bit_can_leave_from_minimum_of_eight(trained: Graph, data: Splits) -> None:
    """Then it is plain 8-bit quantization, with the same weights and grids."""
    mixed = MixedPrecision(minimum_bits=8).apply(trained, Context(data, trained))
    plain = AffineQuantization().apply(trained, Context(data, trained))
    assert mixed.values == plain.values
    for name, fmt in plain.weights.items():
        np.testing.assert_array_equal(mixed.weights[name].decode(), fmt.decode())


def test_progress_never_goes_back(trained: Graph, data: Splits) -> None:
    seen: list[tuple[float, str]] = []
    ctx = Context(data, trained, report=lambda fraction, message: seen.append((fraction, message)))
    MixedPrecision(standard_errors=0, evaluation_samples=100).apply(trained, ctx)
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)
    assert seen[0][1].startswith("calibration: ")
    searched = [fraction for fraction, message in seen if message.startswith("weight bits conv")]
    assert 0 < searched[0] <= searched[-1] <= 1


def test_tolerance_that_eight_bits_break_is_reported() -> None:
    """A two-way tie in the float network that no 8-bit grid keeps."""
    b = GraphBuilder("tight")
    x = b.input("x", (2,))
    graph = b.graph(b.linear(x, np.array([[1.0, 0.0], [0.99999, 0.0]])))
    part = Dataset(np.linspace(0.1, 1, 8, dtype=np.float32)[:, None].repeat(2, 1), np.zeros(8, np.int64))
    wrong = Dataset(-part.x, np.ones(8, np.int64))
    data = Splits(part, wrong, part, 2)
    ctx = Context(data, graph)
    mixed = MixedPrecision(0, 0).apply(graph, ctx)
    assert set(bits_of(mixed).values()) == {8}
    assert "8 bits already break the tolerance" in ctx.notes[0]


def test_quantized_network_is_left_alone_and_told(trained: Graph, data: Splits) -> None:
    ctx = Context(data, trained)
    quantized = AffineQuantization().apply(trained, ctx)
    assert MixedPrecision().apply(quantized, ctx) is quantized
    assert ctx.notes == ["quantize.mixed: no layer holds float weights, nothing changes"]


def test_declarations_wait_for_the_training_that_follows(trained: Graph, data: Splits) -> None:
    ctx = Context(data, trained)
    declared = Logits().apply(GlobalMagnitude(0.5, schedule="gradual").apply(trained, ctx), ctx)
    mixed = MixedPrecision(evaluation_samples=100).apply(declared, ctx)
    assert mixed.pending == declared.pending
    assert len(mixed.pending) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"tolerance_points": -1.0},
        {"standard_errors": float("nan")},
        {"minimum_bits": 1},
        {"activation_bits": 9},
        {"evaluation_samples": -1},
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        MixedPrecision(**bad)
