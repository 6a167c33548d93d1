"""What the codes share: how long data is presented, and the parts of a network that no code changes."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.errors import OptionError, Problem
from spikeport.primitives import Accumulator, Approximation, ExecutionContract, Population, SpikingNetwork
from spikeport.quantize import IntegerNetwork, Interval, NeuronLayer, Readout, bits

MAX_STEPS = 2**20
"""Most steps of a presentation; far more than any network needs."""


def presentation_steps(network: IntegerNetwork, steps: int | None) -> int:
    """Steps over which input and biases are split: `steps`, or the largest L among the layers that the input feeds."""
    if steps is not None:
        if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= MAX_STEPS:
            why, hint = f"is {steps!r}", f"give 1 to {MAX_STEPS:,} steps, or None for one a level"
            raise OptionError(Problem("steps", why, hint))
        return steps
    first = [network[c.target] for c in network.connections if c.source == network.input.name]
    levels = [layer.high for layer in first if isinstance(layer, NeuronLayer)]
    return max(levels or [layer.high for layer in network.layers if isinstance(layer, NeuronLayer)], default=1)


def require_state(code: str, network: IntegerNetwork, membranes: Mapping[str, Interval]) -> None:
    """Refuse a code whose membranes need more bits than the network has, naming every layer.

    Raises:
        OptionError: they do.
    """
    hint = 'convert with more state_bits, or use code="signed"'
    problems = [
        Problem(name, f"needs {bits(held)} bits of membrane under the {code} code, and has {network.state_bits}", hint)
        for name, held in membranes.items()
        if bits(held) > network.state_bits
    ]
    if problems:
        raise OptionError(problems)


def readout_population(layer: Readout) -> Population:
    return Population(layer.name, layer.shape, Accumulator(layer.bias, layer.scale))


def network_of(
    network: IntegerNetwork, populations: tuple[Population, ...], contract: ExecutionContract
) -> SpikingNetwork:
    """A `SpikingNetwork` with the integer network's connections and ledger."""
    entries = list(network.ledger)
    if network.input.kind == "static":
        why = "the first layer's weights times the input are computed on the host and arrive as a current"
        entries.append(Approximation(network.input.name, why, 0.0))
    tail = tuple("log_softmax" if op.log else "softmax" for op in network.host_tail)
    entries += [
        Approximation(network.readout.name, f"{name} after the read-out runs on the host", 0.0) for name in tail
    ]
    return SpikingNetwork(
        name="network",
        input=network.input,
        populations=populations,
        connections=network.connections,
        output=network.readout.name,
        contract=contract,
        ledger=tuple(entries),
        host_tail=tail,
    )
