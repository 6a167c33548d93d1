"""A part of a flat network in the place of another."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace

import numpy as np

from spikeport.backends.dynamics.plastic import plastic_rows
from spikeport.backends.dynamics.rows import checked_chain
from spikeport.errors import GraphError, Problem
from spikeport.primitives import DynamicNetwork, DynamicPopulation, Projection
from spikeport.runtime.carrying import Moves, Synapses
from spikeport.runtime.configuration import shapes_of, within
from spikeport.runtime.events import Replace


def replaced(now: DynamicNetwork, event: Replace) -> tuple[DynamicNetwork, Moves]:
    """The network of which everything below a path, and what crosses its border, is that of another; and where it comes from.

    Raises:
        GraphError: what does not fit together, all of it by path.
    """
    path, given = event.path, event.network
    problems = list(_misfits(now, given, path))
    if problems:
        raise GraphError(problems)
    populations = tuple(p if within(p.name, path) else now[p.name] for p in given.populations)
    outside: dict[str, deque[Projection]] = defaultdict(deque)
    for p in now.projections:
        outside[p.name].append(p)
    projections = tuple(p if _touches(p, path) else outside[p.name].popleft() for p in given.projections)
    made = replace(given, name=now.name, populations=populations, projections=projections)
    shapes = shapes_of(made)
    for p in projections:
        if _touches(p, path):
            try:
                checked_chain(p, shapes[p.source], shapes[p.target])
            except ValueError as error:
                hint = "the populations outside changed: build the network around them as it is now"
                problems.append(Problem(p.name, str(error), hint))
    if problems:
        raise GraphError(problems)
    return made, _moves(now, made, path, keep=event.keep)


def _touches(p: Projection, path: str) -> bool:
    return within(p.source, path) or within(p.target, path)


def _misfits(now: DynamicNetwork, given: DynamicNetwork, path: str) -> list[Problem]:
    problems = []
    if not any(within(name, path) for name in now.by_name):
        problems.append(Problem(path, "is no module and no population", "the path of one"))
    if given.contract != now.contract:
        problems.append(Problem(path, "is built for another contract", "build it with the contract of the session"))
    if given.inputs != now.inputs:
        problems.append(Problem(path, "comes with other inputs of the network", "inputs stay as they are"))
    outside = [[p.name for p in network.populations if not within(p.name, path)] for network in (now, given)]
    if sorted(outside[0]) != sorted(outside[1]):
        other = ", ".join(sorted({*outside[0]} ^ {*outside[1]}))
        problems.append(Problem(path, f"changes what is outside of it: {other}", "leave the rest as it is"))
    joins = [sorted(p.name for p in network.projections if not _touches(p, path)) for network in (now, given)]
    if joins[0] != joins[1]:
        other = ", ".join(sorted({*joins[0]} ^ {*joins[1]})) or "how many there are of one name"
        problems.append(Problem(path, f"changes projections outside of it: {other}", "leave the rest as it is"))
    return problems


def _moves(now: DynamicNetwork, made: DynamicNetwork, path: str, *, keep: bool) -> Moves:
    new = {
        p.name: np.full(p.size, -1, np.int64)
        for p in made.populations
        if within(p.name, path) and not (keep and p.name in now.by_name and _alike(p, now[p.name]))
    }
    synapses = {}
    for name, place in made.plastic.items():
        p = made.projections[place]
        if not _touches(p, path):
            continue
        shapes = shapes_of(made)
        found = plastic_rows(p, shapes[p.source], shapes[p.target])
        number = len(found.targets)
        before = now.projections[now.plastic[name]] if keep and name in now.plastic else None
        stays = before is not None and p.source not in new and p.target not in new and _learn_alike(p, before, made)
        origin = np.arange(number) if stays else np.full(number, -1, np.int64)
        synapses[name] = Synapses(name if stays else None, origin, origin)
    return Moves(new, synapses)


def _alike(one: DynamicPopulation, other: DynamicPopulation) -> bool:
    return one.shape == other.shape and type(one.neuron) is type(other.neuron)


def _learn_alike(one: Projection, other: Projection, network: DynamicNetwork) -> bool:
    """Whether they have the same rule, delay and synapses, whatever the weights."""
    shapes = shapes_of(network)
    if one.plasticity != other.plasticity or one.delay != other.delay:
        return False
    try:
        a, b = (plastic_rows(p, shapes[p.source], shapes[p.target]) for p in (one, other))
    except ValueError:
        return False
    return np.array_equal(a.offsets, b.offsets) and np.array_equal(a.targets, b.targets)
