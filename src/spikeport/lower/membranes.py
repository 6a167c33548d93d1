"""Intervals that a converted network proves of itself: what arrives, what membranes hold, what is sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.certify.bounds import held_by
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    Neuron,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    SignedIF,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)
from spikeport.quantize import Interval
from spikeport.quantize.bounds import combine, reach, with_constant


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Of one population, at every moment."""

    arriving: Interval
    """Sums of what arrives, biases apart."""
    sums: Interval
    """The same with biases and what the membrane starts with."""
    membrane: Interval
    sent: Interval
    """Counts: what a neuron has sent so far."""


def held(network: SpikingNetwork) -> dict[str, Held]:
    """Intervals of every population, by name; the same bounds as those of the certificate, from the populations alone."""
    encoder = network.input
    sent = {encoder.name: Interval(np.full(encoder.shape, encoder.low), np.full(encoder.shape, encoder.high))}
    found: dict[str, Held] = {}
    for population in network.populations:
        arriving = combine([reach(c.synapses, sent[c.source]) for c in network.incoming(population.name)])
        found[population.name] = one = _held(population, arriving, network.contract.presentation)
        sent[population.name] = one.sent
    return found


def _held(population: Population, arriving: Interval, steps: int) -> Held:
    neuron, shape = population.neuron, population.shape
    match neuron:
        case MaxUnit():
            total = Interval(np.full(shape, arriving.low.min()), np.full(shape, arriving.high.max()))
            return Held(arriving, total, total, total)
        case Accumulator(bias):
            total = with_constant(arriving, bias)
            return Held(arriving, total, total, total)
        case PhasedIF(initial=initial, bias=bias, release=release):
            total = with_constant(arriving, bias, initial + release)
        case _:
            total = with_constant(arriving, neuron.bias, neuron.initial)
    low, high = counts(neuron, steps)
    sent = Interval(np.full(shape, low), np.full(shape, high))
    return Held(arriving, total, held_by(neuron, total), sent)


def counts(neuron: Neuron, steps: int) -> tuple[int, int]:
    """Least and largest count of a neuron over a sample."""
    match neuron:
        case SignedIF(low=low, high=high) | GradedIF(low=low, high=high):
            return low, high
        case StaircaseIF() | StaircaseUnit():
            return neuron.low, neuron.high
        case PhasedIF(opens_at=opens, closes_at=closes):
            return 0, closes - opens
        case RadixIF(bits=bits):
            return 0, 2**bits - 1
        case UnitBank() | StaircaseBank():
            return 0, neuron.units
        case PlainIF():
            return 0, steps
        case MaxUnit() | Accumulator():
            raise AssertionError("they send sums")
