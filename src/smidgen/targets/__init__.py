"""Device descriptions and runners. A runner takes a folder of files, never a Graph."""

from smidgen.targets.registry import load_target, target_names
from smidgen.targets.target import Target

__all__ = ["Target", "load_target", "target_names"]
