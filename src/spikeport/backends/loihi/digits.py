"""Weights of any width as synapses of 8 bits with exponents: exact, or refused.

A signed weight w of 8 bits is stored as 2 w with exponent -1: where signs are mixed the memory holds even numbers alone, and half of
an even sum is exact. A wider one is the sum of digits w_k 256^k, all from -128 to 127, each a synapse of its own with the exponent
8 k - 1; where that saves a digit, zeros in which all weights of a link end go into the exponent. Weights without a positive one among
them are kept as magnitudes up to 255, which -256 is not: there -128 stands as it is, and the exponent is one more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import Conv, Dense, OneToOne, Sparse, Synapse

BASE, LOW, HIGH = 256, -128, 127
"""Of digits, and their ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Digit:
    """Stored weights, each a digit times two but for what is said above, and their exponent."""

    weights: NDArray[np.int16]
    exponent: int


def digits(weights: Any) -> tuple[Digit, ...]:
    """Digits that add up to the weights, lowest first.

    >>> [(d.weights.tolist(), d.exponent) for d in digits(np.array([-128, 127]))]
    [([-256, 254], -1)]
    >>> [(d.weights.tolist(), d.exponent) for d in digits(np.array([300, -1]))]
    [([88, -2], -1), ([2, 0], 7)]
    >>> [(d.weights.tolist(), d.exponent) for d in digits(np.array([1 << 14, -1 << 14]))]
    [([128, -128], 7)]
    """
    whole = np.asarray(weights, dtype=np.int64)
    zeros = trailing_zeros(whole)
    count = 1
    while not _fit(whole >> zeros, count):
        count += 1
    while zeros and _fit(whole >> (zeros - 1), count):
        zeros -= 1  # no more than it takes: exponents have a limit too
    rest, found = whole >> zeros, []
    for k in range(count):
        digit = (rest - LOW) % BASE + LOW
        rest = (rest - digit) // BASE
        whole_magnitude = bool(digit.size > 0 and digit.max() <= 0 and digit.min() == LOW)
        stored = digit if whole_magnitude else 2 * digit
        found.append(Digit(stored.astype(np.int16), zeros + 8 * k - 1 + whole_magnitude))
    return tuple(found)


def trailing_zeros(weights: Any) -> int:
    """Binary zeros that all weights end in; none where all are 0.

    >>> trailing_zeros(np.array([24, -16, 0]))
    3
    """
    whole = np.asarray(weights, dtype=np.int64)
    seen = int(np.bitwise_or.reduce(whole.ravel())) if whole.size else 0
    return (seen & -seen).bit_length() - 1 if seen else 0


def _fit(whole: NDArray[np.int64], count: int) -> bool:
    """Whether so many digits hold all of it."""
    ones = (BASE**count - 1) // (BASE - 1)
    return int(whole.min(initial=0)) >= LOW * ones and int(whole.max(initial=0)) <= HIGH * ones


def split_chain(synapses: tuple[Synapse | Sparse, ...]) -> tuple[tuple[tuple[Synapse | Sparse, ...], int], ...]:
    """Chains with stored weights and their exponents, which together are the chain; itself where it has no weights.

    A chain with weights in two places has no such form, and is left as it is: its caller refuses it.
    """
    places = [i for i, s in enumerate(synapses) if isinstance(s, Dense | Conv | OneToOne | Sparse)]
    if len(places) != 1:
        return ((synapses, 0),)
    at = places[0]
    synapse: Any = synapses[at]
    name = "weights" if isinstance(synapse, Sparse) else "weight"
    return tuple(
        ((*synapses[:at], replace(synapse, **{name: digit.weights}), *synapses[at + 1 :]), digit.exponent)
        for digit in digits(getattr(synapse, name))
    )
