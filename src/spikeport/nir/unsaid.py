"""What of a network's execution contract a reader of plain NIR does not know, and the network does otherwise than NIR's equations say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikeport.primitives import (
    IF,
    LIF,
    Analog,
    Approximation,
    CubaLIF,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    I,
    Threshold,
    remark,
)

_OTHER = {
    ("reset", "subtract"): "that a reset subtracts the threshold",
    ("reset_when", "next_step"): "that a reset comes before the next step",
    ("reset_when", "after_next_update"): "that a reset comes after the next update",
    ("compare", ">="): "that spikes are sent at the threshold too",
    ("spikes", "multi"): "that several spikes are sent in a step",
    ("synapse", "delta"): "that spikes jump into the potential",
    ("current_order", "old"): "that the membrane takes the current of the step before",
}
"""By field and value, what NIR's equations have otherwise."""


def unsaid(network: DynamicNetwork) -> Iterator[Approximation]:
    """One entry for the step, one for each population that steps otherwise, and for latency, order and loops where they matter."""
    contract = network.contract
    yield remark(
        network.name,
        f"plain NIR says no step and no integrator: {contract.dt:g} s, {contract.integrator}, are in our metadata",
    )
    for population in network.populations:
        own = list(_of(population, network.contract_of(population.name)))
        if own:
            yield Approximation(
                population.name, f"plain NIR does not say {', nor '.join(own)}: other tools step without", 0.0
            )
    if contract.layer_latency and any(network.latency_from(p.source) for p in network.projections):
        yield Approximation(
            network.name, "plain NIR has no latency of layers: other tools may be a step early at each", 0.0
        )
    place = {p.name: i for i, p in enumerate(network.populations)}
    loops = [p for p in network.projections if place.get(p.source, -1) >= place[p.target]]
    for p in loops:
        yield Approximation(
            p.name,
            "plain NIR does not say where a loop keeps its step, nor in which order populations are updated",
            0.0,
        )
    late = [p for p in network.projections if p.bias is not None and np.any(p.bias) and p.delay]
    for p in late:
        where = "behind" if contract.bias_register == "weighted" else "before"
        yield Approximation(
            p.name,
            f"plain NIR does not say that what is late is kept {where} the weights: its bias may begin elsewhere",
            0.0,
        )
    if contract.arithmetic == "integer":
        what = f"plain NIR has no integers of {contract.state_bits} bits that {contract.overflow}"
        yield Approximation(network.name, what, 0.0)


def _of(population: DynamicPopulation, contract: DynamicsContract) -> Iterator[str]:
    neuron = population.neuron
    fires = not isinstance(neuron, Analog)
    resets = fires and not isinstance(neuron, Threshold)
    matters = {
        "reset": resets,
        "reset_when": resets,
        "compare": fires,
        "spikes": fires,
        "synapse": isinstance(neuron, LIF | IF | I | CubaLIF),
        "current_order": isinstance(neuron, CubaLIF),
    }
    for (field, value), what in _OTHER.items():
        if matters[field] and getattr(contract, field) == value:
            yield what
    if isinstance(neuron, IF | I) and contract.integrator == "accumulate" and contract.synapse == "current":
        yield "that input counts by steps and not by seconds"
    if contract.initial != "zero" and np.any(np.asarray(getattr(neuron, contract.initial, 0.0)) != 0):
        yield f"that potentials start at {contract.initial}"
