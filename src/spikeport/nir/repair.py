"""Defects of NIR files in the wild that have one plain remedy, repaired when somebody asks for it; each repair is an entry of the ledger.

    missing ends       a node that nothing leads to gets an Input where there is none, or where it could not run without; where there is no
                       Output, every node that leads nowhere gets one
    short parameters   one value, or one a channel, is written out for all neurons of what enters (`shapes.spreads`)
    leaked axes        batch and time in the shape of an Output, and leading axes of length 1 in that of an Input, are dropped
    names of edges     `sub.in1` for a node inside of a nested graph; a nested graph without Input or Output (`inline.mended`)

The repaired graph is flat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from spikeport.errors import NirError, Problem
from spikeport.nir.graph import Edge, NirGraph, NirNode
from spikeport.nir.inline import inlined, mended
from spikeport.nir.limits import MAX_ELEMENTS
from spikeport.nir.names import free_name
from spikeport.nir.nodes import TYPES
from spikeport.nir.shapes import Shapes, fills, infer, integers, node_shapes, parameter_shapes, propagated, spreads
from spikeport.primitives import Approximation, Ledger, Shape

WAY_OUT = "repair=True (--repair) does it, and enters it in the ledger"
MAX_WRITTEN = 2**25
"""Numbers that are written out in one graph."""


def repaired(graph: NirGraph) -> tuple[NirGraph, Ledger]:
    """A flat graph without the defects that have a remedy, and what was done, node by node; what has none is left as it is.

    Raises:
        NirError: edges that say nothing even so, or more values to write out than anybody has meant.
    """
    flat, names = mended(graph)
    work = _Repair(flat)
    work.inputs()
    work.shapes()
    work.outputs()
    return work.graph(), (*names, *work.entries)


def with_ways_out(error: NirError, graph: NirGraph, build: Callable[[NirGraph], object] | None = None) -> NirError:
    """The same error, where a repair helps with a hint that says so. Whether it does is tried.

    Args:
        build: what refused the graph; default: writing out nested graphs and working out shapes.
    """
    try:
        made, ledger = repaired(graph)
    except NirError:
        return error
    if not ledger:
        return error
    left: tuple[Problem, ...] = ()
    try:
        (build or _shapes)(made)
    except NirError as still:
        left = still.problems
    kept = {(problem.where, problem.why) for problem in left}
    problems = [p if (p.where, p.why) in kept else replace(p, hint=_either(p.hint)) for p in error.problems]
    return NirError(problems)


def _either(hint: str) -> str:
    return f"{WAY_OUT}; or {hint}" if hint else WAY_OUT


def _shapes(graph: NirGraph) -> None:
    infer(inlined(graph))


class _Repair:
    def __init__(self, flat: NirGraph) -> None:
        self.nodes = dict(flat.nodes)
        self.edges = list(flat.edges)
        self.flat = flat
        self.entries: list[Approximation] = []
        self.found: dict[str, Shapes] = {}
        self.before: dict[str, list[str]] = {}
        """Where the edges into each node begin."""
        self.odd: set[str] = set()
        """Nodes that do not fit what enters them, and all behind them: what they give says nothing of others."""
        self.written = 0

    def graph(self) -> NirGraph:
        return NirGraph(self.nodes, tuple(self.edges), self.flat.metadata, self.flat.version, self.flat.passing)

    def inputs(self) -> None:
        """An Input for nodes that nothing leads to."""
        fed = {b for _, b in self.edges}
        loose = [name for name, node in self.nodes.items() if name not in fed and node.kind not in ("Input", "Output")]
        entered = any(node.kind == "Input" and name not in fed for name, node in self.nodes.items())
        if entered:
            # the others run on what they have; these do not
            loose = [n for n in loose if TYPES[self.nodes[n].kind].group != "neuron" and self.nodes[n].kind != "Affine"]
        shapes = {name: _own(self.nodes[name]) for name in loose}
        known = {name: found.source for name, found in shapes.items() if found is not None}
        for name, shape in known.items():
            self._end("Input", "input" if len(known) == 1 and not entered else f"input_{name}", shape, name)

    def outputs(self) -> None:
        """An Output for nodes that lead nowhere, where there is none."""
        if any(node.kind == "Output" for node in self.nodes.values()):
            return
        leading = {a for a, _ in self.edges}
        loose = [name for name in self.nodes if name not in leading and name in self.found]
        for name in loose:
            self._end("Output", "output" if len(loose) == 1 else f"output_{name}", self.found[name].target, name)

    def _end(self, kind: str, wanted: str, shape: Shape, beside: str) -> None:
        name = free_name(wanted, set(self.nodes))
        self.nodes[name] = NirNode(kind, {"shape": np.array(shape, dtype=np.int64)})
        edge: Edge = (name, beside) if kind == "Input" else (beside, name)
        self.edges.append(edge)
        loose = "nothing led to" if kind == "Input" else "led nowhere"
        self._say(name, f"an {kind} of shape {shape} was added, at {beside}, which {loose}")

    def shapes(self) -> None:
        """Parameters and ports as what enters wants them, from the inputs on."""
        flat = self.graph()
        self.before = {name: [] for name in flat.nodes}
        after: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for a, b in flat.edges:
            after[a].append(b)
            self.before[b].append(a)
        for name in flat.of_kind("Input"):
            if not self.before[name]:
                self._input(name, [self.nodes[target] for target in after[name]])

        def waits(name: str, entering: Shape | None) -> Shapes | None:
            node = self.nodes[name]
            if entering is None and self.before[name] and (fills(node.kind) or TYPES[node.kind].group == "port"):
                return None
            return self._fitted(name, entering)

        self.found = propagated(flat, waits, self._fitted)

    def _fitted(self, name: str, entering: Shape | None) -> Shapes | None:
        node = self.nodes[name]
        if entering is not None and fills(node.kind):
            self._fill(name, node, entering)
        odd = not self.odd.isdisjoint(self.before[name])
        if entering is not None and not odd and TYPES[node.kind].group == "port":
            shape = integers(node["shape"])
            if len(shape) > len(entering) and shape[-len(entering) :] == entering:
                self._reshape(name, shape, entering)
        try:
            shapes = node_shapes(self.nodes[name], entering)
        except ValueError:
            return None
        if odd or (shapes is not None and entering not in (None, shapes.source)):
            self.odd.add(name)
        return shapes

    def _input(self, name: str, behind: list[NirNode]) -> None:
        """Drop leading axes of length 1 that no node behind takes."""
        shape = integers(self.nodes[name]["shape"])
        wanted = {own.source for own in map(_own, behind) if own is not None}
        if len(wanted) != 1:
            return
        (taken,) = wanted
        extra = len(shape) - len(taken)
        if extra > 0 and set(shape[:extra]) == {1} and shape[extra:] == taken:
            self._reshape(name, shape, taken)

    def _reshape(self, name: str, shape: Shape, becomes: Shape) -> None:
        node = self.nodes[name]
        self.nodes[name] = NirNode(node.kind, {"shape": np.array(becomes, dtype=np.int64)}, None, node.metadata)
        self._say(name, f"its shape {shape}, with axes of a batch or of time, became {becomes}")

    def _fill(self, name: str, node: NirNode, entering: Shape) -> None:
        shapes = parameter_shapes(node)
        short = {p: shape for p, shape in shapes.items() if shape != entering}
        if not short or not all(spreads(shape, entering) for shape in short.values()):
            return
        self.written += len(short) * prod(entering)
        if prod(entering) > MAX_ELEMENTS or self.written > MAX_WRITTEN:
            why = f"its parameters would be written out for {entering}, more than {MAX_WRITTEN:,} values in all"
            raise NirError(Problem(name, why, "write out what the file should hold"))
        full = {p: _spread(node[p], entering) if p in short else node.parameters[p] for p in shapes}
        self.nodes[name] = NirNode(node.kind, full, None, node.metadata)
        said = ", ".join(f"{p} {shape}" for p, shape in short.items())
        self._say(name, f"written out for {entering}: {said}")

    def _say(self, name: str, what: str) -> None:
        self.entries.append(Approximation(name, f"repaired: {what}", 0.0))


def _own(node: NirNode) -> Shapes | None:
    """The shapes of a node that its own entries say."""
    try:
        return node_shapes(node, None)
    except ValueError:
        return None


def _spread(array: Any, to: Shape) -> Any:
    while array.ndim > len(to):
        array = array[0]
    return np.array(np.broadcast_to(array, to))
