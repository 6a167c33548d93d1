"""Clocks of populations: how a network whose layers answer within a step runs on a chip where each spike takes one.

A population l runs its own step t in step t + depth(l) of the chip. What s sends in its step t, which is t + depth(s) of the chip,
arrives 1 + d steps later; it is due in step t + latency + delay of l, which is t + latency + delay + depth(l) of the chip. So

    d = latency + delay + depth(l) - depth(s) - 1

has to lie between 0 and the longest delay of a synapse. With the least depths for which no d is negative, the spikes of every
population are those of the network, `depth` steps later, for every code: nothing else of the network looks at the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spikeport.errors import Problem


@dataclass(frozen=True, slots=True)
class Edge:
    """From a line or population to a population: steps from sending to arrival in the network's own time."""

    source: str
    target: str
    steps: int

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"


def depths(lines: Iterable[str], populations: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Least depth of each population; lines have 0.

    >>> depths(["in"], ["a", "b"], [Edge("in", "a", 0), Edge("a", "b", 0), Edge("in", "b", 0)])
    {'in': 0, 'a': 1, 'b': 2}
    """
    found = dict.fromkeys((*lines, *populations), 0)
    # a loop takes as many steps in the network as it has edges, or the network would wait for itself
    for _ in range(len(found) + 1):
        changed = False
        for edge in edges:
            least = found[edge.source] + 1 - edge.steps
            if least > found[edge.target]:
                found[edge.target], changed = least, True
        if not changed:
            return found
    raise AssertionError("a loop without delays")


def delay_of(edge: Edge, depth: dict[str, int]) -> int:
    """Of the chip's synapse, besides its latency."""
    return edge.steps + depth[edge.target] - depth[edge.source] - 1


def delay_problems(edges: Sequence[Edge], depth: dict[str, int], longest: int) -> list[Problem]:
    """Edges whose delay the chip does not have, by name."""
    problems = []
    for edge in edges:
        delay = delay_of(edge, depth)
        if delay > longest:
            why = f"needs a delay of {delay} steps on the chip, whose synapses have 0 to {longest}"
            problems.append(
                Problem(edge.name, why, "relay it through a population between, or shorten the path beside it")
            )
    return problems
