"""From a file or an object of `nir` to a `NirGraph`: every entry of every node is one that its type has, and holds what it may.

Structure is checked here (edges join nodes that exist, no edge twice), shapes by `spikeport.nir.shapes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError, Problem
from spikeport.nir.graph import Edge, NirGraph, NirNode
from spikeport.nir.limits import MAX_EDGES, MAX_ELEMENTS, MAX_INTEGER, MAX_NODES
from spikeport.nir.nodes import TYPES, Parameter
from spikeport.nir.storage import read_tree
from spikeport.storage.hdf5 import Tree

KNOWN = (*sorted(TYPES), "NIRGraph")


def read_graph(path: str | Path) -> NirGraph:
    """The graph of a file, as it is.

    Raises:
        FileError: the file cannot be read.
        NirError: it is no NIR file, is damaged or unreasonable; or nodes and edges that NIR does not have, all of them by name.
    """
    return graph_of(read_tree(Path(path)), str(path))


def graph_of(tree: Tree, where: str) -> NirGraph:
    """The graph of a tree as `spikeport.storage.hdf5` reads it.

    Raises:
        NirError: as `read_graph`.
    """
    root = tree.get("node")
    if not isinstance(root, dict) or root.get("type") != "NIRGraph":
        raise NirError(Problem(where, "holds no NIR graph", "give a file that nir or spikeport wrote"))
    problems: list[Problem] = []
    version = tree.get("version", "")
    graph = _graph(root, "", problems, str(version) if isinstance(version, str) else "")
    if problems:
        raise NirError(problems)
    return graph


def graph_from_object(graph: Any) -> NirGraph:
    """The graph of a `nir.NIRGraph`, with the same checks; what is None there is left out.

    Raises:
        NirError: as `read_graph`.
    """
    return graph_of({"node": _tree(graph.to_dict()), "version": ""}, "graph")


def _tree(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _tree(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, str | np.ndarray):
        return value
    if isinstance(value, list | tuple) and value and all(_is_edge(entry) for entry in value):
        return [list(entry) for entry in value]
    return np.asarray(value)


def _is_edge(entry: Any) -> bool:
    return isinstance(entry, list | tuple) and len(entry) == 2 and all(isinstance(name, str) for name in entry)


def _graph(tree: Tree, prefix: str, problems: list[Problem], version: str = "") -> NirGraph:
    where = prefix.rstrip(".") or "graph"
    nodes, links, metadata = tree.get("nodes"), tree.get("edges"), tree.get("metadata", {})
    unknown = sorted(set(tree) - {"type", "nodes", "edges", "metadata", "version"} - {"input_type", "output_type"})
    if unknown:
        problems.append(Problem(where, f"has entries that no NIR graph has: {', '.join(unknown[:5])}"))
    if not isinstance(nodes, dict) or not isinstance(links, list | np.ndarray) or not isinstance(metadata, dict):
        problems.append(Problem(where, "has no nodes or no edges", "give a file that nir or spikeport wrote"))
        return NirGraph({}, ())
    if len(nodes) > MAX_NODES or len(links) > MAX_EDGES:
        problems.append(Problem(where, f"has more than {MAX_NODES:,} nodes or {MAX_EDGES:,} edges"))
        return NirGraph({}, ())
    made = {}
    for name, node in nodes.items():
        here = f"{prefix}{name}"
        if not isinstance(node, dict) or not isinstance(node.get("type"), str):
            problems.append(Problem(here, "says no type", f"one of {', '.join(KNOWN)}"))
        elif node["type"] == "NIRGraph":
            made[name] = NirNode("NIRGraph", {}, _graph(node, f"{here}.", problems), _metadata(node))
        elif node["type"] not in TYPES:
            problems.append(Problem(here, f"is of type {node['type'][:60]!r}", f"NIR has {', '.join(KNOWN)}"))
        else:
            made[name] = NirNode(node["type"], dict(_parameters(node, here, problems)), None, _metadata(node))
    edges: list[Edge] = [(a, b) for a, b in links] if isinstance(links, list) else []
    if not isinstance(links, list) and links.size:
        problems.append(Problem(where, "has edges that are no pairs of names"))
    return NirGraph(made, tuple(edges), metadata, version)


def _metadata(node: Tree) -> Tree:
    found = node.get("metadata", {})
    return found if isinstance(found, dict) else {}


def _parameters(node: Tree, where: str, problems: list[Problem]) -> Iterator[tuple[str, NDArray[Any] | str]]:
    kind = TYPES[node["type"]]
    known = {p.name for p in kind.parameters}
    # `nir` derives these from the others, and does not write them
    unknown = sorted(set(node) - known - {"type", "metadata", "input_type", "output_type"})
    if unknown:
        why = f"has parameters that {node['type']} does not: {', '.join(name[:40] for name in unknown[:5])}"
        problems.append(Problem(where, why, f"it has {', '.join(p.name for p in kind.parameters)}"))
    for parameter in kind.parameters:
        here = f"{where}.{parameter.name}"
        if parameter.name not in node:
            if parameter.absent is None and not parameter.inferred:
                problems.append(Problem(here, f"is missing, and every {node['type']} has one"))
            continue
        value = node[parameter.name]
        if isinstance(value, dict):  # a node's own types, as objects of `nir` have them
            value = value.get("input")
            if value is None:
                continue
        found = list(_wrong(value, parameter, here))
        problems += found
        if not found:
            yield parameter.name, value if isinstance(value, str) else np.asarray(value)


def _wrong(value: Any, parameter: Parameter, where: str) -> Iterator[Problem]:
    """What is wrong with the value of a parameter."""
    if isinstance(value, str):
        if parameter.holds != "padding" or value not in ("same", "valid"):
            choice = ', or "same" or "valid"' if parameter.holds == "padding" else ""
            yield Problem(where, f"is the text {value[:40]!r}", f"numbers{choice}")
        return
    if isinstance(value, list):
        yield Problem(where, "is a table of texts, not numbers")
        return
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        yield Problem(where, f"is of type {array.dtype}, not numbers")
        return
    if parameter.ranks is not None and array.ndim not in parameter.ranks:
        wanted = " or ".join(map(str, parameter.ranks))
        yield Problem(where, f"has shape {array.shape}, and {wanted} axes are meant")
        return
    if array.size > MAX_ELEMENTS or (array.size == 0 and parameter.holds != "numbers"):
        yield Problem(where, f"has shape {array.shape}, which is empty or too large")
        return
    if not np.isfinite(array).all():
        yield Problem(where, "is not finite everywhere")
        return
    if parameter.holds == "positive" and not (array > 0).all():
        yield Problem(where, f"must be positive, and its smallest value is {array.min()}")
    if parameter.holds in ("whole", "shape", "padding"):
        least = 1 if parameter.holds == "shape" else 0
        if (array != np.rint(array)).any() or (array < least).any() or (array > MAX_INTEGER).any():
            yield Problem(where, f"is {array.tolist()}, and integers from {least} on are meant")
