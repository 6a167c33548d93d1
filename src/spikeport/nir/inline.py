"""Nested graphs written out: one flat graph whose names say where each node came from, `sub.lif`.

An Input that something leads to, and an Output that leads somewhere, pass values on unchanged.
"""

from __future__ import annotations

from spikeport.errors import NirError, Problem
from spikeport.nir.graph import Edge, NirGraph, NirNode
from spikeport.primitives import Approximation, Ledger


def inlined(graph: NirGraph) -> NirGraph:
    """The same network without nested graphs; metadata of the outermost graph.

    Raises:
        NirError: edges to nodes that do not exist, edges given twice, or a nested graph with several inputs or outputs and an edge that
            does not say which one; all of them.
    """
    return _WriteOut(graph, mend=False).flat


def mended(graph: NirGraph) -> tuple[NirGraph, Ledger]:
    """The same, where edges may also name nodes inside of nested graphs, as they are called once written out, and a nested graph without
    an Input or Output is entered or left at the one node that nothing inside leads to, or that leads nowhere; with what was read so.

    Raises:
        NirError: as `inlined`.
    """
    made = _WriteOut(graph, mend=True)
    return made.flat, tuple(made.entries)


class _WriteOut:
    def __init__(self, graph: NirGraph, *, mend: bool) -> None:
        self.mend = mend
        self.entries: list[Approximation] = []
        self.problems: list[Problem] = []
        self.nodes: dict[str, NirNode] = {}
        self.graphs: dict[str, NirGraph] = {}
        """Nested ones."""
        self.edges: dict[Edge, None] = {}
        self._collect(graph, "")
        self._lead(graph, "")
        if self.problems:
            raise NirError(self.problems)
        nested = {a for a, _ in self.edges} - set(graph.ends)
        passing = frozenset(name for name in nested if self.nodes[name].kind == "Output")
        self.flat = NirGraph(self.nodes, tuple(self.edges), graph.metadata, graph.version, passing)

    def _collect(self, graph: NirGraph, prefix: str) -> None:
        for name, node in graph.nodes.items():
            here = f"{prefix}{name}"
            if here in self.nodes or here in self.graphs:
                why = "is the name of two nodes once nested graphs are written out"
                self.problems.append(Problem(here, why, "rename one"))
            elif node.graph is not None:
                self.graphs[here] = node.graph
                self._collect(node.graph, f"{here}.")
            else:
                self.nodes[here] = node

    def _lead(self, graph: NirGraph, prefix: str) -> None:
        for name, node in graph.nodes.items():
            if node.graph is not None:
                self._lead(node.graph, f"{prefix}{name}.")
        seen: set[Edge] = set()
        for edge in graph.edges:
            where = f"{prefix}{edge[0]} -> {edge[1]}"
            if edge in seen:
                hint = "NIR has one edge between two nodes; to add a value twice, put a Scale between"
                self.problems.append(Problem(where, "is given twice", hint))
                continue
            seen.add(edge)
            source, target = (
                self._end(graph, prefix, name, kind, where)
                for name, kind in zip(edge, ("Output", "Input"), strict=True)
            )
            if source is None or target is None:
                continue
            if (source, target) in self.edges:
                hint = "NIR has one edge between two nodes; leave one of them out"
                self.problems.append(
                    Problem(where, f"is an edge from {source} to {target}, which is there already", hint)
                )
            self.edges[source, target] = None

    def _end(self, graph: NirGraph, prefix: str, name: str, kind: str, where: str) -> str | None:
        """The node that an edge of a graph really meets: of a nested graph its Input or Output."""
        if name in graph.nodes:
            return self._inside(f"{prefix}{name}", kind, where)
        found = next((n for n in (f"{prefix}{name}", name) if n in self.nodes or n in self.graphs), None)
        if found is None or not self.mend:
            nested = "" if found is None else "it is inside of a nested graph: lead the edge to that graph, "
            hint = nested and f"{nested}or write its nodes into this one"
            self.problems.append(Problem(where, f"{name} is no node of this graph", hint))
            return None
        met = self._inside(found, kind, where)
        if met is not None:
            why = f"repaired: {name}, which is no node of this graph, was read as {met}"
            self.entries.append(Approximation(where, why, 0.0))
        return met

    def _inside(self, name: str, kind: str, where: str) -> str | None:
        graph = self.graphs.get(name)
        if graph is None:
            return name
        ports = graph.of_kind(kind)
        if not ports and self.mend:
            side = 1 if kind == "Input" else 0
            joined = {edge[side] for edge in graph.edges}
            ports = tuple(n for n in graph.nodes if n not in joined and graph[n].kind not in ("Input", "Output"))
            if len(ports) == 1:
                loose = "nothing inside leads to" if kind == "Input" else "leads nowhere"
                why = f"repaired: {name} has no {kind}, and {ports[0]} was taken, the only node that {loose}"
                self.entries.append(Approximation(where, why, 0.0))
            else:
                ports = ()
        if len(ports) != 1:
            why = f"{name} has {len(ports)} nodes of type {kind}, and the edge does not say which one"
            hint = f"write its nodes into this graph, where {', '.join(ports)} have edges of their own" if ports else ""
            self.problems.append(Problem(where, why, hint))
            return None
        return self._inside(f"{name}.{ports[0]}", kind, where)
