"""The converted model: called like the module it came from, saved to one file."""

from spikeport.model.spiking_model import SpikingModel, load

__all__ = ["SpikingModel", "load"]
