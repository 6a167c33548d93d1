"""Running networks: what enters, what is recorded, how it looks, and what may happen to them meanwhile."""

from spikeport.runtime.events import (
    AddNeurons,
    AddSynapses,
    Event,
    Gate,
    PruneNeurons,
    PruneSynapses,
    Replace,
    SetParameters,
    SetWeights,
    Swap,
)
from spikeport.runtime.figures import Figure
from spikeport.runtime.inputs import Poisson, SpikeTimes
from spikeport.runtime.journal import Journal, Snapshot
from spikeport.runtime.replaying import Replay, replay
from spikeport.runtime.run import Run, run
from spikeport.runtime.session import Session

__all__ = [
    "AddNeurons",
    "AddSynapses",
    "Event",
    "Figure",
    "Gate",
    "Journal",
    "Poisson",
    "PruneNeurons",
    "PruneSynapses",
    "Replace",
    "Replay",
    "Run",
    "Session",
    "SetParameters",
    "SetWeights",
    "Snapshot",
    "SpikeTimes",
    "Swap",
    "replay",
    "run",
]
