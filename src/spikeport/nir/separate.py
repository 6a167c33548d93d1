"""Sparse synapses in forms that NIR has: one weight between two neurons, and maps from maps.

Two synapses between one pair are two additions, and one weight for both would round otherwise. So they go to two projections, and all that
is added to the target afterwards goes to the second one too: every target adds the same numbers in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import Conv, DynamicNetwork, Projection, Shape, Sparse


def separated(network: DynamicNetwork) -> DynamicNetwork:
    """The same network with at most one synapse from a neuron to another in each projection."""
    projections = tuple(part for p in network.projections for part in _parts(p))
    return network if len(projections) == len(network.projections) else replace(network, projections=projections)


def _parts(projection: Projection) -> Iterator[Projection]:
    sparse = next((s for s in projection.synapses if isinstance(s, Sparse)), None)
    place = np.zeros(0, dtype=np.int64) if sparse is None else _places(sparse)
    if sparse is None or not place.any():
        yield projection
        return
    sources = np.repeat(np.arange(sparse.pre), np.diff(sparse.offsets))
    weights = sparse.each_weight()
    for number in range(int(place.max()) + 1):
        chosen = place == number
        offsets = np.concatenate(([0], np.cumsum(np.bincount(sources[chosen], minlength=sparse.pre))))
        part = Sparse(offsets, sparse.targets[chosen], np.array(weights[chosen]), sparse.post)
        synapses = tuple(part if s is sparse else s for s in projection.synapses)
        yield replace(projection, synapses=synapses, bias=projection.bias if number == 0 else None)


def _places(sparse: Sparse) -> NDArray[np.int64]:
    """Of each synapse, in how manieth projection it goes: one more from each on that repeats a pair, target by target."""
    sources = np.repeat(np.arange(sparse.pre), np.diff(sparse.offsets))
    targets = sparse.targets.astype(np.int64)
    pairs = sources * sparse.post + targets
    order = np.argsort(pairs, kind="stable")
    again = np.zeros(len(pairs), dtype=np.int64)
    again[order[1:]] = pairs[order[1:]] == pairs[order[:-1]]
    order = np.argsort(targets, kind="stable")
    total = np.cumsum(again[order])
    first = np.flatnonzero(np.diff(targets[order], prepend=-1))
    before = total[first] - again[order][first]
    lengths = np.diff(np.append(first, len(order)))
    places = np.empty(len(pairs), dtype=np.int64)
    places[order] = total - np.repeat(before, lengths)
    return places


def from_maps(matrix: NDArray[np.float64], source: Shape, target: Shape) -> Conv:
    """A matrix from feature maps to feature maps as one convolution: its stride is the source, so that no two outputs share a tap."""
    axes = len(source) - 1
    space, out = source[1:], target[1:]
    taps = matrix.reshape(*target, *source)
    taps = np.flip(taps, axis=tuple(range(1, 1 + axes)))  # the last output sees the first taps
    order = (0, 1 + axes, *(n for i in range(axes) for n in (1 + i, 2 + axes + i)))
    kernel = tuple(n * m for n, m in zip(space, out, strict=True))
    weight = taps.transpose(order).reshape(target[0], source[0], *kernel)
    padding = tuple((n * (m - 1),) * 2 for n, m in zip(space, out, strict=True))
    assert prod(weight.shape) == matrix.size
    return Conv(weight, space, padding, (1,) * axes)
