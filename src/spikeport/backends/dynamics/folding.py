"""Synapses by source of chains in which a spike reaches a neuron along one path at most: placed, instead of computed as responses.

What a spike is worth at its target is then one product in the order of the chain, without a sum, so that the result is the response's, bit
for bit; and it takes as long as there are synapses, where responses take as long as there are pairs of neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.graph.shapes import output_shape
from spikeport.primitives import Conv, Dense, OneToOne, Reshape, Shape, SumPool, Synapse, Transpose

BLOCK = 2**22
"""Synapses that are placed at once, at most."""

Block = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""For some sources in order: how many synapses each has, then targets and weights."""


def placed(chain: tuple[Synapse, ...], source: Shape) -> Iterator[Block] | None:
    """The synapses of a checked chain, targets rising within a source and no weight 0; None where paths may meet."""
    fans = [i for i, synapse in enumerate(chain) if isinstance(synapse, Conv | Dense)]
    if len(fans) != 1:
        return None
    before, fan, after = chain[: fans[0]], chain[fans[0]], chain[fans[0] + 1 :]
    assert isinstance(fan, Conv | Dense)
    if not all(isinstance(synapse, OneToOne | Reshape) for synapse in after):
        return None
    place, worth, shape = np.arange(prod(source)), np.ones(prod(source)), source  # place -1: it leads nowhere
    for synapse in before:
        match synapse:
            case Reshape():
                pass
            case OneToOne(weight):
                each = np.broadcast_to(weight, shape).ravel()
                worth = worth * each[place]
            case Transpose(axes):
                moved = np.arange(prod(shape)).reshape(output_shape(synapse, [shape]))
                moved = np.ravel(moved.transpose(np.argsort(axes)))  # where each neuron goes
                place = np.where(place < 0, -1, moved[place])
            case SumPool(kernel, stride, _) if all(k <= s for k, s in zip(kernel, stride, strict=True)):
                place = _pooled(synapse, place, shape)
            case _:
                return None
        shape = output_shape(synapse, [shape])
    leaving = _from_dense(fan, place, worth) if isinstance(fan, Dense) else _from_conv(fan, place, worth, shape)
    return _scaled(leaving, after, output_shape(fan, [shape]))


def _pooled(pool: SumPool, place: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """The one window that reads each neuron, -1 where none does."""
    target = output_shape(pool, [shape])
    index = [*np.unravel_index(np.maximum(place, 0), shape)]
    inside = place >= 0
    lead = len(shape) - len(pool.kernel)
    for axis, (kernel, stride, (low, _)) in enumerate(zip(pool.kernel, pool.stride, pool.padding, strict=True), lead):
        window, offset = np.divmod(index[axis] + low, stride)
        inside &= (offset < kernel) & (window < target[axis])
        index[axis] = np.minimum(window, target[axis] - 1)
    return np.where(inside, np.ravel_multi_index(index, target), -1)


def _from_dense(dense: Dense, place: NDArray[np.int64], worth: NDArray[np.float64]) -> Iterator[Block]:
    """What leaves each source over a matrix, from where it stands in the layer before."""
    post = len(dense.weight)
    block = max(1, BLOCK // post)
    for begin in range(0, len(place), block):
        part = place[begin : begin + block]
        values = worth[begin : begin + block, None] * dense.weight.T[part]
        values[part < 0] = 0
        yield np.full(len(part), post), np.tile(np.arange(post), len(part)), values.ravel()


def _from_conv(conv: Conv, place: NDArray[np.int64], worth: NDArray[np.float64], shape: Shape) -> Iterator[Block]:
    """What leaves each source over a convolution of a layer of `shape`, from where it stands in this layer."""
    out, per_group, *kernel = conv.weight.shape
    each = out // conv.groups
    space = output_shape(conv, [shape])[1:]
    taps = np.array([*product(*(range(k) for k in kernel))])[::-1]  # the last tap reads for the first window
    weight = conv.weight.astype(np.float64).reshape(conv.groups, each, per_group, -1)[..., ::-1]
    channels = np.arange(each)
    block = max(1, BLOCK // (each * len(taps)))
    for begin in range(0, len(place), block):
        part = place[begin : begin + block]
        channel, *index = np.unravel_index(np.maximum(part, 0), shape)
        window = np.zeros((len(part), len(taps)), dtype=np.int64)
        inside = np.repeat((part >= 0)[:, None], len(taps), axis=1)
        for axis, (stride, (low, _), dilation) in enumerate(zip(conv.stride, conv.padding, conv.dilation, strict=True)):
            at, offset = np.divmod(index[axis][:, None] + low - dilation * taps[None, :, axis], stride)
            inside &= (offset == 0) & (at >= 0) & (at < space[axis])
            window = window * space[axis] + at
        group, own = np.divmod(channel, per_group)
        values = worth[begin : begin + block, None, None] * weight[group, :, own]  # (source, channel, tap)
        targets = (group * each)[:, None, None] + channels[:, None]
        targets = targets * prod(space) + window[:, None, :]
        chosen = np.broadcast_to(inside[:, None, :], values.shape)
        yield np.count_nonzero(chosen, axis=(1, 2)), targets[chosen], values[chosen]


def _scaled(blocks: Iterator[Block], after: tuple[Synapse, ...], shape: Shape) -> Iterator[Block]:
    """Behind coefficients of the targets; what is then 0 is no synapse."""
    for counts, targets, values in blocks:
        target = shape
        for synapse in after:
            if isinstance(synapse, OneToOne):
                values = values * np.broadcast_to(synapse.weight, target).ravel()[targets]
            target = output_shape(synapse, [target])
        source, kept = np.repeat(np.arange(len(counts)), counts), values != 0
        yield np.bincount(source[kept], minlength=len(counts)), targets[kept], values[kept]
