"""When things arrive: two networks with the same connections and other delays may give the same spikes at other steps."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.errors import Problem
from spikeport.primitives import DynamicNetwork

Delays = Mapping[tuple[str, str], list[int]]
"""Of all projections from one place to another, rising: steps from sending to arrival."""


def delays(network: DynamicNetwork) -> Delays:
    """Delays with their latency."""
    found: dict[tuple[str, str], list[int]] = {}
    for p in network.projections:
        found.setdefault((p.source, p.target), []).append(p.delay + network.latency_from(p.source))
    return {pair: sorted(steps) for pair, steps in found.items()}


def lags(ours: Delays, theirs: Delays) -> dict[str, int] | Problem:
    """By how many steps each place is later in the other network, inputs at the same time; or where that has no answer.

    What is d steps later at its source and takes e steps more is d + e steps later at its target, whichever way it comes.

    >>> lags({("in", "a"): [0], ("a", "b"): [0]}, {("in", "a"): [1], ("a", "b"): [1]})
    {'in': 0, 'a': 1, 'b': 2}
    >>> lags({("in", "a"): [0], ("a", "a"): [2]}, {("in", "a"): [0], ("a", "a"): [1]}).why
    'takes 2 steps, and 1 would be'
    """
    steps: dict[str, list[tuple[str, int, tuple[str, str]]]] = {}
    for pair, mine in ours.items():
        source, target = pair
        for a, b in zip(mine, theirs[pair], strict=True):
            steps.setdefault(source, []).append((target, b - a, pair))
            steps.setdefault(target, []).append((source, a - b, pair))
    found: dict[str, int] = {}
    for start in steps:
        if start in found:
            continue
        found[start] = 0
        stack = [start]
        while stack:
            at = stack.pop()
            for other, more, pair in steps[at]:
                if other not in found:
                    found[other] = found[at] + more
                    stack.append(other)
                elif found[other] != found[at] + more:
                    taken, would = _steps(ours[pair]), _steps(theirs[pair])
                    hint = "the same delay on all ways, and 1 step round a loop"
                    return Problem(" -> ".join(pair), f"takes {taken} steps, and {would} would be", hint)
    return found


def _steps(values: list[int]) -> str:
    return " and ".join(map(str, values))
