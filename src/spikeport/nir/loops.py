"""Which nodes of a flat graph lie on loops."""

from __future__ import annotations

from collections.abc import Iterator

from spikeport.nir.graph import NirGraph


def loops(graph: NirGraph) -> tuple[tuple[str, ...], ...]:
    """Nodes that reach each other, or themselves, together; in the order of the graph.

    Edges to nodes that do not exist are passed over.
    """
    forward: dict[str, list[str]] = {name: [] for name in graph.nodes}
    back: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        if a in forward and b in forward:
            forward[a].append(b)
            back[b].append(a)
    finished: list[str] = []
    seen: set[str] = set()
    for name in graph.nodes:
        if name not in seen:
            finished += _finished(name, forward, seen)
    found, placed = [], set[str]()
    for name in reversed(finished):
        if name not in placed:
            members = set(_finished(name, back, placed))
            if len(members) > 1 or name in forward[name]:
                found.append(tuple(n for n in graph.nodes if n in members))
    places = {name: place for place, name in enumerate(graph.nodes)}
    return tuple(sorted(found, key=lambda members: places[members[0]]))


def _finished(start: str, edges: dict[str, list[str]], seen: set[str]) -> list[str]:
    """Nodes reached from one that were not seen before, each after all that it leads to."""
    seen.add(start)
    done: list[str] = []
    path: list[tuple[str, Iterator[str]]] = [(start, iter(edges[start]))]
    while path:
        name, rest = path[-1]
        following = next((n for n in rest if n not in seen), None)
        if following is None:
            done.append(name)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(edges[following])))
    return done
