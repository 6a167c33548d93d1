"""A network with gates: what is written, and what is stepped while some of them are closed.

A closed gate takes synapses away, and remembers them. A spike meets its synapse when it is sent, or, in a projection that learns with
`delays="axonal"`, when it arrives: so what was sent before a gate closed still arrives, but what had not reached a synapse that learns
finds none. Weights and traces of such a synapse stay as they were when the gate closed; traces of neurons go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from types import MappingProxyType

import numpy as np

from spikeport.backends.dynamics.plastic import plastic_rows
from spikeport.plugin.driving import dtype_of
from spikeport.plugin.state import PlasticState, SessionState
from spikeport.primitives import DynamicNetwork, Projection, Shape, Sparse


@dataclass(frozen=True, eq=False)
class Configuration:
    """What a session steps between two events."""

    network: DynamicNetwork
    """With all gates open."""
    closed: tuple[str, ...] = ()
    """Paths of gates, in the order in which they were closed."""

    @cached_property
    def shut(self) -> frozenset[int]:
        """Places of projections that cross a closed gate."""
        return frozenset(
            place
            for place, p in enumerate(self.network.projections)
            if any(within(p.source, path) != within(p.target, path) for path in self.closed)
        )

    @cached_property
    def stepped(self) -> DynamicNetwork:
        """As a backend has it: with the same projections, of which some have no synapses."""
        if not self.shut:
            return self.network
        shapes = shapes_of(self.network)
        projections = tuple(
            silenced(p, prod(shapes[p.source]), prod(shapes[p.target])) if place in self.shut else p
            for place, p in enumerate(self.network.projections)
        )
        return replace(self.network, projections=projections)

    @cached_property
    def resting(self) -> tuple[str, ...]:
        """Projections that learn, and are shut."""
        return tuple(name for name, place in self.network.plastic.items() if place in self.shut)


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """What a shut projection that learns knows of its synapses meanwhile: states of which weights and traces of synapses count."""

    plastic: Mapping[str, PlasticState] = field(default_factory=lambda: MappingProxyType({}))


def within(name: str, path: str) -> bool:
    """Whether an input or population is what a path names, or inside of it.

    >>> within("v1/exc", "v1"), within("v1", "v1"), within("v10/exc", "v1")
    (True, True, False)
    """
    return name == path or name.startswith(f"{path}/")


def shapes_of(network: DynamicNetwork) -> dict[str, Shape]:
    """Of inputs and populations, by name."""
    shapes = {place.name: place.shape for place in network.inputs}
    return shapes | {place.name: place.shape for place in network.populations}


def silenced(p: Projection, pre: int, post: int) -> Projection:
    """It without synapses: with the same name, delay and rule."""
    none = Sparse(np.zeros(pre + 1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.int64), post)
    return replace(p, synapses=(none,), bias=None)


def divided(configuration: Configuration, whole: SessionState) -> tuple[SessionState, Rest]:
    """The state of what is stepped, and what rests."""
    plastic, rest = dict(whole.plastic), {}
    for name in configuration.resting:
        state = rest[name] = plastic[name]
        plastic[name] = replace(
            state, weights=state.weights[:, :0], synapse=tuple(trace[:, :0] for trace in state.synapse)
        )
    return replace(whole, plastic=plastic), Rest(rest)


def joined(configuration: Configuration, stepped: SessionState, rest: Rest) -> SessionState:
    """The state of the whole network, as if all gates were open."""
    plastic = dict(stepped.plastic)
    for name in configuration.resting:
        known = rest.plastic[name]
        plastic[name] = replace(plastic[name], weights=known.weights, synapse=known.synapse)
    return replace(stepped, plastic=plastic)


def opened(configuration: Configuration, stepped: SessionState) -> SessionState:
    """The state of the whole network before the first step, from that of what is stepped."""
    network, plastic = configuration.network, dict(stepped.plastic)
    shapes, dtype = shapes_of(network), dtype_of(network.contract)
    for name in configuration.resting:
        p = network.projections[network.plastic[name]]
        weights = plastic_rows(p, shapes[p.source], shapes[p.target]).weights.astype(dtype)
        each = np.broadcast_to(weights, (stepped.batch, len(weights)))
        silent = tuple(np.zeros(each.shape, dtype) for _ in plastic[name].synapse)
        plastic[name] = replace(plastic[name], weights=each, synapse=silent)
    return replace(stepped, plastic=plastic)
