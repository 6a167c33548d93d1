"""What a NIR graph says, as tables for people and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError
from spikeport.nir.declared import KEY
from spikeport.nir.fields import load
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.inline import inlined
from spikeport.nir.loops import loops
from spikeport.nir.repair import repaired, with_ways_out
from spikeport.nir.shapes import Shapes, infer
from spikeport.primitives import Ledger

MAX_SAID = 120
"""Characters of a metadata entry that are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A graph with what follows from it."""

    graph: NirGraph
    shapes: Mapping[str, Shapes]
    """By the names of nodes once nested graphs are written out; empty where they do not fit together."""
    loops: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]
    """Why shapes or loops are not known."""
    repairs: Ledger = ()
    """What the file has otherwise."""

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def values(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "version": self.graph.version,
            "nodes": [_node_values(name, node, self.shapes) for name, node in walk(self.graph)],
            "edges": [list(edge) for edge in all_edges(self.graph)],
            "loops": [list(names) for names in self.loops],
            "metadata": {name: plain(value) for name, value in self.graph.metadata.items() if name != KEY},
            "contract": contract_values(self.graph),
            "problems": list(self.problems),
            "repairs": [{"node": entry.node, "what": entry.what} for entry in self.repairs],
        }


def shown(graph: NirGraph, *, repair: bool = False) -> Shown:
    """A graph with its shapes and loops; what keeps them from being known is said, not raised.

    Args:
        repair: show what it is once repaired, and what was done; where it has no edges even so, the graph as it is.
    """
    if repair:
        try:
            made, repairs = repaired(graph)
        except NirError as error:
            return replace(shown(graph), problems=tuple(map(str, error.problems)))
        return replace(shown(made), repairs=repairs)
    try:
        flat = inlined(graph)
    except NirError as error:
        return Shown(graph, {}, (), tuple(map(str, with_ways_out(error, graph).problems)))
    try:
        return Shown(graph, infer(flat), loops(flat), ())
    except NirError as error:
        return Shown(graph, {}, loops(flat), tuple(map(str, with_ways_out(error, graph).problems)))


def walk(graph: NirGraph, prefix: str = "") -> Iterator[tuple[str, NirNode]]:
    """All nodes, those of nested graphs after their graph, by the names that writing them out gives."""
    for name, node in graph.nodes.items():
        yield f"{prefix}{name}", node
        if node.graph is not None:
            yield from walk(node.graph, f"{prefix}{name}.")


def all_edges(graph: NirGraph, prefix: str = "") -> Iterator[tuple[str, str]]:
    """All edges as the file has them, those of nested graphs with their graph's name before."""
    for a, b in graph.edges:
        yield f"{prefix}{a}", f"{prefix}{b}"
    for name, node in graph.nodes.items():
        if node.graph is not None:
            yield from all_edges(node.graph, f"{prefix}{name}.")


def contract_values(graph: NirGraph) -> dict[str, Any] | None:
    """The execution contract in the file as it stands there, None where there is none that is JSON."""
    text = graph.metadata.get(KEY)
    try:
        found = load(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def plain(value: Any) -> Any:
    """An entry of the metadata as JSON has it; NaN and infinities as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _node_values(name: str, node: NirNode, shapes: Mapping[str, Shapes]) -> dict[str, Any]:
    here = shapes.get(name)
    return {
        "name": name,
        "type": node.kind,
        "input": None if here is None else list(here.source),
        "output": None if here is None else list(here.target),
        "parameters": {key: _parameter_values(value) for key, value in node.parameters.items()},
    }


def _parameter_values(value: NDArray[Any] | str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"value": value}
    said: dict[str, Any] = {"shape": list(value.shape), "dtype": str(value.dtype), "count": int(value.size)}
    return said | ({"least": value.min().item(), "greatest": value.max().item()} if value.size else {})


def _lines(shown: Shown) -> Iterator[str]:
    graph = shown.graph
    rows = [("node", "type", "in -> out", "parameters")]
    for name, node in walk(graph):
        here = shown.shapes.get(name)
        said = "" if here is None else f"{_shape(here.source)} -> {_shape(here.target)}"
        rows.append((name, node.kind, said, "; ".join(_parameter(k, v) for k, v in node.parameters.items())))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])).rstrip()
    yield ""
    yield "edges"
    for a, b in all_edges(graph):
        yield f"  {a} -> {b}"
    for names in shown.loops:
        yield f"loop: {', '.join(names)}"
    yield from map(str, shown.repairs)
    for problem in shown.problems:
        yield f"problem: {problem}"
    if graph.version:
        yield f"written by nir {graph.version}"
    for name, value in graph.metadata.items():
        if name != KEY:
            text = str(plain(value))
            yield f"metadata {name}: {text if len(text) <= MAX_SAID else text[:MAX_SAID] + '...'}"
    contract = contract_values(graph)
    if contract is None:
        yield "no execution contract: the file leaves time step, integrator, reset and initial state open"
    else:
        yield "execution contract"
        for key, value in fields_of(contract):
            yield f"  {key}: {value}"


def fields_of(contract: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every entry of a contract, `dynamics.dt`, with its value; what says nothing is left out."""
    for key, value in contract.items():
        if isinstance(value, Mapping):
            yield from fields_of(value, f"{prefix}{key}.")
        elif value not in ([], ""):
            yield f"{prefix}{key}", value


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _parameter(name: str, value: NDArray[Any] | str) -> str:
    if isinstance(value, str):
        return f"{name} {value}"
    if value.size == 0:
        return f"{name} empty"
    least, greatest = value.min(), value.max()
    numbers = f"{least:.6g}" if least == greatest else f"{least:.6g}..{greatest:.6g}"
    return f"{name} {numbers}" + (f" ({_shape(value.shape)} {value.dtype})" if value.ndim else "")
