"""Graph -> IntegerNetwork: the one place where something is rounded."""

from spikeport.quantize.bounds import Interval, bits, membrane, partial_sums
from spikeport.quantize.integer import (
    CountLayer,
    IntegerNetwork,
    Layer,
    MaxLayer,
    NeuronLayer,
    Readout,
    StaircaseLayer,
    climbed,
    encode_input,
    evaluate,
    input_problems,
)
from spikeport.quantize.quantize import QuantizeOptions, prepared, quantize
from spikeport.quantize.size import source_shape, synapse_count, synapses_into, total_synapses
from spikeport.quantize.staircases import multiplied, negated

__all__ = [
    "CountLayer",
    "IntegerNetwork",
    "Interval",
    "Layer",
    "MaxLayer",
    "NeuronLayer",
    "QuantizeOptions",
    "Readout",
    "StaircaseLayer",
    "bits",
    "climbed",
    "encode_input",
    "evaluate",
    "input_problems",
    "membrane",
    "multiplied",
    "negated",
    "partial_sums",
    "prepared",
    "quantize",
    "source_shape",
    "synapse_count",
    "synapses_into",
    "total_synapses",
]
