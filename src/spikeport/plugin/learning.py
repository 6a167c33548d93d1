"""Projections that learn before a backend that may never have heard of it: none carries them as if they did not."""

from __future__ import annotations

from collections.abc import Iterator

from spikeport.errors import Problem
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Target


def learning_problems(network: SpikingNetwork | DynamicNetwork, target: Target, backend: str) -> Iterator[Problem]:
    """Every rule where the target does not say that any `Rule` is stepped."""
    if not isinstance(network, DynamicNetwork) or "rule" in target.known("plasticity", frozenset()):
        return
    hint = 'on="native" or "reference"; plasticity=None carries the weights as they are'
    for name, place in network.plastic.items():
        rule = network.projections[place].plasticity
        assert rule is not None
        yield Problem(name, f"learns by {rule.name}, which {backend!r} does not step", hint)
