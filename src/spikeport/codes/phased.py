"""Phased code: plain integrate-and-fire units with binary spikes, one phase a layer.

A layer integrates while its sources have their phases, held down by a charge R above every sum that can arrive. In step
`opens_at` a release event adds R, in step `closes_at = opens_at + L` a closing event takes it away again; in between the unit
fires in every step in which V reaches the threshold, and subtracts it.

Lemma. A unit sends clip(floor(U / th), 0, L) spikes, all of them in the first steps of its phase.

Proof. Before the phase V = U(t) - R < th, since U(t), with whatever has arrived, is below R: nothing fires. In step `opens_at`
all input has arrived (sources close before, by induction over the acyclic graph), so V = U from then on but for the spikes sent:
after s of them V = U - s * th, and the unit fires once more exactly if U >= (s + 1) * th. It does so in every step until
s = floor(U / th) or the L steps are over; if U < th it never does. After the phase V <= U - R < th. The train is a
thermometer: n spikes in the first n steps. So a maximum over a window is, in each step, whether any of its units fires: the
changes of max_j S_j, which are 0 or 1.

A staircase layer needs no charge and subtracts nothing: the clock walks its unit along a table c, and in step k of the phase it
fires if U >= c[k]. Since c never falls, the n steps that U has reached are the first n, a thermometer again.

Layers with counts of both signs are carried by two populations (`spikeport.codes.unsigned`).

Needs of a target: unsigned binary spikes, subtraction of the threshold, no leak, no lower clamp on V, a clock that sends two
events a layer (and, for staircases, sets a threshold in each step), a membrane that holds U - R; saturating adders are harmless as long as that fits, wrapping ones are not.

Latency: P + (sum of L along the longest path) steps, P being the steps over which input and biases are split (1 for static
input, whose current is due before the first phase anyway). Drain: none beyond the last phase.

Sample boundary: restore V to its initial value; closing leaves U - n * th - R behind.
"""

from __future__ import annotations

import numpy as np

from spikeport.codes.schedule import network_of, presentation_steps, readout_population, require_state
from spikeport.codes.unsigned import split_signs
from spikeport.primitives import ExecutionContract, MaxUnit, PhasedIF, Population, SpikingNetwork, StaircaseUnit
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
from spikeport.quantize.bounds import with_constant


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network as gated plain integrate-and-fire neurons; `steps` is the number of time bins of event input.

    Raises:
        OptionError: a membrane that would need more than `state_bits` with the release charge; a maximum over both signs.
    """
    network = split_signs(network, "phased")
    presentation = presentation_steps(network, 1 if steps is None and network.input.kind == "static" else steps)
    sums = partial_sums(network)
    require_state(
        "phased",
        network,
        {layer.name: _membrane(sums[layer.name]) for layer in network.layers if isinstance(layer, CountLayer)},
    )
    ready = phases(network, presentation)
    populations = tuple(_population(layer, sums[layer.name], ready[layer.name]) for layer in network.layers)
    contract = ExecutionContract(
        code="phased",
        presentation=presentation,
        max_steps=ready[network.readout.name] + 1,
        state_bits=network.state_bits,
    )
    return network_of(network, populations, contract)


def phases(network: IntegerNetwork, presentation: int) -> dict[str, int]:
    """Step after which each layer has sent everything."""
    ready = {network.input.name: presentation}
    for layer in network.layers:
        own = layer.high if isinstance(layer, NeuronLayer) else 0
        ready[layer.name] = own + max(ready[c.source] for c in network.incoming(layer.name))
    return ready


def _release(sums: Interval) -> Interval:
    """Charge R for each neuron, as an interval of equal ends: above every sum, and positive."""
    charge = sums.high.clip(min=0) + 1
    return Interval(charge, charge)


def _membrane(sums: Interval) -> Interval:
    """Interval of V: held down by R before and after, free in between."""
    return with_constant(sums, -_release(sums).high)


def _population(layer: Layer, sums: Interval, ready: int) -> Population:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset, _, high):
            release = _release(sums).high
            return Population(name, shape, PhasedIF(threshold, offset - release, bias, release, ready - high, ready))
        case StaircaseLayer(name, shape, table, bias):
            unit = StaircaseUnit(table, np.zeros((), np.int64), bias, 0, "thermometer", ready - layer.high)
            return Population(name, shape, unit)
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window))
        case Readout():
            return readout_population(layer)
