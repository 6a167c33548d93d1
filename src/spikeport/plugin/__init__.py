"""All that a backend imports: the contract between spikeport and those who bring a chip."""

from spikeport.errors import LowerError, Problem
from spikeport.lower import legalize
from spikeport.plugin.backend import Backend, BackendSession, NoOptions, Step
from spikeport.plugin.extending import extension_problems, settings_of
from spikeport.plugin.files import load_program
from spikeport.plugin.inputs import checked_batch, checked_names, checked_step
from spikeport.plugin.intake import Intake
from spikeport.plugin.known import TargetInfo, TargetList, target_named, targets
from spikeport.plugin.opening import backend_of
from spikeport.plugin.presenting import split
from spikeport.plugin.program import PLUGIN_VERSION, Program
from spikeport.plugin.registry import Installed, backend, find, installed
from spikeport.plugin.restoring import require_state
from spikeport.plugin.state import NeuronState, PlasticState, SessionState, ahead_of, back_of, ends_of
from spikeport.plugin.state_files import load_state, save_state
from spikeport.plugin.unrolled import unrolled
from spikeport.targets import Fact, Target, load_target, read_target

__all__ = [
    "PLUGIN_VERSION",
    "Backend",
    "BackendSession",
    "Fact",
    "Installed",
    "Intake",
    "LowerError",
    "NeuronState",
    "NoOptions",
    "PlasticState",
    "Problem",
    "Program",
    "SessionState",
    "Step",
    "Target",
    "TargetInfo",
    "TargetList",
    "ahead_of",
    "back_of",
    "backend",
    "backend_of",
    "checked_batch",
    "checked_names",
    "checked_step",
    "ends_of",
    "extension_problems",
    "find",
    "installed",
    "legalize",
    "load_program",
    "load_state",
    "load_target",
    "read_target",
    "require_state",
    "save_state",
    "settings_of",
    "split",
    "target_named",
    "targets",
    "unrolled",
]
