"""The numpy twin of the library's lockstep stepper: whole groups at a time, in int64, with nothing laid out.

It shares no code with the reference steppers, and none with the compiled one but the placed program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.engine import Chunk, Engine, Held
from spikeport.backends.loihi.placed import (
    WRAPPED,
    Group,
    Placed,
    apply_chain,
    flat_parameters,
    largest_sum,
    with_weights,
)
from spikeport.graph import apply
from spikeport.native.lockstep import LineSpikes
from spikeport.primitives import (
    Accumulator,
    FixedCubaLIF,
    FixedNeuron,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedIF,
    GradedThreshold,
    MaxUnit,
    PhasedIF,
    PlainIF,
    Projection,
    RadixIF,
    SignedIF,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)
from spikeport.primitives.fixed_neurons import STATE_LIMIT

Integers = NDArray[np.int64]
EXACT = 2**53
"""Integers below it, and sums that stay below it, are exact in float64."""


@dataclass
class _State:
    """Arrays of shape (sample, neuron); what arrives in each of the next steps, (slot, sample, membrane)."""

    v: Integers
    second: Integers
    third: Integers
    sent: Integers
    ring: Integers
    imag: Integers


class Twin(Engine):
    """See `Engine`."""

    def __init__(self, placed: Placed, samples: int) -> None:
        self.placed, self.samples = placed, samples
        self.links = [_Link(link, placed) for link in placed.links]
        self.parameters = {g.name: flat_parameters(g) for g in placed.groups if isinstance(g.neuron, FixedNeuron)}
        self.reset()

    def reset(self) -> None:
        self.step_index = 0
        self.states = {group.name: self._initial(group) for group in self.placed.groups}
        self.outbox = {name: np.zeros((self.samples, *shape), np.int64) for name, shape in self.placed.shapes.items()}

    def with_samples(self, samples: int) -> Twin:
        return Twin(self.placed, samples)

    def held(self) -> dict[str, Held]:
        self._deliver()  # as the next step would
        self.outbox = {name: np.zeros_like(sent) for name, sent in self.outbox.items()}
        found = {}
        for name, state in self.states.items():
            rows = (self.step_index + np.arange(len(state.ring))) % len(state.ring)
            found[name] = Held(
                state.v.copy(), state.second.copy(), state.third.copy(), state.ring[rows], state.imag[rows]
            )
        return found

    def hold(self, step: int, given: Mapping[str, Held]) -> None:
        self.reset()
        self.step_index = step
        for name, each in given.items():
            state = self.states[name]
            state.v, state.second, state.third = each.v.copy(), each.second.copy(), each.third.copy()
            rows = (step + np.arange(len(each.arriving))) % len(state.ring)
            state.ring[rows], state.imag[rows] = each.arriving, each.imag

    def advance(
        self,
        steps: int,
        lines: Mapping[str, LineSpikes],
        *,
        record: Collection[str] = (),
        potentials: Collection[str] = (),
        seconds: Collection[str] = (),
    ) -> Chunk:
        shapes, count = self.placed.shapes, (steps, self.samples)
        rasters = {name: np.zeros((*count, *shapes[name]), self.placed.payload_type(name)) for name in record}
        membranes = {name: np.zeros((*count, *shapes[name]), np.int64) for name in potentials}
        others = {name: np.zeros((*count, *shapes[name]), np.int64) for name in seconds}
        for i in range(steps):
            self._enter(lines, i, prompt=True)
            self._deliver()
            for group in self.placed.groups:
                state = self.states[group.name]
                sent = self._step(group) if self.step_index >= group.offset else np.zeros_like(state.second)
                self.outbox[group.name] = whole = sent.reshape(self.samples, *group.shape)
                if group.name in rasters:
                    rasters[group.name][i] = whole
            self._enter(lines, i, prompt=False)
            for kept, which in ((membranes, "v"), (others, "second")):
                for name, values in kept.items():
                    values[i] = getattr(self.states[name], which).reshape(self.samples, *shapes[name])
            self.step_index += 1
        return Chunk(rasters, membranes, others)

    def _initial(self, group: Group) -> _State:
        zero = np.zeros((self.samples, int(np.prod(group.shape))), np.int64)
        membrane = np.zeros((self.samples, int(np.prod(self.placed.membranes[group.name]))), np.int64)
        slots = 1 + max((link.delay for link in self.placed.links if link.target == group.name), default=0)
        ring = np.zeros((slots, *membrane.shape), np.int64)
        initial = np.broadcast_to(np.asarray(getattr(group.neuron, "initial", 0)), group.shape).reshape(-1)
        v = membrane if isinstance(group.neuron, MaxUnit) else zero + initial
        return _State(v, zero, zero, zero, ring, np.zeros_like(ring))

    def _entering(self, name: str, spikes: LineSpikes | None, i: int) -> Integers:
        found = np.zeros((self.samples, int(np.prod(self.placed.shapes[name]))), np.int64)
        if spikes is not None:
            for sample in range(self.samples):
                part = slice(spikes.offsets[sample, i], spikes.offsets[sample, i + 1])
                np.add.at(found[sample], spikes.neurons[part], spikes.values[part])
        return found.reshape(self.samples, *self.placed.shapes[name])

    def _enter(self, lines: Mapping[str, LineSpikes], i: int, *, prompt: bool) -> None:
        """What enters in a step: prompt lines sent it in the step before, so that it arrives now."""
        for line in self.placed.lines:
            if (line.name in self.placed.prompt) == prompt:
                self.outbox[line.name] = self._entering(line.name, lines.get(line.name), i)

    def _deliver(self) -> None:
        """Spikes of the step before."""
        for link in self.links:
            payloads = self.outbox[link.link.source]
            if not payloads.any():
                continue
            total = link.through(payloads)
            if link.sums_wrap:
                total = _wrap(total, 31)
            total = total << link.shift if link.shift > 0 else total >> -link.shift
            if link.wraps:
                total = _wrap(total, WRAPPED)
            state = self.states[link.link.target]
            ring = state.imag if link.link.port == "imag" else state.ring
            ring[(self.step_index + link.link.delay) % len(ring)] += total

    def _step(self, group: Group) -> Integers:
        state = self.states[group.name]
        slot = self.step_index % len(state.ring)
        arrived, imag = state.ring[slot].copy(), state.imag[slot].copy()
        state.ring[slot], state.imag[slot] = 0, 0
        if isinstance(group.neuron, FixedNeuron):
            return _fixed(group.neuron, self.placed.chip, self.parameters[group.name], state, arrived, imag)
        state.v = state.v + arrived
        sent = self._converted(group, state, self.step_index - group.offset)
        state.sent = state.sent + sent
        return sent

    def _converted(self, group: Group, state: _State, step: int) -> Integers:
        neuron, presentation = group.neuron, self.placed.presentation
        nothing = np.zeros_like(state.sent)
        sent: Any
        threshold: Any

        def flat(values: Any) -> Integers:
            return np.broadcast_to(np.asarray(values, np.int64), group.shape).reshape(-1)

        def table(values: Any) -> Integers:
            rows = values.reshape(len(values), *(1,) * (len(group.shape) - values.ndim + 1), *values.shape[1:])
            return np.broadcast_to(rows, (len(values), *group.shape)).reshape(len(values), -1)

        if not isinstance(neuron, MaxUnit | FixedNeuron) and step < presentation:
            bias = flat(neuron.bias)
            each, rest = bias // presentation, bias % presentation
            state.v = state.v + each + (step + 1) * rest // presentation - step * rest // presentation
        match neuron:
            case SignedIF():
                threshold = flat(neuron.threshold)
                sent = np.where(
                    (state.v >= threshold) & (state.sent < neuron.high),
                    1,
                    np.where((state.v < 0) & (state.sent > neuron.low), -1, 0),
                )
            case GradedIF():
                if step != neuron.fires_at:
                    return nothing
                threshold = flat(neuron.threshold)
                sent = np.minimum(np.maximum(state.v // threshold, neuron.low), neuron.high)
            case PhasedIF():
                threshold = flat(neuron.threshold)
                if step == neuron.opens_at:
                    state.v = state.v + flat(neuron.release)
                if step == neuron.closes_at:
                    state.v = state.v - flat(neuron.release)
                sent = np.where(state.v >= threshold, 1, 0)
            case PlainIF():
                threshold = flat(neuron.threshold)
                sent = np.where(state.v >= threshold, 1, 0)
            case RadixIF():
                k = step - neuron.opens_at
                if not 0 <= k < neuron.bits:
                    return nothing
                threshold, worth = flat(neuron.threshold), 1 << (neuron.bits - 1 - k)
                sent = np.where(state.v >= threshold * worth, worth, 0)
            case UnitBank():
                if step != neuron.fires_at:
                    return nothing
                levels = np.arange(1, neuron.units + 1)[:, None, None] * flat(neuron.threshold)
                return np.count_nonzero(state.v >= levels, axis=0).astype(np.int64)
            case StaircaseIF():
                # climbs where the next level is reached, descends where the last one is not
                reached = np.count_nonzero(state.v >= table(neuron.steps)[:, None], axis=0)
                return np.sign(reached - (state.sent - neuron.low))
            case StaircaseUnit(sends="payload") | StaircaseBank():
                fires_at = neuron.opens_at if isinstance(neuron, StaircaseUnit) else neuron.fires_at
                if step != fires_at:
                    return nothing
                low = neuron.low if isinstance(neuron, StaircaseUnit) else 0
                return np.count_nonzero(state.v >= table(neuron.steps)[:, None], axis=0) + low
            case StaircaseUnit(sends="thermometer"):
                k = step - neuron.opens_at
                return np.where(state.v >= table(neuron.steps)[k], 1, 0) if 0 <= k < neuron.duration else nothing
            case StaircaseUnit():
                k = step - neuron.opens_at
                if not 0 <= k < neuron.duration:
                    return nothing
                worth = 1 << (neuron.duration - 1 - k)
                reached = np.count_nonzero(state.v >= table(neuron.steps)[:, None], axis=0)
                # levels never fall: level `digit` is reached exactly if so many are
                return np.where(reached >= state.sent + worth, worth, 0)
            case MaxUnit():
                if neuron.fires_at is not None and step != neuron.fires_at:
                    return nothing
                membrane = state.v.reshape(self.samples, *self.placed.membranes[group.name])
                return apply(neuron.window, [membrane]).reshape(self.samples, -1) - state.sent
            case Accumulator():
                return nothing
            case _:
                raise AssertionError("a fixed-point neuron")
        state.v = state.v - sent * threshold
        return sent


class _Link:
    """A link in the dtype in which its sums are exact: float64, which multiplies matrices fast, or int64."""

    def __init__(self, link: Projection, placed: Placed) -> None:
        self.link, self.shift, self.wraps = link, placed.shift(link), placed.wraps(link)
        self.sums_wrap = placed.sums_wrap(link)
        self.source_shape = placed.shapes[link.source]
        self.most = float(largest_sum(link.synapses, self.source_shape).max(initial=0))
        self.chains: dict[Any, Any] = {}

    def through(self, payloads: Integers) -> Integers:
        dtype: Any = np.float64 if self.most * float(np.abs(payloads).max()) < EXACT else np.int64
        if dtype not in self.chains:
            self.chains[dtype] = tuple(with_weights(s, lambda w: np.asarray(w, dtype)) for s in self.link.synapses)
        worth: Integers = apply_chain(self.chains[dtype], payloads.astype(dtype)).astype(np.int64)
        return worth


def _wrap(x: Integers, bits: int) -> Integers:
    """Two's complement of so many bits and a sign: what is left of the low bits, the highest of them as the sign."""
    sign = 1 << bits
    return ((x & (2 * sign - 1)) ^ sign) - sign


def _towards_zero(x: Integers, factor: Any, bits: Any = 12) -> Integers:
    """`x factor / 2^bits`."""
    product = x * factor
    return np.where(product < 0, -((-product) >> bits), product >> bits)


def _fixed(neuron: Any, chip: str, p: Mapping[str, Integers], state: _State, a: Integers, imag: Integers) -> Integers:
    """One step of fixed-point neurons, as `DynamicsContract` states it."""
    match neuron:
        case FixedCubaLIF() if chip == "loihi2":
            u = _wrap(_towards_zero(state.second, 4095 - p["du"]) + _wrap(a, 31) * 64, 31)
            u = u + 2**24 * ((u <= -(2**23)).astype(np.int64) - (u > 2**23))
            v = np.clip(_towards_zero(state.v, 4096 - p["dv"]) + u + p["bias"], -STATE_LIMIT, STATE_LIMIT)
            fires = v > p["threshold"]
            state.second, state.v = u, np.where(fires, 0, v)
            return fires.astype(np.int64)
        case FixedCubaLIF():
            u = _wrap(_towards_zero(state.second, 4095 - p["du"]) + _wrap(a, 21), 23)
            v = _towards_zero(state.v, 4096 - p["dv"]) + _wrap(u + p["bias"], 23)
            v = np.minimum(np.maximum(v, p["v_min"]), p["v_max"]) * (state.third == 0)
            fires = v > p["threshold"]
            state.second, state.v = u, np.where(fires, 0, v)
            state.third = np.where(fires, p["refractory"] - 1, np.maximum(state.third - 1, 0))
            return fires.astype(np.int64)
        case FixedSigmaDelta():
            sigma = _wrap(state.v + a, 31)
            activation = _wrap(sigma + p["bias"], 31)
            if neuron.activation == "relu":
                activation = activation * (activation > 0)
            delta = _wrap(activation - state.third + state.second, 31)
            sent = delta * (np.abs(delta) >= p["threshold"])
            state.v, state.third, state.second = sigma, activation, delta - sent
            return sent >> p["state_exp"]
        case FixedResonateAndFire():
            re, im, bits = state.v, state.second, p["decay_bits"]
            x = (
                _towards_zero(re, p["cos"], bits)
                - _towards_zero(im, p["sin"], bits)
                + _wrap(a * 2 ** p["state_exp"], 31)
            )
            y = (
                _towards_zero(re, p["sin"], bits)
                + _towards_zero(im, p["cos"], bits)
                + _wrap(imag * 2 ** p["state_exp"], 31)
            )
            x, y = np.clip(x, -STATE_LIMIT, STATE_LIMIT), np.clip(y, -STATE_LIMIT, STATE_LIMIT)
            if neuron.kind == "izhikevich":
                fires = y >= p["threshold"]
                x, y = np.where(fires, 0, x), np.where(fires, p["threshold"] - 1, y)
            else:
                fires = (x >= p["threshold"]) & (y >= 0) & (im < 0)
            state.v, state.second = x, y
            return fires.astype(np.int64)
        case GradedThreshold():
            v = _wrap(a, 31)
            beyond = (v > p["threshold"]) | ((-v > p["threshold"]) & (not neuron.relu))
            return v * beyond
        case _:
            assert_never(neuron)
