"""Intervals of a certificate: of U and of the membrane of every population, by channel, against the membrane's width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.primitives import Neuron, PhasedIF, SignedIF, SpikingNetwork, StaircaseBank, UnitBank
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    Interval,
    Layer,
    MaxLayer,
    NeuronLayer,
    StaircaseLayer,
    partial_sums,
)

FLOAT32_EXACT = 2**24


def layer_claims(integer: IntegerNetwork, carried: IntegerNetwork, network: SpikingNetwork) -> dict[str, Any]:
    """Kind, lemma and intervals of every population.

    Args:
        integer: the integer network.
        carried: the same with one layer for each population.
        network: its populations.
    """
    code, bits = network.contract.code, network.contract.state_bits
    sums = partial_sums(carried)
    claims: dict[str, Any] = {}
    for layer in carried.layers:
        prefix, kind = sums[layer.name], _kind(layer, integer)
        held = held_by(network[layer.name].neuron, prefix)
        claims[layer.name] = {
            "kind": kind,
            "lemma": f"{code}/{kind}",
            "final": by_channel(_final(layer, prefix), bits),
            "prefix": by_channel(prefix, bits),
            "membrane": by_channel(held, bits),
        }
    return claims


def held_by(neuron: Neuron, sums: Interval) -> Interval:
    """Interval of the membrane at every moment, from that of U."""
    match neuron:
        case SignedIF(threshold=threshold, low=low, high=high):
            return Interval(sums.low - threshold * high, sums.high - threshold * low)
        case PhasedIF(release=release):
            return Interval(sums.low - release, sums.high)
        case UnitBank(threshold=threshold, units=units, common=common):
            return Interval(sums.low + common - threshold * units, sums.high + common)
        case StaircaseBank(steps=steps, common=common):
            return Interval(sums.low + common - steps[-1].clip(min=0), sums.high + common - steps[0].clip(max=0))
        case _:  # V = U, or what successive approximation leaves of it, which is not negative
            return sums


def by_channel(interval: Interval, bits: int) -> dict[str, Any]:
    """Both ends of each channel, and whether all fit a membrane and a float32."""
    low = interval.low.reshape(len(interval.low), -1).min(axis=1)
    high = interval.high.reshape(len(interval.high), -1).max(axis=1)

    def within(bound: int) -> bool:
        return bool(-bound <= int(low.min()) and int(high.max()) < bound)

    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "fits": within(2 ** (bits - 1)),
        "float32_exact": within(FLOAT32_EXACT),
    }


def _kind(layer: Layer, integer: IntegerNetwork) -> str:
    if not isinstance(layer, NeuronLayer):
        return "max" if isinstance(layer, MaxLayer) else "read-out"
    whole: Mapping[str, Layer] = integer.by_name
    if layer.name not in whole:
        return "negative part"
    original = whole[layer.name]
    if isinstance(original, NeuronLayer) and original.low != layer.low:
        return "positive part"
    return "staircase" if isinstance(layer, StaircaseLayer) else "neurons"


def _final(layer: Layer, prefix: Interval) -> Interval:
    """Interval of U at the end, when the constants are there in full."""
    low, high = prefix.low, prefix.high
    offset = (layer.offset,) if isinstance(layer, CountLayer) else ()
    constants = () if isinstance(layer, MaxLayer) else (layer.bias, *offset)
    for constant in constants:
        low, high = low + np.maximum(constant, 0), high + np.minimum(constant, 0)
    return Interval(low, high)
