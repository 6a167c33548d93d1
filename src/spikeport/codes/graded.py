"""Graded code: one event per active neuron, one step a layer.

In step `fires_at` of its layer, when all its input has arrived, a unit sends clip(floor(V / th), -M, L) as the payload of
one event, if that is not zero; on a staircase -M + (number of thresholds of its table that V has reached).

Lemma. The payload equals the count of the integer network.

Proof. Every source of layer l fires in an earlier step than `fires_at(l)`, once, with its count (induction over the
acyclic graph), and all shares of input and bias have been added by then; so V = U. Each layer is exact by inspection.

Needs of a target: payloads (or several spikes in one step), no leak before the layer fires, state cleared for each sample.

Latency: P + depth steps, P being the steps over which input and biases are split (1 for static input: graded chips take
whole integers) and depth the number of layers on the longest path. Drain: none beyond that.

Sample boundary: restore V to its initial value; what is left in V after firing is discarded.
"""

from __future__ import annotations

import numpy as np

from spikeport.codes.schedule import network_of, presentation_steps, readout_population
from spikeport.errors import OptionError, Problem
from spikeport.primitives import ExecutionContract, GradedIF, MaxUnit, Population, SpikingNetwork, StaircaseUnit
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network as graded neurons; `steps` is the number of time bins of event input.

    Raises:
        OptionError: several steps for static input, which enters as whole integers in one.
    """
    if network.input.kind == "static":
        if steps not in (None, 1):
            why = f"is {steps}, and the graded code takes static input as whole integers in one step"
            raise OptionError(Problem("steps", why, "leave it out"))
        steps = 1
    presentation = presentation_steps(network, steps)
    fires_at = firing_steps(network, presentation)
    contract = ExecutionContract(
        code="graded",
        presentation=presentation,
        max_steps=max(fires_at.values()) + 1,
        state_bits=network.state_bits,
    )
    return network_of(network, tuple(_population(layer, fires_at[layer.name]) for layer in network.layers), contract)


def firing_steps(network: IntegerNetwork, presentation: int) -> dict[str, int]:
    """Step in which each layer sends: one after its last source."""
    step = {network.input.name: presentation - 2}
    for layer in network.layers:
        step[layer.name] = 1 + max(step[c.source] for c in network.incoming(layer.name))
    return {name: max(value, presentation - 1) for name, value in step.items() if name != network.input.name}


def _population(layer: Layer, fires_at: int) -> Population:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset, low, high):
            return Population(name, shape, GradedIF(threshold, offset, bias, low, high, fires_at))
        case StaircaseLayer(name, shape, table, bias, low):
            unit = StaircaseUnit(table, np.zeros((), np.int64), bias, low, "payload", fires_at)
            return Population(name, shape, unit)
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window, fires_at))
        case Readout():
            return readout_population(layer)
