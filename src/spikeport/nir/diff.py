"""What differs between two NIR graphs; the order of nodes and edges does not count, names are data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.nir.declared import KEY
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.show import all_edges, contract_values, fields_of, plain, walk

What = Literal["node", "parameter", "edge", "contract", "metadata"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs."""

    what: What
    where: str
    how: str
    values: int = 0
    """Of an array: how many differ."""
    largest: float = 0.0
    """Of an array: the largest difference."""

    def __str__(self) -> str:
        return f"{self.what} {self.where}: {self.how}"


def differences(first: NirGraph, second: NirGraph) -> tuple[Difference, ...]:
    """All of them: nodes, their parameters, edges, the contract, metadata. Who wrote the file does not count."""
    return (
        *_nodes(dict(walk(first)), dict(walk(second))),
        *_edges(first, second),
        *_contract(first, second),
        *_metadata(first, second),
    )


def values_of(found: tuple[Difference, ...]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [asdict(difference) for difference in found]


def _nodes(first: dict[str, NirNode], second: dict[str, NirNode]) -> Iterator[Difference]:
    for name in sorted(first.keys() | second.keys()):
        if name not in second:
            yield Difference("node", name, f"{first[name].kind} is only in the first")
        elif name not in first:
            yield Difference("node", name, f"{second[name].kind} is only in the second")
        elif first[name].kind != second[name].kind:
            yield Difference("node", name, f"is {first[name].kind} in the first, {second[name].kind} in the second")
        else:
            yield from _parameters(name, first[name], second[name])


def _parameters(name: str, first: NirNode, second: NirNode) -> Iterator[Difference]:
    for key in sorted(first.parameters.keys() | second.parameters.keys()):
        where = f"{name}.{key}"
        if key not in second.parameters:
            yield Difference("parameter", where, "is only in the first")
        elif key not in first.parameters:
            yield Difference("parameter", where, "is only in the second")
        else:
            yield from _values(where, first.parameters[key], second.parameters[key])


def _values(where: str, a: NDArray[Any] | str, b: NDArray[Any] | str) -> Iterator[Difference]:
    if isinstance(a, str) or isinstance(b, str):
        if not (isinstance(a, str) and isinstance(b, str) and a == b):
            yield Difference("parameter", where, f"is {plain(a)} in the first, {plain(b)} in the second")
        return
    if a.shape != b.shape:
        yield Difference("parameter", where, f"has shape {a.shape} in the first, {b.shape} in the second")
        return
    count = int(np.count_nonzero(a != b))
    if count:
        with np.errstate(over="ignore"):  # differences of the largest floats
            # integers beyond 2**53 would lose their difference as floats
            largest = float(np.max(np.abs(np.subtract(a, b, dtype=object if a.dtype.kind in "iu" else np.float64))))
        largest = min(largest, float(np.finfo(np.float64).max))
        how = f"{count:,} of {a.size:,} values differ, by at most {largest:.6g}"
        yield Difference("parameter", where, how, count, largest)
    if a.dtype != b.dtype:
        yield Difference("parameter", where, f"is {a.dtype} in the first, {b.dtype} in the second")


def _edges(first: NirGraph, second: NirGraph) -> Iterator[Difference]:
    a, b = sorted(all_edges(first)), sorted(all_edges(second))
    for edge in sorted({*a, *b}):
        counts = a.count(edge), b.count(edge)
        where = f"{edge[0]} -> {edge[1]}"
        if counts[1] == 0:
            yield Difference("edge", where, "is only in the first")
        elif counts[0] == 0:
            yield Difference("edge", where, "is only in the second")
        elif counts[0] != counts[1]:
            yield Difference("edge", where, f"is given {counts[0]} times in the first, {counts[1]} in the second")


def _contract(first: NirGraph, second: NirGraph) -> Iterator[Difference]:
    found = [contract_values(graph) for graph in (first, second)]
    if found[0] is None or found[1] is None:
        if first.metadata.get(KEY) != second.metadata.get(KEY):
            yield Difference("contract", KEY, f"is only in the {'second' if found[0] is None else 'first'}")
        return
    a, b = dict(fields_of(found[0])), dict(fields_of(found[1]))
    for key in sorted(a.keys() | b.keys()):
        if key != "writer" and a.get(key) != b.get(key):
            yield Difference(
                "contract", key, f"is {a.get(key, 'not said')} in the first, {b.get(key, 'not said')} in the second"
            )


def _metadata(first: NirGraph, second: NirGraph) -> Iterator[Difference]:
    owned = [("", first.metadata, second.metadata)]
    nodes = dict(walk(first)), dict(walk(second))
    owned += [
        (f"{name}.", node.metadata, nodes[1][name].metadata) for name, node in nodes[0].items() if name in nodes[1]
    ]
    for prefix, a, b in owned:
        for key in sorted((a.keys() | b.keys()) - {KEY}):
            if plain(a.get(key)) != plain(b.get(key)):
                yield Difference("metadata", f"{prefix}{key}", "differs")
