"""Weights of any width as synapses of 8 bits with exponents: exact, or refused.

A signed weight w of 8 bits is stored as 2 w with exponent -1: where signs are mixed the memory holds even numbers alone, and half of
an even sum is exact. A wider one is the sum of digits w_k 128^k, the highest from -128 to 127 and the others from 0 to 127, each a
synapse of its own with the exponent 7 k - 1; where that saves a digit, zeros in which all weights of a link end go into the exponent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import Conv, Dense, OneToOne, Sparse, Synapse

BITS = 7
"""Of a digit, besides the sign."""


@dataclass(frozen=True, slots=True, eq=False)
class Digit:
    """Stored weights, each a digit times two, and their exponent."""

    weights: NDArray[np.int16]
    exponent: int


def digits(weights: Any) -> tuple[Digit, ...]:
    """Digits that add up to the weights, lowest first.

    >>> [(d.weights.tolist(), d.exponent) for d in digits(np.array([-128, 127]))]
    [([-256, 254], -1)]
    >>> [(d.weights.tolist(), d.exponent) for d in digits(np.array([300, -1]))]
    [([88, 254], -1), ([4, -2], 6)]
    """
    whole = np.asarray(weights, dtype=np.int64)
    low, high = int(whole.min(initial=0)), int(whole.max(initial=0))
    bits = max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())
    seen = int(np.bitwise_or.reduce(whole.ravel()))
    count = max(1, -(-(bits - ((seen & -seen).bit_length() - 1 if seen else 0)) // BITS))
    zeros = max(0, bits - count * BITS)  # no more than it takes: exponents have a limit too
    rest, found = whole >> zeros, []
    for k in range(count):
        last = k == count - 1
        digit = rest if last else rest & (2**BITS - 1)
        found.append(Digit((2 * digit).astype(np.int16), zeros + k * BITS - 1))
        rest = rest >> BITS
    return tuple(found)


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
