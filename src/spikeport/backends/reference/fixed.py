"""Steps networks of Loihi's fixed-point neurons in numpy: the equations of `DynamicsContract` as they stand there, in int64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import FixedPlan, FixedPopulation, FixedProjection, apply_chain
from spikeport.primitives import FixedCubaLIF, FixedResonateAndFire, FixedSigmaDelta, GradedThreshold
from spikeport.primitives.fixed_neurons import STATE_LIMIT

Integers = NDArray[np.int64]


@dataclass
class _State:
    """Arrays of shape (batch, neuron)."""

    v: Integers
    """Membrane potential, or sigma, or the real part."""
    current: Integers
    """u, or the residue, or the imaginary part."""
    rest: Integers
    """Refractory steps that are left, or the activation."""
    ring: Integers
    """What arrives in each of the next steps, shape (slot, batch, neuron)."""
    imag: Integers = field(init=False)
    """The same of the second port."""

    def __post_init__(self) -> None:
        self.imag = np.zeros_like(self.ring)


class FixedStepper:
    """A network and the state of a batch of samples."""

    def __init__(self, plan: FixedPlan, batch: int) -> None:
        self.plan = plan
        self.batch = batch
        self.step_index = 0
        self.slots = 1 + max((p.delay for p in plan.projections), default=0)
        self.state = {p.name: self._initial(p) for p in plan.populations}

    def step(self, inputs: Mapping[int, Integers], currents: Mapping[str, Any]) -> dict[str, Integers]:
        """One step: the payloads that each population sends, shape (batch, neuron).

        Args:
            inputs: payloads by number of the input, shape (batch, line).
            currents: none; chips are fed by spikes.
        """
        sent = dict(inputs)
        payloads = {}
        for i, population in enumerate(self.plan.populations, start=len(self.plan.input_sizes)):
            state = self.state[population.name]
            slot = self.step_index % self.slots
            payloads[population.name] = sent[i] = self._update(
                population.neuron, state, state.ring[slot], state.imag[slot]
            )
            state.ring[slot], state.imag[slot] = 0, 0
        # everything sent arrives in a later step, so that it does not matter who is first
        for projection in self.plan.projections:
            self._send(projection, sent[projection.source])
        self.step_index += 1
        return payloads

    def _send(self, p: FixedProjection, payloads: Integers) -> None:
        x = payloads.reshape(self.batch, *p.source_shape)
        total = shifted(wrap(apply_chain(p.synapses, x), 31), p.shift)
        state = self.state[self.plan.populations[p.target - len(self.plan.input_sizes)].name]
        ring = state.imag if p.imag else state.ring
        ring[(self.step_index + p.delay) % self.slots] += wrap(total, 23) if p.wraps else total

    def _update(self, n: Any, state: _State, a: Integers, a_imag: Integers) -> Integers:
        match n:
            case FixedCubaLIF():
                step = _loihi1 if self.plan.contract.integrator == "loihi1" else _loihi2
                return step(n, state, a)
            case FixedSigmaDelta():
                return _sigma_delta(n, state, a)
            case FixedResonateAndFire():
                return _resonate_and_fire(n, state, a, a_imag)
            case GradedThreshold():
                a = wrap(a, 31)
                return np.where((a if n.relu else np.abs(a)) > n.threshold, a, np.int64(0))
            case _:
                assert_never(n)

    def _initial(self, population: FixedPopulation) -> _State:
        zero = np.zeros((self.batch, population.size), np.int64)
        initial = zero + getattr(population.neuron, "initial", 0)
        return _State(initial, zero, zero, np.zeros((self.slots, *zero.shape), np.int64))


def wrap(x: Integers, bits: int) -> Integers:
    """Two's complement of so many bits and a sign."""
    return (x + 2**bits) % 2 ** (bits + 1) - 2**bits


def shifted(x: Integers, bits: int) -> Integers:
    """Shifted left, or right (towards minus infinity) where negative."""
    return x << bits if bits > 0 else x >> -bits


def scaled(x: Integers, factor: Any, bits: Any = 12) -> Integers:
    """`x factor / 2^bits`, rounded towards zero."""
    product = x * factor
    return np.sign(product) * (np.abs(product) >> bits)


def _loihi2(n: Any, state: _State, a: Integers) -> Integers:
    u = wrap(scaled(state.current, 4095 - n.du) + (wrap(a, 31) << 6), 31)
    u = np.where(u > 2**23, u - 2**24, np.where(u <= -(2**23), u + 2**24, u))
    v = np.clip(scaled(state.v, 4096 - n.dv) + u + n.bias, -STATE_LIMIT, STATE_LIMIT)
    spikes = v > n.threshold
    state.current = u
    state.v = np.where(spikes, 0, v)
    return spikes.astype(np.int64)


def _loihi1(n: Any, state: _State, a: Integers) -> Integers:
    u = wrap(scaled(state.current, 4095 - n.du) + wrap(a, 21), 23)
    v = scaled(state.v, 4096 - n.dv) + wrap(u + n.bias, 23)
    v = np.clip(v, n.v_min, n.v_max)
    v = np.where(state.rest > 0, 0, v)
    spikes = v > n.threshold
    state.current = u
    state.v = np.where(spikes, 0, v)
    state.rest = np.maximum(np.where(spikes, n.refractory, state.rest) - 1, 0)
    return spikes.astype(np.int64)


def _sigma_delta(n: Any, state: _State, a: Integers) -> Integers:
    sigma = wrap(state.v + a, 31)
    activation = wrap(sigma + n.bias, 31)
    if n.activation == "relu":
        activation = np.maximum(activation, 0)
    delta = wrap(activation - state.rest + state.current, 31)
    sent = np.where(np.abs(delta) >= n.threshold, delta, 0)
    state.v, state.rest, state.current = sigma, activation, delta - sent
    return sent >> n.state_exp


def _resonate_and_fire(n: Any, state: _State, a: Integers, a_imag: Integers) -> Integers:
    re, im = state.v, state.current
    bits = n.decay_bits
    new_re = scaled(re, n.cos, bits) - scaled(im, n.sin, bits) + wrap(a << n.state_exp, 31)
    new_im = scaled(re, n.sin, bits) + scaled(im, n.cos, bits) + wrap(a_imag << n.state_exp, 31)
    new_re, new_im = np.clip(new_re, -STATE_LIMIT, STATE_LIMIT), np.clip(new_im, -STATE_LIMIT, STATE_LIMIT)
    if n.kind == "rf":
        spikes = (new_re >= n.threshold) & (new_im >= 0) & (im < 0)
    else:
        spikes = new_im >= n.threshold
        new_re, new_im = np.where(spikes, 0, new_re), np.where(spikes, n.threshold - 1, new_im)
    state.v, state.current = new_re, new_im
    return spikes.astype(np.int64)
