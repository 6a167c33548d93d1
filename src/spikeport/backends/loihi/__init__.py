"""Loihi: the weights that its synapse memory holds."""

from spikeport.backends.loihi.weights import Sign, effective_weights, found_sign

__all__ = ["Sign", "effective_weights", "found_sign"]
