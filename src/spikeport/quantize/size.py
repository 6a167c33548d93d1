"""How large a network is: synapses and work, convolutions unrolled."""

from __future__ import annotations

from math import prod

from spikeport.graph import output_shape
from spikeport.primitives import Connection, Conv, Dense, OneToOne, Shape, SumPool
from spikeport.quantize.integer import IntegerNetwork


def synapse_count(connection: Connection, source: Shape) -> int:
    """Synapses of one connection: pairs of a source neuron and a target neuron that a chip would store or compute.

    >>> synapse_count(Connection("a", "b", (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))),)), (1, 4, 4))
    16
    """
    shape, total, fan_in = source, 0, 1
    for synapse in connection.synapses:
        shape = output_shape(synapse, [shape])
        match synapse:
            case Dense(weight):
                total, fan_in = weight.size * fan_in, 1
            case Conv(weight):
                total, fan_in = prod(shape) * weight[0].size * fan_in, 1
            case OneToOne():
                total, fan_in = prod(shape) * fan_in, 1
            case SumPool(kernel):
                fan_in *= prod(kernel)
            case _:
                pass
    return total if fan_in == 1 else (total or prod(shape)) * fan_in


def source_shape(network: IntegerNetwork, name: str) -> Shape:
    """Shape of what a connection starts from."""
    return network.input.shape if name == network.input.name else network[name].shape


def synapses_into(network: IntegerNetwork, name: str) -> int:
    """Synapses of all connections into a layer."""
    return sum(synapse_count(c, source_shape(network, c.source)) for c in network.incoming(name))


def total_synapses(network: IntegerNetwork) -> int:
    """Synapses of the whole network."""
    return sum(synapses_into(network, layer.name) for layer in network.layers)
