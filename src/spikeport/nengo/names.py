"""Paths of Nengo's objects: their labels, or what they are and which, below those of the networks around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spikeport.nengo.draft import Draft

Names = dict[Any, str]


def paths(network: Any, draft: Draft) -> Names:
    """A path for each ensemble and node, none twice, and the same in every run: `cortex/v1`, `ensemble 0`."""
    found: Names = {}
    taken: set[str] = set()
    for prefix, inner in _networks(network, ""):
        for kind, objects in (("ensemble", inner.ensembles), ("node", inner.nodes)):
            for i, obj in enumerate(objects):
                name, number = prefix + (_plain(obj.label) or f"{kind} {i}"), 1
                path = name
                while path in taken:
                    number += 1
                    path = f"{name} {number}"
                taken.add(path)
                found[obj] = path
    return found


def _networks(network: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    yield prefix, network
    for i, inner in enumerate(network.networks):
        yield from _networks(inner, f"{prefix}{_plain(inner.label) or f'network {i}'}/")


def connections(network: Any) -> Iterator[Any]:
    """In the order in which they are built: those of inner networks first."""
    for inner in network.networks:
        yield from connections(inner)
    yield from network.connections


def _plain(label: Any) -> str:
    """A label without what separates paths and quantities."""
    return str(label or "").translate(str.maketrans("/.", "__"))
