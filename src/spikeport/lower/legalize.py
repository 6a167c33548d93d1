"""Everything that stands between a network and a target, at once, by the facts of the target alone."""

from __future__ import annotations

from spikeport.lower import converted, hand_made, learning, structure
from spikeport.lower.bill import take_stock
from spikeport.lower.cut import Cut
from spikeport.lower.findings import Findings
from spikeport.lower.membranes import Held, held
from spikeport.lower.place import weighs_input
from spikeport.lower.wiring import wiring_of
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Target


def legalize(
    network: SpikingNetwork | DynamicNetwork,
    target: Target,
    *,
    cut: Cut | None = None,
    bounds: dict[str, Held] | None = None,
) -> Findings:
    """Hold a network against a target.

    Args:
        network: a converted one under one code, or one written by hand.
        target: facts that are None refuse nothing, and those that are not enforced are notes.
        cut: populations that the host keeps.
        bounds: intervals of the network, where they are known already.

    Returns:
        Reasons by node, notes, losses and the bill; nothing was left out after the first reason.
    """
    found = Findings(target)
    wiring = wiring_of(network, cut, input_on_chip=weighs_input(target))
    structure.operators(wiring, found)
    structure.joints(wiring, found)
    structure.maps(wiring, found)
    structure.widths(wiring, found)
    own = network.contract.layer_latency
    structure.delays(wiring, own, found)
    if isinstance(network, DynamicNetwork):
        hand_made.neurons(network, wiring, found)
        hand_made.parameters(network, wiring, found)
        hand_made.meaning(network, wiring, found)
        learning.plasticity(network, found)
    else:
        converted.features(network, wiring, found)
        converted.numbers(network, wiring, bounds or held(network), found)
        converted.entering(network, wiring, found)
        converted.meaning(network, found)
    take_stock(wiring, found)
    return found
