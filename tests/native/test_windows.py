"""Pools and routes equal their twins under every instruction set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeport import native
from spikeport.native import windows
from spikeport.native.windows import Route, Windows
from spikeport.primitives import MaxPool, SumPool
from tests.native.test_loader import needs_library

pytestmark = needs_library


@given(st.integers(0, 2**31))
def test_pools_equal_their_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride = tuple(map(int, rng.integers(1, 4, 2))), tuple(map(int, rng.integers(1, 4, 2)))
    padding = tuple((int(rng.integers(0, k)), int(rng.integers(0, k))) for k in kernel)
    largest = bool(rng.random() < 0.5)
    dilation = tuple(map(int, rng.integers(1, 3, 2))) if largest and padding == ((0, 0), (0, 0)) else (1, 1)
    height, width = (int(n) + (k - 1) * d for n, k, d in zip(rng.integers(1, 7, 2), kernel, dilation, strict=True))
    source = np.dtype(rng.choice(["u1", "i1", "i2", "i4"]))
    info = np.iinfo(source) if source.itemsize < 4 else np.iinfo(np.int16)
    x = rng.integers(info.min, info.max + 1, (int(rng.integers(0, 4)), height, width, int(rng.integers(1, 70))))
    pool = MaxPool(kernel, stride, padding, dilation) if largest else SumPool(kernel, stride, padding)
    out = [
        (n + sum(p) - (k - 1) * d - 1) // s + 1
        for n, p, k, d, s in zip((height, width), padding, kernel, dilation, stride, strict=True)
    ]
    w = Windows(pool, x.shape[-1], height, width, *out, source, source if largest else np.dtype(np.int32))
    expected = windows.twin(w, x)
    for name in native.levels():
        with native.using(name):
            assert np.array_equal(windows.run(w, x.astype(source), threads=2), expected), name


@given(st.integers(0, 2**31), st.sampled_from(["u1", "i2", "i4", "i8"]))
def test_routes_equal_their_twin(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 50))
    index = rng.integers(-1, size, int(rng.integers(0, 60)))
    if rng.random() < 0.5:
        index = np.sort(index)
    x = rng.integers(0, 100, (3, size)).astype(dtype)
    route = Route(index, size, np.dtype(dtype))
    assert np.array_equal(windows.run_route(route, x, threads=2), windows.twin_route(route, x))


def test_neighbours_move_together() -> None:
    index = np.array([-1, 4, 5, 6, -1, 0, 1, 9])
    assert Route(index, 10, np.dtype(np.uint8)).runs().tolist() == [[1, 4, 3], [5, 0, 2], [7, 9, 1]]
