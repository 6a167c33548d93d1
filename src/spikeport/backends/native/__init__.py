"""Compiled kernels as a backend: what the reference computes, many times faster."""

from spikeport.backends.native.dynamics import DynamicSession, simulate_dynamics
from spikeport.backends.native.exact import ExactEvaluator
from spikeport.backends.native.plan import NetworkPlan, plan
from spikeport.backends.native.session import Stepper, open_stepper
from spikeport.backends.native.simulate import simulate

__all__ = [
    "DynamicSession",
    "ExactEvaluator",
    "NetworkPlan",
    "Stepper",
    "open_stepper",
    "plan",
    "simulate",
    "simulate_dynamics",
]
