"""Audio features in NumPy: what a host computes from a signal before a network sees it."""

from smidgen.data.features.log_mel import LogMel
from smidgen.data.features.mfcc import Mfcc

__all__ = ["LogMel", "Mfcc"]
