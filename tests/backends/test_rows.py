"""Synapses that are placed are those of the response to unit vectors, bit for bit."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.backends.dynamics import folding
from spikeport.backends.dynamics.folding import placed
from spikeport.backends.dynamics.rows import _joined, _responses
from spikeport.graph.shapes import output_shape
from spikeport.primitives import Conv, Dense, OneToOne, Reshape, Shape, SumPool, Synapse, Transpose, Upsample


def chain(rng: np.random.Generator, source: Shape) -> tuple[tuple[Synapse, ...], Shape]:
    """Whatever may stand around a convolution or a matrix; weights of both kinds, zeros among them.

    Raises:
        ValueError: windows that do not fit.
    """
    dims, made, shape = len(source) - 1, list[Synapse](), source

    def sizes(low: int, high: int) -> tuple[int, ...]:
        return tuple(map(int, rng.integers(low, high, dims)))

    def padding() -> tuple[tuple[int, int], ...]:
        return tuple(zip(sizes(0, 3), sizes(0, 3), strict=True))

    def add(synapse: Synapse) -> None:
        nonlocal shape
        shape = output_shape(synapse, [shape])
        made.append(synapse)

    for _ in range(rng.integers(0, 4)):
        kernel = sizes(1, 4)
        ordinary: list[Synapse] = [
            SumPool(kernel, tuple(k + int(rng.integers(0, 2)) for k in kernel), padding()),
            OneToOne(rng.normal(size=(shape[0], *(1,) * dims))),
            OneToOne(rng.integers(-1, 2, shape)),
            Transpose(tuple(map(int, rng.permutation(dims + 1)))),
            Reshape(shape[::-1]),
        ]
        add(ordinary[rng.integers(len(ordinary))])
    if rng.random() < 0.3:
        add(Reshape((prod(shape),)))
        add(OneToOne(rng.normal(size=shape)))
        add(Dense(rng.integers(-1, 2, (int(rng.integers(1, 6)), *shape)) * rng.normal(size=shape)))
        add(OneToOne(rng.integers(-1, 3, shape)))
        return tuple(made), shape
    groups = int(rng.choice([d for d in range(1, shape[0] + 1) if shape[0] % d == 0]))
    weight: Any = rng.integers(-2, 3, (groups * int(rng.integers(1, 4)), shape[0] // groups, *sizes(1, 4)))
    if rng.random() < 0.5:
        weight = weight * rng.normal(size=weight.shape)
    add(Conv(weight, sizes(1, 4), padding(), sizes(1, 3), groups))
    if rng.random() < 0.5:
        add(OneToOne(rng.normal(size=shape)))
        add(Reshape((prod(shape),)))
        add(OneToOne(rng.integers(-1, 3, shape)))
    return tuple(made), shape


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(1, 1), (3, 7), (2, 4, 3), (4, 5, 6)]), st.sampled_from([1, 50, 2**22]))
def test_placed_synapses_are_the_responses(seed: int, source: Shape, block: int) -> None:
    try:
        synapses, target = chain(np.random.default_rng(seed), source)
    except ValueError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "BLOCK", block)
        blocks = placed(synapses, source)
        assert blocks is not None
        found = _joined(blocks)
    expected = _responses(synapses, source, prod(target))
    for name in ("offsets", "targets", "weights"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs), name


def test_where_paths_may_meet_nothing_is_placed() -> None:
    conv = Conv(np.ones((1, 1, 2)), (1,), ((0, 0),), (1,))
    source = (1, 9)
    for meeting in (
        (conv, conv),
        (SumPool((3,), (2,), ((0, 0),)), conv),
        (conv, SumPool((2,), (2,), ((0, 0),))),
        (conv, Reshape((8,)), Dense(np.ones((2, 8)))),
        (Upsample((1, 2)), conv),
        (Upsample((1, 1)),),
    ):
        assert placed(meeting, source) is None
