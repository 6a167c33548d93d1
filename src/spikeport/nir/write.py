"""Write a spiking network as a NIR file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from math import prod
from pathlib import Path

import nir

from spikeport.errors import NirError, Problem
from spikeport.files import replacing
from spikeport.nir import content, contract, stages
from spikeport.nir.checks import network_problems
from spikeport.nir.contract import Placement
from spikeport.nir.limits import MAX_EDGES, MAX_LOADED_BYTES, MAX_NODES
from spikeport.nir.lower import Plan, nodes_of, number_format, plan_network, population_node
from spikeport.nir.plain import remarks
from spikeport.primitives import Ledger, SpikingNetwork


def to_nir(network: SpikingNetwork, path: str | Path) -> Ledger:
    """Write a network with its execution contract as metadata, whole or not at all.

    Returns:
        What plain NIR cannot say: entries for the ledger.

    Raises:
        NirError: everything in the network that is not well formed or has no form in NIR.
        FileError: the file cannot be written.
    """
    problems = network_problems(network)
    if problems:
        raise NirError(problems)
    plan, problems = plan_network(network)
    if problems:
        raise NirError(problems)
    lost = remarks(network, plan)
    graph = nir_graph(network, plan, lost)
    packed = BytesIO()
    nir.write(packed, graph)
    with replacing(path) as temporary:
        content.write_sealed(temporary, packed)
    return lost


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
            populations[population.name] = _free(population.name, taken)
    connections = []
    for connection, chain in zip(network.connections, plan.chains, strict=True):
        names = []
        for stage in chain:
            extra = isinstance(stage, stages.Convolution) and stage.crop
            for suffix in ("pad", "conv") if extra else (stages.kind(stage),):
                names.append(_free(f"{populations[connection.target]}_{suffix}", taken))
        connections.append(tuple(names))
    return Placement(populations, tuple(connections))


def edges(network: SpikingNetwork, placement: Placement) -> Iterator[tuple[str, str]]:
    """All edges, connection by connection."""
    for connection, names in zip(network.connections, placement.connections, strict=True):
        path = (placement.populations[connection.source], *names, placement.populations[connection.target])
        yield from pairwise(path)


def _free(name: str, taken: set[str]) -> str:
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60] or "_"
    result, count = safe, 1
    while result in taken:
        count += 1
        result = f"{safe}_{count}"
    taken.add(result)
    return result
