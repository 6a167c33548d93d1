"""Write a spiking network as a NIR file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.rows import rows
from spikeport.errors import NirError, OptionError, Problem
from spikeport.files import replacing
from spikeport.nir import content, contract, declared, settings, stages
from spikeport.nir.checks import network_problems
from spikeport.nir.contract import Placement
from spikeport.nir.dialects import dialect_graph
from spikeport.nir.limits import MAX_EDGES, MAX_LOADED_BYTES, MAX_NODES
from spikeport.nir.lower import Plan, nodes_of, number_format, plan_network, population_node
from spikeport.nir.names import dotted, free_name
from spikeport.nir.network import network_of
from spikeport.nir.outward import graph_of_network
from spikeport.nir.parse import graph_from_object
from spikeport.nir.plain import BY_RATES, remarks
from spikeport.nir.rehearsal import carried
from spikeport.nir.separate import separated
from spikeport.nir.terms import REFUSED, TERMS
from spikeport.nir.wave import DIALECTS, agreeing, wave_graph
from spikeport.primitives import DynamicNetwork, Ledger, SpikingNetwork, extended, without_extensions
from spikeport.storage.check import network_problems as well_formed

READING = "spikeport_reading"
"""Metadata beside the contract: what the graph is worth to a tool that does not know the contract."""
ROUNDING = 1e-9
"""What sums in another order may differ by, relative to the largest: chains of operators are folded when they are written."""


def to_nir(
    network: SpikingNetwork | DynamicNetwork, path: str | Path, *, dialect: str | None = None, strict: bool = False
) -> Ledger:
    """Write a network with its execution contract as metadata, whole or not at all.

    Args:
        dialect: of a network in population code the tool that will run the file; None: any that adds inputs of IF to the potential.

    Paths as names have dots in the file: `v1.exc` for `v1/exc`.

    Returns:
        What plain NIR cannot say: entries for the ledger; under `strict` they are refused.

    Raises:
        NirError: everything in the network that is not well formed or has no form in NIR.
        OptionError: a dialect that is not known.
        FileError: the file cannot be written.
    """
    if dialect is not None and dialect not in TERMS and dialect not in REFUSED:
        raise OptionError(Problem("dialect", f"is {dialect!r}", f"one of {', '.join(map(repr, TERMS))}"))
    if isinstance(network, DynamicNetwork):
        network = dotted(network)
        if dialect is None:
            graph, lost = _dynamic(network)
        else:
            graph, lost = dialect_graph(without_extensions(network), dialect)
            lost = (*lost, *settings.dropped(network, dialect))
        return _written(network.name, graph, lost, path, strict)
    wave = network.contract.code == "population"
    problems = well_formed(network) if wave else network_problems(network)
    if problems:
        raise NirError(problems)
    if wave:
        if dialect is not None and dialect not in DIALECTS:
            why = f"{dialect} does not run the wave of a converted network"
            raise NirError(Problem(network.name, why, f"one of {', '.join(map(repr, DIALECTS))}"))
        graph, lost = wave_graph(network, dialect)
        agreeing(network, graph)
    elif dialect is not None:
        hint = 'convert with code="population", or network.with_code("population")'
        raise NirError(Problem(network.name, f"is in {network.contract.code} code, which no other tool steps", hint))
    else:
        plan, problems = plan_network(network)
        if problems:
            raise NirError(problems)
        lost = remarks(network, plan)
        graph = nir_graph(network, plan, lost)
        graph.metadata[READING] = BY_RATES
    return _written(network.name, graph, lost, path, strict)


def _written(name: str, graph: nir.NIRGraph, lost: Ledger, path: str | Path, strict: bool) -> Ledger:
    losses = [entry for entry in lost if not entry.is_remark]
    if strict and losses:
        hint = "leave strict out, and other tools see something else than we do"
        raise NirError([Problem(entry.node, entry.what, hint) for entry in losses])
    packed = BytesIO()
    nir.write(packed, graph)
    with replacing(path) as temporary:
        content.write_sealed(temporary, packed)
    return lost


def _dynamic(network: DynamicNetwork) -> tuple[nir.NIRGraph, Ledger]:
    """The graph of a network with dynamics, read back to see that nothing of it went astray."""
    network = separated(network)
    graph, meaning, lost = graph_of_network(network)
    text = declared.text_of(meaning)
    again = network_of(graph_from_object(graph), declared.parse(text), network.name)
    if _outline(again) != _outline(network) or not _weigh_alike(again, network):
        raise NirError(Problem(network.name, "would be read back as another network", "please report this network"))
    rounded = list(_rounded(network, again))
    if rounded:
        raise NirError(rounded)
    kept = {
        "format": declared.NETWORK_FORMAT,
        "name": network.name,
        "ledger": [[e.node, e.what, e.error] for e in network.ledger],
    }
    graph.metadata |= {declared.KEY: text, declared.NETWORK_KEY: json.dumps(kept)}
    if extended(network):
        graph.metadata[settings.KEY] = settings.text_of(network)
    return graph, (*lost, *settings.unsaid(network))


def _outline(network: DynamicNetwork) -> tuple[Any, ...]:
    """What lies where, in the order that sums depend on."""
    projections = sorted(
        ((p.target, p.source, p.delay, p.bias is not None and bool(np.any(p.bias))) for p in network.projections),
        key=lambda p: p[0],
    )
    populations = [(p.name, p.shape, type(p.neuron), p.contract or network.contract) for p in network.populations]
    outputs = sorted((o.name, o.source) for o in network.outputs)
    return network.inputs, populations, projections, outputs


def _rounded(one: DynamicNetwork, other: DynamicNetwork) -> Iterator[Problem]:
    """Chains of operators that come to other weights, if only in the last bit, once they are read."""
    if one.contract.arithmetic == "integer":
        return
    shapes = {i.name: i.shape for i in one.inputs} | {p.name: p.shape for p in one.populations}
    pairs = zip(*(sorted(n.projections, key=lambda p: p.target) for n in (one, other)), strict=True)
    for mine, theirs in pairs:
        if len(mine.synapses) > 1:
            found, expected = (rows(p, shapes[p.source], shapes[p.target]) for p in (theirs, mine))
            if not all(
                np.array_equal(getattr(found, f), getattr(expected, f)) for f in ("offsets", "targets", "weights")
            ):
                why = "is a chain of operators whose product would be rounded otherwise once it is read"
                yield Problem(mine.name, why, "fold it into one matrix or convolution")


def _weigh_alike(one: DynamicNetwork, other: DynamicNetwork) -> bool:
    """Whether projections carry the same from place to place: a drawn value of each source, and the biases."""
    found, expected = _carried(one), _carried(other)
    if found.keys() != expected.keys():
        return False
    for key, values in expected.items():
        close = ROUNDING * max(1.0, float(np.abs(values).max(initial=0.0)))
        if not np.allclose(found[key], values, rtol=0.0, atol=close):
            return False
    return True


def _carried(network: DynamicNetwork) -> dict[tuple[str, ...], NDArray[Any]]:
    """What arrives of each source at each target after each delay, and of each target's biases."""
    shapes = {i.name: i.shape for i in network.inputs} | {p.name: p.shape for p in network.populations}
    drawn = {name: np.random.default_rng(0).normal(size=shape) for name, shape in shapes.items()}
    found: dict[tuple[str, ...], NDArray[Any]] = {}
    for p in network.projections:
        values = carried(p, drawn[p.source], shapes[p.target])
        key = (p.target, p.source, str(p.delay))
        found[key] = found.get(key, 0.0) + values
        if p.bias is not None:
            found[p.target,] = found.get((p.target,), np.zeros(shapes[p.target])) + p.bias
    return {key: np.asarray(values) for key, values in found.items() if key[1:] or np.any(values)}


def nir_graph(network: SpikingNetwork, plan: Plan, lost: Ledger) -> nir.NIRGraph:
    """The graph of a planned network, accepted by the type check of `nir`."""
    dtype = number_format(network)
    largest = (
        sum(prod(s) for chain in plan.chains for stage in chain for s in stages.weight_shapes(stage)) * dtype.itemsize
    )
    largest += 3 * network.neurons * dtype.itemsize
    if largest > MAX_LOADED_BYTES:
        why = f"needs {largest:,} bytes of weights in NIR, where groups and sums are written out"
        raise NirError(Problem(network.name, why, f"stay below {MAX_LOADED_BYTES:,} bytes"))
    placement = place(network, plan)
    at = placement.populations
    nodes = {at[network.input.name]: nir.Input(input_type={"input": list(network.input.shape)})}
    nodes |= {at[p.name]: population_node(p, dtype) for p in network.populations}
    for names, members in zip(placement.connections, nodes_of(network, plan, dtype), strict=True):
        nodes |= dict(zip(names, members, strict=True))
    metadata = contract.document(network, plan, placement, dtype, lost)
    contract.parse(metadata[contract.KEY])  # whatever is written can be read
    links = list(edges(network, placement))
    if len(nodes) > MAX_NODES or len(links) > MAX_EDGES:
        why = f"needs {len(nodes)} nodes and {len(links)} edges in NIR"
        raise NirError(Problem(network.name, why, f"stay below {MAX_NODES} nodes and {MAX_EDGES} edges"))
    try:
        return nir.NIRGraph(nodes=nodes, edges=links, metadata=metadata)
    except (ValueError, AssertionError) as error:
        raise NirError(
            Problem(network.name, f"is refused by nir {nir.version}: {error}", "please report this network")
        ) from error


def place(network: SpikingNetwork, plan: Plan) -> Placement:
    """A safe name for every node: letters, digits and underscores, `input` and `output` at the ends."""
    taken: set[str] = {"input", "output"}
    populations = {network.input.name: "input", network.output: "output"}
    for population in network.populations:
        if population.name != network.output:
            populations[population.name] = free_name(population.name, taken)
    connections = []
    for connection, chain in zip(network.connections, plan.chains, strict=True):
        names = []
        for stage in chain:
            extra = isinstance(stage, stages.Convolution) and stage.crop
            for suffix in ("pad", "conv") if extra else (stages.kind(stage),):
                names.append(free_name(f"{populations[connection.target]}_{suffix}", taken))
        connections.append(tuple(names))
    return Placement(populations, tuple(connections))


def edges(network: SpikingNetwork, placement: Placement) -> Iterator[tuple[str, str]]:
    """All edges, connection by connection."""
    for connection, names in zip(network.connections, placement.connections, strict=True):
        path = (placement.populations[connection.source], *names, placement.populations[connection.target])
        yield from pairwise(path)
