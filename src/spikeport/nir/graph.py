"""A NIR graph as a value: what a file says, nothing added, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.storage.hdf5 import Tree

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class NirNode:
    """A node: one of `spikeport.nir.nodes.TYPES` with its parameters, or "NIRGraph" with a graph of its own."""

    kind: str
    parameters: Mapping[str, NDArray[Any] | str] = field(default_factory=dict)
    """Arrays, read only; "same" or "valid" for a padding. What the file leaves out is not here."""
    graph: NirGraph | None = None
    metadata: Tree = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen = {
            name: value if isinstance(value, str) else _read_only(value) for name, value in self.parameters.items()
        }
        object.__setattr__(self, "parameters", MappingProxyType(frozen))

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An array."""
        value = self.parameters[name]
        assert not isinstance(value, str)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class NirGraph:
    """Nodes by name, in the order of the file (which `nir` sorts), and edges from name to name in order."""

    nodes: Mapping[str, NirNode]
    edges: tuple[Edge, ...]
    metadata: Tree = field(default_factory=dict)
    version: str = ""
    """Of the `nir` that wrote the file; empty: not said."""
    passing: frozenset[str] = frozenset()
    """Outputs of nested graphs that are written out here: they pass on what they take, and are none of the network's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))

    def __getitem__(self, name: str) -> NirNode:
        return self.nodes[name]

    @property
    def ends(self) -> tuple[str, ...]:
        """Outputs of the network, in order; an edge may lead on from one."""
        return tuple(name for name in self.of_kind("Output") if name not in self.passing)

    def sources(self, name: str) -> tuple[str, ...]:
        """Where the edges into a node begin, in order."""
        return tuple(a for a, b in self.edges if b == name)

    def targets(self, name: str) -> tuple[str, ...]:
        """Where the edges from a node end, in order."""
        return tuple(b for a, b in self.edges if a == name)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Names of the nodes of a type, in order."""
        return tuple(name for name, node in self.nodes.items() if node.kind == kind)


def _read_only(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array
