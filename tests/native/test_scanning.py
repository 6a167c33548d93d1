"""Neurons over a window of time in one call: the numbers of the numpy twin, under every instruction set and thread count."""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport import native
from spikeport.errors import NativeError
from spikeport.native import scanning as scans

Kind = Literal["signed", "binary", "climb"]

needs_library = pytest.mark.skipif(not native.available(), reason=native.why_missing())


def random_rule(rng: np.random.Generator, kind: Kind, steps: int, neurons: int, dtype: Any) -> scans.ScanRule:
    threshold = rng.integers(1, 9, neurons).astype(dtype)
    match kind:
        case "signed":
            return scans.ScanRule(kind, threshold, low=-int(rng.integers(0, 4)), high=int(rng.integers(1, 4)))
        case "binary":
            charge, worth = (
                rng.integers(-1, 2, steps),
                2 ** rng.integers(-1, 4, steps).clip(0) * rng.integers(0, 2, steps),
            )
            return scans.ScanRule(kind, threshold, rng.integers(0, 30, neurons).astype(dtype), charge, worth)
        case "climb":
            columns = int(rng.integers(1, 5))
            table = np.sort(rng.integers(-20, 21, (int(rng.integers(1, 6)), columns)), axis=0).astype(dtype)
            low = -int(rng.integers(0, len(table) + 1))
            return scans.ScanRule(kind, low=low, table=table, column=rng.integers(0, columns, neurons))


@needs_library
@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.sampled_from(scans.RULES),
    st.integers(0, 9),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 15, 16, 33, 2047, 2048, 2049, 4100]),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([np.int32, np.int64]),
    st.booleans(),
)
def test_a_scan_equals_its_twin(
    seed: int, kind: Kind, steps: int, batch: int, neurons: int, value: Any, state: Any, keep: bool
) -> None:
    rng = np.random.default_rng(seed)
    rule = random_rule(rng, kind, steps, neurons, state)
    start = rng.integers(-12, 13, (steps, batch, neurons)).astype(value)
    start *= rng.random((steps, batch, 1)) < 0.7  # silent samples too
    membranes = rng.integers(-10, 11, (batch, neurons)).astype(state)
    arriving, v, sent = start.copy(), membranes.copy(), np.zeros_like(membranes)
    potentials = np.zeros(arriving.shape, state) if keep else None
    events = scans.twin(rule, arriving, v, sent, potentials=potentials)
    for level in native.levels():
        for threads in (1, 3):
            mine = start.copy(), membranes.copy(), np.zeros_like(membranes)
            kept = np.full(arriving.shape, 99, state) if keep else None
            with native.using(level):
                found = native.scan(rule, *mine, potentials=kept, threads=threads)
            for array, expected in zip((*mine, kept, found), (arriving, v, sent, potentials, events), strict=True):
                assert (array is None) == (expected is None)
                assert array is None or np.array_equal(array, expected), (level, threads)


@needs_library
@pytest.mark.parametrize("state", [np.int32, np.int64])
def test_sums_at_the_ends_of_the_state_are_exact(state: Any) -> None:
    """Membranes near the ends of the register, thresholds equal to them, and one more or less."""
    largest = 2**31 - 1 if state == np.int32 else 2**52
    v = np.array([[largest - 1, largest - 2, -largest, -1, 0]], dtype=state)
    sent = np.zeros_like(v)
    threshold = np.full(5, largest, dtype=state)
    arriving = np.array([1, 1, 0, 0, 0], dtype=np.float64).reshape(1, 1, 5)
    native.scan(scans.ScanRule("signed", threshold, low=-1, high=1), arriving, v, sent)
    assert arriving.ravel().tolist() == [1, 0, -1, -1, 0]
    assert v.ravel().tolist() == [0, largest - 1, 0, largest - 1, 0]


@needs_library
def test_an_unknown_rule_is_refused_by_the_library() -> None:
    job = scans._Job()
    job.rule = 7
    with pytest.raises(NativeError, match="no such rule"):
        native.check(native.library().sp_scan(ctypes.byref(job)))


@pytest.mark.parametrize(
    ("arriving", "expected"),
    [([2.0, 2, 2, 2], [1, 1, 0, 0]), ([1.0, 0, 1, 0], [0, 0, 1, 0]), ([4.0, -5, 0, 0], [1, -1, 0, 0])],
)
def test_the_twin_is_what_the_rule_says(arriving: list[float], expected: list[float]) -> None:
    values = np.array(arriving, np.float32).reshape(4, 1, 1)
    rule = scans.ScanRule("signed", np.array([2], np.int32), low=0, high=2)
    scans.twin(rule, values, np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32))
    assert values.ravel().tolist() == expected
