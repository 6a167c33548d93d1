"""The size of one count: the scale that loses least when activations are rounded to levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

FRACTIONS = np.geomspace(0.1, 1.0, 64)
"""Candidates for `levels * scale`, as fractions of the largest activation seen."""


def best_scales(target: Floats, value: Floats, *, low: int, high: int, together: bool = False) -> NDArray[np.float64]:
    """Scale of each channel that minimises `sum (target - s * clip(floor(value / s + 1/2), low, high))**2`.

    Args:
        target: activations of the model, shape (channel, sample).
        value: what the neuron will see instead, before its nonlinearity, same shape: inputs already quantized.
        low, high: range of counts.
        together: one scale for all channels.

    Returns:
        Shape (channel,). A channel without activity takes the largest scale of the others, 1.0 if there is none.
    """
    if together:
        one = best_scales(target.reshape(1, -1), value.reshape(1, -1), low=low, high=high)
        return np.full(len(target), one[0])
    target, value = np.asarray(target, np.float32), np.asarray(value, np.float32)
    largest = np.abs(target).max(axis=1).astype(np.float64)
    alive = largest > 0
    full = np.where(alive, largest, 1.0) / high
    best = full.copy()
    least = np.full(len(target), np.inf)
    for fraction in FRACTIONS:
        scale = (fraction * full).astype(np.float32)[:, None]
        count = value / scale
        count += np.float32(0.5)
        np.floor(count, out=count)
        np.clip(count, low, high, out=count)
        count *= scale
        count -= target
        error = np.einsum("cn,cn->c", count, count, dtype=np.float64)
        better = error < least
        least = np.where(better, error, least)
        best = np.where(better, fraction * full, best)
    best[~alive] = best[alive].max() if alive.any() else 1.0
    return best
