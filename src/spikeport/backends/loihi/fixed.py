"""Networks of fixed-point neurons, which are written for the chip, as placed programs: nothing changes but who is where."""

from __future__ import annotations

from spikeport.backends.loihi.placed import Group, Placed
from spikeport.lower import Part
from spikeport.primitives import DynamicNetwork


def place_fixed(network: DynamicNetwork, parts: tuple[Part, ...] = ()) -> Placed:
    """The network as it is."""
    integrator = network.contract.integrator
    assert integrator in ("loihi1", "loihi2")
    groups = tuple(Group(p.name, p.shape, p.neuron) for p in network.populations)  # type: ignore[arg-type]  # of a chip's contract
    return Placed(integrator, network.inputs, groups, network.projections, parts)
