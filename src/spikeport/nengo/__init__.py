"""Networks of Nengo 4, as they were built: neurons with their gains and biases, encoders, solved decoders, synapses, inputs, probes."""

from spikeport.nengo.model import NengoModel, NengoRun
from spikeport.nengo.read import from_nengo

__all__ = ["NengoModel", "NengoRun", "from_nengo"]
