"""All that a backend imports: the contract between spikeport and those who bring a chip."""

from spikeport.plugin.backend import Backend, BackendSession, NoOptions, Step
from spikeport.plugin.known import TargetInfo, TargetList, targets
from spikeport.plugin.program import PLUGIN_VERSION, Program

__all__ = [
    "PLUGIN_VERSION",
    "Backend",
    "BackendSession",
    "NoOptions",
    "Program",
    "Step",
    "TargetInfo",
    "TargetList",
    "targets",
]
