"""Coded size of real layers against their entropy, an ideal range coder and zlib, and the coders' speed.

A 64-512-256-10 network is trained on scikit-learn's handwritten digits; every weight matrix is quantized to
8, 4, 3 and 2 bits, dense and with 80% pruned, and every stream of at least 1,000 symbols is coded.
Writes results/codec.{json,md}.
"""

from __future__ import annotations

import statistics
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.common import progress, write_results
from smidgen.codec.inspect import entropy_bytes
from smidgen.codec.streams import coder_name, decode_stream, encode_stream
from smidgen.formats import Affine, Leaf, Sparse

SMALLEST = 1000
SPARSITY = 0.8
REPEATS = 9
HOW = (
    "All sizes in bytes and measured. `smidgen` is the whole stream, header and table included; `entropy` is "
    "the empirical zero-order entropy without any table; `allowed` is the claim: entropy + 0.5% + 64 bytes + "
    "½(A−1)·log2(n) bits, for n symbols of A kinds; `range coder` is constriction's, given the exact "
    "frequencies for nothing; `zlib` is Huffman-only, one byte a symbol. Speeds count a symbol as a byte: "
    f"median ± interquartile range over {REPEATS} runs on one thread; encoding includes the search for the "
    "best table, a few milliseconds whatever the length."
)


def trained_layers() -> list[npt.NDArray[np.float32]]:
    x, y = load_digits(return_X_y=True)
    model = MLPClassifier((512, 256), max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x / 16.0, y)
    return [np.ascontiguousarray(layer.T, dtype=np.float32) for layer in model.coefs_]


def streams() -> Iterator[tuple[str, Leaf]]:
    for number, weight in enumerate(trained_layers(), 1):
        mask = np.abs(weight) >= np.quantile(np.abs(weight), SPARSITY)
        for bits in (8, 4, 3, 2):
            dense = Affine.fit(weight, bits)
            pruned = Sparse(mask, Affine.fit(np.where(mask, weight, np.float32(0)), bits))
            for label, fmt in (("", dense), (", 80% pruned", pruned)):
                for leaf in fmt.leaves():
                    if leaf.symbols.size >= SMALLEST:
                        yield f"layer {number}, {bits} bit{label}: {leaf.name.removeprefix('inner/')}", leaf


def range_coder_bytes(symbols: npt.NDArray[Any]) -> int:
    _, inverse, counts = np.unique(symbols, return_inverse=True, return_counts=True)
    if counts.size == 1:
        return 0
    model = constriction.stream.model.Categorical(counts / counts.sum(), perfect=False)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(inverse.astype(np.int32), model)
    return int(encoder.get_compressed().nbytes)


def zlib_bytes(symbols: npt.NDArray[Any]) -> int:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return len(deflater.compress(symbols.astype(np.uint8).tobytes()) + deflater.flush())


def speed(run: Callable[[], object], nbytes: int) -> tuple[float, float]:
    """(median, interquartile range) in MB/s."""
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        found.append(nbytes / 1e6 / (time.perf_counter() - start))
    low, middle, high = statistics.quantiles(found, n=4)
    return middle, high - low


def measured(name: str, leaf: Leaf) -> dict[str, Any]:
    data = encode_stream(leaf)
    assert np.array_equal(decode_stream(data), leaf.symbols)
    n, alphabet = leaf.symbols.size, np.unique(leaf.symbols).size
    entropy = entropy_bytes(leaf.symbols)
    encode = speed(lambda: encode_stream(leaf), n)
    decode = speed(lambda: decode_stream(data), n)
    return {
        "stream": name,
        "symbols": n,
        "kinds": alphabet,
        "coder": coder_name(data),
        "smidgen": len(data),
        "entropy": round(entropy),
        "over entropy, %": round(100 * (len(data) / entropy - 1), 2),
        "allowed": round(1.005 * entropy + 64 + (alphabet - 1) / 2 * np.log2(n) / 8),
        "range coder": range_coder_bytes(leaf.symbols),
        "zlib": zlib_bytes(leaf.symbols),
        "encode, MB/s": f"{encode[0]:.0f} ± {encode[1]:.0f}",
        "decode, MB/s": f"{decode[0]:.0f} ± {decode[1]:.0f}",
    }


def main() -> None:
    rows = [measured(name, leaf) for name, leaf in progress(streams(), "streams")]
    late = [row["stream"] for row in rows if row["smidgen"] > row["allowed"]]
    title = "Entropy coding: size against entropy, and speed"
    verdict = f"{len(rows) - len(late)} of {len(rows)} streams are within the claim."
    write_results("codec", title, rows, f"{HOW}\n\n**{verdict}**", outside_the_claim=late)


if __name__ == "__main__":
    main()
