"""Staircase code: counters that climb and descend a table of thresholds, any order of arrival, no reset.

State: V (starts at an offset; input and bias arrive in any order; never reset) and a counter S = 0. The table c[-M+1] <= ... <= c[L]
is of each neuron, or of a channel. In each step, once:

    if S < L and V >= c[S + 1]:    send +1; S += 1
    elif S > -M and V < c[S]:      send -1; S -= 1

Lemma. When the network is quiet, every counter S equals -M + #{k : U >= c[k]}, the count of the integer network.

Proof. V, once all has arrived, is U: nothing is ever subtracted. At rest no rule applies. So S = L or U < c[S + 1], hence U is below
every step beyond S, since c never falls; and S = -M or U >= c[S], hence U has reached every step up to S. The steps it has reached
are those up to S, which are S + M of them. The order, timing and interleaving of arrivals never entered, and the two rules exclude each
other, as V >= c[S + 1] >= c[S] > V would be needed. Sources are at rest before their targets, so by induction over the acyclic graph
all layers equal the integer network. A max unit sends the changes of max_j S_j, which sum to the maximum of the final counts.

A layer of counts clip(floor(U / th), -M, L) is the case c[k] = k * th. A function of bounded variation, GELU or SiLU, is the difference
of two staircases, each of them a layer (`spikeport.quantize.staircases`).

Needs of a target: spikes of both signs, a counter, a table of thresholds for each neuron or channel, no leak, no lower clamp on V; the
membrane holds U alone, which is narrower than under the signed code.

Latency: a first estimate after one step; equality when quiet. Drain: after its last input S moves in one direction, so each layer needs
at most L + M more steps; a network is quiet after P + (sum of L + M along the longest path) steps, P being the steps over which input
and biases are split.

Sample boundary: restore V and S to their initial values; or present the difference of two samples' currents.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.codes.schedule import network_of, presentation_steps, readout_population
from spikeport.codes.signed import drain_bound
from spikeport.primitives import ExecutionContract, MaxUnit, Population, SpikingNetwork, StaircaseIF
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network as counters on tables of thresholds; `steps` as in `presentation_steps`."""
    presentation = presentation_steps(network, steps)
    contract = ExecutionContract(
        code="staircase",
        presentation=presentation,
        max_steps=presentation + drain_bound(network),
        state_bits=network.state_bits,
    )
    return network_of(network, tuple(map(_population, network.layers)), contract)


def table(layer: CountLayer) -> NDArray[np.int64]:
    """Thresholds k * th of a layer of counts, of V with its offset; shape (levels, *threshold)."""
    k = np.arange(layer.low + 1, layer.high + 1).reshape(-1, *(1,) * layer.threshold.ndim)
    return k * layer.threshold


def _population(layer: Layer) -> Population:
    match layer:
        case CountLayer(name, shape, _, bias, offset, low):
            return Population(name, shape, StaircaseIF(table(layer), offset, bias, low))
        case StaircaseLayer(name, shape, steps, bias, low):
            return Population(name, shape, StaircaseIF(steps, np.zeros((), np.int64), bias, low))
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window))
        case Readout():
            return readout_population(layer)
