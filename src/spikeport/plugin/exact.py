"""Connections in the narrowest arithmetic that is exact for them, and what enters a network at once.

Products run through BLAS in float32 or float64 only where a bound keeps every partial sum an exact integer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
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
    RadixIF,
    SignedIF,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    SumPool,
    Synapse,
    UnitBank,
)
from spikeport.quantize.bounds import BLOCK

FLOAT32_EXACT = 2**24
FLOAT64_EXACT = 2**53
"""Integers below these are exact in floating point, and so is each sum that stays below them."""


@dataclass(frozen=True)
class ExactConnection:
    """A connection in the narrowest arithmetic that is exact for it."""

    connection: Connection
    largest_payload: int

    def through(self, spikes: NDArray[np.int64]) -> NDArray[np.int64]:
        """What payloads of shape (batch, *source) are worth at the target."""
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


def reach(connection: Connection, payload: int) -> int:
    """Largest sum that payloads up to a bound can deliver through a connection in one step."""
    return payload * prod(map(gain, connection.synapses))


def gain(synapse: Synapse) -> int:
    """Largest sum of absolute weights into one neuron: how much a synapse can enlarge the largest value, in every order of summing."""
    match synapse:
        case Dense(weight) | Conv(weight):
            rows = max(1, BLOCK * len(weight) // max(1, weight.size))  # a large matrix is not copied in whole
            return max((_most(weight[i : i + rows]) for i in range(0, len(weight), rows)), default=0)
        case OneToOne(weight):
            return int(np.abs(weight.astype(np.int64)).max(initial=0))
        case SumPool(kernel):
            return prod(kernel)
        case _:
            return 1


def _most(rows: NDArray[Any]) -> int:
    return int(np.abs(rows.reshape(len(rows), -1).astype(np.int64)).sum(axis=1).max(initial=0))


def largest_payload(network: SpikingNetwork, name: str) -> int:
    """Largest absolute count of a source; no single step carries more."""
    if name == network.input.name:
        return max(-network.input.low, network.input.high)
    neuron = network[name].neuron
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
            return sum(reach(c, largest_payload(network, c.source)) for c in network.incoming(name))
        case Accumulator():
            raise AssertionError("the read-out sends nothing")


def static_currents(network: SpikingNetwork, encoded: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Total current into each population from values that the host computes once: the static input, and maxima over it.

    Args:
        encoded: integers of shape (batch, *input).
    """
    host = network.on_host()
    values = {network.input.name: encoded}
    totals: dict[str, NDArray[np.int64]] = {}
    for population in network.populations:
        name = population.name
        parts = [
            ExactConnection(c, largest_payload(network, c.source)).through(values[c.source])
            for c in network.incoming(name)
            if c.source in host
        ]
        if parts:
            totals[name] = np.sum(parts, axis=0)
        if name in host:
            assert isinstance(population.neuron, MaxUnit)
            values[name] = apply(population.neuron.window, [totals.pop(name)])
    return totals
