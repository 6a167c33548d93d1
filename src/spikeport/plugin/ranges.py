"""How large the integers of a network with dynamics get: what proves that 64 bits hold every sum, and what a given state is held to."""

from __future__ import annotations

from math import exp

from spikeport.plugin.driving import LARGEST_INPUT, LARGEST_PAYLOAD
from spikeport.primitives import Analog, DynamicNetwork, DynamicsContract, SigmaDelta, Trace

LARGEST_SUM = 2**62
"""What may be added to a membrane in one step stays below this."""
DECAY_BITS = 12
"""Of integer traces, as chips have it."""
UNBOUNDED = 2**62
"""Stands for no bound of an integer."""


def state_range(contract: DynamicsContract) -> tuple[int, int]:
    """Smallest and largest integer membrane potential."""
    return -(2 ** (contract.state_bits - 1)), 2 ** (contract.state_bits - 1) - 1


def largest_sent(network: DynamicNetwork) -> dict[str, int]:
    """Largest absolute value that integer inputs and populations send in a step."""
    found = {place.name: LARGEST_PAYLOAD if network.contract.chip else LARGEST_INPUT for place in network.inputs}
    for population in network.populations:
        contract = network.contract_of(population.name)
        width = -state_range(contract)[0]
        if isinstance(population.neuron, SigmaDelta):
            found[population.name] = 2 * width  # a difference goes from one end of the range to the other
        elif isinstance(population.neuron, Analog) or contract.spikes == "multi":
            found[population.name] = width
        else:
            found[population.name] = 1
    return found


def sends_several(network: DynamicNetwork) -> dict[str, int]:
    """The same of the populations that may send something else than single spikes."""
    sent = largest_sent(network)
    return {name: sent[name] for name in network.by_name if sent[name] > 1}


def decay_of(trace: Trace, dt: float) -> float:
    """What is left of a trace one step later."""
    return 1.0 if trace.tau is None else exp(-dt / trace.tau)


def integer_decay(trace: Trace, dt: float) -> int:
    """The same in units of 2^-DECAY_BITS."""
    return round(decay_of(trace, dt) * 2**DECAY_BITS)


def largest_trace(trace: Trace, dt: float, sent: int) -> int:
    """Largest absolute value of an integer trace, where what drives it is at most `sent`."""
    limit = UNBOUNDED if trace.limit is None else int(trace.limit)
    if trace.of == "synapse":
        return limit
    step = abs(int(trace.increment)) * (1 if trace.kind == "set" else sent)
    lost = 2**DECAY_BITS - integer_decay(trace, dt)
    bound = step if trace.kind == "set" else step * 2**DECAY_BITS // lost if lost else UNBOUNDED
    return min(limit, bound)
