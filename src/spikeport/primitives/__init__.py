"""What networks are made of: values without behaviour, shared by all stages and backends."""

from spikeport.primitives.approximation import Approximation, Ledger
from spikeport.primitives.contract import Code, ExecutionContract
from spikeport.primitives.frozen import freeze_fields, frozen
from spikeport.primitives.network import SpikingNetwork
from spikeport.primitives.neurons import Accumulator, GradedIF, MaxUnit, Neuron, PhasedIF, RadixIF, SignedIF, UnitBank
from spikeport.primitives.population import InputEncoder, InputKind, Population
from spikeport.primitives.spikes import Recording, SpikeTrain
from spikeport.primitives.synapses import (
    Connection,
    Conv,
    Dense,
    MaxPool,
    OneToOne,
    Pad,
    Pairs,
    Reshape,
    Routing,
    Shape,
    Slice,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
    Weighted,
)

__all__ = [
    "Accumulator",
    "Approximation",
    "Code",
    "Connection",
    "Conv",
    "Dense",
    "ExecutionContract",
    "GradedIF",
    "InputEncoder",
    "InputKind",
    "Ledger",
    "MaxPool",
    "MaxUnit",
    "Neuron",
    "OneToOne",
    "Pad",
    "Pairs",
    "PhasedIF",
    "Population",
    "RadixIF",
    "Recording",
    "Reshape",
    "Routing",
    "Shape",
    "SignedIF",
    "Slice",
    "SpikeTrain",
    "SpikingNetwork",
    "SumPool",
    "Synapse",
    "Transpose",
    "UnitBank",
    "Upsample",
    "Weighted",
    "freeze_fields",
    "frozen",
]
