"""The size of one count: the scale that loses least when activations are rounded to levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

FRACTIONS = np.geomspace(0.1, 1.0, 64)
"""Candidates for `scale`, as fractions of the one that reaches the largest activation seen with all levels."""


def best_scales(
    target: Floats, value: Floats, *, low: int | Floats, high: int | Floats, together: bool = False
) -> NDArray[np.float64]:
    """Scale of each channel that minimises `sum (target - s * clip(floor(value / s + 1/2), low, high))**2`.

    Args:
        target: activations of the model, shape (channel, sample).
        value: what the neuron will see instead, before its nonlinearity, same shape: inputs already quantized.
        low, high: range of counts, for all channels or of shape (channel,).
        together: one scale for all channels.

    Returns:
        Shape (channel,). A channel without activity takes the largest scale of the others, 1.0 if there is none.
    """
    if together:
        least, most = np.max(low).reshape(1), np.min(high).reshape(1)
        one = best_scales(target.reshape(1, -1), value.reshape(1, -1), low=least, high=most)
        return np.full(len(target), one[0])
    target, value = np.asarray(target, np.float32), np.asarray(value, np.float32)
    largest = np.abs(target).max(axis=1).astype(np.float64)
    alive = largest > 0
    full = np.maximum(target.max(axis=1) / np.asarray(high), -target.min(axis=1) / np.maximum(-np.asarray(low), 1))
    full = np.where(alive, full, 1.0 / np.asarray(high)).astype(np.float64)
    bottom, top = (np.asarray(end, np.float32).reshape(-1, 1) for end in (low, high))
    best = full.copy()
    least = np.full(len(target), np.inf)
    for fraction in FRACTIONS:
        scale = (fraction * full).astype(np.float32)[:, None]
        count = value / scale
        count += np.float32(0.5)
        np.floor(count, out=count)
        np.clip(count, bottom, top, out=count)
        count *= scale
        count -= target
        error = np.einsum("cn,cn->c", count, count, dtype=np.float64)
        better = error < least
        least = np.where(better, error, least)
        best = np.where(better, fraction * full, best)
    best[~alive] = best[alive].max() if alive.any() else 1.0
    return best
