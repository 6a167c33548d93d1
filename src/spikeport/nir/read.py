"""Read a NIR file that carries our execution contract.

Weights and thresholds come from the NIR nodes, the rest from the contract. The network that results is lowered again, and
every node and edge of the file must be what lowering gives: a file in which graph and contract disagree is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError, Problem
from spikeport.nir import content, contract, stages
from spikeport.nir.checks import network_problems
from spikeport.nir.contract import Declaration, DeclaredConnection, DeclaredPopulation, Placement, Reference
from spikeport.nir.limits import MAX_EDGES, MAX_INTEGER, MAX_NODES
from spikeport.nir.lower import Plan, nodes_of, plan_network, population_node
from spikeport.nir.write import edges
from spikeport.primitives import Accumulator, Connection, Conv, InputEncoder, Population, Shape, SpikingNetwork
from spikeport.storage.hdf5 import Tree

PARAMETERS: Mapping[type, tuple[str, ...]] = {
    nir.Affine: ("weight", "bias"),
    nir.Conv1d: ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias"),
    nir.Conv2d: ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias"),
    nir.Flatten: ("input_type", "start_dim", "end_dim"),
    nir.IF: ("r", "v_threshold", "v_reset"),
    nir.Linear: ("weight",),
    nir.Scale: ("scale",),
    nir.SumPool2d: ("kernel_size", "stride", "padding"),
}
EXPORT_AGAIN = "another tool changed the file; export the network again"


def converted_of(path: str | Path, tree: Tree) -> SpikingNetwork:
    """The network of a tree that carries the contract of a converted network.

    Raises:
        NirError: a contract that does not fit the graph.
    """
    nodes, links, metadata = _graph(path, tree)
    declaration = contract.parse(metadata[contract.KEY])
    arrays = metadata.get(contract.ARRAYS, {})
    network = _restore(declaration, nodes, arrays if isinstance(arrays, dict) else {})
    problems = network_problems(network)
    if problems:
        raise NirError(problems)
    plan, problems = plan_network(network)
    if not problems:
        problems = list(_differences(network, plan, declaration, nodes, links))
    if not problems and contract.digest(network) != declaration.digest:
        why = "was made for other numbers than the file holds: its bounds are not proved for these"
        problems = [Problem(contract.WHERE, why, EXPORT_AGAIN)]
    if not problems and not content.is_sealed(tree):
        problems = [Problem(str(path), "does not hold what was written: its content has another hash", EXPORT_AGAIN)]
    if problems:
        raise NirError(problems)
    return network


def _graph(path: str | Path, tree: Tree) -> tuple[dict[str, Tree], list[tuple[str, str]], Tree]:
    """Nodes, edges and metadata of the file's graph."""
    root = tree.get("node")
    if not isinstance(root, dict) or root.get("type") != "NIRGraph":
        raise NirError(Problem(str(path), "holds no NIR graph", "give a file that nir or spikeport wrote"))
    nodes, links, metadata = root.get("nodes"), root.get("edges"), root.get("metadata", {})
    if not isinstance(nodes, dict) or not isinstance(links, list | np.ndarray) or not isinstance(metadata, dict):
        raise NirError(
            Problem(str(path), "holds a NIR graph without nodes or edges", "give a file that nir or spikeport wrote")
        )
    if len(nodes) > MAX_NODES or len(links) > MAX_EDGES or not all(isinstance(n, dict) for n in nodes.values()):
        raise NirError(Problem(str(path), "holds a NIR graph that is too large or not well formed"))
    return nodes, [(a, b) for a, b in links] if isinstance(links, list) else [], metadata


def _restore(declared: Declaration, nodes: Mapping[str, Tree], arrays: Tree) -> SpikingNetwork:
    """The network of a declaration; what it refers to must exist and hold integers."""
    source = _Source(nodes, arrays)
    network = SpikingNetwork(
        name=declared.name,
        input=_encoder(declared.input, source),
        populations=tuple(_population(p, source) for p in declared.populations),
        connections=tuple(_connection(c, source) for c in declared.connections),
        output=declared.output,
        contract=declared.contract,
        ledger=declared.ledger,
        host_tail=declared.host_tail,
    )
    if source.problems:
        raise NirError(source.problems)
    return network


class _Source:
    """Arrays of a file by reference; what is wrong is collected, and reads as one harmless number."""

    def __init__(self, nodes: Mapping[str, Tree], arrays: Tree) -> None:
        self.nodes = nodes
        self.arrays = arrays
        self.problems: list[Problem] = []

    def number(self, reference: Reference, where: str) -> NDArray[Any]:
        """A metadata array under its own shape."""
        array = self.arrays.get(reference.array or "")
        if not isinstance(array, np.ndarray) or array.size != np.prod(reference.shape, dtype=object):
            self.problems.append(
                Problem(where, f"refers to {reference.array!r}, which is no array of shape {reference.shape}")
            )
            return np.ones(1)
        return array.reshape(reference.shape)

    def integer(self, reference: Reference, where: str) -> NDArray[np.int64]:
        """A metadata array of integers."""
        return self._whole(self.number(reference, where), where)

    def of_node(self, reference: Reference, field: str, where: str) -> NDArray[np.int64]:
        """A node's array where it varies: one value along each axis on which the reference has length 1."""
        array = self._node(reference, field, where)
        lengths = (*(1,) * (array.ndim - len(reference.shape)), *reference.shape)
        if len(lengths) != array.ndim or any(n not in (1, m) for n, m in zip(lengths, array.shape, strict=True)):
            self._misfit(reference, array, where)
            return np.ones(1, dtype=np.int64)
        return self._whole(array[tuple(slice(n) for n in lengths)].reshape(reference.shape), where)

    def kernel(self, reference: Reference, groups: int, where: str) -> NDArray[np.int64]:
        """A convolution's weights among the zeros that the node adds."""
        array = self._node(reference, "weight", where)
        shape = reference.shape
        taps = shape[2:]
        fits = (
            array.ndim == len(shape) == 2 + len(reference.first) == 2 + len(reference.step) and 0 not in reference.step
        )
        if fits:
            parts = zip(reference.first, reference.step, taps, strict=True)
            places = [slice(first, first + step * (n - 1) + 1, step) for first, step, n in parts]
            array = array[(slice(None), slice(None), *places)]
        if not fits or array.shape != (shape[0], shape[1] * groups, *taps) or shape[0] % groups:
            self._misfit(reference, array, where)
            return np.ones((1, 1, 1), dtype=np.int64)
        if groups > 1:
            blocks = array.reshape(groups, shape[0] // groups, groups, shape[1], *taps)
            each = np.arange(groups)
            array = blocks[each, :, each].reshape(shape)
        return self._whole(array, where)

    def _node(self, reference: Reference, field: str, where: str) -> NDArray[Any]:
        array = self.nodes.get(reference.node or "", {}).get(field)
        if not isinstance(array, np.ndarray) or not array.size:
            self.problems.append(
                Problem(where, f"refers to `{field}` of node {reference.node!r}, which the graph lacks", EXPORT_AGAIN)
            )
            return np.ones((1,) * len(reference.shape))
        return array

    def _misfit(self, reference: Reference, array: NDArray[Any], where: str) -> None:
        why = f"declares shape {reference.shape} for node {reference.node!r}, which holds {array.shape}"
        self.problems.append(Problem(where, why, EXPORT_AGAIN))

    def _whole(self, array: NDArray[Any], where: str) -> NDArray[np.int64]:
        if (
            array.dtype.kind not in "fiu"
            or not np.all(np.isfinite(array))
            or not np.all(np.abs(array.astype(float)) <= MAX_INTEGER)
        ):
            self.problems.append(
                Problem(where, f"holds values that are not integers of at most {MAX_INTEGER}", EXPORT_AGAIN)
            )
            return np.ones(array.shape, dtype=np.int64)
        whole = array.astype(np.int64)
        if not np.array_equal(whole, array):
            self.problems.append(Problem(where, "holds numbers that are no integers", EXPORT_AGAIN))
        return whole


def _encoder(declared: DeclaredPopulation, source: _Source) -> InputEncoder:
    arrays = {name: source.number(ref, f"{declared.name}.{name}") for name, ref in declared.arrays.items()}
    fields: dict[str, Any] = {**declared.parameters, **arrays}
    return InputEncoder(name=declared.name, shape=declared.shape, **fields)


def _population(declared: DeclaredPopulation, source: _Source) -> Population:
    arrays = {}
    for name, reference in declared.arrays.items():
        where = f"{declared.name}.{name}"
        if name == "threshold":
            arrays[name] = source.of_node(reference, "v_threshold", where)
        else:
            arrays[name] = source.integer(reference, where)
    return Population(declared.name, declared.shape, declared.kind(**arrays, **declared.parameters))


def _connection(declared: DeclaredConnection, source: _Source) -> Connection:
    where = f"{declared.source} -> {declared.target}"
    synapses = []
    for synapse in declared.synapses:
        arrays: dict[str, NDArray[np.int64]] = {}
        if synapse.weight is not None:
            if synapse.weight.array is not None:
                weight = source.integer(synapse.weight, where)
            elif synapse.kind is Conv:
                weight = source.kernel(synapse.weight, synapse.parameters["groups"], where)
            else:
                field = "scale" if synapse.kind.__name__ == "OneToOne" else "weight"
                weight = source.of_node(synapse.weight, field, where)
            arrays["weight"] = weight
        synapses.append(synapse.kind(**arrays, **synapse.parameters))
    return Connection(declared.source, declared.target, tuple(synapses))


def _differences(
    network: SpikingNetwork, plan: Plan, declared: Declaration, nodes: Mapping[str, Tree], links: list[tuple[str, str]]
) -> Iterator[Problem]:
    """Where the graph of the file is not the one that the network lowers to."""
    placement = Placement(
        {p.name: p.node for p in (declared.input, *declared.populations)}, tuple(c.nodes for c in declared.connections)
    )
    for connection, chain, names in zip(network.connections, plan.chains, placement.connections, strict=True):
        shapes = [shape for stage in chain for shape in stages.weight_shapes(stage)]
        if len(shapes) != len(names):
            yield Problem(connection.name, f"has {len(names)} nodes in the contract, not {len(shapes)}", EXPORT_AGAIN)
            return
        for name, shape in zip(names, shapes, strict=True):  # before any array of these shapes is made
            if shape != _weight_shape(nodes.get(name, {})):
                yield Problem(
                    connection.name, f"needs weights of shape {shape}, which node {name!r} does not hold", EXPORT_AGAIN
                )
                return
    for p in network.populations:
        name = placement.populations[p.name]
        if not isinstance(p.neuron, Accumulator) and p.shape != nodes.get(name, {})["v_threshold"].shape:
            yield Problem(p.name, f"has the shape {p.shape}, which is not that of node {name!r}", EXPORT_AGAIN)
            return
    known = [*placement.populations.values(), *(name for names in placement.connections for name in names)]
    if len(set(known)) != len(known) or set(known) != set(nodes):
        odd = sorted(set(known) ^ set(nodes))[:5] or ["a node named twice"]
        yield Problem("graph", f"has other nodes than its contract: {', '.join(odd)}", EXPORT_AGAIN)
        return
    wanted = list(edges(network, placement))
    if len(links) != len(wanted) or set(links) != set(wanted):
        odd = [f"{a} -> {b}" for a, b in sorted(set(links) ^ set(wanted))][:5] or ["one given twice"]
        yield Problem("graph", f"has other edges than its contract: {', '.join(odd)}", EXPORT_AGAIN)
    dtype = np.dtype(declared.dtype)
    yield from _different(placement.populations[network.input.name], "Input", {"shape": network.input.shape}, nodes)
    for p in network.populations:
        name = placement.populations[p.name]
        if isinstance(p.neuron, Accumulator):
            yield from _different(name, "Output", {"shape": p.shape}, nodes)
        else:
            yield from _different_node(name, population_node(p, dtype), nodes)
    for names, members in zip(placement.connections, nodes_of(network, plan, dtype), strict=True):
        for name, node in zip(names, members, strict=True):
            yield from _different_node(name, node, nodes)


def _weight_shape(node: Tree) -> Shape:
    array = node.get("weight", node.get("scale"))
    return array.shape if isinstance(array, np.ndarray) else ()


def _different_node(name: str, node: nir.NIRNode, nodes: Mapping[str, Tree]) -> Iterator[Problem]:
    values = {field: getattr(node, field) for field in PARAMETERS[type(node)]}
    if isinstance(node, nir.Flatten):
        values["input_type"] = node.input_type["input"]
    yield from _different(name, type(node).__name__, values, nodes)


def _different(name: str, kind: str, values: Mapping[str, Any], nodes: Mapping[str, Tree]) -> Iterator[Problem]:
    found = nodes[name]
    if found.get("type") != kind or set(found) - {"metadata"} != {"type", *values}:
        yield Problem(name, f"is not the {kind} node that its contract declares", EXPORT_AGAIN)
        return
    for field, value in values.items():
        if not isinstance(found[field], np.ndarray) or not np.array_equal(found[field], np.asarray(value)):
            yield Problem(name, f"its `{field}` is not what the contract's integers give", EXPORT_AGAIN)
