"""All that a backend imports: the contract between spikeport and those who bring a chip."""

from spikeport.plugin.backend import Backend, BackendSession, NoOptions, Step
from spikeport.plugin.files import load_program
from spikeport.plugin.known import TargetInfo, TargetList, target_named, targets
from spikeport.plugin.opening import backend_of
from spikeport.plugin.program import PLUGIN_VERSION, Program
from spikeport.plugin.registry import Installed, backend, find, installed
from spikeport.targets import Fact, Target

__all__ = [
    "PLUGIN_VERSION",
    "Backend",
    "BackendSession",
    "Fact",
    "Installed",
    "NoOptions",
    "Program",
    "Step",
    "Target",
    "TargetInfo",
    "TargetList",
    "backend",
    "backend_of",
    "find",
    "installed",
    "load_program",
    "target_named",
    "targets",
]
