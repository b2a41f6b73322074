"""How a network is executed on a target: where its weights are, and if its first layers run in strips."""

from __future__ import annotations

from smidgen.emit.c_source import constant_bytes
from smidgen.emit.coded import coded_weights
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.graph.placement import WORD_BYTES, aligned
from smidgen.lower.device import OnDevice, Weights, on_device
from smidgen.lower.patches import with_patches
from smidgen.targets.target import Target

PATCHES = (2, 3, 4, 6, 8)  # tried in this order, as more strips compute more rows twice


def scheduled(graph: Graph, target: Target, weights: Weights | None, patches: int) -> OnDevice:
    """`graph` as asked; what is left open (`None`, 0) is chosen so that it fits `target`, if anything does.

    Weights are multiplied as they are stored on microcontrollers, and entropy-coded only where they exceed
    the flash otherwise; computers expand them. The first layers are cut into the fewest strips that fit RAM.

    Raises:
        BadInput: the first layers can not be cut into so many `patches`.
    """
    patches = patches or fewest_patches(graph, target, weights)
    return _with_weights(with_patches(graph, patches) if patches else graph, target, weights)


def fewest_patches(graph: Graph, target: Target, weights: Weights | None) -> int:
    """Into how many strips the first layers have to be cut to fit RAM; 0 for none, or if none helps."""
    if target.kind != "microcontroller" or not _over_ram(_with_weights(graph, target, weights), target):
        return 0
    for number in PATCHES:
        try:
            cut = with_patches(graph, number)
        except BadInput:  # no such maps, too few rows, or nothing gained
            continue
        if not _over_ram(_with_weights(cut, target, weights), target):
            return number
    return 0


def strips_text(graph: Graph, executed: OnDevice, target: Target, weights: Weights | None) -> str:
    """What cutting the first layers into strips brings and costs; empty if `executed` is not cut."""
    whole = _with_weights(graph, target, weights)
    if len(executed.graph.nodes) <= len(whole.graph.nodes):
        return ""
    before, after = whole.plan.arena_bytes, executed.plan.arena_bytes
    extra = sum(macs(executed.graph).values()) / sum(macs(whole.graph).values()) - 1
    return f"first layers in strips: arena {before:,} -> {after:,} B, {extra:.1%} more multiplications"


def ram_bytes(executed: OnDevice, target: Target) -> int:
    """Arena, inputs, outputs and the stack reserved."""
    return executed.program.arena_bytes + port_bytes(executed) + target.stack_bytes


def port_bytes(executed: OnDevice) -> int:
    """Inputs and outputs of one sample, whole words together."""
    ports = (*executed.program.inputs, *executed.program.outputs)
    return aligned(sum(port.nbytes for port in ports), WORD_BYTES)


def _over_ram(executed: OnDevice, target: Target) -> bool:
    return target.ram_bytes is not None and ram_bytes(executed, target) > target.ram_bytes


def _with_weights(graph: Graph, target: Target, weights: Weights | None) -> OnDevice:
    if weights == "coded":
        return on_device(graph, weights, coded_weights(graph))
    if weights or target.kind != "microcontroller":
        return on_device(graph, weights or "expanded")
    found = on_device(graph, "stored")
    if target.flash_bytes is None or constant_bytes(found.program) <= target.flash_bytes:
        return found
    return on_device(graph, "coded", coded_weights(graph))
