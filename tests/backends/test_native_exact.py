"""One-pass evaluation by the native kernels: the integers of the numpy evaluator for every network."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport import native
from spikeport.backends.native import ExactEvaluator
from spikeport.backends.native.layout import Lifetime, arranged
from spikeport.errors import DataError
from spikeport.graph import output_shape
from spikeport.primitives import (
    Connection,
    Conv,
    Dense,
    InputEncoder,
    MaxPool,
    OneToOne,
    Pad,
    Reshape,
    Slice,
    SumPool,
    Synapse,
    Upsample,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, evaluate
from tests.integer_networks import random_input, random_network
from tests.native.test_loader import needs_library

pytestmark = needs_library


def counts(network: IntegerNetwork, x: np.ndarray) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    evaluate(network, x, visit=lambda layer, value: found.update({layer.name: value}))
    return found


def native_counts(evaluator: ExactEvaluator, x: np.ndarray, threads: int = 1) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {}
    total = evaluator(x, lambda layer, value: found.setdefault(layer.name, []).append(value), threads=threads)
    result = {name: np.concatenate(parts) for name, parts in found.items()}
    assert total.dtype == np.int64
    assert np.array_equal(total, result[evaluator.network.readout.name])
    return result


def assert_equal(network: IntegerNetwork, x: np.ndarray, threads: tuple[int, ...] = (1, 2)) -> ExactEvaluator:
    expected = counts(network, x)
    evaluator = ExactEvaluator(network)
    for name in native.levels():
        with native.using(name):
            for n in threads:
                found = native_counts(evaluator, x, n)
                wrong = [layer for layer, value in expected.items() if not np.array_equal(found[layer], value)]
                assert not wrong, (name, n, [step for step in evaluator.plan if step[0] in wrong])
    return evaluator


@given(st.integers(0, 2**31), st.sampled_from(["static", "events"]), st.booleans())
def test_random_networks_give_the_counts_of_the_reference(seed: int, kind: str, curved: bool) -> None:
    network = random_network(seed, kind=kind, curved=curved)
    evaluator = assert_equal(network, random_input(network, seed, samples=3))
    assert "numpy" not in {kernel for _, kernel in evaluator.plan}


def chain(
    shape: tuple[int, ...], *synapses: tuple[Synapse, ...] | MaxPool, low: int = -8, high: int = 7, top: int = 9
) -> IntegerNetwork:
    """Layers one after the other, and a read-out of everything."""
    rng = np.random.default_rng(7)
    encoder = InputEncoder("input", shape, "static", np.ones(()), low, high)
    layers: list[Layer] = []
    connections = []
    before = encoder.name
    for i, step in enumerate(synapses):
        name = f"layer{i}"
        for synapse in step if isinstance(step, tuple) else (step,):
            shape = output_shape(synapse, [shape])
        each = (shape[0], *(1,) * (len(shape) - 1))
        if isinstance(step, MaxPool):
            layers.append(MaxLayer(name, shape, step, np.ones(())))
        else:
            threshold, bias = rng.integers(1, 20, size=each), rng.integers(-9, 9, size=each)
            layers.append(CountLayer(name, shape, threshold, bias, threshold // 2, 0, top, np.ones(())))
        connections.append(Connection(before, name, step if isinstance(step, tuple) else ()))
        before = name
    size = int(np.prod(shape))
    flat = () if len(shape) == 1 else (Reshape((size,)),)
    connections.append(Connection(before, "output", (*flat, Dense(rng.integers(-5, 6, size=(3, size))))))
    layers.append(Readout("output", (3,), rng.integers(-5, 6, size=3), 1.0))
    return IntegerNetwork(encoder, tuple(layers), tuple(connections), 8, 32)


def weights(*shape: int, bits: int = 8) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size=shape)


NO = ((0, 0), (0, 0))
CASES: dict[str, tuple[tuple[int, ...], tuple[tuple[Synapse, ...] | MaxPool, ...]]] = {
    "uneven padding": ((3, 7, 5), ((Conv(weights(20, 3, 3, 2), (2, 1), ((2, 0), (0, 3)), (1, 1)),),)),
    "dilated": ((3, 9, 9), ((Conv(weights(17, 3, 3, 3), (1, 2), ((1, 1), (2, 2)), (2, 3)),),)),
    "grouped": ((6, 5, 5), ((Conv(weights(9, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),),)),
    "depthwise": ((19, 6, 5), ((Conv(weights(38, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 19),),)),
    "depthwise, one output each": (
        (70, 7, 6),
        (
            (Conv(weights(70, 1, 3, 3), (2, 1), ((1, 0), (2, 1)), (1, 2), 70),),
            (Conv(weights(70, 1, 2, 3), (1, 1), ((1, 0), (2, 1)), (1, 1), 70),),
            (Conv(weights(70, 1, 2, 1, bits=28), (1, 2), ((0, 0), (2, 1)), (1, 1), 70),),
        ),
    ),
    "one-dimensional": (
        (3, 17),
        (
            (Conv(weights(8, 3, 5), (2,), ((2, 1),), (1,)),),
            (SumPool((2,), (2,), ((0, 0),)),),
            MaxPool((2,), (1,), ((0, 1),), (1,)),
        ),
    ),
    "pooled beyond a byte": (
        (2, 12, 12),
        ((SumPool((12, 6), (6, 6), NO), Conv(weights(5, 2, 1, 1), (1, 1), NO, (1, 1))),),
    ),
    "wide weights": ((4, 4, 4), ((Conv(weights(5, 4, 3, 3, bits=20), (1, 1), NO, (1, 1)),),)),
    "words": ((4, 4, 4), ((Conv(weights(5, 4, 3, 3, bits=12), (1, 1), NO, (1, 1)),),)),
    "routes before and after weights": (
        (3, 4, 4),
        (
            (Conv(weights(4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), Pad(((2, 1), (0, 0), (1, 0)))),
            (Slice((1, 0, 1), (6, 4, 5), (2, 1, 2)), Upsample((1, 2, 3)), OneToOne(weights(3, 1, 1))),
            (Pad(((0, 0), (1, 0), (0, 2))), Conv(weights(6, 3, 3, 3), (1, 1), ((0, 1), (2, 0)), (1, 1))),
            (Reshape((6 * 8 * 8,)), Dense(weights(11, 6 * 8 * 8)), Reshape((11, 1, 1))),
        ),
    ),
    "sum of weighted sums": (
        (3, 6, 6),
        ((Conv(weights(4, 3, 3, 3), (1, 1), NO, (1, 1)), SumPool((2, 2), (2, 2), NO), OneToOne(weights(4, 2, 2))),),
    ),
    "three spatial axes": (
        (2, 3, 2, 4),
        ((OneToOne(weights(2, 3, 1, 4)),), (Slice((0,) * 4, (2, 3, 2, 4), (1, 2, 1, 2)),)),
    ),
}


@cache
def case(name: str) -> IntegerNetwork:
    shape, steps = CASES[name]
    return chain(shape, *steps)


@pytest.mark.parametrize("name", CASES)
def test_every_operator_gives_the_counts_of_the_reference(name: str) -> None:
    network = case(name)
    evaluator = assert_equal(network, random_input(network, 3, samples=5), threads=(1, 2, 3, 4))
    assert "numpy" not in {kernel for _, kernel in evaluator.plan}


def test_the_plan_names_kernels_and_what_is_left_to_numpy() -> None:
    assert ExactEvaluator(case("words")).plan[0][1].startswith("words count")
    assert ExactEvaluator(case("wide weights")).plan[0][1].startswith("wide count")
    network = chain((4,), (Dense(weights(3, 4) * 2**34),), top=2)
    evaluator = assert_equal(network, random_input(network, 1))
    assert evaluator.plan[0] == ("layer0", "numpy")
    assert evaluator.plan[1][1] != "numpy"


def test_a_window_of_nothing_but_padding_is_left_to_numpy() -> None:
    network = chain((2, 3, 3), MaxPool((1, 1), (1, 1), ((1, 0), (0, 0)), (1, 1)))
    assert ExactEvaluator(network).plan[0] == ("layer0", "numpy")


@pytest.mark.parametrize("high", [1, 127, 128, 255, 256, 40_000])
def test_counts_of_every_width_at_their_ends(high: int) -> None:
    """Values at both ends of 8, 16 and 32 bits enter products, sums and maxima."""
    conv = Conv(weights(6, 4, 2, 2), (1, 1), ((1, 0), (0, 1)), (1, 1))
    network = chain((4, 3, 3), (conv,), MaxPool((2, 2), (1, 1), ((1, 0), (1, 0)), (1, 1)), top=high)
    for low in (0, -high):
        encoder = replace(network.input, low=low, high=high)
        layer = replace(network["layer0"], low=low)  # type: ignore[type-var]
        with_ends = replace(network, input=encoder, layers=(layer, *network.layers[1:]))
        assert_equal(with_ends, random_input(with_ends, high, samples=4))


def test_the_comparison_finds_a_floor_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant: a reference that cuts negative quotients instead of flooring them is told from the kernels."""
    network = chain((4,), (Dense(weights(3, 4)),))
    layer = replace(network["layer0"], low=-9)  # type: ignore[type-var]
    network = replace(network, layers=(layer, *network.layers[1:]))
    x = random_input(network, 1, samples=20)
    assert_equal(network, x)
    monkeypatch.setattr(np, "floor_divide", lambda a, b: np.trunc(a / b).astype(np.int64))
    with pytest.raises(AssertionError):
        assert_equal(network, x)


def test_batches_of_every_size_and_layout() -> None:
    network = case("uneven padding")
    evaluator = ExactEvaluator(network)
    x = random_input(network, 1, samples=9)
    expected = evaluate(network, x)
    for size in (0, 1, 2, 9):
        assert np.array_equal(evaluator(x[:size]), expected[:size])
    assert np.array_equal(evaluator(x[::-2]), expected[::-2])
    assert np.array_equal(evaluator(np.asfortranarray(x)), expected)
    for dtype in (np.float32, np.int16, np.int64):
        assert np.array_equal(evaluator(x.astype(dtype)), expected)
    raw = np.zeros(x.nbytes + 3, np.uint8)
    raw[3:] = x.reshape(-1).view(np.uint8)
    assert np.array_equal(evaluator(raw[3:].view(x.dtype).reshape(x.shape)), expected)


def test_a_large_batch_is_evaluated_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeport.backends.native import exact

    network = case("grouped")
    x = random_input(network, 1, samples=23)
    expected = evaluate(network, x)
    evaluator = ExactEvaluator(network)
    monkeypatch.setattr(exact, "ARENA_BYTES", 5 * evaluator._plan.bytes_each)
    parts: list[int] = []
    found = evaluator(x, lambda layer, value: parts.append(len(value)) if layer.name == "output" else None)
    assert np.array_equal(found, expected)
    assert parts == [5, 5, 5, 5, 3]


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (np.zeros((2, 3)), "shape"),
        (np.full((1, 4), np.nan), "NaN or infinite"),
        (np.full((1, 4), -np.inf, np.float32), "NaN or infinite"),
        (np.zeros((1, 4), np.complex64), "dtype"),
        (np.zeros((1, 4), object), "dtype"),
    ],
)
def test_bad_input_is_refused_as_by_the_reference(x: np.ndarray, why: str) -> None:
    network = chain((4,), (Dense(weights(3, 4)),))
    with pytest.raises(DataError, match=why):
        ExactEvaluator(network)(x)
    with pytest.raises(DataError, match=why):
        evaluate(network, x)


@pytest.mark.parametrize(("value", "why"), [(0.5, "whole numbers"), (-1, "whole numbers"), (16, "holds 16 events")])
def test_events_that_are_no_counts_are_refused(value: float, why: str) -> None:
    network = random_network(5, kind="events")
    x = random_input(network, 1)
    x[-1, -1, -1, -1] = value
    with pytest.raises(DataError, match=why):
        ExactEvaluator(network)(x)


def test_two_threads_at_once_and_copies_give_the_same() -> None:
    network = case("routes before and after weights")
    evaluator = ExactEvaluator(network, 2)
    inputs = [random_input(network, seed, samples=20) for seed in range(8)]
    expected = [evaluate(network, x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert all(map(np.array_equal, pool.map(evaluator, inputs), expected))
    again = pickle.loads(pickle.dumps(evaluator))  # noqa: S301
    assert again.threads == 2
    assert np.array_equal(again(inputs[0]), expected[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_evaluates_with_threads_of_its_own() -> None:
    network = case("grouped")
    evaluator, x = ExactEvaluator(network, 2), random_input(case("grouped"), 1, samples=50)
    expected = evaluator(x)
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(evaluator(x), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(evaluator(x), expected)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9), st.integers(0, 4)), max_size=12))
def test_values_that_live_at_once_do_not_overlap(given_values: list[tuple[int, int, int]]) -> None:
    lives = [Lifetime(size, begin, begin + extra) for size, begin, extra in given_values]
    offsets, size = arranged(lives)
    for i, (a, at) in enumerate(zip(lives, offsets, strict=True)):
        assert at % 64 == 0
        assert at + a.size <= size
        for b, other in zip(lives[:i], offsets[:i], strict=True):
            if a.begin <= b.end and b.begin <= a.end:
                assert at + a.size <= other or other + b.size <= at


def test_a_batch_without_samples_shows_every_layer() -> None:
    network = random_network(3)
    evaluator, x = ExactEvaluator(network), np.empty((0, *network.input.shape))
    expected, found = [], []
    assert np.array_equal(
        evaluator(x, lambda layer, value: found.append((layer.name, value.shape, value.dtype))),
        evaluate(network, x, visit=lambda layer, value: expected.append((layer.name, value.shape, value.dtype))),
    )
    assert found == expected
    assert len(found) == len(network.layers)
