"""Compiled kernels (C++17 behind a plain C interface), each beside a numpy twin that it equals bit for bit."""

from spikeport.native.dynamics import DynamicsHandle
from spikeport.native.loader import (
    LEVELS,
    address,
    available,
    check,
    default_threads,
    level,
    levels,
    library,
    plain,
    using,
    why_missing,
)
from spikeport.native.scanning import ScanRule, scan

__all__ = [
    "LEVELS",
    "DynamicsHandle",
    "ScanRule",
    "address",
    "available",
    "check",
    "default_threads",
    "level",
    "levels",
    "library",
    "plain",
    "scan",
    "using",
    "why_missing",
]
