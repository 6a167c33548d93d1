"""What a session of a network with dynamics knows between two steps, in terms of the network and of no backend.

Any backend of the same numerics goes on from it as the one would have that gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import DynamicNetwork, DynamicPopulation, SpikeInput
from spikeport.primitives.frozen import freeze_fields, frozen


@dataclass(frozen=True, slots=True, eq=False)
class NeuronState:
    """Of one population; numbers are in the dtype of the contract's arithmetic, shape (batch, neuron)."""

    v: NDArray[Any]
    """Membrane potential, or what stands for it: sigma, or Re z of fixed-point neurons."""
    second: NDArray[Any]
    """Current, or w: the second state; zeros where there is none. Of fixed-point neurons u, the residue, or Im z."""
    refractory: NDArray[np.int64]
    """Steps for which the neuron is still deaf."""
    fired: NDArray[np.int64]
    """How many spikes it sent in the last step; 0 where numbers are sent, and under a chip's contract, which never looks back at them."""
    arriving: NDArray[Any]
    """Row k arrives in the k-th step from now, shape (ahead, batch, neuron): sums of what was sent so far; under a chip's contract, which
    looks at no more, as two's complement of 32 bits. `ahead_of` says how many rows there are."""
    imag: NDArray[Any] | None = None
    """The same of the port "imag"; of `FixedResonateAndFire` alone."""
    activation: NDArray[np.int64] | None = None
    """Of `FixedSigmaDelta` alone: its activation in the last step, shape (batch, neuron)."""

    def __post_init__(self) -> None:
        freeze_fields(self, "v", "second", "refractory", "fired", "arriving", "imag", "activation")


@dataclass(frozen=True, slots=True, eq=False)
class PlasticState:
    """Of one projection that learns; synapses in the order of their sources, and of one source in the order in which the synapses are listed."""

    weights: NDArray[Any]
    """Shape (batch, synapse)."""
    pre: tuple[NDArray[Any], ...]
    """Traces of the sources, in the order of the rule, shape (batch, pre)."""
    post: tuple[NDArray[Any], ...]
    synapse: tuple[NDArray[Any], ...]
    passing: NDArray[Any] | None = None
    """What is on its way along dendrites: row k arrives in the k-th step from now, shape (ahead, batch, post), ahead being the projection's
    delay, latency included. None where delays are axonal."""

    def __post_init__(self) -> None:
        freeze_fields(self, "weights", "passing")
        for name in ("pre", "post", "synapse"):
            object.__setattr__(self, name, tuple(frozen(np.asarray(a)) for a in getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """Everything between two steps; it says nothing of how synapses and neurons are, which is the network's, nor of what enters."""

    step: int
    """Steps since the beginning: the next one has this index."""
    batch: int
    populations: Mapping[str, NeuronState]
    plastic: Mapping[str, PlasticState] = field(default_factory=lambda: MappingProxyType({}))
    """By name of the projection in `DynamicNetwork.plastic`."""
    sent: Mapping[str, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))
    """What ends of projections that learn sent: row k, k + 1 steps ago, shape (back, batch, neuron), by name of the input or population.
    `back_of` says how many there are; what would be before the first step is 0."""

    def __post_init__(self) -> None:
        if isinstance(self.sent, Mapping):
            sent = {name: frozen(np.asarray(rows)) for name, rows in self.sent.items()}
            object.__setattr__(self, "sent", MappingProxyType(sent))


def ahead_of(network: DynamicNetwork, population: str) -> int:
    """Rows of `NeuronState.arriving`: the longest delay of what leads to a population, latency included."""
    incoming = [p for p in network.projections if p.target == population]
    return max((p.delay + network.latency_from(p.source) for p in incoming), default=0)


def back_of(network: DynamicNetwork) -> int:
    """Rows of `SessionState.sent`: the longest delay of a projection that learns, latency included."""
    learning = [network.projections[place] for place in network.plastic.values()]
    return max((p.delay + network.latency_from(p.source) for p in learning), default=0)


def ends_of(network: DynamicNetwork) -> tuple[str, ...]:
    """Names in `SessionState.sent`: inputs and populations at either end of a projection that learns, in the order of the network."""
    learning = [network.projections[place] for place in network.plastic.values()]
    ends = {end for p in learning for end in (p.source, p.target)}
    return tuple(place.name for place in places_of(network) if place.name in ends)


def places_of(network: DynamicNetwork) -> tuple[SpikeInput | DynamicPopulation, ...]:
    """Inputs, then populations: whatever sends."""
    return (*network.inputs, *network.populations)
