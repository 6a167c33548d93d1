"""Steps any `SpikingNetwork` in numpy, with nothing but spikes crossing layers.

This is the oracle of every other backend, so it is written to be read. It never calls the one-pass evaluator: a test makes
that evaluator raise while this one runs. Products run through BLAS in float32 or float64 only where the proved bound keeps
every partial sum an exact integer; state is integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply, apply_synapse
from spikeport.plugin.exact import ExactConnection, largest_payload, static_currents
from spikeport.plugin.presenting import split
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
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
        self._host = network.on_host()
        self._events = encoded if network.input.kind == "events" else None
        self._totals = static_currents(network, encoded) if self._events is None else {}
        self._incoming = {p.name: network.incoming(p.name) for p in network.populations}
        self._exact = {
            id(c): ExactConnection(c, largest_payload(network, c.source))
            for c in network.connections
            if c.source not in self._host
        }
        self.reset(encoded.shape[1] if self._events is not None else len(encoded))

    def reset(self, batch: int) -> None:
        """The initial state of so many samples."""
        self.step_index = 0
        self.batch = batch
        self.state = {p.name: self._initial(p) for p in self.network.populations if p.name not in self._host}

    def step(self) -> dict[str, NDArray[np.int64]]:
        """Advance every population by one step, in order; returns the spikes each one sent (payloads, signed)."""
        presentation, t = self.network.contract.presentation, self.step_index
        events = self._events[t] if self._events is not None and t < len(self._events) else None
        return self.fed(events, {name: split(total, t, presentation) for name, total in self._totals.items()})

    def fed(
        self, events: NDArray[np.int64] | None, currents: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, NDArray[np.int64]]:
        """One step with these events, shape (batch, *input), and these currents by population, (batch, *population)."""
        contract, t = self.network.contract, self.step_index
        spikes: dict[str, NDArray[np.int64]] = {}
        active: dict[str, NDArray[np.int64]] = {}
        if self.network.input.kind == "events":
            silent = np.zeros((self.batch, *self.network.input.shape), dtype=np.int64)
            name = self.network.input.name
            spikes[name] = silent if events is None else events
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
            if population.name in currents:
                arriving += currents[population.name]
            if not isinstance(population.neuron, MaxUnit) and t < contract.presentation:
                arriving += split(np.asarray(population.neuron.bias), t, contract.presentation)
            sent = _update(population, self.state[population.name], arriving, t)
            spikes[population.name], active[population.name] = sent, _active(sent)
        self.step_index += 1
        return spikes

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
