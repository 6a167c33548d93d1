"""Nested graphs written out: one flat graph whose names say where each node came from, `sub.lif`.

An Input that something leads to, and an Output that leads somewhere, pass values on unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.errors import NirError, Problem
from spikeport.nir.graph import Edge, NirGraph, NirNode


def inlined(graph: NirGraph) -> NirGraph:
    """The same network without nested graphs; metadata of the outermost graph.

    Raises:
        NirError: edges to nodes that do not exist, edges given twice, or a nested graph with several inputs or outputs and an edge that
            does not say which one; all of them.
    """
    problems: list[Problem] = []
    nodes: dict[str, NirNode] = {}
    edges: list[Edge] = []
    _write_out(graph, "", nodes, edges, problems)
    if problems:
        raise NirError(problems)
    return NirGraph(nodes, tuple(edges), graph.metadata, graph.version)


def _write_out(
    graph: NirGraph, prefix: str, nodes: dict[str, NirNode], edges: list[Edge], problems: list[Problem]
) -> None:
    for name, node in graph.nodes.items():
        here = f"{prefix}{name}"
        if node.graph is not None:
            _write_out(node.graph, f"{here}.", nodes, edges, problems)
        elif here in nodes:
            problems.append(Problem(here, "is the name of two nodes once nested graphs are written out", "rename one"))
        else:
            nodes[here] = node
    seen: set[Edge] = set()
    for edge in graph.edges:
        where = f"{prefix}{edge[0]} -> {edge[1]}"
        if edge in seen:
            hint = "NIR has one edge between two nodes; to add a value twice, put a Scale between"
            problems.append(Problem(where, "is given twice", hint))
            continue
        seen.add(edge)
        source = _end(graph.nodes, edge[0], "Output", where, problems)
        target = _end(graph.nodes, edge[1], "Input", where, problems)
        if source is not None and target is not None:
            edges.append((f"{prefix}{source}", f"{prefix}{target}"))


def _end(nodes: Mapping[str, NirNode], name: str, kind: str, where: str, problems: list[Problem]) -> str | None:
    """The node that an edge really meets: of a nested graph its Input or Output."""
    node = nodes.get(name)
    if node is None:
        problems.append(Problem(where, f"{name} is no node of this graph", _alike(nodes, name)))
        return None
    if node.graph is None:
        return name
    ports = node.graph.of_kind(kind)
    if len(ports) != 1:
        why = f"{name} has {len(ports)} nodes of type {kind}, and the edge does not say which one"
        hint = f"write its nodes into this graph, where {', '.join(ports)} have edges of their own" if ports else ""
        problems.append(Problem(where, why, hint))
        return None
    inner = _end(node.graph.nodes, ports[0], kind, where, problems)
    return None if inner is None else f"{name}.{inner}"


def _alike(nodes: Mapping[str, NirNode], name: str) -> str:
    """A way out where an edge names a node inside of a nested graph."""
    first, _, rest = name.partition(".")
    if rest and first in nodes and nodes[first].graph is not None:
        return "it is inside of a nested graph: lead the edge to that graph, or write its nodes into this one"
    return ""
