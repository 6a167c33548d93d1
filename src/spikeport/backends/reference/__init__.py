"""The reference backend: numpy, step by step. Every other backend must give its spikes."""

from spikeport.backends.reference.dynamics import DynamicStepper, simulate_dynamics
from spikeport.backends.reference.simulate import simulate
from spikeport.backends.reference.stepper import Stepper

__all__ = ["DynamicStepper", "Stepper", "simulate", "simulate_dynamics"]
