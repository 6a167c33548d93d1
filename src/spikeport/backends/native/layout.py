"""Values as the native kernels hold them: channels last, in the narrowest integer type, in an arena that is used again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply_synapse
from spikeport.primitives import Routing, Shape

ALIGNMENT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Integers in [low, high] of shape (batch, *shape), channels last at a place of the arena."""

    place: int
    shape: Shape
    low: int
    high: int
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Integers of one sample."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def height(self) -> int:
        """Rows of a map; more than two spatial axes lie one after the other, which only elementwise kernels may see."""
        return self.size // (self.channels * self.width) if self.size else prod(self.shape[1:-1])

    @property
    def width(self) -> int:
        return self.shape[-1] if len(self.shape) > 1 else 1

    def under(self, shape: Shape) -> Value:
        """The same integers under another shape."""
        return replace(self, shape=shape)


def last(array: NDArray[Any]) -> NDArray[Any]:
    """Values (batch, channel, *space) as (batch, *space, channel)."""
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def first(array: NDArray[Any]) -> NDArray[Any]:
    """Values (batch, *space, channel) as (batch, channel, *space)."""
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def internal_shape(shape: Shape) -> Shape:
    """Shape of a sample as it is held."""
    return (*shape[1:], shape[0]) if shape else ()


def parameter(array: NDArray[Any], shape: Shape) -> NDArray[np.int64]:
    """A layer's parameter as kernels take it: one a channel where it does not vary inside channels, else (pixel, channel)."""
    full = np.broadcast_to(array, shape).astype(np.int64).reshape(shape[0] if shape else 1, -1)
    if not full.shape[1] or (full == full[:, :1]).all():
        return full[:, 0].copy() if full.shape[1] else np.zeros(len(full), np.int64)
    return np.ascontiguousarray(full.T)


def table(steps: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """The steps of a staircase as kernels take them: (level, channel), or (level, pixel, channel)."""
    rows = steps.reshape(len(steps), *(1,) * (len(shape) - steps.ndim + 1), *steps.shape[1:])
    full = np.broadcast_to(rows, (len(rows), *shape)).reshape(len(rows), shape[0] if shape else 1, -1)
    if not full.shape[2] or (full == full[:, :, :1]).all():
        return full[:, :, 0].copy() if full.shape[2] else np.zeros(full.shape[:2], np.int64)
    return np.ascontiguousarray(full.transpose(0, 2, 1))


def origins(shape: Shape, routing: Sequence[Routing], *, logical: bool = False) -> tuple[NDArray[np.int64], Shape]:
    """For each value after the routing the place it comes from in the held source, -1 for none; and the shape.

    The values after it are listed as they are held, or in C order of their shape where `logical` is set.
    """
    index = first(np.arange(1, prod(shape) + 1).reshape(1, *internal_shape(shape)))
    for synapse in routing:
        index = apply_synapse(synapse, index)
    after = index.shape[1:]
    return (index if logical else last(index)).reshape(-1) - 1, after


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Bytes of one sample, needed from one step to another, both included."""

    size: int
    begin: int
    end: int


def arranged(lifetimes: Sequence[Lifetime]) -> tuple[tuple[int, ...], int]:
    """Offsets in an arena, for one sample, at which nothing overlaps that lives at the same time; and the arena's size.

    >>> arranged([Lifetime(100, 0, 1), Lifetime(64, 1, 2), Lifetime(10, 2, 3)])
    ((0, 128, 0), 192)
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for i in sorted(
        range(len(lifetimes)), key=lambda i: -lifetimes[i].size
    ):  # the large ones first: they leave fewer gaps
        mine = lifetimes[i]
        taken = sorted(
            (offsets[j], offsets[j] + _aligned(lifetimes[j].size))
            for j in placed
            if lifetimes[j].begin <= mine.end and mine.begin <= lifetimes[j].end
        )
        at = 0
        for begin, end in taken:
            if at + _aligned(mine.size) <= begin:
                break
            at = max(at, end)
        offsets[i] = at
        placed.append(i)
    return tuple(offsets), max((offsets[i] + _aligned(x.size) for i, x in enumerate(lifetimes)), default=0)


def _aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
