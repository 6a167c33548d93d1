"""The state of a network that changed: what is new begins as it begins, and everything else goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.plugin.state import NeuronState, PlasticState, SessionState
from spikeport.primitives import DynamicNetwork, DynamicPopulation, DynamicsContract, FixedCubaLIF

Indices = NDArray[np.int64]
"""For each place after a change the one that it was before; -1 where there was none."""
COMING = ("arriving", "imag")
"""Fields of which row k is k steps from now."""


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Where the synapses of a projection that learns come from, in the order of their sources."""

    projection: str | None
    """Its name before; None: there was none, and its traces are new too."""
    weights: Indices
    traces: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Where everything after an event comes from; what is not named is as it was."""

    populations: Mapping[str, Indices] = field(default_factory=lambda: MappingProxyType({}))
    synapses: Mapping[str, Synapses] = field(default_factory=lambda: MappingProxyType({}))
    """By name of the projection afterwards."""

    def undone(self, before: DynamicNetwork, state: SessionState) -> Moves:
        """Where everything before comes from in what is there now.

        Args:
            before: the network before the event, and its state.
        """
        populations = {n: _inverse(m, before[n].size) for n, m in self.populations.items() if n in before.by_name}
        synapses = {}
        for name, moved in self.synapses.items():
            if moved.projection is not None:
                number = state.plastic[moved.projection].weights.shape[1]
                back = (_inverse(indices, number) for indices in (moved.weights, moved.traces))
                synapses[moved.projection] = Synapses(name, *back)
        none = np.zeros(0, np.int64)
        for name, moved in self.synapses.items():
            if moved.projection is None and name in state.plastic:
                synapses.setdefault(name, Synapses(None, none, none))  # what has its name now is another one
        return Moves(populations, synapses)

    def loses(self) -> bool:
        """Whether something comes from nowhere."""
        each = [*self.populations.values(), *(a for s in self.synapses.values() for a in (s.weights, s.traces))]
        return any((a < 0).any() for a in each)


def _inverse(moved: Indices, size: int) -> Indices:
    back = np.full(size, -1, np.int64)
    stayed = np.flatnonzero(moved >= 0)
    back[moved[stayed]] = stayed
    return back


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A state that something is taken from."""

    state: SessionState
    moves: Moves = Moves()
    age: int = 0
    """Steps since then."""


def carried(network: DynamicNetwork, fresh: SessionState, layers: Sequence[Layer]) -> SessionState:
    """The state of a network after an event.

    Args:
        network: as it is now, all gates open.
        fresh: its state before the first step.
        layers: the states that it takes things from; what a later one has goes before what an earlier one has. The last one is now.

    Raises:
        GraphError: spikes are under way for longer than any projection takes now.
    """
    problems: list[Problem] = []
    populations = {n: _neurons(network[n], network.contract, s, layers, problems) for n, s in fresh.populations.items()}
    plastic, places = {}, network.plastic
    for name, new in fresh.plastic.items():
        p = network.projections[places[name]]
        plastic[name] = _learned(name, p.source, p.target, new, layers)
    sent = {}
    for name, rows in fresh.sent.items():
        made = rows.copy()
        for layer in layers:
            if name in layer.state.sent:
                where = _from(layer.moves.populations.get(name), made.shape[-1], layer.state.sent[name].shape[-1])
                _shift(made, layer.state.sent[name], where, -layer.age)
        sent[name] = made
    if problems:
        raise GraphError(problems)
    step = layers[-1].state.step if layers else fresh.step
    return replace(fresh, step=step, populations=populations, plastic=plastic, sent=sent)


def _from(moved: Indices | None, size: int, before: int) -> Indices:
    """Indices into what was before, of so many places now."""
    if moved is not None:
        return moved
    return np.arange(size) if size == before else np.full(size, -1, np.int64)


def _neurons(
    population: DynamicPopulation,
    contract: DynamicsContract,
    fresh: NeuronState,
    layers: Sequence[Layer],
    problems: list[Problem],
) -> NeuronState:
    name, made = population.name, dict[str, NDArray[Any]]()
    for place in fields(NeuronState):
        if getattr(fresh, place.name) is not None:
            made[place.name] = getattr(fresh, place.name).copy()
    for layer in layers:
        old = layer.state.populations.get(name)
        if old is None:
            continue
        where = _from(layer.moves.populations.get(name), fresh.v.shape[-1], old.v.shape[-1])
        stays = where >= 0
        for what, values in made.items():
            given = getattr(old, what)
            if given is None:
                continue
            if what not in COMING:
                values[:, stays] = given[:, where[stays]]
                continue
            if layer is layers[-1] and given[len(values) :][..., where[stays]].any():
                why = f"spikes are under way to it for more than the {len(values)} steps that they take at most now"
                problems.append(Problem(name, why, "wait until they arrived, or keep a projection with that delay"))
            _shift(values, given, where, layer.age)
    # periods may have become shorter
    made["refractory"] = np.minimum(made["refractory"], longest_deaf(population, contract))
    return NeuronState(**made)


def longest_deaf(population: DynamicPopulation, contract: DynamicsContract) -> NDArray[np.int64]:
    """Steps for which each neuron may still be deaf after a spike, shape (neuron,)."""
    neuron: Any = population.neuron
    if isinstance(neuron, FixedCubaLIF):
        steps = np.asarray(neuron.refractory) - 1 if contract.integrator == "loihi1" else np.array(0)
    else:
        steps = np.rint(np.asarray(getattr(neuron, "refractory", 0.0), np.float64) / contract.dt)
    return np.broadcast_to(steps.astype(np.int64), population.shape).ravel()


def _learned(name: str, source: str, target: str, fresh: PlasticState, layers: Sequence[Layer]) -> PlasticState:
    weights = fresh.weights.copy()
    pre, post, synapse = ([a.copy() for a in side] for side in (fresh.pre, fresh.post, fresh.synapse))
    passing = None if fresh.passing is None else fresh.passing.copy()
    for layer in layers:
        moved = layer.moves.synapses.get(name)
        before = name if moved is None else moved.projection
        old = None if before is None else layer.state.plastic.get(before)
        if old is None:
            continue
        whole = _from(None, weights.shape[1], old.weights.shape[1])
        by_weight, by_trace = (whole, whole) if moved is None else (moved.weights, moved.traces)
        stays = by_weight >= 0
        weights[:, stays] = old.weights[:, by_weight[stays]]
        ends = layer.moves.populations
        for made, given, where in (
            *((m, g, _from(ends.get(source), m.shape[1], g.shape[1])) for m, g in zip(pre, old.pre, strict=True)),
            *((m, g, _from(ends.get(target), m.shape[1], g.shape[1])) for m, g in zip(post, old.post, strict=True)),
            *((m, g, by_trace) for m, g in zip(synapse, old.synapse, strict=True)),
        ):
            made[:, where >= 0] = given[:, where[where >= 0]]
        if passing is not None and old.passing is not None:
            _shift(passing, old.passing, _from(ends.get(target), passing.shape[2], old.passing.shape[2]), layer.age)
    return PlasticState(weights, tuple(pre), tuple(post), tuple(synapse), passing)


def _shift(made: NDArray[Any], given: NDArray[Any], where: Indices, age: int) -> None:
    """Rows of steps, (step, batch, neuron): row k of what is made is row k + age of what was given."""
    stays = where >= 0
    made[..., stays] = 0
    for k in range(len(made)):
        if 0 <= k + age < len(given):
            made[k][:, stays] = given[k + age][:, where[stays]]
