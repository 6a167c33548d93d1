"""What chains of synapses join, against what their weights do to one spike at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.graph import apply, output_shape
from spikeport.lower.relation import boxes, reach_of
from spikeport.primitives import (
    Conv,
    Dense,
    MaxPool,
    OneToOne,
    Pad,
    Reshape,
    Slice,
    Sparse,
    SumPool,
    Transpose,
    Upsample,
)


def joined(chain, shape):
    """Table (target, source), by sending one spike from each source through weights of 1."""
    x = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    for synapse in chain:
        match synapse:
            case Sparse():
                x = (x @ synapse.dense().T) != 0
            case _:
                x = apply(synapse, [x.astype(float)])
        x = (x > 0).astype(float)
    return x.reshape(len(x), -1).T > 0


def ones(*shape):
    return np.ones(shape)


CHAINS = {
    "dense": ((6,), [Dense(ones(4, 6))]),
    "one to one": ((2, 3), [OneToOne(ones(2, 3))]),
    "conv": ((3, 6, 5), [Conv(ones(4, 3, 3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2))]),
    "grouped": ((4, 6), [Conv(ones(8, 2, 3), (1,), ((1, 1),), (1,), 2)]),
    "depthwise, then all": (
        (4, 6),
        [Conv(ones(4, 1, 3), (1,), ((1, 1),), (1,), 4), Reshape((24,)), Dense(ones(3, 24))],
    ),
    "pool, then conv": (
        (2, 8, 8),
        [SumPool((3, 3), (2, 2), ((1, 1), (1, 1))), Conv(ones(3, 2, 3, 3), (1, 1), ((0, 0),) * 2, (1, 1))],
    ),
    "global pool, then dense": ((5, 4, 4), [SumPool((4, 4), (4, 4), ((0, 0),) * 2), Reshape((5,)), Dense(ones(3, 5))]),
    "global pool": ((5, 4, 4), [SumPool((4, 4), (4, 4), ((0, 0),) * 2), Reshape((5,))]),
    "dropped rows, then flat": ((2, 5, 4), [SumPool((2, 2), (2, 2), ((0, 0),) * 2), Reshape((8,)), Dense(ones(3, 8))]),
    "shortcut": ((4, 6, 6), [Slice((0, 0, 0), (4, 6, 6), (1, 2, 2)), Pad(((2, 2), (0, 0), (0, 0)))]),
    "transposed": ((2, 3, 4), [Transpose((2, 0, 1)), Conv(ones(3, 4, 2, 2), (1, 1), ((0, 0),) * 2, (1, 1))]),
    "transposed and flat": ((2, 3), [Transpose((1, 0)), Reshape((6,)), Slice((1,), (5,), (2,))]),
    "upsampled": ((2, 3), [Upsample((1, 2)), Conv(ones(1, 2, 3), (1,), ((1, 1),), (1,))]),
    "from flat": ((12,), [Reshape((1, 3, 4)), Conv(ones(2, 1, 2, 2), (1, 1), ((0, 0),) * 2, (1, 1))]),
    "dense as a map": ((3,), [Dense(ones(12, 3)), Reshape((3, 2, 2)), Slice((0, 0, 0), (3, 2, 1), (2, 1, 1))]),
    "slice of flat": ((2, 3), [Reshape((6,)), Slice((1,), (5,), (1,)), Pad(((1, 0),))]),
    "max": ((2, 6), [MaxPool((3,), (2,), ((1, 1),), (2,))]),
    "sparse": ((3,), [Sparse([0, 2, 2, 3], [1, 0, 1], 1.0, post=4)]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_pairs_fan_in_and_sources_are_those_of_single_spikes(name):
    shape, chain = CHAINS[name]
    table, found = joined(chain, shape), reach_of(chain, shape)
    assert found.pairs == table.sum()
    assert found.degrees().tolist() == table.sum(axis=1).tolist()
    assert found.fan_in == table.sum(axis=1).max()
    for start in range(len(table)):
        for stop in (start, start + 1, len(table)):
            assert found.sources(start, stop).tolist() == table[start:stop].any(axis=0).tolist()


def test_axes_that_mix_give_an_upper_bound():
    shape, chain = (
        (4, 6),
        [Reshape((6, 4)), SumPool((2,), (2,), ((0, 0),)), Reshape((3, 4)), SumPool((2,), (2,), ((0, 0),))],
    )
    table, found = joined(chain, shape), reach_of(chain, shape)
    assert output_shape(chain[-1], [(3, 4)]) == (3, 2)
    assert (found.degrees() >= table.sum(axis=1)).all()
    assert found.pairs >= table.sum()


def test_two_synapses_of_a_pair_are_two():
    twice = reach_of([Sparse([0, 2], [0, 0], 1.0, post=1)], (1,))
    assert (twice.pairs, twice.fan_in, twice.sources(0, 1).tolist()) == (2, 2, [True])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_boxes_cover_a_range_once(shape, data):
    size = int(np.prod(shape))
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    seen = np.zeros(shape, dtype=int)
    for box in boxes(tuple(shape), start, stop):
        seen[tuple(slice(a, b) for a, b in box)] += 1
    assert seen.reshape(-1).tolist() == [int(start <= i < stop) for i in range(size)]
