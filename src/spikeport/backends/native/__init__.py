"""Compiled kernels as a backend: what the reference computes, many times faster."""

from spikeport.backends.native.dynamics import DynamicSession, simulate_dynamics

__all__ = ["DynamicSession", "simulate_dynamics"]
