"""Neurons with dynamics of their own, for networks written by hand: the equations and names of NIR, SI units.

A parameter is a number or an array that broadcasts to the population's shape. In each step a unit takes in `x`, the sum of
what arrives over projections, and `c`, its constant `bias` current plus what a simulation feeds it; the contract says how the
equation becomes a step. After a spike a unit with a refractory period keeps its potential and is deaf for so long.

What a unit sends is a spike where it fires. Analog units (`Relay`, `I`, `LI`, `CubaLI`) never fire: they send, in every step, their
potential at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives.frozen import frozen

Values = NDArray[Any] | float


def _freeze(neuron: Any) -> None:
    for field in fields(neuron):
        value = getattr(neuron, field.name)
        if value is not None:
            object.__setattr__(neuron, field.name, frozen(np.asarray(value)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IF:
    """Integrate-and-fire: `dv/dt = r i`; spike and reset at the threshold."""

    threshold: Values = 1.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    """Seconds, a whole number of steps."""
    v_min: Values | None = None
    """At the end of a step the potential is at least this; None: it may fall as far as it likes."""
    initial: Values | None = None
    """Membrane potential before the first step; None leaves it to the contract."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LIF:
    """Leaky integrate-and-fire: `tau dv/dt = (v_leak - v) + r i`; spike and reset at the threshold."""

    tau: Values
    threshold: Values = 1.0
    v_leak: Values = 0.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    v_min: Values | None = None
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CubaLIF:
    """Leaky integrate-and-fire with a current that decays: `tau_syn di/dt = -i + w_in x`, `tau_mem dv/dt = (v_leak - v) + r (i + c)`."""

    tau_syn: Values
    tau_mem: Values
    threshold: Values = 1.0
    v_leak: Values = 0.0
    v_reset: Values = 0.0
    r: Values = 1.0
    w_in: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    v_min: Values | None = None
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class I:  # noqa: E742
    """Integrator, which never spikes: `dv/dt = r i`."""

    r: Values = 1.0
    bias: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LI:
    """Leaky integrator, which never spikes: `tau dv/dt = (v_leak - v) + r i`."""

    tau: Values
    v_leak: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CubaLI:
    """Leaky integrator of a current that decays, which never spikes; the equations of `CubaLIF`."""

    tau_syn: Values
    tau_mem: Values
    v_leak: Values = 0.0
    r: Values = 1.0
    w_in: Values = 1.0
    bias: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Threshold:
    """Unit without memory: it spikes in each step in which its input `x + c` is beyond the threshold."""

    threshold: Values = 1.0
    bias: Values = 0.0

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Relay:
    """Unit without memory that never spikes: it sends on what arrives, `x + c`, within the step and without latency."""

    bias: Values = 0.0

    def __post_init__(self) -> None:
        _freeze(self)


Analog = I | LI | CubaLI | Relay
"""They never spike; what they send is their potential."""
DynamicNeuron = IF | LIF | CubaLIF | Threshold | Analog
