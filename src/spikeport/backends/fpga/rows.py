"""Synapses as the core reads them: what one source neuron reaches is a row, and rows that are alike share a pattern.

A row says where its pattern begins and how long it is, its first weight and its first target. An entry of a pattern is a distance
from either. So a dense layer has one pattern, a convolution one for each way in which its kernel meets a border or a stride, and each
weight of a layer is held once, whatever the operator was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import rows
from spikeport.backends.dynamics.folding import placed
from spikeport.graph.shapes import output_shape
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Projection, Shape, Sparse, Synapse

Whole = NDArray[np.int64]
Pattern = tuple[bytes, bytes]
"""Distances from the first target, and from the first weight."""


@dataclass(frozen=True, slots=True, eq=False)
class RowSet:
    """What each neuron of a source reaches."""

    patterns: tuple[Pattern, ...]
    pattern: Whole
    """Of each source neuron, index into `patterns`."""
    first_weight: Whole
    first_target: Whole
    weights: Whole

    @property
    def lengths(self) -> Whole:
        """Synapses of each source neuron."""
        each = np.array([len(targets) // 8 for targets, _ in self.patterns], dtype=np.int64)
        return each[self.pattern] if len(each) else np.zeros(0, np.int64)


def rows_of(chain: Iterable[Synapse | Sparse], source: Shape, target: Shape, scale: Whole | None = None) -> RowSet:
    """The rows of a chain of synapses.

    Args:
        chain: in order.
        source, target: shapes at its ends.
        scale: what arrives at each target neuron is multiplied by it.

    Raises:
        ValueError: the synapses do not lead from the one shape to the other.
    """
    chain = tuple(chain)
    if scale is not None and np.all(scale == 1):
        scale = None
    weighted = [s for s in chain if isinstance(s, Dense | Conv | OneToOne | Sparse)]
    one_path = len(weighted) == 1 and not isinstance(weighted[0], Sparse) and scale is None
    if one_path and (len(chain) == 1 or placed(chain, source) is not None):  # type: ignore[arg-type]  # without a Sparse
        return _shared(chain, source, target)
    found = rows(Projection("", "", chain), source, target)
    weights = np.broadcast_to(
        np.repeat(found.weights[:, 0], np.diff(found.offsets)) if found.weights.ndim == 2 else found.weights,
        found.targets.shape,
    )
    weights = np.asarray(np.rint(weights), dtype=np.int64)
    if scale is not None:
        weights = weights * scale[found.targets]
    return _by_value(found.offsets, found.targets.astype(np.int64), weights)


def windows_of(window: MaxPool, source: Shape) -> RowSet:
    """For each neuron of a maximum the places of its window, as targets; padding is left out."""
    post = prod(output_shape(window, [source]))
    # a sum over the same window, of places numbered one by one, tells which they are
    n = len(window.kernel)
    numbers = np.arange(1, prod(source) + 1, dtype=np.int64).reshape(1, *source)
    padded = np.pad(numbers, ((0, 0), *((0, 0),) * (numbers.ndim - 1 - n), *window.padding))
    spans = tuple((k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, tuple(range(padded.ndim - n, padded.ndim)))
    steps = tuple(slice(None, None, s) for s in window.stride)
    inside = tuple(slice(None, None, d) for d in window.dilation)
    index: tuple[Any, ...] = (..., *steps, *inside)
    places = view[index].reshape(post, -1)
    targets = [np.sort(row[row > 0] - 1) for row in places]
    offsets = np.cumsum([0, *map(len, targets)])
    flat = np.concatenate(targets) if targets else np.zeros(0, np.int64)
    return replace(_by_value(offsets, flat, np.zeros(len(flat), np.int64)), weights=np.zeros(0, np.int64))


def _shared(chain: tuple[Any, ...], source: Shape, target: Shape) -> RowSet:
    """Rows over the weights of the one operator that has some, which are found by numbers in their place."""

    def numbered(synapse: Any) -> Any:
        weight = getattr(synapse, "weight", None)
        if weight is None:
            return synapse
        shape = weight.shape
        if isinstance(synapse, Dense | Conv):  # those that one source reads lie side by side
            numbers = np.arange(1, weight.size + 1).reshape(shape[1], shape[0], *shape[2:]).swapaxes(0, 1)
        else:
            numbers = np.arange(1, weight.size + 1).reshape(shape)
        return replace(synapse, weight=numbers)

    found = rows(Projection("", "", tuple(map(numbered, chain))), source, target)
    weight = next(s.weight for s in chain if getattr(s, "weight", None) is not None)
    operator = next(s for s in chain if getattr(s, "weight", None) is not None)
    flat = weight.swapaxes(0, 1).ravel() if isinstance(operator, Dense | Conv) else weight.ravel()
    numbers = np.asarray(np.rint(found.weights), dtype=np.int64) - 1
    numbers = np.broadcast_to(numbers, found.targets.shape)
    return _patterns(found.offsets, found.targets.astype(np.int64), numbers, np.asarray(np.rint(flat), dtype=np.int64))


def _by_value(offsets: Whole, targets: Whole, weights: Whole) -> RowSet:
    """Rows that hold their weights themselves; those with the same ones share them."""
    known: dict[bytes, int] = {}
    held: list[Whole] = []
    numbers = np.zeros(len(targets), np.int64)
    kept_targets: list[Whole] = []
    lengths, total, filled = [], 0, 0
    for begin, end in pairwise(offsets):
        where, worth = _merged(targets[begin:end], weights[begin:end])
        key = worth.tobytes()
        if key not in known:
            known[key] = total
            held.append(worth)
            total += len(worth)
        start = filled
        kept_targets.append(where)
        lengths.append(len(where))
        filled += len(where)
        numbers[start : start + len(where)] = known[key] + np.arange(len(where))
    flat = np.concatenate(kept_targets) if kept_targets else np.zeros(0, np.int64)
    ends = np.cumsum([0, *lengths])
    return _patterns(ends, flat, numbers[: len(flat)], np.concatenate(held) if held else np.zeros(0, np.int64))


def _merged(targets: Whole, weights: Whole) -> tuple[Whole, Whole]:
    """Targets rising, each once: two synapses between the same neurons are one whose weight is their sum."""
    where, index = np.unique(targets, return_inverse=True)
    if len(where) == len(targets):
        order = np.argsort(targets, kind="stable")
        return targets[order], weights[order]
    worth = np.zeros(len(where), np.int64)
    np.add.at(worth, index, weights)
    return where, worth


def _patterns(offsets: Whole, targets: Whole, numbers: Whole, weights: Whole) -> RowSet:
    size = len(offsets) - 1
    known: dict[Pattern, int] = {}
    pattern, first_weight, first_target = (np.zeros(size, np.int64) for _ in range(3))
    for i, (begin, end) in enumerate(pairwise(offsets)):
        where, which = targets[begin:end], numbers[begin:end]
        if len(where):
            first_target[i], first_weight[i] = where.min(), which.min()
        key = ((where - first_target[i]).tobytes(), (which - first_weight[i]).tobytes())
        pattern[i] = known.setdefault(key, len(known))
    return RowSet(tuple(known), pattern, first_weight, first_target, weights)


def expanded(row_set: RowSet) -> list[tuple[Whole, Whole]]:
    """Targets and weights of each source neuron, read as the core reads them."""
    found = []
    for pattern, weight, target in zip(row_set.pattern, row_set.first_weight, row_set.first_target, strict=True):
        distances, numbers = (np.frombuffer(part, np.int64) for part in row_set.patterns[pattern])
        held = row_set.weights[weight + numbers] if len(row_set.weights) else np.zeros(len(numbers), np.int64)
        found.append((target + distances, held))
    return found
