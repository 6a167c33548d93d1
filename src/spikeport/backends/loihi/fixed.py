"""Networks of fixed-point neurons, which are written for the chip, as placed programs: nothing changes but who is where."""

from __future__ import annotations

from spikeport.backends.loihi.placed import Chip, Group, Placed
from spikeport.backends.loihi.view import View
from spikeport.errors import LowerError, Problem
from spikeport.lower import Part
from spikeport.primitives import DynamicNetwork, Ledger
from spikeport.targets import Target


def place_fixed(network: DynamicNetwork, parts: tuple[Part, ...] = ()) -> Placed:
    """The network as it is."""
    integrator = network.contract.integrator
    assert integrator in ("loihi1", "loihi2")
    groups = tuple(Group(p.name, p.shape, p.neuron) for p in network.populations)  # type: ignore[arg-type]  # of a chip's contract
    return Placed(integrator, network.inputs, groups, network.projections, parts)


def fixed(network: DynamicNetwork, chip: Chip, target: Target | None) -> tuple[View, Ledger]:
    """A hand-made network for the chip, and what the ledger says of it.

    Raises:
        LowerError: neurons of another contract.
    """
    if network.contract.integrator != chip:
        why = f"is stepped by {network.contract.integrator}, and {chip} has its own numerics"
        raise LowerError(
            Problem(network.name, why, f'neurons of DynamicsContract.loihi("{chip}"), for example by `fit`')
        )
    return View(place_fixed(network)), ()
