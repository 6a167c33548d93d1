"""Loihi 1 and 2: a simulator of placed programs, what is lowered onto it, and the grid that other networks are rounded to."""

from spikeport.backends.loihi.backend import LOIHI1, LOIHI2, LoihiOptions
from spikeport.backends.loihi.fit import fit
from spikeport.backends.loihi.settings import LoihiPopulation, LoihiProjection
from spikeport.backends.loihi.weights import Sign, effective_weights, found_sign

__all__ = [
    "LOIHI1",
    "LOIHI2",
    "LoihiOptions",
    "LoihiPopulation",
    "LoihiProjection",
    "Sign",
    "effective_weights",
    "fit",
    "found_sign",
]
