"""Networks whose counts are never negative, for codes whose spikes have one sign.

A layer with counts in [-M, L] becomes two, of the positive and of the negative part:

    n+ = clip(floor(U / th), 0, L)       n- = clip(floor((th - 1 - U) / th), 0, M)       n = n+ - n-

because `-floor(U / th) = ceil(-U / th) = floor((th - 1 - U) / th)` for integers. The second has the negated weights and biases
and the offset `th - 1 - h`. On a staircase `n-` counts the steps k <= 0 that U has not reached, and U < c[k] is -U >= 1 - c[k]. Everything that reads the layer reads both, the second with negated weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem
from spikeport.primitives import Connection
from spikeport.quantize import IntegerNetwork, Layer, MaxLayer, NeuronLayer, StaircaseLayer, negated, source_shape

NEGATIVE = " (negative)"
"""Suffix of the population that carries the negative part of a layer."""


def split_signs(network: IntegerNetwork, code: str) -> IntegerNetwork:
    """The same network with layers of both signs split in two.

    Raises:
        OptionError: a maximum over counts of both signs, which is not a difference of two maxima.
    """
    signed = {layer.name for layer in network.layers if isinstance(layer, NeuronLayer) and layer.low < 0}
    if not signed:
        return network
    problems = [
        Problem(
            layer.name,
            f"takes the maximum over counts of both signs, which the {code} code cannot",
            'use code="signed"',
        )
        for layer in network.layers
        if isinstance(layer, MaxLayer) and any(c.source in signed for c in network.incoming(layer.name))
    ]
    if problems:
        raise OptionError(problems)
    layers: list[Layer] = []
    connections: list[Connection] = []
    for layer in network.layers:
        incoming = [part for c in network.incoming(layer.name) for part in _from_both(network, c, signed)]
        if isinstance(layer, NeuronLayer) and layer.low < 0:
            positive, negative = _halves(layer)
            layers += [positive, negative]
            connections += incoming
            connections += [replace(_opposite(network, c), target=negative.name) for c in incoming]
        else:
            layers.append(layer)
            connections += incoming
    return replace(network, layers=tuple(layers), connections=tuple(connections))


def _halves(layer: NeuronLayer) -> tuple[NeuronLayer, NeuronLayer]:
    """The layers of the positive and of the negative part."""
    other = layer.name + NEGATIVE
    if isinstance(layer, StaircaseLayer):
        above, below = layer.steps[-layer.low :], layer.steps[: -layer.low]
        down = replace(layer, name=other, steps=(1 - below)[::-1], bias=-layer.bias, low=0)
        return replace(layer, steps=above, low=0), down
    offset = layer.threshold - 1 - layer.offset
    down_count = replace(layer, name=other, bias=-layer.bias, offset=offset, low=0, high=-layer.low)
    return replace(layer, low=0), down_count


def of_layer(by_population: Mapping[str, NDArray[Any]], layer: str, *, sign: int = -1) -> NDArray[Any]:
    """What the populations of one layer sent together; `sign` is the weight of the negative part."""
    positive, negative = by_population[layer], by_population.get(layer + NEGATIVE)
    return positive if negative is None else positive + sign * negative


def _from_both(network: IntegerNetwork, connection: Connection, signed: set[str]) -> Iterator[Connection]:
    yield connection
    if connection.source in signed:
        yield replace(_opposite(network, connection), source=connection.source + NEGATIVE)


def _opposite(network: IntegerNetwork, connection: Connection) -> Connection:
    """A connection that delivers the opposite."""
    return negated(connection, source_shape(network, connection.source.removesuffix(NEGATIVE)))
