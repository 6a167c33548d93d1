"""The backend `pynn`: networks written as PyNN, and run by NEST or Brian2 in a process of their own."""

from spikeport.backends.pynn.backend import PYNN, PyNNOptions

__all__ = ["PYNN", "PyNNOptions"]
