"""Steps any `SpikingNetwork` in numpy, with nothing but spikes crossing layers.

This is the oracle of every other backend, so it is written to be read. It never calls the one-pass evaluator: a test makes
that evaluator raise while this one runs. Products run through BLAS in float32 or float64 only where the proved bound keeps
every partial sum an exact integer; state is integer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply, apply_synapse
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    GradedIF,
    MaxUnit,
    OneToOne,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    SignedIF,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)

FLOAT32_EXACT = 2**24
FLOAT64_EXACT = 2**53
"""Integers below these are exact in floating point, and so is each sum that stays below them."""


def split(total: NDArray[Any], step: int, steps: int) -> NDArray[Any]:
    """Share of step `step` of a total injected over `steps` steps; the shares sum to the total, negative totals too.

    >>> [int(split(np.array(-7), t, 3)) for t in range(3)]
    [-3, -2, -2]
    """
    if not 0 <= step < steps:
        return np.zeros_like(total)
    each, rest = np.divmod(total, steps)  # in two parts, so that no product leaves int64
    return each + (step + 1) * rest // steps - step * rest // steps


@dataclass
class _State:
    """Membrane potential and what was sent so far; a max unit keeps its inputs' counts instead of a membrane."""

    v: NDArray[np.int64]
    sent: NDArray[np.int64]


class Stepper:
    """A network and the state of one batch of samples."""

    def __init__(self, network: SpikingNetwork, encoded: NDArray[np.int64]) -> None:
        """Prepare a batch of encoded input: (batch, *input), or (time, batch, *input) for event input."""
        self.network = network
        self.step_index = 0
        self._host = network.on_host()
        self._events = encoded if network.input.kind == "events" else None
        self.batch = encoded.shape[1] if self._events is not None else len(encoded)
        self._incoming = {p.name: network.incoming(p.name) for p in network.populations}
        self._exact = {id(c): _in_exact_dtype(c, self._largest_payload(c.source)) for c in network.connections}
        self._current = self._host_currents(encoded) if self._events is None else {}
        self.state = {p.name: self._initial(p) for p in network.populations if p.name not in self._host}

    def step(self) -> dict[str, NDArray[np.int64]]:
        """Advance every population by one step, in order; returns the spikes each one sent (payloads, signed)."""
        contract, t = self.network.contract, self.step_index
        spikes: dict[str, NDArray[np.int64]] = {}
        active: dict[str, NDArray[np.int64]] = {}
        if self._events is not None:
            silent = np.zeros(self._events.shape[1:], dtype=np.int64)
            name = self.network.input.name
            spikes[name] = self._events[t] if t < len(self._events) else silent
            active[name] = _active(spikes[name])
        for population in self.network.populations:
            if population.name in self._host:
                continue
            arriving = np.zeros(self.state[population.name].v.shape, dtype=np.int64)
            for connection in self._incoming[population.name]:
                source = connection.source
                if source not in self._host and active[source].size:  # samples without a spike cost nothing
                    chosen = active[source]
                    arriving[chosen] += self._exact[id(connection)].through(spikes[source][chosen])
            if population.name in self._current:
                arriving += split(self._current[population.name], t, contract.presentation)
            if not isinstance(population.neuron, MaxUnit) and t < contract.presentation:
                arriving += split(np.asarray(population.neuron.bias), t, contract.presentation)
            sent = _update(population, self.state[population.name], arriving, t)
            spikes[population.name], active[population.name] = sent, _active(sent)
        self.step_index += 1
        return spikes

    def _host_currents(self, encoded: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Total current into each population from values that the host computes once: the static input."""
        values = {self.network.input.name: encoded}
        totals: dict[str, NDArray[np.int64]] = {}
        for population in self.network.populations:
            parts = [
                self._exact[id(c)].through(values[c.source])
                for c in self._incoming[population.name]
                if c.source in self._host
            ]
            if parts:
                totals[population.name] = np.sum(parts, axis=0)
            if population.name in self._host:
                assert isinstance(population.neuron, MaxUnit)
                values[population.name] = apply(population.neuron.window, [totals.pop(population.name)])
        return totals

    def _initial(self, population: Population) -> _State:
        neuron, shape = population.neuron, (self.batch, *population.shape)
        sent = np.zeros(shape, dtype=np.int64)
        match neuron:
            case Accumulator():
                return _State(np.zeros(shape, dtype=np.int64), sent)
            case MaxUnit():
                example = np.zeros((1, *self._source_shape(self._incoming[population.name][0].source)), dtype=np.int64)
                for synapse in self._incoming[population.name][0].synapses:
                    example = apply_synapse(synapse, example)
                return _State(np.zeros((self.batch, *example.shape[1:]), dtype=np.int64), sent)
            case _:
                return _State(np.array(np.broadcast_to(neuron.initial, shape), dtype=np.int64), sent)

    def _source_shape(self, name: str) -> tuple[int, ...]:
        return self.network.input.shape if name == self.network.input.name else self.network[name].shape

    def _largest_payload(self, name: str) -> int:
        """Largest absolute count of a source; no single step carries more."""
        if name == self.network.input.name:
            return max(-self.network.input.low, self.network.input.high)
        neuron = self.network[name].neuron
        match neuron:
            case SignedIF() | GradedIF() | StaircaseIF() | StaircaseUnit(sends="payload"):
                return max(-neuron.low, neuron.high)
            case PhasedIF() | PlainIF():
                return 1
            case RadixIF(bits=bits):
                return 2 ** (bits - 1)
            case StaircaseUnit(sends="thermometer"):
                return 1
            case StaircaseUnit(duration=bits):
                return 2 ** (bits - 1)
            case UnitBank(units=units) | StaircaseBank(units=units):
                return units
            case MaxUnit():
                return sum(reach(c, self._largest_payload(c.source)) for c in self.network.incoming(name))
            case Accumulator():
                raise AssertionError("the read-out sends nothing")


def _active(spikes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples of a batch in which anything was sent."""
    return np.flatnonzero(spikes.any(axis=tuple(range(1, spikes.ndim))))


def _update(population: Population, state: _State, arriving: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Apply the neuron's rule once; changes `state`, returns the payloads sent."""
    neuron = population.neuron
    state.v += arriving
    match neuron:
        case SignedIF(threshold, _, _, low, high):
            up = (state.v >= threshold) & (state.sent < high)
            down = (state.v < 0) & (state.sent > low)
            spikes = up.astype(np.int64) - down
            state.v -= spikes * threshold
        case GradedIF(threshold, _, _, low, high, fires_at):
            if step != fires_at:
                return np.zeros_like(state.sent)
            spikes = np.clip(np.floor_divide(state.v, threshold), low, high)
            state.v -= spikes * threshold
        case PhasedIF(threshold, _, _, release, opens_at, closes_at):
            state.v += release * ((step == opens_at) - (step == closes_at))
            spikes = (state.v >= threshold).astype(np.int64)
            state.v -= spikes * threshold
        case PlainIF(threshold):
            spikes = np.where(state.v >= threshold, 1, 0)
            state.v -= spikes * threshold
        case RadixIF(threshold, _, _, bits, opens_at):
            if not opens_at <= step < opens_at + bits:
                return np.zeros_like(state.sent)
            worth = 2 ** (bits - 1 - (step - opens_at))
            spikes = worth * (state.v >= threshold * worth).astype(np.int64)
            state.v -= spikes * threshold
        case UnitBank(threshold, _, _, units, common, fires_at):
            if step != fires_at:
                return np.zeros_like(state.sent)
            spikes = np.zeros_like(state.sent)
            for k in range(1, units + 1):
                spikes += state.v + common - k * threshold >= common
        case StaircaseIF(steps, _, _, low):
            climbed = state.sent - low
            up = (climbed < len(steps)) & (state.v >= _step(steps, climbed))
            down = (climbed > 0) & (state.v < _step(steps, climbed - 1))
            spikes = up.astype(np.int64) - down
        case StaircaseUnit(steps, _, _, low, sends, opens_at):
            k = step - opens_at
            if not 0 <= k < neuron.duration:
                return np.zeros_like(state.sent)
            if sends == "payload":
                spikes = np.full_like(state.sent, low)
                for row in steps:
                    spikes += state.v >= row
            elif sends == "thermometer":
                spikes = (state.v >= steps[k]).astype(np.int64)
            else:
                worth = 2 ** (neuron.duration - 1 - k)
                digit = state.sent + worth
                spikes = worth * ((digit <= len(steps)) & (state.v >= _step(steps, digit - 1)))
        case StaircaseBank(steps, _, _, common, fires_at):
            if step != fires_at:
                return np.zeros_like(state.sent)
            spikes = np.zeros_like(state.sent)
            for row in steps:
                spikes += state.v + common - row >= common
        case MaxUnit(window, fires_at):
            if fires_at is not None and step != fires_at:
                return np.zeros_like(state.sent)
            spikes = apply(window, [state.v]) - state.sent
        case Accumulator():
            return np.zeros_like(state.sent)
    state.sent += spikes
    return spikes


def _step(steps: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entry of each neuron's table, (batch, *neuron); the nearest one where there is none of that index."""
    rows = steps.reshape(1, len(steps), *(1,) * (index.ndim - steps.ndim), *steps.shape[1:])
    return np.take_along_axis(rows, index.clip(0, len(steps) - 1)[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class _Exact:
    """A connection in the narrowest arithmetic that is exact for it."""

    connection: Connection
    largest_payload: int

    def through(self, spikes: NDArray[np.int64]) -> NDArray[np.int64]:
        x: NDArray[Any] = spikes.astype(self.dtype)
        for synapse in self._synapses:
            x = apply_synapse(synapse, x)
        return x.astype(np.int64)

    @cached_property
    def dtype(self) -> type[np.number[Any]]:
        bound = reach(self.connection, self.largest_payload)
        return np.float32 if bound < FLOAT32_EXACT else np.float64 if bound < FLOAT64_EXACT else np.int64

    @cached_property
    def _synapses(self) -> tuple[Any, ...]:
        def cast(synapse: Any) -> Any:
            return replace(synapse, weight=synapse.weight.astype(self.dtype)) if hasattr(synapse, "weight") else synapse

        return tuple(map(cast, self.connection.synapses))


def _in_exact_dtype(connection: Connection, largest_payload: int) -> _Exact:
    return _Exact(connection, largest_payload)


def reach(connection: Connection, payload: int) -> int:
    """Largest sum that payloads up to a bound can deliver through a connection in one step."""
    for synapse in connection.synapses:
        payload *= _gain(synapse)
    return payload


def _gain(synapse: Any) -> int:
    """Largest sum of absolute weights into one neuron: how much a synapse can enlarge the largest value."""
    match synapse:
        case Dense(weight) | Conv(weight):
            return int(np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1).max())
        case OneToOne(weight):
            return int(np.abs(weight.astype(np.int64)).max())
    if hasattr(synapse, "kernel"):
        return int(np.prod(synapse.kernel))
    return 1
