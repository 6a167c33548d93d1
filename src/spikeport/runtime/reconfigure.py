"""What events do to a network: pure functions from a configuration to the next one, and from where everything comes.

Whatever does not apply is refused before anything is done, all of it by path. Projections keep their names, their delays and their
rules; where synapses come or go they become `Sparse`, in the order that they had, with new ones at the end of their source's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.plastic import plastic_rows
from spikeport.backends.dynamics.rows import rows
from spikeport.errors import GraphError, Problem
from spikeport.primitives import (
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    OneToOne,
    Projection,
    Sparse,
)
from spikeport.runtime.carrying import Indices, Moves, Synapses
from spikeport.runtime.configuration import Configuration, shapes_of, within
from spikeport.runtime.events import (
    AddNeurons,
    AddSynapses,
    Event,
    Gate,
    PruneNeurons,
    PruneSynapses,
    Replace,
    SetParameters,
    SetWeights,
)
from spikeport.runtime.replacing import replaced
from spikeport.runtime.run import nearest

MOST_NAMED = 5
"""Synapses or neurons that an error lists."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What an event makes of a configuration."""

    after: Configuration
    moves: Moves = field(default_factory=Moves)


def reconfigured(before: Configuration, event: Event) -> Change:
    """The configuration after an event.

    Raises:
        GraphError: it does not apply; everything by path. Whether the arithmetic holds new values the backend says when it opens the network.
    """
    kind = type(event)
    if kind not in _CHANGES:
        known = ", ".join(k.__name__ for k in _CHANGES)
        raise GraphError(Problem("event", f"is a {kind.__name__}", f"one of {known}"))
    change: Change = _CHANGES[kind](before, event)
    return change


def _set_parameters(before: Configuration, event: SetParameters) -> Change:
    population = _population(before.network, event.path)
    if not event.values:
        raise GraphError(Problem(event.path, "is given no parameters", "for example threshold=1.5"))
    _require_fields(population, event.values)
    return Change(_with_population(before, replace(population, neuron=replace(population.neuron, **event.values))))


def _set_weights(before: Configuration, event: SetWeights) -> Change:
    place = _place(before.network, event.projection)
    p = before.network.projections[place]
    weighted = [s for s in p.synapses if isinstance(s, Dense | OneToOne | Conv | Sparse)]
    if len(weighted) != 1:
        what = "several synapses with weights" if weighted else "no weights"
        raise GraphError(Problem(event.projection, f"has {what}", "add and prune synapses, which makes it one Sparse"))
    (synapse,) = weighted
    name = "weights" if isinstance(synapse, Sparse) else "weight"
    old, new = np.shape(getattr(synapse, name)), event.weights.shape
    if old != new:
        hint = "one sample's: weights[0]" if new[1:] == old and len(new) else "the shape that its synapses have"
        raise GraphError(Problem(event.projection, f"has weights of shape {old}, and is given {new}", hint))
    given: Any = {name: event.weights}
    other = replace(synapse, **given)
    after = _with_projections(
        before, {place: replace(p, synapses=tuple(other if s is synapse else s for s in p.synapses))}
    )
    if p.plasticity is None:
        return Change(after)
    number = len(_flat(before.network, place).targets)
    moved = Synapses(event.projection, np.full(number, -1, np.int64), np.arange(number))
    return Change(after, Moves(synapses={event.projection: moved}))


def _add_synapses(before: Configuration, event: AddSynapses) -> Change:
    place = _place(before.network, event.projection)
    flat = _flat(before.network, place)
    pre, post = _pairs(event, flat)
    _require_own_sums(before.network, place)
    sources = np.concatenate([_sources(flat), pre])
    order = np.argsort(sources, kind="stable")
    origin = np.concatenate([np.arange(len(flat.targets)), np.full(len(pre), -1, np.int64)])[order]
    weights = np.concatenate([flat.weights, np.broadcast_to(event.weights, pre.shape)])
    targets = np.concatenate([flat.targets.astype(np.int64), post])
    made = Sparse.from_pairs(sources, targets, weights, pre=flat.pre, post=flat.post)
    return _with_synapses(before, {place: (made, origin)})


def _prune_synapses(before: Configuration, event: PruneSynapses) -> Change:
    place = _place(before.network, event.projection)
    flat = _flat(before.network, place)
    pre, post = _pairs(event, flat)
    _require_own_sums(before.network, place)
    there = _sources(flat) * flat.post + flat.targets
    named = pre * flat.post + post
    missing = np.flatnonzero(~np.isin(named, there))
    if len(missing):
        some = ", ".join(f"{pre[k]} -> {post[k]}" for k in missing[:MOST_NAMED])
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        hint = "a weight of zero is a synapse where the projection learns"
        raise GraphError(Problem(event.projection, f"has no synapses {some}{more}", hint))
    return _with_synapses(before, {place: _kept(flat, ~np.isin(there, named))})


def _add_neurons(before: Configuration, event: AddNeurons) -> Change:
    network, path, n = before.network, event.path, event.n
    population = _row(network, path, "neurons are added to the end of")
    _require_fields(population, event.values)
    old = population.size
    neuron: Any = population.neuron
    values, problems = {}, []
    for name in (f.name for f in fields(neuron)):
        before_value, where = getattr(neuron, name), f"{path}.{name}"
        given = event.values.get(name, before_value)
        if isinstance(before_value, np.ndarray):
            given = np.asarray(given)
            if name not in event.values and before_value.shape not in ((), (1,)):
                problems.append(Problem(where, "is not the same for all", f"say what it is: {name}=..."))
            elif given.shape not in ((), (1,), (n,)):
                problems.append(Problem(where, f"has shape {given.shape}", f"a number, or ({n},)"))
            elif name in event.values:
                every = np.broadcast_to(before_value, (old,)), np.broadcast_to(given, (n,))
                values[name] = np.concatenate(every)
        elif name in event.values and not _same(given, before_value):
            problems.append(Problem(where, f"is {before_value!r} of all its neurons", "leave it out"))
    if problems:
        raise GraphError(problems)
    grown = replace(population, shape=(old + n,), neuron=replace(neuron, **values))
    origin = np.concatenate([np.arange(old), np.full(n, -1, np.int64)])
    return _with_neurons(before, grown, origin)


def _prune_neurons(before: Configuration, event: PruneNeurons) -> Change:
    network, path = before.network, event.path
    population = _row(network, path, "neurons are taken out of")
    indices, old = event.indices.astype(np.int64), population.size
    beyond = indices[(indices < 0) | (indices >= old)]
    if len(beyond):
        some = ", ".join(map(str, beyond[:MOST_NAMED]))
        raise GraphError(Problem(path, f"has no neurons {some}", f"0 to {old - 1}"))
    origin = np.setdiff1d(np.arange(old), indices)
    if not len(origin):
        hint = "close its gate: Gate(path, open=False)"
        raise GraphError(Problem(path, "would have no neurons left", hint))
    neuron: Any = population.neuron
    values = {f.name: getattr(neuron, f.name) for f in fields(neuron)}
    kept = {n: v[origin] for n, v in values.items() if isinstance(v, np.ndarray) and v.shape == (old,) and old > 1}
    shrunk = replace(population, shape=(len(origin),), neuron=replace(neuron, **kept))
    return _with_neurons(before, shrunk, origin)


def _gate(before: Configuration, event: Gate) -> Change:
    known = [*(i.name for i in before.network.inputs), *before.network.by_name]
    if not any(within(name, event.path) for name in known):
        paths = {name[:k] for name in known for k in [*(i for i, c in enumerate(name) if c == "/"), len(name)]}
        raise GraphError(Problem(event.path, "is no module, population or input", nearest(event.path, sorted(paths))))
    closed = tuple(path for path in before.closed if path != event.path)
    return Change(Configuration(before.network, closed if event.open else (*closed, event.path)))


def _replace(before: Configuration, event: Replace) -> Change:
    network, moves = replaced(before.network, event)
    known = [*(i.name for i in network.inputs), *network.by_name]
    closed = tuple(path for path in before.closed if any(within(name, path) for name in known))
    return Change(Configuration(network, closed), moves)


_CHANGES: Mapping[type[Any], Callable[[Configuration, Any], Change]] = MappingProxyType(
    {
        SetParameters: _set_parameters,
        SetWeights: _set_weights,
        AddSynapses: _add_synapses,
        PruneSynapses: _prune_synapses,
        AddNeurons: _add_neurons,
        PruneNeurons: _prune_neurons,
        Gate: _gate,
        Replace: _replace,
    }
)


def projection_names(network: DynamicNetwork) -> list[str]:
    """Of all projections, in the order of the list, as `DynamicNetwork.plastic` names those that learn."""
    seen: dict[str, int] = {}
    names = []
    for p in network.projections:
        seen[p.name] = seen.get(p.name, 0) + 1
        names.append(p.name if seen[p.name] == 1 else f"{p.name} #{seen[p.name]}")
    return names


def _place(network: DynamicNetwork, name: str) -> int:
    names = projection_names(network)
    if name not in names:
        raise GraphError(Problem(str(name), "is no projection of this network", nearest(str(name), names)))
    return names.index(name)


def _population(network: DynamicNetwork, path: str) -> DynamicPopulation:
    if path not in network.by_name:
        raise GraphError(Problem(str(path), "is no population", nearest(str(path), list(network.by_name))))
    return network[path]


def _row(network: DynamicNetwork, path: str, what: str) -> DynamicPopulation:
    population = _population(network, path)
    if len(population.shape) != 1:
        why = f"has shape {population.shape}, and {what} a row of them alone"
        raise GraphError(Problem(path, why, "prune its synapses, or swap the module that it is in"))
    return population


def _require_fields(population: DynamicPopulation, values: Mapping[str, Any]) -> None:
    known = [f.name for f in fields(population.neuron)]
    kind = type(population.neuron).__name__
    unknown = [n for n in values if n not in known]
    if unknown:
        raise GraphError(
            [Problem(f"{population.name}.{n}", f"is no parameter of {kind}", nearest(n, known)) for n in unknown]
        )


def _require_own_sums(network: DynamicNetwork, place: int) -> None:
    p = network.projections[place]
    if network.contract.integrator == "loihi2" and any(isinstance(s, Conv) for s in p.synapses):
        why = "holds a Conv, whose sums loihi2 wraps at 24 bits, and synapses of their own at 32"
        raise GraphError(Problem(p.name, why, "write it as Sparse from the beginning"))


def _flat(network: DynamicNetwork, place: int) -> Sparse:
    """A projection as synapses by source, each with a weight of its own; zeros too where it learns."""
    p, shapes = network.projections[place], shapes_of(network)
    make = rows if p.plasticity is None else plastic_rows
    try:
        found = make(p, shapes[p.source], shapes[p.target])
    except ValueError as error:
        raise GraphError(Problem(p.name, str(error))) from error
    post = int(np.prod(shapes[p.target]))
    same = Sparse(found.offsets, found.targets, found.weights, post)
    return replace(same, weights=np.array(same.each_weight()))


def _sources(flat: Sparse) -> NDArray[np.int64]:
    return np.repeat(np.arange(flat.pre, dtype=np.int64), np.diff(flat.offsets))


def _pairs(event: AddSynapses | PruneSynapses, flat: Sparse) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pre, post = event.pre.astype(np.int64), event.post.astype(np.int64)
    problems = []
    for what, indices, size in (("sources", pre, flat.pre), ("targets", post, flat.post)):
        if len(indices) and not (indices.min() >= 0 and indices.max() < size):
            why = f"its {what} run from {indices.min()} to {indices.max()}"
            problems.append(Problem(event.projection, why, f"flat indices from 0 to {size - 1}"))
    if problems:
        raise GraphError(problems)
    return pre, post


def _kept(flat: Sparse, keep: NDArray[np.bool_]) -> tuple[Sparse, Indices]:
    """Some of the synapses, and which."""
    counts = np.bincount(_sources(flat)[keep], minlength=flat.pre)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Sparse(offsets, flat.targets[keep], flat.weights[keep], flat.post), np.flatnonzero(keep)


def _resized(flat: Sparse, pre: Indices | None, post: Indices | None) -> tuple[Sparse, Indices]:
    """Synapses after their sources or targets moved: those of neurons that are there no more are gone."""
    origin = np.arange(len(flat.targets))
    sources, targets, size = _sources(flat), flat.targets.astype(np.int64), [flat.pre, flat.post]
    for side, moved in enumerate((pre, post)):
        if moved is not None:
            there = np.full(size[side], -1, np.int64)
            there[moved[moved >= 0]] = np.flatnonzero(moved >= 0)
            now = there[(sources, targets)[side]]
            keep = now >= 0
            sources, targets, origin = sources[keep], targets[keep], origin[keep]
            if side == 0:
                sources = now[keep]
            else:
                targets = now[keep]
            size[side] = len(moved)
    made = Sparse.from_pairs(sources, targets, flat.weights[origin], pre=size[0], post=size[1])
    return made, origin


def _with_population(before: Configuration, population: DynamicPopulation) -> Configuration:
    network = before.network
    others = tuple(population if p.name == population.name else p for p in network.populations)
    return Configuration(replace(network, populations=others), before.closed)


def _with_projections(before: Configuration, changed: Mapping[int, Projection]) -> Configuration:
    projections = tuple(changed.get(i, p) for i, p in enumerate(before.network.projections))
    return Configuration(replace(before.network, projections=projections), before.closed)


def _with_synapses(before: Configuration, made: Mapping[int, tuple[Sparse, Indices]]) -> Change:
    projections, names = before.network.projections, projection_names(before.network)
    after = _with_projections(
        before, {place: replace(projections[place], synapses=(sparse,)) for place, (sparse, _) in made.items()}
    )
    moved = {
        names[place]: Synapses(names[place], origin, origin)
        for place, (_, origin) in made.items()
        if projections[place].plasticity is not None
    }
    return Change(after, Moves(synapses=moved))


def _with_neurons(before: Configuration, population: DynamicPopulation, origin: Indices) -> Change:
    """Another number of neurons, and every projection that begins or ends there."""
    network, path, names = before.network, population.name, projection_names(before.network)
    projections, moved = list(network.projections), {}
    old = network[path].size
    for place, p in enumerate(network.projections):
        if path not in (p.source, p.target):
            continue
        _require_own_sums(network, place)
        made, kept = _resized(
            _flat(network, place), origin if p.source == path else None, origin if p.target == path else None
        )
        bias = p.bias
        if bias is not None and p.target == path:
            known = np.append(np.broadcast_to(bias, (old,)), 0)  # new neurons get none, which is the last entry
            bias = known[origin]
        projections[place] = replace(p, synapses=(made,), bias=bias)
        if p.plasticity is not None:
            moved[names[place]] = Synapses(names[place], kept, kept)
    populations = tuple(population if p.name == path else p for p in network.populations)
    after = replace(network, populations=populations, projections=tuple(projections))
    return Change(Configuration(after, before.closed), Moves({path: origin}, moved))


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if one is not None and other is not None else one is other
