"""What holds where nobody says otherwise: every default of hand-made networks, in one place."""

from __future__ import annotations

from spikeport.primitives import DynamicsContract

DT = 1e-3
"""Seconds of a step."""
SEED = 0
"""Of the connections that are drawn."""


def default_contract(dt: float) -> DynamicsContract:
    """How hand-made networks are stepped.

    Equations without input are solved exactly ("exponential"), and a spike is a jump of the potential, or of the current, by the weight
    ("delta"), so that the same numbers mean the same under any `dt`. A spike of one step arrives in the next one at the earliest, so
    that loops need no order. Everything else is what `DynamicsContract` says.

    >>> default_contract(1e-3).synapse
    'delta'
    """
    return DynamicsContract(dt=dt, integrator="exponential", synapse="delta", layer_latency=1)
