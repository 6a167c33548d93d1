"""The weights that Loihi's synapse memory holds: clipped to its width, low bits cleared. Networks hold these, lowering refuses others."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, OptionError, Problem

Sign = Literal["mixed", "excitatory", "inhibitory"]
WIDTH = 8
"""Bits of a weight without its sign."""


def effective_weights(weights: Any, *, bits: int = WIDTH, sign: Sign | None = None) -> NDArray[np.int64]:
    """What is left of integer weights of one projection, in its own sign mode.

    A memory word has eight bits. Where all weights have one sign it is kept apart, and `bits` of the magnitude stay, towards zero;
    where signs are mixed one bit goes to the sign, and the others are rounded down: with 8 bits even weights are left. Applied
    again with the same sign it changes nothing; the sign itself may no longer show, since 1 beside -255 becomes 0 beside -256.

    Args:
        weights: integers of any shape.
        bits: bits of a weight, 1 to 8, the sign of mixed ones included.
        sign: None finds it as the chip's compiler does: excitatory if no weight is negative, inhibitory if none is positive.

    Raises:
        DataError: weights that are not integers.
        OptionError: bits or sign that there are not.

    >>> effective_weights([-255, -3, 3, 300]).tolist(), effective_weights([3, 300], bits=7).tolist()
    ([-256, -4, 2, 254], [2, 254])
    """
    given = np.asarray(weights)
    if given.dtype.kind not in "iu" and given.size:
        raise DataError(Problem("weights", f"are {given.dtype}, and the memory holds integers", "scale and round them"))
    problems = []
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not 1 <= bits <= WIDTH:
        problems.append(Problem("bits", f"is {bits!r}", f"1 to {WIDTH}"))
    if sign not in (None, "mixed", "excitatory", "inhibitory"):
        problems.append(Problem("sign", f"is {sign!r}", "mixed, excitatory, inhibitory, or None to find it"))
    if problems:
        raise OptionError(problems)
    whole = given.astype(np.int64)
    match sign or found_sign(whole):
        case "excitatory":
            return _cleared(np.clip(whole, 0, 255), WIDTH - bits)
        case "inhibitory":
            return -_cleared(np.clip(-whole, 0, 255), WIDTH - bits)
        case _:
            return _cleared(np.clip(whole, -256, 255), WIDTH + 1 - bits)


def found_sign(weights: NDArray[np.int64]) -> Sign:
    """The sign mode that fits; without weights, or with zeros alone, excitatory."""
    if not (weights < 0).any():
        return "excitatory"
    return "mixed" if (weights > 0).any() else "inhibitory"


def _cleared(weights: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Without the lowest bits; towards minus infinity."""
    return (weights >> bits) << bits
