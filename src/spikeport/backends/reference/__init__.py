"""The reference backend: numpy, step by step. Every other backend must give its spikes."""

from spikeport.backends.reference.dynamics import DynamicStepper, simulate_dynamics
from spikeport.backends.reference.simulate import (
    as_array,
    checked_request,
    encode_steps,
    last_scheduled_step,
    simulate,
)
from spikeport.backends.reference.stepper import Stepper, split

__all__ = [
    "DynamicStepper",
    "Stepper",
    "as_array",
    "checked_request",
    "encode_steps",
    "last_scheduled_step",
    "simulate",
    "simulate_dynamics",
    "split",
]
