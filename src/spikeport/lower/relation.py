"""Which neurons reach which: what chains of synapses join, without unrolling them.

Every operator but a sparse matrix treats the axes of a population one by one, so that "source s reaches target t" is a product of one small table
for each axis. Counts, fan-in and the sources of a slice of targets follow exactly, at the cost of the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import prod
from typing import Any, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import output_shape
from spikeport.primitives import (
    Conv,
    Dense,
    MaxPool,
    OneToOne,
    Pad,
    Reshape,
    Shape,
    Slice,
    Sparse,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
)

Bools = NDArray[np.bool_]
MERGED = 2**24
"""Most entries of a table that joins several axes at once."""
Chain = Sequence[Synapse | MaxPool | Sparse]


class Reach(Protocol):
    """Pairs of a source neuron and a target neuron, all by flat index."""

    @property
    def pairs(self) -> int:
        """Number of pairs."""

    @property
    def fan_in(self) -> int:
        """Most sources of one target."""

    def degrees(self) -> NDArray[np.int64]:
        """Sources of each target, flat."""

    def sources(self, start: int, stop: int) -> Bools:
        """Which sources reach targets start to stop, flat."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """What one axis joins: place `o` of the target's axis is reached by the places of the source's axis in row `o`."""

    table: Bools | int
    """Shape (target, source); a number is so many places, each joined with itself."""
    position: tuple[int, ...]
    """Where it stands among the axes of the source, which are sorted by it."""

    @property
    def size(self) -> int:
        """Places of the target's axis."""
        return self.table if isinstance(self.table, int) else len(self.table)

    @property
    def sources(self) -> int:
        """Places of the source's axis."""
        return self.table if isinstance(self.table, int) else self.table.shape[1]

    @property
    def alike(self) -> bool:
        """Whether all places are joined with the same ones."""
        if isinstance(self.table, int):
            return self.table == 1
        return self.table.strides[0] == 0 or bool((self.table == self.table[:1]).all())

    def counts(self) -> NDArray[np.int64]:
        """Sources of each place."""
        if isinstance(self.table, int):
            return np.ones(self.table, np.int64)
        if self.table.strides[0] == 0:
            return np.full(self.size, np.count_nonzero(self.table[:1]), np.int64)
        return np.count_nonzero(self.table, axis=1).astype(np.int64)

    def any(self, start: int, stop: int) -> Bools:
        """Which places of the source are joined with places start to stop."""
        if isinstance(self.table, int):
            places = np.arange(self.table)
            return (places >= start) & (places < stop)
        rows = self.table[start : min(stop, start + 1)] if self.table.strides[0] == 0 else self.table[start:stop]
        return np.asarray(rows.any(axis=0))

    def then(self, table: Bools | int) -> Axis:
        """Followed by what joins the places of the target in turn."""
        if isinstance(table, int):
            return self
        if isinstance(self.table, int):
            return Axis(table, self.position)
        return Axis((table.astype(np.float32) @ self.table.astype(np.float32)) > 0, self.position)


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A pair is joined if every axis joins its places. `axes` are in the order of the target's axes, in C order."""

    axes: tuple[Axis, ...]

    @property
    def pairs(self) -> int:
        return prod(int(axis.counts().sum()) for axis in self.axes)

    @property
    def fan_in(self) -> int:
        return prod(int(axis.counts().max(initial=0)) for axis in self.axes)

    def degrees(self) -> NDArray[np.int64]:
        each = [axis.counts() for axis in self.axes]
        return np.asarray(reduce(np.multiply.outer, each, np.ones((), np.int64))).reshape(-1)

    def sources(self, start: int, stop: int) -> Bools:
        shape = tuple(axis.size for axis in self.axes)
        by_source = sorted(range(len(self.axes)), key=lambda k: self.axes[k].position)
        found = np.zeros(tuple(self.axes[k].sources for k in by_source), dtype=np.bool_)
        for box in boxes(shape, start, stop):
            lines = [axis.any(a, b) for axis, (a, b) in zip(self.axes, box, strict=True)]
            found |= np.asarray(reduce(np.multiply.outer, [lines[k] for k in by_source], np.ones((), np.bool_)))
        return found.reshape(-1)

    def then(self, tables: Sequence[Bools | int]) -> Product:
        """Followed by what joins the leading axes of its targets in turn; those beyond have one place."""
        joined = [axis.then(table) for table, axis in zip(tables, self.axes, strict=False)]
        return Product((*joined, *self.axes[len(tables) :]))


@dataclass(frozen=True, eq=False)
class Listed:
    """Pairs as they stand in a sparse matrix; two synapses of a pair are two."""

    synapse: Sparse

    @property
    def pairs(self) -> int:
        return len(self.synapse.targets)

    @property
    def fan_in(self) -> int:
        return int(self.degrees().max(initial=0))

    def degrees(self) -> NDArray[np.int64]:
        return np.bincount(self.synapse.targets, minlength=self.synapse.post).astype(np.int64)

    def sources(self, start: int, stop: int) -> Bools:
        found = np.zeros(self.synapse.pre, dtype=np.bool_)
        offsets, sources = self._by_target
        found[sources[offsets[start] : offsets[stop]]] = True
        return found

    @cached_property
    def _by_target(self) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Entries offsets[t] to offsets[t + 1] are the sources of target t; sorted when somebody asks, as large ones may never be."""
        order = np.argsort(self.synapse.targets, kind="stable")
        sources = np.repeat(np.arange(self.synapse.pre, dtype=np.uint32), np.diff(self.synapse.offsets))[order]
        return np.concatenate(([0], np.cumsum(self.degrees()))), sources


def reach_of(chain: Chain, source: Shape) -> Reach:
    """What a chain of synapses joins, from a population of shape `source`; an upper bound in the few cases where axes mix.

    >>> pooled = reach_of([SumPool((2,), (2,), ((0, 0),))], (1, 6))
    >>> pooled.pairs, pooled.fan_in, pooled.sources(1, 2).tolist()
    (6, 2, [False, False, True, True, False, False])
    """
    moving = [synapse for synapse in chain if not isinstance(synapse, Reshape)]
    if len(moving) == 1 and isinstance(moving[0], Sparse):
        return Listed(moving[0])
    current = Product(tuple(Axis(size, (k,)) for k, size in enumerate(source)))
    shape = source
    for synapse in chain:
        match synapse:
            case Reshape():
                shape = synapse.shape
                continue
            case Sparse():
                current, shape = _all_to_all(current, synapse.post), (synapse.post,)
                continue
            case Dense(weight):
                current = _all_to_all(current, len(weight))
            case OneToOne():
                continue
            case Transpose(axes):
                aligned = _aligned(current, shape).axes
                current = Product((*(aligned[k] for k in axes), *aligned[len(axes) :]))
            case _:
                current = _aligned(current, shape).then(_tables(synapse, shape))
        shape = output_shape(synapse, [shape])
    return current


def boxes(shape: Shape, start: int, stop: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Flat indices start to stop as boxes, each a range for every axis.

    >>> list(boxes((3, 4), 2, 9))
    [((0, 1), (2, 4)), ((1, 2), (0, 4)), ((2, 3), (0, 1))]
    """
    if start >= stop:
        return
    if not shape:
        yield ()
        return
    inner = prod(shape[1:])
    first, last = start // inner, (stop - 1) // inner
    if first == last:
        for rest in boxes(shape[1:], start - first * inner, stop - first * inner):
            yield ((first, first + 1), *rest)
        return
    whole = tuple((0, size) for size in shape[1:])
    if start > first * inner:
        for rest in boxes(shape[1:], start - first * inner, inner):
            yield ((first, first + 1), *rest)
        first += 1
    partial = stop < (last + 1) * inner
    end = last if partial else last + 1
    if first < end:
        yield ((first, end), *whole)
    if partial:
        for rest in boxes(shape[1:], 0, stop - last * inner):
            yield ((last, last + 1), *rest)


def _all_to_all(before: Product, post: int) -> Product:
    """Every target is reached by all sources that reach anything."""
    first, *rest = (Axis(axis.any(0, axis.size)[None], axis.position) for axis in before.axes)
    return Product((_repeated(first, post), *rest))


def _repeated(axis: Axis, times: int) -> Axis:
    """Many places, joined as the first one is."""
    row = axis.any(0, 1)
    return Axis(np.broadcast_to(row, (times, len(row))), axis.position)


def _aligned(before: Product, shape: Shape) -> Product:
    """The same with an axis for each axis of the targets' shape, and behind them those of one place that it lacks."""
    axes = _with_ones(before.axes, shape)
    if axes is None:
        pieces = [piece for axis in before.axes for piece in _pieces(axis, shape)]
        axes = _with_ones(tuple(pieces), shape)
    if axes is None:
        axes = _with_ones((_merged(before, len(shape)),), shape)
    if axes is None:  # several axes mixed: anybody may reach anybody
        sources = prod(axis.sources for axis in before.axes)
        whole = np.broadcast_to(np.ones((), np.bool_), (shape[0], sources))
        axes = (Axis(whole, (0,)), *(Axis(np.ones((size, 1), np.bool_), (1, k)) for k, size in enumerate(shape[1:])))
    return Product(axes)


def _with_ones(axes: Sequence[Axis], shape: Shape) -> tuple[Axis, ...] | None:
    """The axes under a shape that differs in axes of one place alone; None if it differs otherwise."""
    if [axis.size for axis in axes if axis.size > 1] != [size for size in shape if size > 1]:
        return None
    several = [axis for axis in axes if axis.size > 1]
    single = [axis for axis in axes if axis.size == 1]
    last = max((axis.position for axis in axes), default=(0,))
    new = iter(Axis(np.ones((1, 1), dtype=np.bool_), (*last, k)) for k in range(len(shape)))
    found = [several.pop(0) if size > 1 else single.pop(0) if single else next(new) for size in shape]
    return (*found, *single)


def _pieces(axis: Axis, shape: Shape) -> list[Axis]:
    """An axis in the pieces that the shape asks for, where each place joins itself or all join the same; whole otherwise."""
    if axis.size == 1:
        return [axis]
    for first in range(len(shape)):
        for last in range(first + 2, len(shape) + 1):
            parts = shape[first:last]
            if prod(parts) != axis.size:
                continue
            if isinstance(axis.table, int):
                return [Axis(part, (*axis.position, k)) for k, part in enumerate(parts)]
            if axis.alike:
                lead = replace(_repeated(axis, parts[0]), position=(*axis.position, 0))
                rest = [Axis(np.ones((part, 1), np.bool_), (*axis.position, k + 1)) for k, part in enumerate(parts[1:])]
                return [lead, *rest]
    return [axis]


def _merged(before: Product, n_axes: int) -> Axis:
    """All axes as one, if that is a table of moderate size; an axis of size 0 otherwise, which fits no shape."""
    targets = prod(axis.size for axis in before.axes)
    sources = prod(axis.sources for axis in before.axes)
    if n_axes != 1 or targets * sources > MERGED:
        return Axis(np.zeros((0, 0), dtype=np.bool_), (0,))
    rows = [before.sources(t, t + 1) for t in range(targets)]
    return Axis(np.stack(rows), (0,))


def _tables(synapse: Synapse | MaxPool, sizes: Sequence[int]) -> list[Bools | int]:
    """What an operator joins, axis by axis of its input."""
    match synapse:
        case Conv(weight, stride, padding, dilation, groups):
            channels = np.kron(
                np.eye(groups, dtype=np.bool_), np.ones((len(weight) // groups, weight.shape[1]), dtype=np.bool_)
            )
            windows = zip(sizes[1:], weight.shape[2:], stride, padding, dilation, strict=True)
            return [channels, *(_windows(*window) for window in windows)]
        case SumPool(kernel, stride, padding):
            return _pooled(sizes, kernel, stride, padding, (1,) * len(kernel))
        case MaxPool(kernel, stride, padding, dilation):
            return _pooled(sizes, kernel, stride, padding, dilation)
        case Slice(start, stop, step):
            parts = zip(sizes, start, stop, step, strict=True)
            return [
                size if (a, b, s) == (0, size, 1) else np.eye(size, dtype=np.bool_)[a:b:s] for size, a, b, s in parts
            ]
        case Pad(width):
            return [
                np.pad(np.eye(size, dtype=np.bool_), (pair, (0, 0))) if any(pair) else size
                for size, pair in zip(sizes, width, strict=True)
            ]
        case Upsample(factor):
            return [
                np.eye(size, dtype=np.bool_).repeat(times, axis=0) if times > 1 else size
                for size, times in zip(sizes, factor, strict=True)
            ]
        case Dense() | OneToOne() | Reshape() | Transpose():
            raise AssertionError("joined elsewhere")
        case _:
            assert_never(synapse)


def _pooled(sizes: Sequence[int], kernel: Shape, stride: Shape, padding: Any, dilation: Shape) -> list[Bools | int]:
    leading = len(sizes) - len(kernel)
    windows = zip(sizes[leading:], kernel, stride, padding, dilation, strict=True)
    return [*sizes[:leading], *(_windows(*window) for window in windows)]


def _windows(size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> Bools:
    """Windows along one axis, shape (window, size); padding is nobody."""
    before, after = padding
    count = (size + before + after - (kernel - 1) * dilation - 1) // stride + 1
    places = np.arange(count)[:, None] * stride - before + np.arange(kernel)[None] * dilation
    table = np.zeros((count, size), dtype=np.bool_)
    rows, taps = np.nonzero((places >= 0) & (places < size))
    table[rows, places[rows, taps]] = True
    return table
