"""Backend of spikeport for example; the entry point names BACKEND."""

from spikeport_example.backend import BACKEND

__all__ = ["BACKEND"]
