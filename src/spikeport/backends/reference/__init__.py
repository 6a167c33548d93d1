"""The reference backend: numpy, integer, step by step. Every other backend must give its spikes."""

from spikeport.backends.reference.simulate import as_array, encode_steps, simulate
from spikeport.backends.reference.stepper import Stepper, split

__all__ = ["Stepper", "as_array", "encode_steps", "simulate", "split"]
