"""Steps the second state of neurons that have one, in numpy: the equations of `DynamicsContract` as they stand there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import Kind, PopulationPlan, SecondPlan
from spikeport.backends.dynamics.second import each, lost
from spikeport.plugin.ranges import state_range
from spikeport.primitives import DynamicsContract

Array = NDArray[Any]


def advance(p: PopulationPlan, s: SecondPlan, v: Array, w: Array, x: Array, i: Array) -> tuple[Array, Array]:
    """Both states after a step, before a jump of the first and before any reset."""
    match p.kind:
        case Kind.FORWARD_EULER:
            drive = i - w if s.other else i
            return v + p.rate * ((p.v_leak - v) + p.gain * drive), w + s.rate * (s.coupling * (v - p.v_leak) - w)
        case Kind.EXPONENTIAL:
            drive = i - w if s.other else i
            after = p.decay * v + p.rate * (p.v_leak + p.gain * drive)
            return after, s.decay * w + s.rate * (s.coupling * (v - p.v_leak))
        case Kind.IZHIKEVICH:
            return _izhikevich(p, s, v, w, i)
        case Kind.RESONATE:
            after = (s.decay * v + s.coupling * w) + s.rate * i
            other = (s.decay * w - s.coupling * v) + p.gain * i
            return after, other + x if p.delta else other
        case Kind.INTERPOLATED:
            return _interpolated(p, s, v, w, x, i)
        case _:
            return v, w


def _izhikevich(p: PopulationPlan, s: SecondPlan, v: Array, u: Array, i: Array) -> tuple[Array, Array]:
    after = v
    # the square of a huge potential is infinite, as in every other implementation; a reset then ends it
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(s.substeps):
            slope = ((s.square * (after * after) + s.linear * after) + s.constant) - u
            after = after + p.rate * (slope + p.gain * i)
        seen = v if s.other == 1 else after
        if s.other == 2:
            seen = np.where(is_beyond(p.contract, after, p.threshold), p.v_reset, after)
        return after, u + s.rate * (s.coupling * (seen - s.v_recovery) - s.decay * u)


def _interpolated(p: PopulationPlan, s: SecondPlan, v: Array, w: Array, x: Array, i: Array) -> tuple[Array, Array]:
    w = np.maximum(w - s.constant, 0)
    h = np.maximum(s.constant - w, 0)
    k = np.where(w == 0, p.rate, 0).astype(w.dtype)
    some = (w > 0) & (h > 0)
    k[some] = each(lost, (h / s.decay)[some])
    after = v + k * ((p.v_leak + p.gain * i) - v)
    return np.where(h > 0, after + x, after) if p.delta else after, w


def deaf_until(p: PopulationPlan, s: SecondPlan, v: Array, i: Array) -> Array:
    """The second state of units of InterpolatedLIF that fire, by their potential before its reset."""
    above, drive = v - p.threshold, (p.v_leak + p.gain * i) - p.threshold
    crossed = (drive > above) & (above >= 0)
    back = np.zeros_like(v)
    back[crossed] = each(math.log1p, -above[crossed] / drive[crossed])
    moment: Array = s.increment + (s.constant + s.decay * back)
    return moment


def after_spikes(p: PopulationPlan, s: SecondPlan, w: Array, fired: NDArray[np.bool_]) -> Array:
    """The second state after a reset of those that fired."""
    if p.kind is Kind.INTERPOLATED:  # as `deaf_until` made it
        return w
    return np.where(fired, 0 if p.kind is Kind.RESONATE else w + s.increment, w).astype(w.dtype)


def difference(p: PopulationPlan, s: SecondPlan, v: Array, w: Array, c: Array) -> tuple[Array, Array]:
    """What SigmaDelta sends, and all that it sent."""
    activation = fit(p.contract, v + c)
    if not s.other:
        activation = np.maximum(activation, 0)
    d = activation - w
    sent = np.where(is_beyond(p.contract, np.abs(d), p.threshold), d, 0).astype(d.dtype)
    return sent, w + sent


def is_beyond(contract: DynamicsContract, v: Array, threshold: Array) -> NDArray[np.bool_]:
    """By the comparison of the contract."""
    beyond: NDArray[np.bool_] = v > threshold if contract.compare == ">" else v >= threshold
    return beyond


def fit(contract: DynamicsContract, v: Array) -> Array:
    """An integer potential within its width."""
    if contract.arithmetic != "integer":
        return v
    low, high = state_range(contract)
    if contract.overflow == "saturate":
        return np.clip(v, low, high)
    return (v - low) % (high - low + 1) + low
