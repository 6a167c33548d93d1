"""The weights that Lava runs: its reader of these files fills the eight bits of Loihi's synapse memory, and Lava clips what is beyond."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi import found_sign

LOW, HIGH = -256, 255
"""What the memory holds in any of its sign modes."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A weight matrix in synapse memory: `weight << exponent` (floor) is worth what the file says, up to `error`."""

    weight: NDArray[np.int16]
    exponent: int
    error: float
    """Largest absolute change of a weight, in units of the file's weights."""


def stored(matrices: tuple[NDArray[np.int64], ...]) -> tuple[Stored, ...] | None:
    """What Lava's reader makes of the matrices of one layer, which share scale and bits; None if it cannot.

    All are shifted left as far as eight bits allow, and back by the exponent after summation, so that nothing changes; except where
    Lava settles on another sign mode than its reader reckoned with. A matrix without positive weights holds -255 at least, so that
    -256 (or -128, which is shifted to it) is clipped; and odd weights beyond 127 do not survive beside others (None).

    >>> [(s.weight.tolist(), s.exponent, s.error) for s in stored((np.array([[-4, 6]]),))]
    [([[-128, 192]], -5, 0.0)]
    >>> [(s.weight.tolist(), s.exponent, s.error) for s in stored((np.array([[-128, -2]]),))]
    [([[-252, -4]], -1, 2.0)]
    """
    held = matrices
    if min(m.min() for m in matrices) < 0 < max(m.max() for m in matrices):
        held = tuple(np.clip(m, LOW, HIGH - 1) for m in matrices)
    values = np.concatenate([m.ravel() for m in held])
    largest, smallest = int(values.max()), int(values.min())
    if largest == smallest == 0:
        return tuple(Stored(m.astype(np.int16), 0, 0.0) for m in held)
    mixed = largest >= 0 > smallest
    if mixed:
        scale = min(127 / largest if largest else np.inf, -128 / smallest)
    else:
        scale = 255 / largest if smallest >= 0 else -256 / smallest
    shift = floor(log2(scale)) + mixed
    zeros = next((n for n in range(8, 0, -1) if not (values % 2**n).any()), 0)
    made = [_held(m, shift, shift + zeros - mixed) for m in held]
    if any(m is None for m in made):
        return None
    errors = [float(np.abs(m * 2.0**-shift - original).max()) for m, original in zip(made, matrices, strict=True)]
    return tuple(Stored(m.astype(np.int16), -shift, e) for m, e in zip(made, errors, strict=True))


def _held(matrix: NDArray[np.int64], shift: int, unused: int) -> Any:
    """Lava's clip and truncation of a shifted matrix, in the sign mode that it finds; `unused` low bits of one without a sign are 0."""
    weights = matrix << shift
    if not weights.any():
        return weights
    match found_sign(weights):
        case "mixed":
            clipped, bits = np.clip(weights, -256, 255), unused + 1
            return (clipped >> bits) << bits
        case "excitatory":
            clipped = np.clip(weights, 0, 255)
        case "inhibitory":
            clipped = np.clip(-weights, 0, 255)
    if unused < 0:
        return None
    kept = (clipped >> unused) << unused
    return kept if found_sign(weights) == "excitatory" else -kept
