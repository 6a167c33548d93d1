"""Taps and slabs: the same linear map as the chain of synapses, whatever the chain."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from spikeport import native

if not native.available():
    pytest.skip(native.why_missing(), allow_module_level=True)

from spikeport.backends.native.wiring import NoWiringError, Wiring, pixels_of, windows, wire
from spikeport.graph import apply, apply_synapse
from spikeport.primitives import (
    Conv,
    Dense,
    MaxPool,
    OneToOne,
    Pad,
    Reshape,
    Slice,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
)

RNG = np.random.default_rng(0)


def integers(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, size=shape)


POOL = SumPool((2, 2), (2, 2), ((0, 0), (0, 0)))
OVERLAPPING = SumPool((3, 3), (2, 2), ((1, 1), (1, 0)))
CHAINS: dict[str, tuple[tuple[int, ...], tuple[Synapse, ...]]] = {
    "conv": ((3, 5, 4), (Conv(integers(4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),)),
    "strided, dilated conv": ((3, 7, 6), (Conv(integers(4, 3, 2, 3), (2, 1), ((1, 0), (2, 1)), (2, 1)),)),
    "grouped": ((4, 4, 4), (Conv(integers(6, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),)),
    "depthwise": ((4, 4, 4), (Conv(integers(4, 1, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 4),)),
    "depthwise with two outputs each": ((3, 4, 4), (Conv(integers(6, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),)),
    "1-d": ((2, 9), (Conv(integers(3, 2, 3), (1,), ((1, 1),), (1,)),)),
    "dense": ((12,), (Dense(integers(5, 12)),)),
    "flattened": ((3, 2, 4), (Reshape((24,)), Dense(integers(5, 24)))),
    "flattened in another order": ((3, 2, 4), (Transpose((1, 2, 0)), Reshape((24,)), Dense(integers(5, 24)))),
    "pooled": ((3, 4, 6), (POOL,)),
    "pooled with overlap": ((3, 5, 6), (OVERLAPPING,)),
    "pooled, then conv": ((3, 6, 6), (POOL, Conv(integers(4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)))),
    "conv, then pooled": ((3, 6, 6), (Conv(integers(4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), OVERLAPPING)),
    "conv, then flattened": ((2, 3, 3), (Conv(integers(3, 2, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), Reshape((12,)))),
    "depthwise, then pooled": ((4, 4, 4), (Conv(integers(4, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4), POOL)),
    "pooled, flattened, dense": ((3, 4, 4), (POOL, Reshape((12,)), Dense(integers(2, 12)))),
    "shortcut": ((3, 4, 6), (Slice((0, 0, 0), (3, 4, 6), (1, 2, 2)), Pad(((1, 2), (0, 0), (0, 0))))),
    "one to one": ((3, 2, 2), (OneToOne(integers(3, 1, 1)),)),
    "one to one by place": ((3, 2, 2), (OneToOne(integers(3, 2, 2)),)),
    "one to one, pooled": ((3, 4, 4), (OneToOne(integers(3, 4, 4)), POOL)),
    "pooled, one to one": ((3, 4, 4), (POOL, OneToOne(integers(3, 1, 1)))),
    "nothing": ((3, 2, 2), ()),
    "flat": ((3, 2, 2), (Reshape((12,)),)),
    "unflat": ((12,), (Reshape((3, 2, 2)),)),
    "upsampled": ((2, 2, 3), (Upsample((1, 2, 2)),)),
    "channels repeated": ((2, 2, 3), (Upsample((2, 1, 1)),)),
    "upsampled, then conv": (
        (2, 2, 3),
        (Upsample((1, 2, 1)), Conv(integers(3, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))),
    ),
    "transposed": ((2, 3, 4), (Transpose((2, 0, 1)),)),
    "padded pixels": ((2, 3, 3), (Pad(((0, 0), (1, 0), (0, 2))),)),
}


def matrix(wiring: Wiring, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
    """What taps and slabs compute, (target neuron, source neuron)."""
    pixels, channels = pixels_of(source)
    out_pixels, outputs = pixels_of(target)
    full = np.zeros((outputs, out_pixels, channels, pixels), dtype=np.int64)
    for o in range(out_pixels):
        for i in range(wiring.offsets[o], wiring.offsets[o + 1]):
            pixel, slab = wiring.pixel[i], wiring.slab[i]
            if wiring.rows is not None:
                full[:, o, :, pixel] += wiring.rows[slab].T
            else:
                assert wiring.target is not None
                assert wiring.factor is not None
                for c in np.flatnonzero(wiring.target[slab] >= 0):
                    full[wiring.target[slab, c], o, c, pixel] += wiring.factor[slab, c]
    return full.reshape(outputs * out_pixels, channels * pixels)


@pytest.mark.parametrize("name", CHAINS)
def test_wiring_is_the_chain(name: str) -> None:
    source, synapses = CHAINS[name]
    unit = np.eye(int(np.prod(source)), dtype=np.int64).reshape(-1, *source)
    expected = unit
    for synapse in synapses:
        expected = apply_synapse(synapse, expected)
    found = matrix(wire(synapses, source, expected.shape[1:]), source, expected.shape[1:])
    assert np.array_equal(found, expected.reshape(len(unit), -1).T)


def test_weights_before_weights_are_refused() -> None:
    conv = Conv(integers(2, 2, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    with pytest.raises(NoWiringError, match="before its weights"):
        wire((OneToOne(3 * np.ones((1, 1, 1), np.int64)), conv), (2, 2, 2), (2, 2, 2))


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 0))])
def test_windows_are_those_of_max_pooling(padding: tuple[tuple[int, int], ...]) -> None:
    window = MaxPool((3, 2), (2, 1), padding, (1, 2))
    x = integers(1, 2, 5, 6)
    offsets, pixel = windows(window, x.shape[1:])
    flat = x.reshape(2, -1)
    found = np.array([flat[:, pixel[a:b]].max(axis=1) for a, b in pairwise(offsets)]).T
    assert np.array_equal(found, apply(window, [x]).reshape(2, -1))


def test_a_large_flattened_map_is_taken_apart_in_memory_of_its_weights() -> None:
    source, size = (2, 100, 90), 2 * 100 * 90  # a table of places by weights would take 1.2 GiB
    weight = integers(3, size)
    tracemalloc.start()
    found = wire((Reshape((size,)), Dense(weight)), source, (3,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.rows is not None
    assert found.offsets.tolist() == [0, 9000]
    laid = np.empty((9000, 2, 3), dtype=np.int64)
    laid[found.pixel] = found.rows[found.slab]  # (pixel, channel, output)
    assert np.array_equal(laid.transpose(2, 1, 0).reshape(3, size), weight)
    assert peak < 50 * weight.nbytes


def test_a_large_map_is_flattened_in_memory_of_its_neurons() -> None:
    source, size = (2, 100, 90), 2 * 100 * 90
    tracemalloc.start()
    found = wire((Reshape((size,)),), source, (size,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.target is not None
    assert found.factor is not None
    to = np.empty((9000, 2), dtype=np.int64)
    to[found.pixel] = found.target[found.slab]
    assert np.array_equal(to.T.ravel(), np.arange(size))
    assert (found.factor == 1).all()
    assert peak < 100 * 8 * size
