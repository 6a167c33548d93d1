"""Which nodes of a flat NIR graph keep what arrives, and so become populations, and in which order these are updated.

Neurons do; and as a `Relay`, which sums within the step, a linear node where several edges meet or none leads to, one that the contract's
order names, an Output of the network that no single population feeds, and what a projection cannot say: a delay of what was added before it.
Under `bias_register="weighted"` a projection's bias is as late as the projection; so there a bias behind a delay is kept, and a delay behind
a bias only where elements have different ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.nodes import TYPES
from spikeport.primitives.nir_contract import NirContract

Kept = dict[str, Literal["neuron", "relay"]]
Arriving = Mapping[str, Sequence[str]]


def kept_nodes(graph: NirGraph, arriving: Arriving, inputs: Sequence[str], contract: NirContract) -> Kept:
    """The nodes that become populations."""
    found: Kept = {}
    for name, node in graph.nodes.items():
        if name in inputs:
            continue
        if TYPES[node.kind].group == "neuron":
            found[name] = "neuron"
        elif name in contract.order or len(arriving[name]) != 1:
            found[name] = "relay"
    single = {n for n, group in found.items() if group == "neuron" or passes(graph[n])}
    """What an Output can read as it is."""
    for name in graph.ends:
        if name not in found and name not in inputs and arriving[name][0] not in single:
            found[name] = "relay"
    _keep_late_biases(graph, arriving, inputs, contract, found)
    for name in _loops_without(graph, arriving, found):
        found[name] = "relay"
    return found


def passes(node: NirNode) -> bool:
    """Whether a node gives what it takes."""
    return node.kind in ("Input", "Output") or (node.kind == "Scale" and bool((node["scale"] == 1).all()))


def _keep_late_biases(
    graph: NirGraph, arriving: Arriving, inputs: Sequence[str], contract: NirContract, found: Kept
) -> None:
    late = contract.dynamics.bias_register == "weighted"
    since: dict[str, tuple[bool, bool]] = {}
    """Of each node: whether something was added, and whether something was delayed, since the last place that keeps something."""
    for start in graph.nodes:
        chain = []
        name = start
        while name not in since and name not in chain:
            chain.append(name)
            if name in inputs or name in found:
                break
            name = arriving[name][0]
        for name in reversed(chain):
            node = graph[name]
            stated = TYPES[node.kind].group != "neuron" and "bias" in contract.nodes.get(name, {})
            if name in found and passes(node):
                stated = False  # a bias of what it keeps, and not of what leaves it
            adds = stated or ("bias" in node.parameters and bool(np.any(node["bias"])))
            delays = node.kind == "Delay"
            if name not in inputs and name not in found:
                added, delayed = since.get(arriving[name][0], (False, False))
                uneven = delays and bool(np.ptp(node["delay"]) > 0)
                if (adds and delayed) if late and not uneven else (delays and added):
                    found[name] = "relay"
                else:
                    adds, delays = adds or added, delays or delayed
            since[name] = adds, delays


def _loops_without(graph: NirGraph, arriving: Arriving, kept: Kept) -> Iterator[str]:
    """One node of each loop that passes no kept node; with one edge into each node such loops are apart."""
    state: dict[str, int] = {}
    for start in graph.nodes:
        trail: list[str] = []
        name = start
        while name not in kept and name not in state and len(arriving[name]) == 1:
            state[name] = id(trail)
            trail.append(name)
            name = arriving[name][0]
        if name in trail:
            yield name


def depth_first(graph: NirGraph, inputs: Sequence[str], kept: Kept) -> list[str]:
    """Kept nodes from the inputs on, each behind those that lead to it, so that only loops lead backwards."""
    after: list[str] = []
    done: set[str] = set()
    targets: dict[str, list[str]] = {node: [] for node in graph.nodes}
    for a, b in graph.edges:
        targets[a].append(b)
    for start in (*inputs, *graph.nodes):
        if start in done:
            continue
        done.add(start)
        stack = [(start, iter(targets[start]))]
        while stack:
            name, rest = stack[-1]
            following = next((t for t in rest if t not in done), None)
            if following is None:
                after.append(name)
                stack.pop()
            else:
                done.add(following)
                stack.append((following, iter(targets[following])))
    return [name for name in reversed(after) if name in kept]
