"""Decision trees as flat arrays: how every back end walks them, and what a sound set of arrays is.

    feature    [N]     the feature that split i compares
    threshold  [N]     x[feature] <= threshold goes to the first child, else to the second
    children   [N, 2]  above 0: so many splits further on; else the leaf number -child of this tree
    tree       [T, 3]  a tree's first split, its first leaf, and the first output that its leaves add to
    leaf       [L, W]  what a leaf adds to W neighbouring outputs
    bias       [K]     where the sums start

Steps only lead forward, so a walk ends whatever the arrays hold. Every tree has a split: one that is a single
leaf has a split with that leaf on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.numerics import Array, IntArray

MOST_FEATURES = 1 << 15  # features and steps to children are int16
FARTHEST = (1 << 15) - 1


def problem_of(trees: Mapping[str, Array], features: int) -> str:
    """Why the arrays are no trees over `features` inputs; empty if they are."""
    feature, children, tree = (trees[role].astype(np.int64) for role in ("feature", "children", "tree"))
    splits, (leaves, width), outputs = len(feature), trees["leaf"].shape, len(trees["bias"])
    if splits and (feature.min() < 0 or feature.max() >= features):
        return f"splits compare features {feature.min()} to {feature.max()} of {features}"
    first = np.append(tree[:, 0], splits)
    if first[0] != 0 or (np.diff(first) < 1).any():
        return "the trees' first splits do not ascend from 0"
    if tree[:, 1].min() < 0 or tree[:, 2].min() < 0 or tree[:, 2].max() > outputs - width:
        return f"a tree adds to other than the {outputs} outputs, or has no first leaf"
    owner = np.repeat(np.arange(len(tree)), np.diff(first))[:, None]
    if (np.where(children > 0, np.arange(splits)[:, None] + children, 0) >= first[1:][owner]).any():
        return "a split leads out of its tree"
    if (np.where(children > 0, 0, tree[owner, 1] - children) >= leaves).any():
        return f"a split leads to a leaf beyond the {leaves}"
    return ""


def reached_leaves(x: Array, trees: Mapping[str, Array]) -> IntArray:
    """The leaf [n, T] that each sample of x [n, F] reaches in each tree."""
    feature, threshold, children = trees["feature"], trees["threshold"], trees["children"]
    tree = trees["tree"].astype(np.int64)
    rows = np.arange(len(x))[:, None]
    split: IntArray = np.repeat(tree[:, 0][None], len(x), axis=0)
    leaf: IntArray = np.full_like(split, -1)
    while (leaf < 0).any():
        right = x[rows, feature[split]] > threshold[split]
        step = children[split, right.astype(np.int64)].astype(np.int64)
        leaf = np.where((leaf < 0) & (step <= 0), tree[:, 1] - step, leaf)
        split = split + np.where(leaf < 0, step, 0)
    return leaf


def summed(leaf: IntArray, trees: Mapping[str, Array]) -> Array:
    """bias + the leaves [n, T] that were reached: [n, K], float64 or int64."""
    values, bias, target = trees["leaf"], trees["bias"], trees["tree"][:, 2]
    wide = np.float64 if values.dtype.kind == "f" else np.int64
    total = np.repeat(bias.astype(wide)[None], len(leaf), axis=0)
    for output in np.unique(target):
        mine = values[leaf[:, target == output]].astype(wide)
        total[:, output : output + values.shape[1]] += mine.sum(axis=1)
    return total


def depths(trees: Mapping[str, Array]) -> IntArray:
    """The most comparisons of a walk through each tree [T]."""
    children, first = trees["children"].astype(np.int64), trees["tree"][:, 0].astype(np.int64)
    depth = np.ones(len(children), dtype=np.int64)
    for split in range(len(children) - 1, -1, -1):
        below = [depth[split + step] for step in children[split] if step > 0]
        depth[split] += max(below, default=0)
    return np.asarray(depth[first])
