"""Fixed-point neurons of Loihi, for networks written by hand: integers alone, in the units of the registers that hold them.

A threshold, bias or state is what stands in the register (a mantissa shifted by its exponent: `vth << 6`, `mantissa << exponent`);
lowering finds out whether mantissas and exponents exist. Parameters are numbers or arrays that broadcast to the population's shape.
The equations stand in `DynamicsContract`, under `integrator="loihi1"` and `"loihi2"`; states begin at zero where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from spikeport.errors import Problem
from spikeport.primitives.dynamic_neurons import Values
from spikeport.primitives.frozen import frozen

STATE_LIMIT = 2**23 - 1
"""Largest membrane potential; its negative is the smallest."""
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "activation": ("relu", "unit"),
    "kind": ("rf", "izhikevich"),
    "relu": (False, True),
}


def _freeze(neuron: Any) -> None:
    for field in fields(neuron):
        value = getattr(neuron, field.name)
        if value is not None and field.name not in _CHOICES:
            object.__setattr__(neuron, field.name, frozen(np.asarray(value)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FixedCubaLIF:
    """Leaky integrate-and-fire with a current that decays; it sends 1 where `v > threshold`, and is reset to 0."""

    du: Values
    """Decay of the current in 1/4096, to which the chip adds 1: 0 keeps 4095/4096, 4095 keeps nothing."""
    dv: Values
    """Decay of the potential in 1/4096: 0 keeps all, 4096 nothing."""
    threshold: Values
    bias: Values = 0
    refractory: Values = 1
    """Steps from a spike to the next one at the earliest, 1 to 63: with 1 there is no refractory period. `loihi1` alone."""
    v_min: Values | None = None
    """Smallest potential, `loihi1` alone; None: -(2**23 - 1)."""
    v_max: Values | None = None
    """Largest potential, `loihi1` alone; None: 2**23 - 1."""
    initial: Values = 0
    """Membrane potential before the first step."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FixedSigmaDelta:
    """Sums what arrives, and sends the change of its activation where that reached the threshold; `loihi2` alone."""

    threshold: Values
    bias: Values = 0
    state_exp: Values = 0
    """The state is so many bits finer than what is sent; threshold and bias are in units of the state, arriving sums too."""
    activation: Literal["relu", "unit"] = "relu"

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FixedResonateAndFire:
    """A damped oscillator, whose imaginary part is fed by projections to port "imag"; it sends 1. `loihi2` alone."""

    cos: Values
    """`(1 - alpha) cos(2 pi / period)` in units of `2**-decay_bits`."""
    sin: Values
    threshold: Values
    state_exp: Values = 0
    """What arrives is shifted left by it; the threshold is in units of the state."""
    decay_bits: Values = 12
    kind: Literal["rf", "izhikevich"] = "rf"
    """Spikes where the imaginary part rises through zero while the real part is at the threshold, without a reset; or where the
    imaginary part is at the threshold, with a reset."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GradedThreshold:
    """Unit without memory: it sends what arrived where that is beyond the threshold; `loihi2` alone."""

    threshold: Values
    relu: bool = False
    """Positive values alone are sent."""

    def __post_init__(self) -> None:
        _freeze(self)


FixedNeuron = FixedCubaLIF | FixedSigmaDelta | FixedResonateAndFire | GradedThreshold

RANGES: Mapping[type, Mapping[str, tuple[int, int]]] = {
    FixedCubaLIF: {
        "du": (0, 4095),
        "dv": (0, 4096),
        "threshold": (0, 2**23),
        "bias": (-(2**23), 2**23),
        "refractory": (1, 63),
        "v_min": (-STATE_LIMIT, 0),
        "v_max": (0, STATE_LIMIT),
        "initial": (-STATE_LIMIT, STATE_LIMIT),
    },
    FixedSigmaDelta: {"threshold": (0, 2**24), "bias": (-(2**24), 2**24), "state_exp": (0, 7)},
    FixedResonateAndFire: {
        "cos": (-4096, 4096),
        "sin": (-4096, 4096),
        "threshold": (0, 2**23),
        "state_exp": (0, 7),
        "decay_bits": (0, 12),
    },
    GradedThreshold: {"threshold": (0, 2**24)},
}
"""Smallest and largest value of every parameter."""


def parameter_problems(name: str, neuron: FixedNeuron) -> Iterator[Problem]:
    """What is wrong with the parameters of a population's neurons, but for their shapes."""
    for field in fields(neuron):
        where, value = f"{name}.{field.name}", getattr(neuron, field.name)
        if field.name in _CHOICES:
            if type(value) not in (str, bool) or value not in _CHOICES[field.name]:
                known = " or ".join(map(repr, _CHOICES[field.name]))
                yield Problem(where, f"is {value!r}", known)
            continue
        if value is None:
            continue
        values = np.asarray(value)
        low, high = RANGES[type(neuron)][field.name]
        if values.dtype.kind not in "iu":
            yield Problem(where, f"is of type {values.dtype}, not whole numbers", "give integers")
        elif values.size and not (values.min() >= low and values.max() <= high):
            why = f"runs from {values.min():,} to {values.max():,}, and can be {low:,} to {high:,}"
            yield Problem(where, why)


def chip_problems(name: str, neuron: Any, integrator: str) -> Iterator[Problem]:
    """What the neurons of a chip do not have."""
    if not isinstance(neuron, FixedNeuron):
        hint = "fixed-point neurons, for example FixedCubaLIF, or another integrator"
        yield Problem(name, f"{type(neuron).__name__} is no neuron of {integrator}", hint)
    elif integrator == "loihi1" and not isinstance(neuron, FixedCubaLIF):
        yield Problem(name, f"{type(neuron).__name__} is no neuron of loihi1", 'FixedCubaLIF, or integrator="loihi2"')
    elif integrator == "loihi2" and isinstance(neuron, FixedCubaLIF):
        given = [n for n in ("v_min", "v_max") if getattr(neuron, n) is not None]
        if np.any(np.asarray(neuron.refractory) != 1):
            given.append("refractory")
        for parameter in given:
            hint = 'leave it out, or integrator="loihi1"'
            yield Problem(f"{name}.{parameter}", "has no meaning on loihi2, whose CUBA-LIF has none", hint)
