"""Every format keeps its promises: pure decode, exact round trip, untouched twins freeze to themselves."""

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest

import smidgen.formats
from smidgen.codec.streams import decode_stream, encode_stream
from smidgen.formats import (
    Affine,
    Binary,
    BinaryPacks,
    Codebook,
    Dense,
    Format,
    Half,
    Imported,
    Integer,
    LowRank,
    Sparse,
    Ternary,
    from_parts,
    to_parts,
)
from smidgen.formats.base import format_class

RNG = np.random.default_rng(0)
W = RNG.normal(size=(6, 3, 3, 5)).astype(np.float32)
EXAMPLES: dict[str, list[Format]] = {
    "Dense": [Dense(W), Dense(np.zeros((0,), np.float32))],
    "Affine": [
        Affine.fit(W, bits, granularity, symmetric, rule)
        for bits in (2, 4, 8)
        for granularity, symmetric in (
            ("tensor", True),
            ("tensor", False),
            ("channel", False),
            ("group", True),
        )
        for rule in ("minmax", "mse")
    ]
    + [
        Affine.fit(W, 3, granularity).scaled(np.array([-0.3, 2, 1, -5, 1e-3, 7], np.float32))
        for granularity in ("tensor", "channel", "group")
    ]
    + [
        Affine(
            np.array([[-128, 5], [3, 127]], np.int8),
            np.array([0.1, 0.3], np.float32),
            8,
            np.zeros(2, np.int8),
        )
    ],
    "Imported": [
        Imported(
            RNG.integers(-999, 999, (4, 6)).astype(np.int16), RNG.uniform(1, 2, s).astype(np.float32), z, 11
        )
        for s, z in (((1, 1), None), ((4, 1), np.full((4, 1), 7, np.int16)), ((2, 3), None))
    ],
    "Codebook": [
        *(Codebook.fit(W, bits, rounds) for bits in (1, 3, 4, 8) for rounds in (0, 20)),
        Codebook.fit(np.zeros_like(W), 4),
        Codebook.fit(np.zeros((0,), np.float32), 4),
    ],
    "Binary": [
        Binary.fit(W),
        Binary.fit(W, "tensor"),
        Binary.fit(np.zeros_like(W)),
        Binary.fit_powers(W),
        Binary.fit_powers(W, "tensor").scaled(np.array([0.5, 2, 1, -4, 1, 8], np.float32)),
        Binary.fit(W).scaled(np.array([-0.3, 2, 1, -5, 1e-3, 7], np.float32)),
    ],
    "BinaryPacks": [
        *(BinaryPacks.fit(W, sparsity, width) for sparsity in (0, 0.5, 1) for width in (1, 2, 32)),
        BinaryPacks.fit(W, 0.7, 2, "tensor", open_share=0.5),
        BinaryPacks.fit(np.zeros_like(W), 0.5),
        BinaryPacks.fit(W, 0.6, 2).scaled(np.array([-0.3, 2, 1, -5, 1e-3, 7], np.float32)),
    ],
    "Ternary": [
        Ternary.fit(W),
        Ternary.fit(W, "tensor"),
        Ternary.fit(np.zeros_like(W)),
        replace(Ternary.fit(W), learned=True),
        replace(Ternary.fit(W, "tensor"), learned=True),
        Ternary.fit(W).scaled(np.array([-0.3, 2, 1, -5, 1e-3, 7], np.float32)),
        replace(Ternary.fit(W), learned=True).scaled(np.array([-0.3, 2, 1, -5, 1e-3, 7], np.float32)),
    ],
    "Sparse": [
        Sparse(np.abs(W) > t, inner)
        for t in (0.0, 1.0, 99.0)
        for inner in (Dense(W), Affine.fit(W, 4), Binary.fit(W), Codebook.fit(W, 4, members=np.abs(W) > t))
    ],
    "Half": [Half.fit(W), Half.fit(1e6 * W), Half.fit(np.zeros((0,), np.float32))],
    "LowRank": [
        LowRank(Dense(W[:, :1, :1, :2]), Dense(W[:2])),
        LowRank(Affine.fit(W[:, 0, 0, :1], 8), Affine.fit(W[:1, 0, 0], 4)),
        LowRank(Half.fit(W[:, 0, 0, :2]), Sparse(W[:2, 0, 0] > 0, Dense(W[:2, 0, 0]))),
    ],
    "Integer": [Integer(RNG.integers(0, 200, (7,)).astype(t)) for t in ("uint8", "int16", "uint16", "int32")],
}
FLOATS = ("Dense", "Half", "Imported", "Integer", "LowRank")
CASES = [(name, i) for name, formats in EXAMPLES.items() for i in range(len(formats))]


def discovered() -> set[str]:
    """Every Format class in the folder, found by path."""
    names = (m.name for m in pkgutil.iter_modules(smidgen.formats.__path__))
    modules = [
        importlib.import_module(f"smidgen.formats.{name}") for name in names if not name.endswith("twins")
    ]
    return {
        item.__name__
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Format) and item is not Format
    }


def test_every_format_has_examples_here() -> None:
    assert discovered() == set(EXAMPLES)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_decode_is_pure_and_of_the_declared_shape(name: str, i: int) -> None:
    fmt = EXAMPLES[name][i]
    first, second = fmt.decode(), fmt.decode()
    assert first.dtype == np.float32
    assert first.shape == fmt.shape
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_packing_and_unpacking_gives_the_format_back_bit_for_bit(name: str, i: int) -> None:
    fmt = EXAMPLES[name][i]
    meta, leaves = to_parts(fmt)
    read = {leaf.name: decode_stream(encode_stream(leaf)) for leaf in leaves}
    again = from_parts(meta, read)
    assert type(again) is type(fmt)
    assert np.array_equal(again.decode().view(np.uint32), fmt.decode().view(np.uint32))
    assert all(
        np.array_equal(a.symbols, b.symbols) for a, b in zip(again.leaves(), fmt.leaves(), strict=True)
    )


@pytest.mark.parametrize(("name", "i"), CASES)
def test_symbols_fit_their_declared_bits(name: str, i: int) -> None:
    for leaf in EXAMPLES[name][i].leaves():
        lo, hi = (
            (-(1 << (leaf.bits - 1)), (1 << (leaf.bits - 1)) - 1)
            if leaf.signed
            else (0, (1 << leaf.bits) - 1)
        )
        symbols = leaf.symbols.astype(np.int64)
        assert symbols.size == 0 or (symbols.min() >= lo and symbols.max() <= hi)


@pytest.mark.parametrize(("name", "i"), [case for case in CASES if case[0] != "Integer"])
def test_freezing_an_untouched_twin_returns_the_same_format(name: str, i: int) -> None:
    fmt = EXAMPLES[name][i]
    frozen = fmt.twin().freeze()
    assert type(frozen) is type(fmt)
    assert all(
        np.array_equal(a.symbols, b.symbols) for a, b in zip(frozen.leaves(), fmt.leaves(), strict=True)
    )


@pytest.mark.parametrize(("name", "i"), [case for case in CASES if case[0] != "Integer"])
def test_a_twins_weight_is_what_it_freezes_to(name: str, i: int) -> None:
    twin = EXAMPLES[name][i].twin()
    assert np.allclose(twin.weight().detach().numpy(), twin.freeze().decode(), atol=1e-6)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_integers_times_scale_are_the_real_weights(name: str, i: int) -> None:
    fmt = EXAMPLES[name][i]
    whole = fmt.integers()
    if whole is None:
        assert name in FLOATS or fmt.inner.integers() is None
        return
    rows = whole.values.reshape(whole.scale.size, -1) * whole.scale[:, None].astype(np.float64)
    assert np.array_equal(rows.reshape(fmt.shape).astype(np.float32), fmt.decode())


def test_an_unknown_format_name_is_refused() -> None:
    for name in ("Nothing", "os", "../x", "Format", ""):
        with pytest.raises(smidgen.SmidgenError, match="unknown weight format"):
            format_class(name)
