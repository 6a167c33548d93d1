"""Projections that learn against a target."""

from __future__ import annotations

from spikeport.lower.findings import Findings, shown
from spikeport.primitives import DynamicNetwork

HINT = 'plasticity=None carries the weights as they are; "reference" and "native" learn'


def plasticity(network: DynamicNetwork, found: Findings) -> None:
    """Refuse every rule where nothing steps rules."""
    offered = found.target.known("plasticity", frozenset())
    if "rule" in offered:
        return
    for name, place in network.plastic.items():
        rule = network.projections[place].plasticity
        assert rule is not None
        does = (
            f"its learning ({shown(offered)}) is not run from here" if offered else "no learning is known of the target"
        )
        found.refuse("plasticity", name, f"learns by {rule.name}, and {does}", (), HINT)
