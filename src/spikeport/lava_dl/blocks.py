"""The blocks of lava-dl by the names in the file, and those without weights between neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from spikeport.lava_dl.dense import read_dense, read_recurrent
from spikeport.lava_dl.layers import MAX_NEURONS, Layers
from spikeport.lava_dl.maps import read_conv, read_pool
from spikeport.lava_dl.neurons import BIAS, SIGMA_DELTA, STATE_EXP, delta_input, read_neuron
from spikeport.lava_dl.section import Section
from spikeport.lava_dl.weights import HIGH, LOW
from spikeport.primitives import FixedCubaLIF, OneToOne, Projection

UNIT_WEIGHT = 64
"""What 1.0 is in the numbers of the file, and what Lava's reader takes for the weight of an input layer that has none."""


def _input(layers: Layers, i: int, section: Section) -> None:
    shape = section.shape("shape", at_most=MAX_NEURONS)
    weight = section.integer("weight", LOW, HIGH, default=UNIT_WEIGHT)
    bias = section.integer("bias", -BIAS, BIAS - 1, default=0)
    neuron = section.group("neuron")
    if i != 0:
        section.wrong("type", "is 'input', and it is not the first layer")
    if shape is None:
        return
    if layers.input_shape not in (None, shape):
        section.wrong("shape", f"is {shape}, and input_shape is {layers.input_shape}", "leave input_shape out")
    layers.enter(shape)
    if neuron is None:
        if "weight" in section or "bias" in section:
            section.wrong("weight", "or bias belongs to neurons that are missing", "export the network again")
        what = "a value other than 0 and 1 counts that many times; Lava takes it for 1, unless its reader is given input_message_bits"
        layers.remark("input", what)
        return
    delta = neuron.tree.get("type") == SIGMA_DELTA
    cells = delta_input(neuron, layers.spike_exp) if delta else read_neuron(neuron, shape, None, layers.spike_exp)
    if cells is None:
        return
    name, one = f"layer{i}", np.array(1, dtype=np.int16)
    if delta:
        # the sum of what arrives is the value of this step: each one leaves again a step later
        scale = np.array(1 << layers.spike_exp, dtype=np.int16)
        arriving = [
            Projection("input", name, (OneToOne(scale),), exponent=STATE_EXP),
            Projection("input", name, (OneToOne(-scale),), exponent=STATE_EXP, delay=1),
        ]
    else:
        arriving = [Projection("input", name, (OneToOne(one),))]
    layers.grow(name, shape, cells, arriving)
    layers.remark(
        "input", f"feed integers: {weight} x + {bias}, rounded, for a value x of which lava-dl's input block is fed"
    )
    if isinstance(cells.neuron, FixedCubaLIF) and np.any(np.asarray(cells.neuron.du) != 4095):
        what = "what is fed passes the current, which decays; fed through the bias, as in Lava's examples, it does not pass it"
        layers.remark(name, what)


def _flatten(layers: Layers, i: int, section: Section) -> None:
    shape = section.shape("shape", at_most=MAX_NEURONS)
    if shape is None:
        return
    if not layers.source:
        section.wrong("type", "is 'flatten', and nothing comes before it", "export the input layer too")
    elif prod(shape) != prod(layers.shape):
        section.wrong("shape", f"has {prod(shape):,} neurons, and {prod(layers.shape):,} come before it")
    layers.flat = True


def _average(layers: Layers, i: int, section: Section) -> None:
    """The mean over groups of outputs, for the loss: whoever reads the network out takes it."""
    shape = section.shape("shape", at_most=MAX_NEURONS)
    if shape is None:
        return
    if layers.source in ("", "input"):
        section.wrong("type", "is 'average', and no neurons come before it")
        return
    if i != layers.last:
        section.wrong("type", "is 'average', and it is not the last layer", "average what the network gives")
        return
    if prod(layers.shape) % prod(shape):
        section.wrong("shape", f"has {prod(shape):,} groups, which do not divide {prod(layers.shape):,} neurons")
        return
    each = prod(layers.shape) // prod(shape)
    what = f"the mean over each {each:,} neurons in a row, {prod(shape):,} groups, is left to whoever reads the network out"
    layers.remark(layers.source, what)


LAYERS: Mapping[str, Callable[[Layers, int, Section], None]] = {
    "average": _average,
    "conv": read_conv,
    "dense": read_dense,
    "dense_rec": read_recurrent,
    "flatten": _flatten,
    "input": _input,
    "pool": read_pool,
}
"""Type of a layer in the file -> how it is read."""
