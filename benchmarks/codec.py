"""Coded size of real layers against their entropy, an ideal range coder and zlib, and the coders' speed.

A 64-512-256-10 network and a convolutional one (32-64-64 channels) are trained on scikit-learn's handwritten
digits; every weight is quantized to 8, 4, 3 and 2 bits, dense and with 80% pruned, and every stream of at
least 1,000 symbols is coded, the mask of pruned weights too.
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
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.common import progress, write_results
from smidgen.codec.inspect import entropy_bytes
from smidgen.codec.streams import coder_name, codings, decode_stream, encode_stream
from smidgen.formats import Affine, Leaf, Sparse

SMALLEST = 1000
SPARSITY = 0.8
REPEATS = 9
HOW = (
    "All sizes in bytes and measured. `smidgen` is the whole stream, header and table included; `entropy` is "
    "the empirical zero-order entropy without any table; `allowed` is the claim: entropy + 0.5% + 64 bytes + "
    "½(A−1)·log2(n) bits, for n symbols of A kinds; `huffman`, `rans`, `context` are our coders; the "
    "shortest, or raw packing, is `smidgen`; `range coder` is constriction's, given the exact frequencies "
    "for nothing; `zlib` is Huffman-only, one byte a symbol. Speeds count a symbol as a byte: "
    f"median ± interquartile range over {REPEATS} runs on one thread; encoding includes the search for the "
    "best table and context."
)


def trained_layers() -> list[npt.NDArray[np.float32]]:
    x, y = load_digits(return_X_y=True)
    model = MLPClassifier((512, 256), max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x / 16.0, y)
    return [np.ascontiguousarray(layer.T, dtype=np.float32) for layer in model.coefs_]


def trained_convolutions() -> list[npt.NDArray[np.float32]]:
    """Weights [C_out, kH, kW, C_in] of three layers with 3x3 kernels."""
    x, y = load_digits(return_X_y=True)
    images, labels = torch.tensor(x / 16.0, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(y)
    torch.manual_seed(0)
    pool, relu = torch.nn.MaxPool2d(2), torch.nn.ReLU()
    convolutions = [torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 32), (32, 64), (64, 64))]
    one, two, three = convolutions
    head = (torch.nn.Flatten(), torch.nn.Linear(256, 10))
    model = torch.nn.Sequential(one, relu, two, relu, pool, three, relu, pool, *head)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    for _ in range(12):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return [np.ascontiguousarray(layer.weight.detach().permute(0, 2, 3, 1).numpy()) for layer in convolutions]


def streams() -> Iterator[tuple[str, Leaf]]:
    layers = {f"layer {number}": weight for number, weight in enumerate(trained_layers(), 1)}
    layers |= {f"conv {number}": weight for number, weight in enumerate(trained_convolutions(), 1)}
    for name, weight in layers.items():
        mask = np.abs(weight) >= np.quantile(np.abs(weight), SPARSITY)
        if weight.size >= SMALLEST:
            yield f"{name}: mask", Leaf("mask", mask.ravel().astype(np.uint8), 1, False, mask.shape)
        for bits in (8, 4, 3, 2):
            dense = Affine.fit(weight, bits)
            pruned = Sparse(mask, Affine.fit(np.where(mask, weight, np.float32(0)), bits))
            for label, fmt in (("", dense), (", 80% pruned", pruned)):
                for leaf in fmt.leaves():
                    is_new = leaf.name != "gaps" or bits == 8
                    if leaf.symbols.size >= SMALLEST and is_new:
                        yield f"{name}, {bits} bit{label}: {leaf.name.removeprefix('inner/')}", leaf


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
    lengths = {coder_name(coded): len(coded) for coded in codings(leaf)}
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
        **{coder: lengths.get(coder, "") for coder in ("huffman", "rans", "context")},
        "range coder": range_coder_bytes(leaf.symbols),
        "zlib": zlib_bytes(leaf.symbols),
        "encode, MB/s": f"{encode[0]:.1f} ± {encode[1]:.1f}",
        "decode, MB/s": f"{decode[0]:.0f} ± {decode[1]:.0f}",
    }


def main() -> None:
    rows = [measured(name, leaf) for name, leaf in progress(streams(), "streams")]
    late = [row["stream"] for row in rows if row["smidgen"] > row["allowed"]]
    title = "Entropy coding: size against entropy, and speed"
    context = [row for row in rows if row["coder"] == "context"]
    ours, tables = sum(row["smidgen"] for row in rows), sum(min(row["huffman"], row["rans"]) for row in rows)
    verdict = (
        f"{len(rows) - len(late)} of {len(rows)} streams are within the claim. The context coder wins "
        f"{len(context)} of them; all streams take {100 * (1 - ours / tables):.2f}% less than by the "
        "better coder with a table."
    )
    write_results("codec", title, rows, f"{HOW}\n\n**{verdict}**", outside_the_claim=late)


if __name__ == "__main__":
    main()
