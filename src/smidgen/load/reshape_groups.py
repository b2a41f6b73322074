"""Moves a reshape in front of a transpose, with as little of the transpose as it needs."""

from __future__ import annotations

from collections.abc import Sequence

Perm = tuple[int, ...]
Shape = tuple[int, ...]
Group = tuple[list[int], list[int]]


def regroup(base: Shape, perm: Perm, target: Shape) -> tuple[Perm, Shape, Perm] | None:
    """(move, shape, after) with

        reshape(transpose(x, perm), target) = transpose(reshape(transpose(x, move), shape), after)

    for x of shape `base`. `move` only reorders axes that the reshape joins: it is the identity (up to axes
    of length one) where those are neighbours already. None for a tensor of one element.
    """
    groups = axis_groups(tuple(base[axis] for axis in perm), target)
    if groups is None:
        return None
    in_base = [[perm[axis] for axis in source] for source, _ in groups]
    sequence = sorted(range(len(groups)), key=lambda g: min(in_base[g]))
    long = [axis for g in sequence for axis in in_base[g]]
    ones = [axis for axis, n in enumerate(base) if n == 1]
    axes = [axis for g in sequence for axis in groups[g][1]]
    after = tuple(axes.index(axis) for axis in range(len(target)))
    return (*ones, *long), tuple(target[axis] for axis in axes), after


def axis_groups(shape: Shape, target: Shape) -> list[Group] | None:
    """The finest split of a reshape into independent ones: (axes of `shape`, axes of `target`) each.

    Axes of length one carry no elements: those of `shape` are left out, those of `target` join the group
    before them (or after, at the front). None if there is nothing but ones.
    """
    sources = [axis for axis, n in enumerate(shape) if n != 1]
    targets = [axis for axis, n in enumerate(target) if n != 1]
    if not sources or 0 in shape:
        return None
    groups: list[Group] = []
    while sources:
        group: Group = ([sources.pop(0)], [targets.pop(0)])
        left, right = shape[group[0][0]], target[group[1][0]]
        while left != right:
            if left < right:
                group[0].append(sources.pop(0))
                left *= shape[group[0][-1]]
            else:
                group[1].append(targets.pop(0))
                right *= target[group[1][-1]]
        groups.append(group)
    return [(source, _with_ones(numbers, groups, target)) for source, numbers in groups]


def _with_ones(axes: Sequence[int], groups: Sequence[Group], target: Shape) -> list[int]:
    """`axes` from where the group begins to where the next one does."""
    starts = [group[1][0] for group in groups]
    number = starts.index(axes[0])
    begin = 0 if number == 0 else starts[number]
    end = starts[number + 1] if number + 1 < len(starts) else len(target)
    return list(range(begin, end))
