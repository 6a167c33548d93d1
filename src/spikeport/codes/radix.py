"""Radix code: counts in binary, most significant bit first, K = log2(L + 1) steps a layer.

In step k of its phase a unit compares V with th * w, w = 2**(K - 1 - k); if V reaches it the unit sends one spike and
subtracts th * w. The spike is worth w to all who receive it: they shift weights by the clock, or double V once a step.

Lemma. With L = 2**K - 1 the spikes of a unit are the binary digits of clip(floor(U / th), 0, L).

Proof. All input has arrived before the phase (induction over the acyclic graph), so V = U at its start. If U < th no comparison
holds, and all digits are 0. Otherwise let q = floor(U / th). Successive approximation keeps V = U - th * (digits so far) and sets
the digit of w exactly if floor(V / th) >= w: for q <= L this is binary expansion, and for q > L every comparison holds, all digits
are 1, and the value is L. The receiver adds w * W for each spike, in any order within the phase, W * n in sum.

A staircase layer finds its digits in a table c of any length below 2**K: with s the digits so far, w is one of them exactly if
c[s + w] exists and U >= c[s + w]. That is bisection for the number of steps that U has reached, since c never falls.

Maxima: after each step max_j S_j over a window is the maximum of the prefixes, which is the prefix of the maximum, since cutting
off low digits keeps the order. So a max unit sends 0 or w in each step, a digit of the maximum, with no delay; all its sources must
be in phase.

Layers with counts of both signs are carried by two populations (`spikeport.codes.unsigned`).

Needs of a target: binary spikes, a threshold that halves with the clock, weights that do (or a V that doubles), for staircases a table to choose thresholds from, no leak, no lower
clamp on V; phases.

Latency: P + K * depth steps. Spikes: at most K a neuron. Drain: none beyond the last phase.

Sample boundary: restore V to its initial value.
"""

from __future__ import annotations

import numpy as np

from spikeport.codes.schedule import network_of, presentation_steps, readout_population
from spikeport.codes.unsigned import split_signs
from spikeport.errors import OptionError, Problem
from spikeport.primitives import ExecutionContract, MaxUnit, Population, RadixIF, SpikingNetwork, StaircaseUnit
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, NeuronLayer, Readout, StaircaseLayer


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network with binary digits as spikes; `steps` is the number of time bins of event input.

    Raises:
        OptionError: levels that are not 2**K - 1, maxima over sources out of phase or over both signs; all of them.
    """
    network = split_signs(network, "radix")
    presentation = presentation_steps(network, 1 if steps is None and network.input.kind == "static" else steps)
    ready = phases(network, presentation)
    problems = [*_levels(network), *_maxima(network, ready)]
    if problems:
        raise OptionError(problems)
    populations = tuple(_population(layer, ready[layer.name]) for layer in network.layers)
    contract = ExecutionContract(
        code="radix",
        presentation=presentation,
        max_steps=ready[network.readout.name],
        state_bits=network.state_bits,
    )
    return network_of(network, populations, contract)


def phases(network: IntegerNetwork, presentation: int) -> dict[str, int]:
    """Step after which each layer has sent everything."""
    ready = {network.input.name: presentation}
    for layer in network.layers:
        own = layer.high.bit_length() if isinstance(layer, NeuronLayer) else 0
        ready[layer.name] = own + max(ready[c.source] for c in network.incoming(layer.name))
    return ready


def _levels(network: IntegerNetwork) -> list[Problem]:
    """Layers whose highest count has a digit 0: successive approximation would go beyond it."""
    counting = [layer for layer in network.layers if isinstance(layer, CountLayer)]
    hint = "convert with levels of 1, 3, 7, 15, 31, ..."
    return [
        Problem(layer.name, f"has {layer.high} levels; the radix code needs 2**K - 1", hint)
        for layer in counting
        if layer.high & (layer.high + 1)
    ]


def _maxima(network: IntegerNetwork, ready: dict[str, int]) -> list[Problem]:
    """Maxima whose sources do not send the same digit in the same step."""
    problems = []
    for layer in network.layers:
        sources = {c.source for c in network.incoming(layer.name)} - {network.input.name}
        if isinstance(layer, MaxLayer) and len({(ready[name], _digits(network, name)) for name in sources}) > 1:
            why = "takes the maximum over layers that are not in phase"
            problems.append(Problem(layer.name, why, 'use code="signed"'))
    return problems


def _digits(network: IntegerNetwork, name: str) -> int:
    layer = network[name]
    if isinstance(layer, NeuronLayer):
        return layer.high.bit_length()
    return max(
        (_digits(network, c.source) for c in network.incoming(name) if c.source != network.input.name), default=0
    )


def _population(layer: Layer, ready: int) -> Population:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset, _, high):
            bits = high.bit_length()
            return Population(name, shape, RadixIF(threshold, offset, bias, bits, ready - bits))
        case StaircaseLayer(name, shape, table, bias):
            unit = StaircaseUnit(table, np.zeros((), np.int64), bias, 0, "digits", ready - layer.high.bit_length())
            return Population(name, shape, unit)
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window))
        case Readout():
            return readout_population(layer)
