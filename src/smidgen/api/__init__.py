"""The Python front door: `compress` a model, `open` what came out. Heavy imports wait for their use."""

from smidgen.api.comparing import compare
from smidgen.api.compressing import Compressed, budget_for, compress
from smidgen.api.network import Network, network, open
from smidgen.api.outputs import write_artifact
from smidgen.api.subject import Subject, prepare

__all__ = [
    "Compressed",
    "Network",
    "Subject",
    "budget_for",
    "compare",
    "compress",
    "network",
    "open",
    "prepare",
    "write_artifact",
]
