"""What a population is to the native stepper: which rule, with which parameters, laid out by pixel and channel."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.native.wiring import pixels_of
from spikeport.native.stepping import Kind, LayerPlan, Payload
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    Shape,
    SignedIF,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)


def layer_of(population: Population) -> LayerPlan:
    """A population that is no maximum."""
    pixels, channels = pixels_of(population.shape)
    shape, neuron = population.shape, population.neuron
    if isinstance(neuron, MaxUnit):
        raise AssertionError("a maximum is two layers")
    bias = _rows(neuron.bias, shape) if neuron.bias.any() else None
    plain = LayerPlan(Kind.ACCUMULATOR, pixels, channels, bias=bias)
    if isinstance(neuron, Accumulator):
        return plain
    base = replace(plain, initial=_rows(neuron.initial, shape))
    if isinstance(neuron, StaircaseIF | StaircaseUnit | StaircaseBank):
        base = replace(base, table=_table(neuron.steps, shape))
    else:
        base = replace(base, threshold=_rows(neuron.threshold, shape))
    match neuron:
        case SignedIF(low=low, high=high):
            return replace(base, kind=Kind.SIGNED, signs=True, low=low, high=high)
        case GradedIF(low=low, high=high, fires_at=step):
            return replace(base, kind=Kind.GRADED, payload=Payload.ONCE, low=low, high=high, opens_at=step)
        case PhasedIF(release=release, opens_at=opens_at, closes_at=closes_at):
            release = _rows(release, shape)
            return replace(base, kind=Kind.PHASED, release=release, opens_at=opens_at, closes_at=closes_at)
        case PlainIF():
            return replace(base, kind=Kind.PLAIN)
        case RadixIF(bits=bits, opens_at=step):
            return replace(base, kind=Kind.RADIX, bits=bits, opens_at=step)
        case UnitBank(units=units, fires_at=step):
            return replace(base, kind=Kind.BANK, payload=Payload.ONCE, high=units, opens_at=step)
        case StaircaseIF(low=low):
            return replace(base, kind=Kind.STAIRCASE, signs=True, low=low)
        case StaircaseUnit(sends="payload", low=low, opens_at=step):
            return replace(base, kind=Kind.LEVELS, payload=Payload.ONCE, low=low, opens_at=step)
        case StaircaseUnit(sends=sends, opens_at=step):
            kind = Kind.DIGITS if sends == "digits" else Kind.THERMOMETER
            return replace(base, kind=kind, bits=neuron.duration, opens_at=step)
        case StaircaseBank(fires_at=step):
            return replace(base, kind=Kind.LEVELS, payload=Payload.ONCE, opens_at=step)


def largest_spike(population: Population) -> int:
    """What one spike of a population that is no maximum counts, at most."""
    match population.neuron:
        case GradedIF(low=low, high=high) | StaircaseUnit(sends="payload", low=low, high=high):
            return max(-low, high)
        case RadixIF(bits=bits) | StaircaseUnit(sends="digits", duration=bits):
            return 2 ** (bits - 1)
        case UnitBank(units=units) | StaircaseBank(units=units):
            return units
    return 1


def sends_ones(population: Population) -> bool:
    """Whether a population sends nothing but -1, 0 and 1 in a step."""
    match population.neuron:
        case SignedIF() | PhasedIF() | PlainIF() | StaircaseIF() | StaircaseUnit(sends="thermometer"):
            return True
    return False


def _rows(array: NDArray[Any], shape: Shape) -> NDArray[np.int64]:
    """A parameter as (1 or pixel, channel): one row where all pixels share it."""
    array = np.asarray(array, dtype=np.int64).reshape(*(1,) * (len(shape) - np.ndim(array)), *np.shape(array))
    spread = prod(array.shape[1:]) > 1
    full = np.broadcast_to(array, shape if spread else (shape[0], *(1,) * (len(shape) - 1)))
    return full.reshape(shape[0], -1).T


def _table(steps: NDArray[Any], shape: Shape) -> NDArray[np.int64]:
    """A table as (entry, 1 or pixel, channel)."""
    return np.stack([_rows(entry, shape) for entry in steps])


def extent(population: Population, steps: int) -> tuple[int, int]:
    """Largest total count of a unit, and all that moves its potential besides what arrives."""
    neuron = population.neuron

    def most(*arrays: NDArray[Any]) -> int:
        return sum(int(np.abs(np.atleast_1d(a).astype(object)).max(initial=0)) for a in arrays)

    match neuron:
        case SignedIF(threshold, initial, bias, low, high) | GradedIF(threshold, initial, bias, low, high):
            return max(-low, high), most(initial, bias) + most(threshold) * (high - low + 1)
        case PhasedIF(threshold, initial, bias, release):
            return steps, most(initial, bias, release) + most(threshold)
        case PlainIF(threshold, initial, bias):
            return steps, most(initial, bias) + most(threshold)
        case RadixIF(threshold, initial, bias, bits):
            return 2**bits, most(initial, bias) + most(threshold) * 2**bits
        case UnitBank(threshold, initial, bias, units):
            return units, most(initial, bias) + most(threshold) * (units + 1)
        case StaircaseIF(table, initial, bias) | StaircaseUnit(table, initial, bias):
            return max(-neuron.low, neuron.high), most(initial, bias) + most(table)
        case StaircaseBank(table, initial, bias):
            return neuron.units, most(initial, bias) + most(table)
        case Accumulator(bias):
            return 0, most(bias)
        case MaxUnit():
            return 0, 0
