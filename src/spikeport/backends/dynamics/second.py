"""The numbers of neurons that have a second state: adaptation, recovery, the other half of an oscillation, a moment, what was sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import (
    AdaptiveLIF,
    DynamicsContract,
    InterpolatedLIF,
    Izhikevich,
    ResonateAndFire,
    SigmaDelta,
)

Floats = NDArray[np.float64]
Number = Callable[[str], Floats]
"""A parameter by name, one value a neuron."""
Held = Callable[[Floats, str], NDArray[Any]]
"""Values in the dtype of the arithmetic; the name is for the message where it cannot hold them."""


@dataclass(frozen=True, slots=True, eq=False)
class SecondPlan:
    """The second state w of a population; flat arrays, one value a neuron, None where the neuron has no such number.

    The equations stand in `DynamicsContract`. AdaptiveLIF has `rate` (k), `decay` (d), `coupling` and `increment`; Izhikevich `rate`
    (h a), `decay` (leak), `coupling` (b), `increment` (d) and the last four; ResonateAndFire `rate` (k_v), `decay` (C) and `coupling` (S);
    InterpolatedLIF `decay` (tau), `increment` (refractory) and `constant` (dt), all in seconds.
    """

    initial: NDArray[Any]
    other: int = 0
    """Which of several choices: 1 for adapts="current", recovery="old", kind="rf", activation="unit", 2 for recovery="reset"."""
    substeps: int = 1
    rate: NDArray[Any] | None = None
    decay: NDArray[Any] | None = None
    coupling: NDArray[Any] | None = None
    increment: NDArray[Any] | None = None
    square: NDArray[Any] | None = None
    linear: NDArray[Any] | None = None
    constant: NDArray[Any] | None = None
    v_recovery: NDArray[Any] | None = None


def adaptation(neuron: AdaptiveLIF, contract: DynamicsContract, number: Number, held: Held) -> SecondPlan:
    """w of AdaptiveLIF; `tau_adapt` may be infinite."""
    ratio = contract.dt / number("tau_adapt")
    return SecondPlan(
        initial=held(number("initial_w"), "initial_w"),
        other=int(neuron.adapts == "current"),
        rate=held(each(lost, ratio) if contract.integrator == "exponential" else ratio, "tau_adapt"),
        decay=held(each(kept, ratio), "tau_adapt"),
        coupling=held(number("coupling"), "coupling"),
        increment=held(number("increment"), "increment"),
    )


def recovery(neuron: Izhikevich, contract: DynamicsContract, initial: Floats, number: Number, held: Held) -> SecondPlan:
    """u of Izhikevich; `initial` is v before the first step."""
    at_rest = number("b") * (initial - number("v_recovery"))
    return SecondPlan(
        initial=held(at_rest if neuron.initial_u is None else number("initial_u"), "initial_u"),
        other=("new", "old", "reset").index(neuron.recovery),
        substeps=int(neuron.substeps),
        rate=held(milliseconds(contract) * number("a"), "a"),
        decay=held(number("leak"), "leak"),
        coupling=held(number("b"), "b"),
        increment=held(number("d"), "d"),
        square=held(number("square"), "square"),
        linear=held(number("linear"), "linear"),
        constant=held(number("constant"), "constant"),
        v_recovery=held(number("v_recovery"), "v_recovery"),
    )


def milliseconds(contract: DynamicsContract) -> float:
    """A step in the unit of Izhikevich's equations."""
    return 1000 * contract.dt


def resonance(
    neuron: ResonateAndFire, contract: DynamicsContract, number: Number, held: Held
) -> tuple[Floats, SecondPlan]:
    """k_w, and Re z of ResonateAndFire."""
    exact, dt = contract.integrator == "exponential", contract.dt
    pairs, place = np.unique(np.stack([number("tau"), number("frequency")]), axis=1, return_inverse=True)
    turns = [_turn(float(tau), float(frequency), dt, exact) for tau, frequency in pairs.T]
    cos, sin, onto_w, onto_v = np.array(turns, dtype=np.float64).T[:, place.ravel()]
    return number("r") * onto_w, SecondPlan(
        initial=held(number("initial_w"), "initial_w"),
        other=int(neuron.kind == "rf"),
        rate=held(number("r") * onto_v, "r"),
        decay=held(cos, "tau"),
        coupling=held(sin, "frequency"),
    )


def _turn(tau: float, frequency: float, dt: float, exact: bool) -> tuple[float, float, float, float]:
    """C, S, and what a current of 1 adds to Re z and to Im z in a step."""
    alpha, omega = 1 / tau, 2 * math.pi * frequency
    angle = omega * dt
    if not exact:
        return 1 - dt / tau, angle, dt, 0.0
    d, half = math.exp(-dt / tau), math.sin(angle / 2)
    cos, sin = d * math.cos(angle), d * math.sin(angle)
    less = math.expm1(-dt / tau) * math.cos(angle) - 2 * half * half  # C - 1, without what cancels
    size = alpha * alpha + omega * omega
    return cos, sin, (omega * sin - alpha * less) / size, -(alpha * sin + omega * less) / size


def interpolation(neuron: InterpolatedLIF, contract: DynamicsContract, number: Number, held: Held) -> SecondPlan:
    """The moment at which InterpolatedLIF integrates again."""
    tau = number("tau")
    return SecondPlan(
        initial=held(number("initial_w"), "initial_w"),
        decay=held(tau, "tau"),
        increment=held(number("refractory"), "refractory"),
        constant=held(np.full_like(tau, contract.dt), "dt"),
    )


def differences(neuron: SigmaDelta, number: Number, held: Held) -> SecondPlan:
    """What SigmaDelta has sent."""
    return SecondPlan(initial=held(np.zeros_like(number("bias")), "bias"), other=int(neuron.activation == "unit"))


def lost(x: float) -> float:
    """What an exponential decay takes."""
    return -math.expm1(-x)


def kept(x: float) -> float:
    """What it leaves."""
    return math.exp(-x)


def each(function: Callable[[float], float], values: Floats) -> Floats:
    """The C library's function of each value: numpy has others for wide registers, which differ in the last bit."""
    distinct, place = np.unique(values, return_inverse=True)
    return np.array([function(float(v)) for v in distinct])[place]
