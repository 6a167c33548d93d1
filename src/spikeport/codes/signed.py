"""Signed code: ternary counting neurons with drain, any order of arrival. The default.

State: membrane V (starts at the offset h; input and bias arrive in any order) and counter S = 0. In each step, once:

    if V >= th and S < L:    send +1; V -= th; S += 1
    elif V < 0 and S > -M:   send -1; V += th; S -= 1

Lemma. When the network is quiet, every counter S equals clip(floor(U / th), -M, L), the count of the integer network.

Proof. V + th * S = h + b + (sum of what was received) = U is invariant under both rules. At rest no rule applies. If
-M < S < L then 0 <= V < th, so S = floor(U / th). If S = L then V >= 0, so U >= th * L. If S = -M then V < th, so
U < th * (1 - M) and floor(U / th) <= -M. The order, timing and interleaving of arrivals never entered. Sources are at
rest before their targets, so by induction over the acyclic graph all layers equal the integer network. A max unit sends
the changes of max_j S_j, which sum to the maximum of the final counts.

Staircase layers keep V = U and step along a table instead, by the lemma of `spikeport.codes.staircase`.

Needs of a target: spikes of both signs, a saturating counter, no leak, no lower clamp on V, a membrane as wide as the
proved interval [N - th * L, P + th * M].

Latency: a first estimate after one step; equality when quiet. Drain: after its last input S moves monotonically, so each
layer needs at most L + M more steps; a network is quiet after P + (sum of L + M along the longest path) steps, P being
the steps over which input and biases are split.

Sample boundary: restore V, S to their initial values; or present the difference of two samples' currents, since only the
total U matters.
"""

from __future__ import annotations

import numpy as np

from spikeport.codes.schedule import network_of, presentation_steps, readout_population
from spikeport.primitives import ExecutionContract, MaxUnit, Population, SignedIF, SpikingNetwork, StaircaseIF
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, NeuronLayer, Readout, StaircaseLayer


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network as ternary counting neurons; `steps` as in `presentation_steps`."""
    presentation = presentation_steps(network, steps)
    contract = ExecutionContract(
        code="signed",
        presentation=presentation,
        max_steps=presentation + drain_bound(network),
        state_bits=network.state_bits,
    )
    return network_of(network, tuple(map(_population, network.layers)), contract)


def _population(layer: Layer) -> Population:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset, low, high):
            return Population(name, shape, SignedIF(threshold, offset, bias, low, high))
        case StaircaseLayer(name, shape, table, bias, low):
            return Population(name, shape, StaircaseIF(table, np.zeros((), np.int64), bias, low))
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window))
        case Readout():
            return readout_population(layer)


def drain_bound(network: IntegerNetwork) -> int:
    """Most steps the network can go on firing after its last input: the largest sum of L + M along a path."""
    after = {network.input.name: 0}
    for layer in network.layers:
        own = layer.high - layer.low if isinstance(layer, NeuronLayer) else 0
        after[layer.name] = own + max(after[c.source] for c in network.incoming(layer.name))
    return after[network.readout.name]
