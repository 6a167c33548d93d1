"""Connections between neurons as connections between their units: neuron (c, ...) is units (c L + k, ...), k = 0 .. L - 1."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.rows import rows
from spikeport.primitives import Conv, Dense, Pad, Projection, Reshape, Shape, Sparse, SumPool, Synapse

Integers = NDArray[np.int64]
Chain = tuple[Synapse | Sparse, ...]


def tiled(synapses: tuple[Synapse, ...], source: Shape, target: Shape, fan: int, units: int) -> Chain:
    """A chain between neurons as one between units: every unit of a source reaches all units of its targets."""
    *before, last = synapses or (None,)
    if isinstance(last, Conv) and last.groups == 1 and all(map(_keeps_channels, before)):
        weight = last.weight.repeat(fan, axis=1).repeat(units, axis=0)
        return (*synapses[:-1], replace(last, weight=weight))
    flat = [s for s in before if isinstance(s, Reshape) and len(s.shape) == 1]
    if isinstance(last, Dense) and before[-1:] == flat and all(map(_keeps_channels, before[:-1])):
        channels = source[0]
        weight = last.weight.reshape(len(last.weight), channels, -1).repeat(fan, axis=1).reshape(len(last.weight), -1)
        moved = [Reshape((s.shape[0] * fan,)) if s in flat else s for s in synapses[:-1]]
        return (*moved, Dense(weight.repeat(units, axis=0)))
    return (_unrolled(synapses, source, target, fan, units),)


def _keeps_channels(synapse: Synapse | None) -> bool:
    """Whether an operator works on each channel for itself, whatever their number."""
    return isinstance(synapse, SumPool) or (isinstance(synapse, Pad) and synapse.width[0] == (0, 0))


def _unrolled(synapses: tuple[Synapse, ...], source: Shape, target: Shape, fan: int, units: int) -> Sparse:
    found = rows(Projection("source", "target", synapses), source, target)
    each = np.diff(found.offsets)
    weights = np.repeat(found.weights[:, 0], each) if found.weights.ndim == 2 else found.weights
    weights = np.broadcast_to(weights, found.targets.shape).astype(np.int64)
    k, j = (axis.reshape(-1, 1) for axis in np.meshgrid(np.arange(fan), np.arange(units), indexing="ij"))

    def unit(neuron: Integers, shape: Shape, many: int, which: Integers) -> Integers:
        channel, pixel = np.divmod(neuron, prod(shape[1:]))
        flat: Integers = ((channel * many + which) * prod(shape[1:]) + pixel).reshape(-1)
        return flat

    return Sparse.from_pairs(
        unit(np.repeat(np.arange(len(each)), each), source, fan, k),
        unit(found.targets.astype(np.int64), target, units, j),
        np.tile(weights, fan * units),
        pre=prod(source) * fan,
        post=prod(target) * units,
    )
