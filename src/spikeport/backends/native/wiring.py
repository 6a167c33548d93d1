"""Connections as the native kernels read them: which source pixel each target pixel reads, and through which weights.

A population is stored by pixel: neuron (channel, *space) lies at (pixel, channel), pixels counted in C order of space; a layer
of units is one pixel. Any chain of synapses is linear, so it is a sum over *taps*: target pixel o reads source pixel p through
a *slab* of weights from the channels of p to the channels of o. A convolution has a slab for each place of its kernel, a dense
layer over flattened maps one for each source pixel; what keeps channels apart (residuals, depthwise, pooling) has diagonal
slabs: one target channel and one factor for each source channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply_synapse
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Shape, SumPool, Synapse

Integers = NDArray[np.int64]
LARGEST = 2**31
"""Entries of all slabs of one connection, at most; beyond that a network is left to the reference."""


class NoWiringError(Exception):
    """A connection that has no taps and slabs; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Taps of target pixel o are `offsets[o]` to `offsets[o + 1]`; either `rows`, or `target` and `factor`."""

    offsets: Integers
    pixel: Integers
    slab: Integers
    rows: Integers | None = None
    """Shape (slab, source channel, target channel)."""
    target: Integers | None = None
    """Target channel or -1, shape (slab, source channel)."""
    factor: Integers | None = None

    @property
    def repeats(self) -> int:
        """Most taps of one target channel: 1 if no target neuron reads two sources."""
        if self.target is None:
            return int(np.diff(self.offsets).max(initial=0)) * len(self.rows[0] if self.rows is not None else ())
        most = 0
        channels = int(self.target.max(initial=-1)) + 1
        for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            read = self.target[self.slab[begin:end]].ravel()
            most = max(most, int(np.bincount(read[read >= 0], minlength=channels).max(initial=0)))
        return most


def pixels_of(shape: Shape) -> tuple[int, int]:
    """Pixels and channels of a population.

    >>> pixels_of((2, 3, 4)), pixels_of((10,))
    ((12, 2), (1, 10))
    """
    return (prod(shape[1:]), shape[0]) if len(shape) > 1 else (1, prod(shape))


def wire(synapses: Sequence[Synapse], source: Shape, target: Shape) -> Wiring:
    """A chain of synapses from a population of one shape to one of another.

    Raises:
        NoWiringError: weights twice, or more of them than can be laid out.
    """
    index = next((i for i, s in enumerate(synapses) if isinstance(s, Dense | Conv)), None)
    pixels, channels = pixels_of(source)
    if index is None:
        reads, factors = _elementwise(synapses, source)
        return _diagonal(reads, factors, pixels, channels, pixels_of(target))
    reads, factors = _elementwise(synapses[:index], source)
    weighted = synapses[index]
    assert isinstance(weighted, Dense | Conv)
    kernel, before, after = _kernel(weighted, reads.shape[1:])
    if (factors[reads >= 0] != 1).any():
        raise NoWiringError("has weights before its weights")
    depthwise = (
        isinstance(weighted, Conv) and weighted.groups == weighted.weight.shape[0] and weighted.weight.shape[1] == 1
    )
    if depthwise and index == len(synapses) - 1:
        spread, scale = _spread(reads, kernel, before)
        return _diagonal(spread, scale, pixels, channels, pixels_of(target))
    wide = reads.reshape(len(reads), reads.shape[1], -1)
    writes, unit = _elementwise(synapses[index + 1 :], after)
    groups = weighted.groups if isinstance(weighted, Conv) else 1
    return _rows(wide, kernel, before, groups, writes, unit, pixels, channels, pixels_of(target))


def windows(window: MaxPool, shape: Shape) -> tuple[Integers, Integers]:
    """Pixels that each output pixel of a max pooling reads: offsets and pixels. Padding is left out, since it never wins."""
    space = shape[1:]
    flat = np.arange(1, prod(space) + 1).reshape(1, 1, *space)
    taken = _places(flat, window.kernel, window.stride, window.padding, window.dilation)
    read = taken.reshape(len(taken), -1).T - 1  # (output pixel, place)
    return np.concatenate([[0], np.cumsum((read >= 0).sum(axis=1))]), read[read >= 0]


def _elementwise(synapses: Sequence[Synapse], shape: Shape) -> tuple[Integers, Integers]:
    """Routing, pooling and factors: sums of `factor * source`, as flat indices (-1 for none) and factors, (term, *shape)."""
    reads = np.arange(1, prod(shape) + 1).reshape(1, *shape)
    factors = np.ones_like(reads)
    for synapse in synapses:
        match synapse:
            case OneToOne(weight):
                factors = factors * weight.astype(np.int64)
            case SumPool(kernel, stride, padding):
                ones = (1,) * len(kernel)
                reads, factors = (
                    np.concatenate(list(_places(part, kernel, stride, padding, ones))) for part in (reads, factors)
                )
            case _:
                reads, factors = apply_synapse(synapse, reads), apply_synapse(synapse, factors)
    return reads - 1, factors


def _places(x: Integers, kernel: Shape, stride: Shape, padding: Any, dilation: Shape) -> Integers:
    """What each place of a kernel sees: (place, *x without its last axes, *output); 0 in the padding."""
    n = len(kernel)
    x = np.pad(x, ((0, 0),) * (x.ndim - n) + tuple(padding))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    found = []
    for place in np.ndindex(*kernel):
        part: tuple[Any, ...] = tuple(
            slice(p * d, size - s + p * d + 1, step)
            for p, d, size, s, step in zip(place, dilation, x.shape[-n:], span, stride, strict=True)
        )
        found.append(x[(..., *part)])
    return np.array(found)


def _kernel(weighted: Dense | Conv, shape: Shape) -> tuple[Integers, Integers, Shape]:
    """Weights as (place, input channel of a group, output channel), input pixels as (place, output pixel), output shape."""
    if isinstance(weighted, Dense):
        weight = weighted.weight.astype(np.int64)
        return weight.T[None], np.zeros((1, 1), dtype=np.int64), (len(weight),)
    out, per_group = weighted.weight.shape[:2]
    kernel = weighted.weight.astype(np.int64).reshape(out, per_group, -1).transpose(2, 1, 0)
    space = shape[1:]
    flat = np.arange(1, prod(space) + 1).reshape(space)
    seen = _places(flat, weighted.weight.shape[2:], weighted.stride, weighted.padding, weighted.dilation)
    return kernel, seen.reshape(len(seen), -1) - 1, (out, *seen.shape[1:])


def _spread(reads: Integers, kernel: Integers, before: Integers) -> tuple[Integers, Integers]:
    """A depthwise convolution as sums of factors times sources: (term, channel, output pixel)."""
    terms, channels = reads.shape[:2]
    flat = reads.reshape(terms, channels, -1)
    seen = np.where(before >= 0, flat[:, :, before], -1)  # (term, channel, place, output pixel)
    factors = np.broadcast_to(kernel[:, 0, :].T[None, :, :, None], seen.shape)
    order = (0, 2, 1, 3)
    shape = (-1, channels, before.shape[1])
    return seen.transpose(order).reshape(shape), factors.transpose(order).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Fibers:
    """Parts of rows, each of one source pixel, by row and pixel; a pattern is what several parts may have in common."""

    row: Integers
    pixel: Integers
    pattern: Integers
    patterns: list[Integers]
    """Position in the row, source channel and factor of each entry, shape (3, entry); positions rise."""


def _fibers(reads: Integers, factors: Integers, pixels: int) -> _Fibers:
    """Split rows of source indices, (row, position), -1 for none, by source pixel; in time and memory of their entries."""
    row, position = np.nonzero(reads >= 0)
    index = reads[row, position]
    part = row * pixels + index % pixels
    order = np.argsort(part, kind="stable")  # positions go on rising within a part
    entries = np.stack([position, index // pixels, factors[row, position]], axis=1)[order]
    part, begin = np.unique(part[order], return_index=True)
    known: dict[bytes, int] = {}
    pattern, patterns = np.empty(len(part), dtype=np.int64), list[Integers]()
    for i, (a, b) in enumerate(pairwise([*begin.tolist(), len(entries)])):
        pattern[i] = known.setdefault(entries[a:b].tobytes(), len(known))
        if len(known) > len(patterns):
            patterns.append(entries[a:b].T)
    return _Fibers(part // pixels, part % pixels, pattern, patterns)


def _diagonal(reads: Integers, factors: Integers, pixels: int, channels: int, target: tuple[int, int]) -> Wiring:
    """Wiring of what keeps channels apart; as rows where one source channel reaches several target channels."""
    target_pixels, target_channels = target
    terms = len(reads)
    reads = reads.reshape(terms, target_channels, target_pixels).transpose(0, 2, 1).reshape(-1, target_channels)
    factors = factors.reshape(terms, target_channels, target_pixels).transpose(0, 2, 1).reshape(-1, target_channels)
    parts = _fibers(reads, factors, pixels)
    slabs = len(parts.patterns)
    offsets, order = _by_target(parts.row % target_pixels, target_pixels)
    taps = {"offsets": offsets, "pixel": parts.pixel[order], "slab": parts.pattern[order]}
    if all(len(np.unique(channel)) == len(channel) for _, channel, _ in parts.patterns):
        _bounded(slabs, channels, 1)
        to, factor = np.full((slabs, channels), -1), np.zeros((slabs, channels), dtype=np.int64)
        for i, (position, channel, scale) in enumerate(parts.patterns):
            to[i, channel], factor[i, channel] = position, scale
        return Wiring(**taps, target=to, factor=factor)
    _bounded(slabs, channels, target_channels)
    rows = np.zeros((slabs, channels, target_channels), dtype=np.int64)
    for i, (position, channel, scale) in enumerate(parts.patterns):
        rows[i, channel, position] = scale  # a position reads one channel
    return Wiring(**taps, rows=rows)


def _rows(
    reads: Integers,
    kernel: Integers,
    before: Integers,
    groups: int,
    writes: Integers,
    unit: Integers,
    pixels: int,
    channels: int,
    target: tuple[int, int],
) -> Wiring:
    """Wiring of weights between channels; `reads` before them (term, channel, pixel), `writes` after them."""
    terms, inputs, positions = reads.shape
    places = len(kernel)
    flat = reads.transpose(0, 2, 1).reshape(-1, inputs)
    parts = _fibers(flat, np.ones_like(flat), pixels)
    # parts of each row as a rectangle, so that the places of a kernel can look them up
    row = parts.row
    start = np.searchsorted(row, np.arange(terms * positions))
    depth = int(np.bincount(row, minlength=1).max(initial=0))
    rectangle = np.full((2, terms, positions + 1, max(depth, 1)), -1)  # the last position is padding
    term, position, nth = row // positions, row % positions, np.arange(len(row)) - start[row]
    rectangle[0, term, position, nth], rectangle[1, term, position, nth] = parts.pixel, parts.pattern
    seen = rectangle[:, :, before]  # (2, term, place, output pixel, part)
    place = np.broadcast_to(np.arange(places)[None, :, None, None], seen.shape[1:])
    out_pixel = np.broadcast_to(np.arange(before.shape[1])[None, None, :, None], seen.shape[1:])
    keep = seen[0] >= 0
    tap_pixel, tap_in, tap_place, tap_out = seen[0][keep], seen[1][keep], place[keep], out_pixel[keep]
    # what follows the weights: each target pixel takes the taps of the outputs it reads
    target_pixels, target_channels = target
    writes = writes.reshape(len(writes), target_channels, target_pixels).transpose(0, 2, 1).reshape(-1, target_channels)
    unit = unit.reshape(len(unit), target_channels, target_pixels).transpose(0, 2, 1).reshape(-1, target_channels)
    if (unit[writes >= 0] != 1).any():
        raise NoWiringError("has weights after its weights")
    after = _fibers(writes, unit, before.shape[1])
    by_out = np.argsort(tap_out, kind="stable")
    begin = np.searchsorted(tap_out[by_out], np.arange(before.shape[1] + 1))
    count = begin[after.pixel + 1] - begin[after.pixel]
    which = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    taken = by_out[begin[after.pixel[which]] + nth]
    keys = np.stack([tap_place[taken], tap_in[taken], after.pattern[which]], axis=1)
    keys, slab = np.unique(keys, axis=0, return_inverse=True)
    _bounded(len(keys), channels, target_channels)
    rows = np.zeros((len(keys), channels, target_channels), dtype=np.int64)
    full = [_ungrouped(kernel[p], groups, inputs) for p in range(places)]
    for i, (p, pattern_in, pattern_out) in enumerate(keys):
        (at_in, channel, _), (at_out, output, _) = parts.patterns[pattern_in], after.patterns[pattern_out]
        part = full[p][np.ix_(at_in, output)]
        np.add.at(rows[i], np.ix_(channel, at_out), part)  # several positions may read one channel
    offsets, order = _by_target(after.row[which] % target_pixels, target_pixels)
    return Wiring(offsets, tap_pixel[taken][order], slab.reshape(-1)[order], rows=rows)


def _ungrouped(weight: Integers, groups: int, inputs: int) -> Integers:
    """Weights of one place, (input channel of a group, output channel), as (input channel, output channel) with zeros."""
    if groups == 1:
        return weight
    per_group, outputs = weight.shape
    full = np.zeros((groups, per_group, groups, outputs // groups), dtype=np.int64)
    for g in range(groups):
        full[g, :, g] = weight.reshape(per_group, groups, -1)[:, g]
    return full.reshape(inputs, outputs)


def _by_target(to: Integers, pixels: int) -> tuple[Integers, Integers]:
    order = np.argsort(to, kind="stable")
    return np.searchsorted(to[order], np.arange(pixels + 1)), order


def _bounded(slabs: int, channels: int, targets: int) -> None:
    if slabs * channels * targets > LARGEST:
        raise NoWiringError(f"has {slabs:,} different blocks of {channels:,} by {targets:,} weights")
