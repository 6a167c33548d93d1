"""Population code: an activation of L levels is L threshold units with the same input, each firing at most once.

Unit k = 1 .. L fires if U + Theta - k * th >= Theta: the level stands in the unit's bias, the threshold Theta is one for all units
and above every sum that can arrive. One spike is one count.

Lemma. The number of units that fire is clip(floor(U / th), 0, L).

Proof. Unit k fires exactly if U >= k * th, that is if k <= floor(U / th); the number of such k in 1 .. L is the clipped quotient. All
input of a layer arrives in the step in which it fires: without layer latency one wave crosses the whole network in one step, skips and
concatenations included, and biases enter with the wave, once. Units have a fresh state, and Theta > U rules out that one fires
twice where a spike subtracts Theta, so the kind of reset does not matter.

On a staircase unit k has the level c[k] of its table in place of k * th: it fires exactly if U >= c[k], and c never falls. Levels may
be negative there; Theta is above U - c[1] too, so that what a spike leaves, U - c[k], is below it.

Layers with counts of both signs are carried by two populations (`spikeport.codes.unsigned`). A maximum over banks is the maximum of
their numbers of spikes; unit for unit it is an OR, since lower units of a bank fire whenever higher ones do.

Needs of a target: threshold units, L times as many, with L times the synapses (a convolution with L times the channels), alike in
state and threshold; hard reset will do. With layer latency, skips need delays or relays.

Latency: one wave. Spikes: one a count, at most L a bank. Drain: none.

Sample boundary: fresh state, or memoryless units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.codes.schedule import network_of, readout_population, require_state
from spikeport.codes.unsigned import split_signs
from spikeport.errors import OptionError, Problem
from spikeport.primitives import ExecutionContract, MaxUnit, Population, SpikingNetwork, StaircaseBank, UnitBank
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    Interval,
    Layer,
    MaxLayer,
    NeuronLayer,
    Readout,
    StaircaseLayer,
    partial_sums,
)


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network as banks of threshold units that one wave crosses.

    Raises:
        OptionError: several steps, since a wave carries the whole sample; units that would need more than `state_bits` with the
            common threshold; a maximum over both signs.
    """
    if steps not in (None, 1):
        why = f"is {steps}, and the population code takes a sample in one wave"
        raise OptionError(Problem("steps", why, "leave it out; sum events into one frame"))
    network = split_signs(network, "population")
    sums = partial_sums(network)
    counting = [layer for layer in network.layers if isinstance(layer, NeuronLayer)]
    require_state("population", network, {layer.name: _membrane(layer, sums[layer.name]) for layer in counting})
    populations = tuple(_population(layer, sums[layer.name]) for layer in network.layers)
    contract = ExecutionContract(code="population", presentation=1, max_steps=1, state_bits=network.state_bits)
    return network_of(network, populations, contract)


def _ends(layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest level of the units, 0 among them."""
    if isinstance(layer, StaircaseLayer):
        return layer.steps[0].clip(max=0), layer.steps[-1].clip(min=0)
    return np.zeros((), np.int64), layer.threshold * layer.high


def _common(layer: NeuronLayer, sums: Interval) -> int:
    """Theta: above U and U - c[k] in all units, and positive."""
    lowest, _ = _ends(layer)
    return int((sums.high.clip(min=0) + 1 - lowest).max())


def _membrane(layer: NeuronLayer, sums: Interval) -> Interval:
    """Interval of V + Theta - c[k] over all units, and of V + Theta; Theta itself is in it where any unit can fire."""
    (lowest, highest), common = _ends(layer), _common(layer, sums)
    return Interval(sums.low + common - highest, sums.high + common - lowest)


def _population(layer: Layer, sums: Interval) -> Population:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset, _, high):
            return Population(name, shape, UnitBank(threshold, offset, bias, high, _common(layer, sums), 0))
        case StaircaseLayer(name, shape, table, bias):
            bank = StaircaseBank(table, np.zeros((), np.int64), bias, _common(layer, sums), 0)
            return Population(name, shape, bank)
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window))
        case Readout():
            return readout_population(layer)
