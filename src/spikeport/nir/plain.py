"""What a reader of NIR without our contract sees otherwise: entries for the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikeport.nir.lower import Plan, channel_bias
from spikeport.primitives import (
    Accumulator,
    Approximation,
    GradedIF,
    Ledger,
    SignedIF,
    SpikingNetwork,
)

BY_RATES = "statistical: rates of plain IF neurons come near the integers over many steps, and single spikes are others"
"""What the graph of a converted network is worth to a tool that steps it as it stands."""
POTENTIAL = "of membrane potential"


def remarks(network: SpikingNetwork, plan: Plan) -> Ledger:
    """Two entries for the file, one for its input, its read-out and each population, and one for each bias that NIR cannot hold."""
    return tuple(_remarks(network, plan))


def _remarks(network: SpikingNetwork, plan: Plan) -> Iterator[Approximation]:
    contract = network.contract
    yield Approximation(
        network.name,
        f"without our metadata the NIR file is a plain IF network, approximate: one step of {contract.dt:g} s counts as one unit of "
        f"time, and biases enter as 1/{contract.presentation} in each step, without end, not as whole shares of {contract.presentation} steps",
        0.0,
    )
    yield Approximation(network.name, f"without our metadata the NIR file is {BY_RATES}", 0.0)
    if network.input.kind == "static":
        what = f"plain NIR takes the encoded integers, divided by {contract.presentation}, in each step; the encoder is metadata"
    else:
        what = "plain NIR takes event counts in each step; their declared maximum is metadata"
    yield Approximation(network.input.name, what, 0.0)
    for population in network.populations:
        match population.neuron:
            case SignedIF(initial=initial):
                what = "plain NIR is an IF neuron without negative spikes and saturating counter, fires above the threshold only, resets to zero"
                yield Approximation(
                    population.name, f"{what}, and starts at 0", float(np.abs(initial).max()), POTENTIAL
                )
            case GradedIF(initial=initial):
                what = "plain NIR is an IF neuron that sends single spikes above the threshold at any step, not one payload, resets to zero"
                yield Approximation(
                    population.name, f"{what}, and starts at 0", float(np.abs(initial).max()), POTENTIAL
                )
            case Accumulator(scale=scale):
                what = f"plain NIR leaves the sum over steps, and the scale {scale:.6g}, to the reader of the output"
                yield Approximation(population.name, what, 0.0)
            case _:
                continue
        if not np.any(population.neuron.bias):
            continue
        if population.name not in plan.carriers:
            largest = float(np.abs(population.neuron.bias).max())
            yield Approximation(
                population.name, "plain NIR has no place for the bias; it is metadata", largest, POTENTIAL
            )
            continue
        _, error = channel_bias(population)
        if error:
            what = "plain NIR has one bias a channel; the bias of each position is metadata"
            yield Approximation(population.name, what, error, POTENTIAL)
    for name in network.host_tail:
        yield Approximation(network.output, f"plain NIR ends before {name}, which runs on the host", 0.0)
