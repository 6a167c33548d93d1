"""Proved bounds on every sum of an integer network, at every moment and in every order of arrival.

All counts stay in an interval that contains zero, so each term of a sum does too. With P the sum of the terms' upper ends
and N that of their lower ends, every partial sum, in any order, lies in [N, P]: this bounds membranes before, during and
after a presentation, and the intermediate results of a floating-point product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem, QuantizeError
from spikeport.graph import apply_synapse
from spikeport.primitives import Conv, Dense, OneToOne, Synapse, Weighted
from spikeport.quantize.integer import CountLayer, IntegerNetwork, Layer, MaxLayer, NeuronLayer, Readout, StaircaseLayer

BLOCK = 2**22
"""Weights of a matrix taken at once: as float64 and split by sign they need a multiple of their memory."""
Ends = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Lower and upper ends, arrays of a layer's shape; `low <= 0 <= high`."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def magnitude(self) -> int:
        """Largest absolute value."""
        return int(max(-self.low.min(), self.high.max()))


def reach(synapses: Sequence[Synapse], source: Interval) -> Interval:
    """Interval of every partial sum that a chain of synapses can deliver."""
    # float64: BLAS speed, and exact while the ends stay below 2**53; sums of one sign cannot come back from beyond
    low, high = source.low[None].astype(np.float64), source.high[None].astype(np.float64)
    for synapse in synapses:
        match synapse:
            case Dense(weight) if weight.size > BLOCK:
                rows = max(1, BLOCK // weight.shape[1])
                parts = [_through(Dense(weight[i : i + rows]), low, high) for i in range(0, len(weight), rows)]
                low, high = (np.concatenate(ends, axis=1) for ends in zip(*parts, strict=True))
            case Dense() | Conv() | OneToOne():
                low, high = _through(synapse, low, high)
            case _:
                low, high = apply_synapse(synapse, low), apply_synapse(synapse, high)
    if max(-low.min(), high.max()) >= 2**53:
        raise QuantizeError(
            Problem("a connection", "its sums exceed 2**53", "convert with fewer levels or weight_bits")
        )
    return Interval(low[0].astype(np.int64), high[0].astype(np.int64))


def _through(synapse: Weighted, low: Ends, high: Ends) -> tuple[Ends, Ends]:
    """Both ends behind a weighted synapse."""
    excite = replace(synapse, weight=np.maximum(synapse.weight, 0).astype(np.float64))
    inhibit = replace(synapse, weight=np.minimum(synapse.weight, 0).astype(np.float64))
    return (
        apply_synapse(excite, low) + apply_synapse(inhibit, high),
        apply_synapse(excite, high) + apply_synapse(inhibit, low),
    )


def combine(parts: Sequence[Interval]) -> Interval:
    """Interval of the sum of several currents."""
    return Interval(np.sum([p.low for p in parts], axis=0), np.sum([p.high for p in parts], axis=0))


def with_constant(interval: Interval, *constants: NDArray[Any]) -> Interval:
    """Interval after constants are added, at once or in parts."""
    low, high = interval.low, interval.high
    for constant in constants:
        low, high = low + np.minimum(constant, 0), high + np.maximum(constant, 0)
    return Interval(low, high)


def counts(layer: Layer, total: Interval) -> Interval:
    """Interval of what a layer sends."""
    match layer:
        case CountLayer() | StaircaseLayer():
            return Interval(np.full(layer.shape, layer.low), np.full(layer.shape, layer.high))
        case MaxLayer():  # the maximum of values in an interval is in the widest of them
            return Interval(np.full(layer.shape, total.low.min()), np.full(layer.shape, total.high.max()))
        case Readout():
            return total


def source_interval(network: IntegerNetwork) -> Interval:
    """Interval of the input integers."""
    encoder = network.input
    return Interval(np.full(encoder.shape, encoder.low), np.full(encoder.shape, encoder.high))


def partial_sums(network: IntegerNetwork) -> dict[str, Interval]:
    """For each layer the interval of U at every moment: all partial sums, bias and offset included."""
    sent = {network.input.name: source_interval(network)}
    sums: dict[str, Interval] = {}
    for layer in network.layers:
        total = combine([reach(c.synapses, sent[c.source]) for c in network.incoming(layer.name)])
        sent[layer.name] = counts(layer, total)
        match layer:
            case CountLayer():
                total = with_constant(total, layer.bias, layer.offset)
            case StaircaseLayer() | Readout():
                total = with_constant(total, layer.bias)
            case MaxLayer():
                pass
        sums[layer.name] = total
    return sums


def membrane(layer: NeuronLayer, sums: Interval) -> Interval:
    """Interval of a signed unit's membrane: V = U - threshold * S with its counter S in [low, high]; V = U on a staircase."""
    if isinstance(layer, StaircaseLayer):
        return sums
    return Interval(sums.low - layer.threshold * layer.high, sums.high - layer.threshold * layer.low)


def bits(interval: Interval) -> int:
    """Width of a two's complement register that holds the interval.

    >>> bits(Interval(np.array([-128]), np.array([127])))
    8
    """
    return (
        max(
            int(-interval.low.min() - 1).bit_length() if interval.low.min() < 0 else 0,
            int(interval.high.max()).bit_length(),
        )
        + 1
    )
