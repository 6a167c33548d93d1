"""Loihi 2 as far as its own neurons go: converted networks on CUBA-LIF units, which carry the population code."""

from __future__ import annotations

from dataclasses import replace

from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Feature, NeuronModel, SynapseKind, Target, find_target


def cuba_lif(network: SpikingNetwork | DynamicNetwork) -> dict[str, str]:
    """Options of the backend; networks written by hand bring neurons of their own."""
    return {"neuron": "cuba_lif"} if isinstance(network, SpikingNetwork) else {}


def loihi2_without_microcode() -> Target:
    """What is left of the target; networks written by hand are for the whole one."""
    known = find_target("loihi2")
    assert known.features is not None
    assert known.neurons is not None
    assert known.synapses is not None
    return replace(
        known,
        features=replace(known.features, value=frozenset[Feature](["many units"])),
        neurons=replace(known.neurons, value=frozenset[NeuronModel]()),
        # sparse ones are those of networks written by hand
        synapses=replace(known.synapses, value=known.synapses.value - frozenset[SynapseKind](["sparse"])),
    )
