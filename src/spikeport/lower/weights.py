"""Widths of what synapses multiply with."""

from __future__ import annotations

from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from spikeport.lower.wiring import Link
from spikeport.primitives import Conv, Dense, OneToOne, Sparse, SumPool
from spikeport.targets import Target

BLOCK = 2**22
"""Weights looked at together: large matrices are not copied."""


def weights_of(link: Link) -> tuple[NDArray[np.generic], ...]:
    """The arrays of weights of a chain."""
    found = (
        s.weights if isinstance(s, Sparse) else s.weight
        for s in link.synapses
        if isinstance(s, Dense | Conv | OneToOne | Sparse)
    )
    return tuple(array for array in found if array.size)


def whole(link: Link) -> bool:
    """Whether all weights are of integer type, or floats that happen to be integers."""
    return all(
        array.dtype.kind in "iub" or all(bool((block == np.rint(block)).all()) for block in _blocks(array))
        for array in weights_of(link)
    )


def span(link: Link) -> tuple[float, float]:
    """Least and largest weight of a pair of neurons, 0 included; where paths through windows meet, a bound on their sum.

    >>> from spikeport.primitives import Dense
    >>> span(Link("a", "b", (Dense(np.array([[3, -4]])),), (2,)))
    (-4.0, 3.0)
    """
    low, high, times = 0.0, 1.0, 1
    for synapse in link.synapses:
        match synapse:
            case Dense(weight) | Conv(weight) | OneToOne(weight):
                ends = _ends(weight)
            case Sparse():
                ends = _ends(synapse.weights)
            case SumPool(kernel, stride):
                times *= prod(ceil(k / s) for k, s in zip(kernel, stride, strict=True))
                continue
            case _:
                continue
        corners = [a * b for a in (low, high) for b in ends]
        low, high = min(corners), max(corners)
    last = link.synapses and isinstance(link.synapses[-1], SumPool)
    return (low, high) if times == 1 or (last and not weights_of(link)) else (low * times, high * times)


def _ends(weight: NDArray[np.generic]) -> tuple[float, float]:
    if not weight.size:
        return 0.0, 0.0
    return float(np.min(weight)), float(np.max(weight))


def bits_of(low: float, high: float) -> int:
    """Width of a two's complement register for whole numbers from `low` to `high`.

    >>> bits_of(-128, 127), bits_of(-129, 0), bits_of(0, 128), bits_of(0, 0)
    (8, 9, 9, 1)
    """
    return max(int(-low - 1).bit_length() if low < 0 else 0, int(high).bit_length() if high > 0 else 0) + 1


def fits_memory(low: float, high: float, width: int, target: Target) -> bool:
    """Whether a memory of so many bits holds whole weights from `low` to `high`.

    Where only even numbers of both signs are held the sign takes a bit, which weights of one sign have for their magnitude.

    >>> from spikeport.targets import Fact
    >>> even = Target(name="t", title="T", vendor="V", mixed_signs=Fact("even", "", "made up", "design", True))
    >>> [fits_memory(*ends, 8, even) for ends in ((0, 255), (-255, 0), (-256, 0), (-1, 128))]
    [True, True, False, False]
    """
    if bits_of(low, high) <= width:
        return True
    one_sign = low >= 0 or high <= 0
    return target.known("mixed_signs") == "even" and one_sign and int(max(high, -low)).bit_length() <= width


def weight_bits(link: Link) -> int:
    """Bits of the whole weights of a link, its sign included, without zeros that all of them end in."""
    low, high = span(link)
    return bits_of(low, high)


def common_zeros(link: Link) -> int:
    """Zeros that all weights end in.

    >>> from spikeport.primitives import Dense
    >>> common_zeros(Link("a", "b", (Dense(np.array([[8, -12]])),), (2,)))
    2
    """
    total = 0
    for array in weights_of(link):
        seen = 0
        for block in _blocks(array):
            seen |= int(np.bitwise_or.reduce(np.abs(block.astype(np.int64)).ravel()))
        total += (seen & -seen).bit_length() - 1 if seen else 0
    return total


def pieces(link: Link, target: Target) -> int:
    """Synapses that carry one weight: several where it is wider than the target's, and powers of two scale projections.

    A weight w = sum of w_k 2^(k (b - 1)), of b bits each, is as many synapses of the same pair.
    """
    width = target.known("weight_bits")
    if width is None or width < 2 or not weights_of(link) or not whole(link):
        return 1
    needed = weight_bits(link)
    if needed <= width or target.known("weight_exponent_max") is None:
        return 1
    needed -= common_zeros(link)
    return max(1, ceil((needed - 1) / (width - 1)))


def register_bits(link: Link, target: Target) -> int:
    """Bits that a synapse of a link takes: those of the target's weights, or of the network's own where it says nothing."""
    width: int | None = target.known("weight_bits")
    if width is None:
        width = weight_bits(link) if whole(link) else max(8 * array.itemsize for array in weights_of(link))
    return width


def _blocks(array: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Parts of an array, none much larger than a block, along its first axis; views."""
    if array.ndim == 0 or array.size <= BLOCK:
        return [array]
    rows = max(1, BLOCK * len(array) // array.size)
    return [array[i : i + rows] for i in range(0, len(array), rows)]
