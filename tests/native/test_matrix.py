"""Products, terms and answers: the twin's integers under every instruction set, with every number of threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport import native
from spikeport.native import matrix as kernel
from spikeport.native.matrix import Matrix, Operand, Response, Term
from spikeport.primitives import Conv
from tests.native.test_loader import needs_library

pytestmark = needs_library

RANGES = {
    np.dtype(np.uint8): (0, 255),
    np.dtype(np.int8): (-128, 127),
    np.dtype(np.int16): (-(2**15), 2**15 - 1),
    np.dtype(np.int32): (-(2**20), 2**20),
}


def values(rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int, dtype: np.dtype) -> np.ndarray:
    """Integers over the whole range, its ends often."""
    x = rng.integers(low, high + 1, size=shape)
    return np.where(rng.random(shape) < 0.3, rng.choice([low, high, 0], size=shape), x).astype(dtype)


def random_operand(
    rng: np.random.Generator, height: int, width: int, outs: int, groups: int, dtype: np.dtype, weight_bits: int
) -> Operand:
    """A convolution whose output is `height` x `width`: strides, dilation and uneven padding included."""
    low, high = RANGES[dtype]
    kernel_size, stride, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2), rng.integers(1, 3, 2)
    padding, sizes = [], []
    for i, size in enumerate((height, width)):
        span = (kernel_size[i] - 1) * dilation[i] + 1 + (size - 1) * stride[i]
        before, after = (int(p) for p in rng.integers(0, 3, 2))
        before, after = min(before, span - 1), min(after, max(span - 1 - before, 0))
        padding.append((before, after))
        sizes.append(int(span - before - after))
    top = 2 ** (weight_bits - 1)
    channels = int(rng.integers(1, 9)) * groups
    weight = values(rng, (outs, channels // groups, *kernel_size), -top, top - 1, np.dtype(np.int64))
    conv = Conv(weight, tuple(map(int, stride)), tuple(padding), tuple(map(int, dilation)), groups)
    return Operand(dtype, low, high, *sizes, conv)


def random_matrix(seed: int) -> tuple[Matrix, list[np.ndarray], list[np.ndarray], int]:
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 7, 2))
    groups = int(rng.choice([1, 1, 2, 3]))
    outs, batch = int(rng.choice([1, 3, 16, 20, 70])) * groups, int(rng.integers(1, 4))
    types = list(RANGES)[: int(rng.choice([1, 2, 3, 4]))]
    bits = int(rng.choice([3, 8, 8, 12]))
    operands = [
        random_operand(rng, height, width, outs, groups, types[int(rng.integers(len(types)))], bits)
        for _ in range(int(rng.integers(0, 3)))
    ]
    terms = []
    for _ in range(int(rng.integers(0, 3))):
        dtype = list(RANGES)[int(rng.integers(4))]
        shape = [None, (outs,), (height * width, outs)][int(rng.integers(3))]
        factor = None if shape is None else rng.integers(-50, 51, size=shape)
        terms.append(Term(dtype, *RANGES[dtype], factor))
    each = (height * width, outs) if rng.random() < 0.3 else (outs,)
    constant = rng.integers(-10_000, 10_000, size=each)
    size = int(kernel.magnitude(operands, terms, outs).max()) + 10_000
    levels, low = int(rng.integers(1, 40)), int(rng.choice([0, -3]))
    match int(rng.integers(4)):
        case 0:
            response = Response()
        case 1:
            rises = rng.integers(0, max(size // 8 // levels, 2), size=(levels, *each))
            response = Response(low, low + levels, steps=rises.cumsum(axis=0) - size // 8)
        case _:
            response = Response(low, low + levels, rng.integers(1, max(size // 8 // levels, 2), size=each))
    made = kernel.matrix(operands, terms, constant, response, height=height, width=width, outs=outs)
    assert made is not None
    sources = [values(rng, (batch, o.height, o.width, o.channels), o.low, o.high, o.dtype) for o in operands]
    added = [values(rng, (batch, height, width, outs), t.low, t.high, t.dtype) for t in terms]
    return made, sources, added, batch


@given(st.integers(0, 2**31))
def test_matrices_equal_their_twin_under_every_instruction_set(seed: int) -> None:
    made, sources, added, batch = random_matrix(seed)
    expected = kernel.twin(made, sources, added, batch=batch)
    for name in native.levels():
        with native.using(name):
            for threads in (1, 3):
                found = kernel.run(made, sources, added, batch=batch, threads=threads)
                assert np.array_equal(found, expected), (made.name, name, threads)


def test_all_kinds_and_answers_are_drawn() -> None:
    drawn = {(m.kind, m.answer) for m in (random_matrix(seed)[0] for seed in range(150))}
    wanted = {(kind, answer) for kind in range(3) for answer in (kernel.SUM, kernel.STAIRCASE)}
    assert wanted <= drawn
    assert {kernel.COUNT32, kernel.COUNT64} <= {answer for _, answer in drawn}


def dense(weight: np.ndarray, dtype: type, low: int, high: int) -> Operand:
    conv = Conv(weight[:, :, None, None], (1, 1), ((0, 0), (0, 0)), (1, 1))
    return Operand(np.dtype(dtype), low, high, 1, 1, conv)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_sums_of_extremes_do_not_saturate(dtype: type) -> None:
    """All operands and weights at their ends: pairs of products pass 16 bits, and signed bytes are read shifted."""
    low, high = RANGES[np.dtype(dtype)]
    top = 2**15 if dtype == np.int16 else 2**7
    weight = np.array([[-top, top - 1, -top, top - 1]] * 2 + [[-top] * 4, [top - 1] * 4, [0, 0, 1, -1]])
    operand = dense(weight // (4 if dtype == np.int16 else 1), dtype, low, high)
    made = kernel.matrix([operand], [], np.zeros(5, np.int64), Response(), height=1, width=1, outs=5)
    assert made is not None
    assert made.kind == (kernel.WORDS if dtype == np.int16 else kernel.BYTES)
    x = np.array(np.meshgrid(*[[low, high]] * 4)).reshape(4, -1).T.astype(dtype)
    expected = x.astype(np.int64) @ operand.conv.weight[:, :, 0, 0].T
    for name in native.levels():
        with native.using(name):
            found = kernel.run(made, [x.reshape(-1, 1, 1, 4)], batch=len(x))
            assert np.array_equal(found.reshape(len(x), -1), expected), name


@pytest.mark.parametrize(
    ("limit", "dtype", "kind"),
    [
        (kernel.FLOAT32_LIMIT, np.int32, kernel.BYTES),
        (2**31 - 2**24, np.int32, kernel.BYTES),
        (kernel.FLOAT64_LIMIT, np.int64, kernel.WIDE),
    ],
)
@pytest.mark.parametrize("levels", [1, 2, 3, 31, 255, 4095])
def test_counts_are_exact_at_and_beside_every_multiple_of_the_threshold(
    limit: int, dtype: type, kind: int, levels: int
) -> None:
    rng = np.random.default_rng(levels)
    most = limit // (levels + 1)
    thresholds = np.unique(np.concatenate([[1, 2, 3, 7, most - 1, most], rng.integers(1, most + 1, 30)]))
    multiples = np.arange(-2, levels + 3)[:, None, None] * thresholds + np.array([-1, 0, 1])[:, None]
    sums = multiples.reshape(-1, 1, 1, len(thresholds)).astype(dtype)
    term = Term(np.dtype(dtype), int(sums.min()), int(sums.max()), None)
    for low in (0, -levels):
        response = Response(low, low + levels, thresholds)
        moved = low * thresholds if kind == kernel.WIDE else np.zeros(len(thresholds), np.int64)
        made = kernel.matrix([], [term], moved, response, height=1, width=1, outs=len(thresholds))
        assert made is not None
        assert made.answer == (kernel.COUNT32 if limit == kernel.FLOAT32_LIMIT else kernel.COUNT64)
        assert made.kind == kind or low
        expected = np.clip(np.floor_divide(sums.astype(np.int64) + moved, thresholds), low, low + levels)
        for name in native.levels():
            with native.using(name):
                found = kernel.run(made, [], [sums], batch=len(sums))
                assert np.array_equal(found, expected), name


@pytest.mark.parametrize("threshold", [2**11 - 1, 1999, 2**15 + 1, 65535])
def test_every_sum_below_the_float32_limit_gives_its_floor(threshold: int) -> None:
    levels = kernel.FLOAT32_LIMIT // threshold - 1
    sums = np.arange(kernel.FLOAT32_LIMIT, dtype=np.int32).reshape(-1, 1, 1, 64)
    response = Response(0, levels, np.full(64, threshold))
    term = Term(np.dtype(np.int32), 0, kernel.FLOAT32_LIMIT, None)
    made = kernel.matrix([], [term], np.zeros(64, np.int64), response, height=1, width=1, outs=64)
    assert made is not None
    assert made.answer == kernel.COUNT32
    expected = np.minimum(sums // threshold, levels)
    assert np.array_equal(kernel.run(made, [], [sums], batch=len(sums)), expected)


def test_arithmetic_widens_exactly_where_a_sum_could_overflow() -> None:
    weight = np.full((1, 64), 127)
    for constant, kind in ((2**31 - 2 - 255 * 127 * 64, kernel.BYTES), (2**31 - 1 - 255 * 127 * 64, kernel.WIDE)):
        made = kernel.matrix(
            [dense(weight, np.uint8, 0, 255)], [], np.array([constant]), Response(), height=1, width=1, outs=1
        )
        assert made is not None
        assert made.kind == kind
        x = np.full((1, 1, 1, 64), 255, np.uint8)
        assert int(kernel.run(made, [x], batch=1)[0, 0, 0, 0]) == 255 * 127 * 64 + constant


def test_what_no_kernel_holds_is_left_to_the_reference() -> None:
    assert (
        kernel.matrix(
            [dense(np.array([[2**31]]), np.uint8, 0, 255)],
            [],
            np.zeros(1, np.int64),
            Response(),
            height=1,
            width=1,
            outs=1,
        )
        is None
    )
    response = Response(0, 2**20, np.array([2**31]))
    term = Term(np.dtype(np.uint8), 0, 255, None)
    assert kernel.matrix([], [term], np.zeros(1, np.int64), response, height=1, width=1, outs=1) is None


def test_an_empty_batch_and_arrays_that_are_not_plain() -> None:
    made, sources, added, batch = next(m for m in map(random_matrix, range(99)) if m[1] and m[2])
    expected = kernel.twin(made, sources, added, batch=batch)
    reversed_twice = [x[:, ::-1].copy()[:, ::-1] for x in sources]
    shifted = []
    for x in added:
        raw = np.zeros(x.nbytes + 1, np.uint8)
        raw[1:] = x.view(np.uint8).reshape(-1)
        shifted.append(raw[1:].view(x.dtype).reshape(x.shape))
    assert np.array_equal(kernel.run(made, reversed_twice, shifted, batch=batch), expected)
    nothing = kernel.run(made, [x[:0] for x in sources], [x[:0] for x in added], batch=0)
    assert nothing.shape == (0, *expected.shape[1:])


def test_the_comparison_finds_a_count_that_is_cut_instead_of_floored() -> None:
    """A mutant: one count lower for negative sums that are no multiples is what truncation would miss."""
    thresholds = np.array([3])
    sums = np.arange(-9, 10, dtype=np.int32).reshape(-1, 1, 1, 1)
    term = Term(np.dtype(np.int32), -9, 9, None)
    response = Response(-2, 2, thresholds)
    made = kernel.matrix([], [term], np.zeros(1, np.int64), response, height=1, width=1, outs=1)
    assert made is not None
    found = kernel.run(made, [], [sums], batch=len(sums))
    assert not np.array_equal(found, np.clip(np.trunc(sums / 3), -2, 2))
    mutant = replace(made, response=Response(-2, 2, thresholds + 1))
    assert not np.array_equal(found, kernel.twin(mutant, [], [sums], batch=len(sums)))
