"""Rules that read whole rows, in ONNX operators, bit for bit: softmax and normalization."""

from __future__ import annotations

import math

import numpy as np

from smidgen.emit.onnx_site import Site
from smidgen.emit.onnx_writer import OnnxWriter, lifted_rounding

NORMAL_LIFT_BITS = 52  # products are below it in size: added, they are positive, so that Div is the floor


def write_softmax(w: OnnxWriter, site: Site) -> str:
    """min((256 e + S/2) div S, 255) in bytes; everything is positive, so that Div is the floor."""
    out, masked = site.out, "mask" in site.weights
    x = w.cast(site.names[0], np.int64, f"{out}.x64")
    kept = w.constant(site.weights["mask"] != 0, np.bool_, f"{site.node.name}.mask") if masked else ""
    zero = w.constant(0, np.int64, "zero64")
    if masked:  # the lowest byte never wins, and is at most 255 below the highest
        x = w.op("Where", [kept, x, zero], f"{out}.kept")
    top = w.op("ReduceMax", [x], f"{out}.max", axes=[-1], keepdims=1)
    e = _exponentials(w, site, w.op("Sub", [top, x], f"{out}.distance"))
    if masked:
        e = w.op("Where", [kept, e, zero], f"{out}.kept_e")
    total = w.op("ReduceSum", [e, w.constant([-1], np.int64, f"{out}.axes")], f"{out}.total", keepdims=1)
    if masked:
        total = w.op("Max", [total, w.constant(1, np.int64, "one64")], f"{out}.positive")
    half = w.op("Div", [total, w.constant(2, np.int64, "two")], f"{out}.half")
    scaled = w.op("Mul", [e, w.constant(256, np.int64, "two_to_8")], f"{out}.scaled")
    quotient = w.op("Div", [w.op("Add", [scaled, half], f"{out}.sum"), total], f"{out}.quotient")
    saturated = w.op("Min", [quotient, w.constant(255, np.int64, "top_byte")], f"{out}.saturated")
    return w.cast(saturated, np.uint8, out)


def _exponentials(w: OnnxWriter, site: Site, distance: str) -> str:
    out = site.out
    table = w.constant(site.weights["table"], np.int64, f"{site.node.name}.table")
    if site.inputs[0].dtype == "int8":
        return w.op("Gather", [table, distance], f"{out}.e")
    m, s = site.int64("multiplier"), site.int64("shift")
    raised = w.affine(distance, m, np.asarray(np.int64(1) << (s - 1)), f"{out}.parts")
    parts = w.op("Div", [raised, w.constant(np.int64(1) << s, np.int64, f"{out}.divisor")], f"{out}.u")
    step = w.constant(256, np.int64, "two_to_8")
    entry = w.op("Gather", [table, w.op("Mod", [parts, step], f"{out}.rest")], f"{out}.entry")
    octave = w.op("Div", [parts, step], f"{out}.octave")
    octave = w.op("Min", [octave, w.constant(16, np.int64, "sixteen")], f"{out}.z")  # and all is 0
    powers = w.constant(1 << np.arange(17), np.int64, "powers_of_two")
    return w.op("Div", [entry, w.op("Gather", [powers, octave], f"{out}.power")], f"{out}.e")


def write_normalize(w: OnnxWriter, site: Site) -> str:
    """Sums, the exact root, one division a group, then a multiplier and a bias a channel; all in int64."""
    out, a = site.out, site.attrs
    axes = [axis + 1 for axis in a["axes"]]
    count = math.prod(site.inputs[0].shape[axis - 1] for axis in axes)
    over = w.constant(axes, np.int64, f"{out}.axes")
    x = w.cast(site.names[0], np.int64, f"{out}.x64")
    d = w.op("Sub", [x, w.constant(site.zero_byte(), np.int64, f"{out}.zero64")], f"{out}.d")
    count64 = w.constant(count, np.int64, f"{out}.count")
    scaled = w.op("Mul", [d, count64], f"{out}.scaled")
    squares = w.op("ReduceSum", [w.op("Mul", [d, d], f"{out}.square"), over], f"{out}.squares", keepdims=1)
    spread = w.op("Mul", [squares, count64], f"{out}.spread")
    if a["centered"]:
        total = w.op("ReduceSum", [d, over], f"{out}.total", keepdims=1)
        scaled = w.op("Sub", [scaled, total], f"{out}.centred")
        spread = w.op("Sub", [spread, w.op("Mul", [total, total], f"{out}.total2")], f"{out}.variance")
    factor = np.asarray(1 << 2 * a["root_shift"], dtype=np.int64)
    epsilon = np.asarray(a["epsilon"] << a["epsilon_shift"], dtype=np.int64)
    root = _integer_root(w, w.affine(spread, factor, epsilon, f"{out}.under"), f"{out}.root")
    one = w.constant(1 << (a["root_shift"] + 43), np.int64, f"{out}.one")
    product = w.op("Mul", [scaled, w.op("Div", [one, root], f"{out}.inverse")], f"{out}.product")
    lift = w.constant((1 << 26) + (1 << NORMAL_LIFT_BITS), np.int64, "lift_27")
    steps = w.constant(1 << 27, np.int64, "two_to_27")
    lifted = w.op("Div", [w.op("Add", [product, lift], f"{out}.lifted"), steps], f"{out}.high")
    normal = w.op("Sub", [lifted, w.constant(1 << (NORMAL_LIFT_BITS - 27), np.int64, "lift_0")], f"{out}.n")
    shift = np.asarray(a["shift"], dtype=np.int64)
    term = (site.int64("bias") << (shift - 8)) + lifted_rounding(shift)
    moved = w.affine(normal, site.int64("multiplier"), term, out)
    return w.to_carried(moved, shift, site.zero, site.bounds, site.bias, out)


def _integer_root(w: OnnxWriter, v: str, out: str) -> str:
    """floor(sqrt(v)) for an int64 below 2^62: float64 is off by one at most, which integers mend."""
    real = w.op("Floor", [w.op("Sqrt", [w.cast(v, np.float64, f"{out}.f64")], f"{out}.real")], f"{out}.near")
    near = w.cast(real, np.int64, f"{out}.near64")
    above = w.op("Greater", [w.op("Mul", [near, near], f"{out}.square"), v], f"{out}.above")
    low = w.op("Sub", [near, w.cast(above, np.int64, f"{out}.above64")], f"{out}.low")
    next_ = w.op("Add", [low, w.constant(1, np.int64, "one64")], f"{out}.next")
    fits = w.op("LessOrEqual", [w.op("Mul", [next_, next_], f"{out}.next2"), v], f"{out}.fits")
    return w.op("Add", [low, w.cast(fits, np.int64, f"{out}.fits64")], out)
