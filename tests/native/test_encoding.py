"""Inputs are rounded natively as the reference rounds them, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport import native
from spikeport.native import encoding
from spikeport.primitives import InputEncoder
from tests.native.test_loader import needs_library

pytestmark = needs_library


@given(st.integers(0, 2**31), st.sampled_from([np.float32, np.float64, np.float16, np.int16, np.uint8, np.bool_]))
def test_real_values_become_the_integers_of_the_reference(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 5, 70)
    each = [(), (3, 1, 1), shape][int(rng.integers(3))]
    scale = rng.uniform(1e-3, 2, size=each)
    gain, shift = (rng.normal(size=(3, 1, 1)) if rng.random() < 0.5 else None for _ in range(2))
    high = int(rng.choice([7, 127, 128, 40_000]))
    encoder = InputEncoder("input", shape, "static", scale, int(rng.choice([-high, 0])), high, gain, shift)
    x = (rng.normal(size=(4, *shape)) * rng.choice([0.1, 1, 100])).astype(dtype)
    if dtype in (np.float32, np.float64):  # ties, which round to even, and neighbours of ties
        ties = (rng.integers(-5, 6, x[0].shape) + 0.5) * scale
        x[0] = ties if gain is None and shift is None else x[0]
        x[1] = np.nextafter(x[0], np.inf, dtype=dtype)
    made = encoding.encoding(encoder)
    assert made is not None
    for name in native.levels():
        with native.using(name):
            found, bad = encoding.run(made, x, threads=2)
            assert bad == 0
            assert np.array_equal(found, encoding.twin(made, x)), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["static", "events"])
def test_values_that_are_not_finite_are_counted(value: float, kind: str) -> None:
    made = encoding.encoding(InputEncoder("input", (2, 3), kind, np.ones(()), 0, 9))  # type: ignore[arg-type]
    assert made is not None
    for dtype in (np.float32, np.float64):
        x = np.zeros((2, 2, 3), dtype)
        assert encoding.run(made, x)[1] == 0
        x[1, 0, 2] = value
        assert encoding.run(made, x)[1] == 1


@pytest.mark.parametrize("value", [-1.0, 0.5, 10.0, 9.0000001])
def test_events_that_are_no_counts_are_counted(value: float) -> None:
    made = encoding.encoding(InputEncoder("input", (2,), "events", np.ones(()), 0, 9))
    assert made is not None
    x = np.array([[0.0, 9.0], [value, -0.0]])
    found, bad = encoding.run(made, x)
    assert bad == 1
    assert found[0].tolist() == [0, 9]
