"""The integer network: its one-pass evaluation against plain loops, and what becomes of an input."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.errors import DataError
from spikeport.primitives import Connection, Dense, InputEncoder, MaxPool, OneToOne
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    MaxLayer,
    Readout,
    StaircaseLayer,
    climbed,
    encode_input,
    evaluate,
)
from spikeport.quantize.integer import respond

SEEDS = st.integers(0, 2**31)


def dense_network(seed: int) -> IntegerNetwork:
    """Two dense layers of a few neurons, a skip connection from the first to the read-out."""
    rng = np.random.default_rng(seed)
    n, a, b, out = (int(k) for k in rng.integers(1, 4, size=4))

    def layer(name: str, size: int) -> CountLayer:
        threshold = rng.integers(1, 9, size=size)
        low, high = -int(rng.integers(0, 4)), int(rng.integers(1, 5))
        return CountLayer(
            name, (size,), threshold, rng.integers(-9, 10, size=size), threshold // 2, low, high, np.ones(())
        )

    def weights(post: int, pre: int) -> Dense:
        return Dense(rng.integers(-6, 7, size=(post, pre)))

    return IntegerNetwork(
        InputEncoder("input", (n,), "static", np.ones(()), -9, 9),
        (layer("a", a), layer("b", b), Readout("output", (out,), rng.integers(-9, 10, size=out), 1.0)),
        (
            Connection("input", "a", (weights(a, n),)),
            Connection("a", "b", (weights(b, a),)),
            Connection("b", "output", (weights(out, b),)),
            Connection("a", "output", (weights(out, a),)),
        ),
        8,
        24,
    )


def by_loops(network: IntegerNetwork, sample: list[int]) -> dict[str, list[int]]:
    """The equations of the module's docstring, one number at a time, in Python's integers."""
    n: dict[str, list[int]] = {"input": sample}
    for layer in network.layers:
        result = []
        for c in range(layer.shape[0]):
            u = int(layer.bias[c])  # type: ignore[union-attr]
            for connection in network.connections:
                if connection.target == layer.name:
                    weight = connection.weighted.weight  # type: ignore[union-attr]
                    for j, value in enumerate(n[connection.source]):
                        u += int(weight[c, j]) * value
            if isinstance(layer, CountLayer):
                u += int(layer.offset[c])
                count = u // int(layer.threshold[c])  # Python's floor
                u = min(max(count, layer.low), layer.high)
            result.append(u)
        n[layer.name] = result
    return n


@given(SEEDS)
def test_evaluation_is_the_equations(seed: int) -> None:
    network = dense_network(seed)
    x = np.random.default_rng(seed + 1).integers(-9, 10, size=(5, *network.input.shape))
    seen: dict[str, np.ndarray] = {}
    u = evaluate(network, x, visit=lambda layer, value: seen.update({layer.name: value}))
    for sample in range(len(x)):
        expected = by_loops(network, x[sample].tolist())
        assert u[sample].tolist() == expected["output"]
        assert {name: value[sample].tolist() for name, value in seen.items()} == {
            name: value for name, value in expected.items() if name != "input"
        }
    assert u.dtype == np.int64


@pytest.mark.parametrize(
    ("total", "count"),
    [(0, 0), (9, 0), (10, 1), (-1, -1), (-10, -1), (-11, -2), (39, 3), (40, 3), (-31, -3), (-999, -3)],
)
def test_counts_are_floors_that_saturate(total: int, count: int) -> None:
    signed = CountLayer("a", (1,), np.array([10]), np.array([0]), np.array([0]), -3, 3, np.ones(()))
    unsigned = CountLayer("a", (1,), np.array([10]), np.array([0]), np.array([0]), 0, 3, np.ones(()))
    assert respond(signed, np.array([[total]])).tolist() == [[count]]
    assert respond(unsigned, np.array([[total]])).tolist() == [[max(count, 0)]]


def test_bias_and_offset_enter_before_the_threshold_and_the_readout_has_a_bias_only() -> None:
    layer = CountLayer("a", (2,), np.array([10, 10]), np.array([3, -3]), np.array([5, 5]), -3, 3, np.ones(()))
    assert respond(layer, np.array([[2, 8], [1, 7]])).tolist() == [[1, 1], [0, 0]]
    assert respond(Readout("o", (2,), np.array([3, -3]), 0.5), np.array([[2, -8]])).tolist() == [[5, -11]]


def test_a_maximum_is_taken_of_counts() -> None:
    window = MaxPool((2,), (2,), ((0, 0),), (1,))
    assert respond(MaxLayer("m", (1, 2), window, np.ones(())), np.array([[[-4, -2, 5, 1]]])).tolist() == [[[-2, 5]]]


def test_several_connections_from_one_source_add_up() -> None:
    network = IntegerNetwork(
        InputEncoder("input", (2,), "static", np.ones(()), -9, 9),
        (Readout("output", (2,), np.zeros(2, np.int64), 1.0),),
        (
            Connection("input", "output", (Dense(np.array([[1, 0], [0, 1]])),)),
            Connection("input", "output", (OneToOne(np.array([10, 100])),)),
        ),
        8,
        24,
    )
    assert evaluate(network, np.array([[1.0, 2.0]])).tolist() == [[11, 202]]


# Input


def static(**changes: object) -> InputEncoder:
    values = {"name": "input", "shape": (3,), "kind": "static", "scale": np.array([0.5]), "low": -7, "high": 7}
    return InputEncoder(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "n"),
    [
        (0.0, 0),
        (-0.0, 0),
        (0.24, 0),
        (0.25, 0),  # ties to even
        (0.26, 1),
        (0.75, 2),
        (-0.26, -1),
        (-0.25, 0),
        (3.5, 7),
        (3.74, 7),
        (3.76, 7),
        (1e30, 7),
        (-3.5, -7),
        (-1e30, -7),
    ],
)
def test_static_values_are_rounded_and_clipped(value: float, n: int) -> None:
    assert encode_input(static(), np.array([[value, 0.0, 0.0]]))[0].tolist() == [n, 0, 0]


@given(st.floats(-8, 8), st.floats(0.01, 3), st.floats(-2, 2))
def test_normalization_comes_first_and_rounding_is_to_the_nearest(x: float, gain: float, shift: float) -> None:
    encoder = static(shape=(1,), gain=np.array([gain]), shift=np.array([shift]), low=-10_000, high=10_000)
    found = int(encode_input(encoder, np.array([[x]]))[0, 0])
    exact = (Fraction(x) * Fraction(gain) + Fraction(shift)) / Fraction(1, 2)
    assert abs(found - exact) <= Fraction(1, 2) + Fraction(1, 10**9)  # float64 rounds the product and the sum


def test_zero_stays_zero_under_any_scale_and_gain() -> None:
    encoder = static(scale=np.array([0.1, 3.0, 1e-6]), gain=np.array([5.0]))
    assert encode_input(encoder, np.zeros((2, 3))).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8, np.uint8, np.int64, np.bool_])
def test_values_of_any_real_type_are_taken_as_they_are(dtype: type) -> None:
    found = encode_input(static(), np.array([[0, 1, 1]]).astype(dtype))
    assert found.tolist() == [[0, 2, 2]]
    assert found.dtype == np.int64


@pytest.mark.skipif(np.finfo(np.longdouble).max <= np.finfo(np.float64).max, reason="long doubles are doubles here")
def test_numbers_beyond_float64_are_refused() -> None:
    assert encode_input(static(), np.array([[0, 1, 1]], np.longdouble)).tolist() == [[0, 2, 2]]
    with pytest.raises(DataError, match="NaN or infinite"):
        encode_input(static(), np.array([[np.finfo(np.float64).max, 0, 0]], np.longdouble) * 2)


def test_events_are_their_own_integers_up_to_the_maximum() -> None:
    events = static(kind="events", scale=np.ones(()), low=0, high=15)
    for dtype in (np.float32, np.uint8, np.int64):
        assert encode_input(events, np.array([[0, 1, 15]], dtype)).tolist() == [[0, 1, 15]]
    assert encode_input(events, np.zeros((0, 3))).shape == (0, 3)
    for x, why in (
        ([[0, 1, 16]], "holds 16 events in one place"),
        ([[0, 0.5, 1]], "whole numbers from 0 on"),
        ([[0, -1, 1]], "whole numbers from 0 on"),
    ):
        with pytest.raises(DataError, match=f"input.*{why}") as caught:
            encode_input(events, np.array(x))
        assert caught.value.problems[0].hint


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (np.zeros((2, 4)), r"has shape \(2, 4\), not \(batch, 3\)"),
        (np.zeros(3), r"has shape \(3,\)"),
        (np.zeros((2, 1, 3)), "has shape"),
        (np.array([[0, np.nan, 0]]), "NaN or infinite"),
        (np.array([[0, np.inf, 0]]), "NaN or infinite"),
        (np.zeros((1, 3), complex), "has dtype complex128"),
        (np.array([["a", "b", "c"]]), "has dtype"),
        (np.array([[None] * 3]), "has dtype object"),
    ],
)
@pytest.mark.parametrize("kind", ["static", "events"])
def test_what_is_no_input_is_refused(x: np.ndarray, why: str, kind: str) -> None:
    with pytest.raises(DataError, match=f"^input: .*{why}"):
        encode_input(static(kind=kind), x)


@given(SEEDS)
def test_steps_are_counted_wherever_a_table_is_shared(seed: int) -> None:
    """One table, one a channel, one a row or one a neuron, against Python's comparisons one by one."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, size=3))
    each = tuple(n if rng.random() < 0.5 else 1 for n in shape)[int(rng.integers(0, 4)) :]
    table = np.sort(rng.integers(-9, 10, size=(int(rng.integers(1, 7)), *each)), axis=0)
    u = rng.integers(-10, 11, size=(3, *shape))
    full = np.broadcast_to(table.reshape(len(table), *(1,) * (3 - len(each)), *each), (len(table), *shape))
    found = climbed(table, u)
    for place in np.ndindex(*u.shape):
        assert found[place] == sum(int(u[place]) >= int(c) for c in full[(slice(None), *place[1:])])


def test_a_staircase_layer_counts_from_low_and_saturates() -> None:
    layer = StaircaseLayer("a", (2,), np.array([[-5, 0], [3, 0], [3, 9]]), np.array([1, 0]), -1, np.ones(()))
    assert (layer.low, layer.high) == (-1, 2)
    network = IntegerNetwork(
        InputEncoder("input", (2,), "static", np.ones(()), -99, 99),
        (layer, Readout("output", (2,), np.zeros(2, dtype=np.int64), 1.0)),
        (Connection("input", "a", ()), Connection("a", "output", ())),
        8,
        24,
    )
    x = np.array([[-7, -1], [-6, 0], [1, 8], [2, 9], [99, 99]])
    assert evaluate(network, x).tolist() == [[-1, -1], [0, 1], [0, 1], [2, 2], [2, 2]]
    assert network.neurons == 2


def test_a_table_has_steps() -> None:
    with pytest.raises(ValueError, match="axis of steps"):
        StaircaseLayer("a", (2,), np.array(3), np.array([0]), 0, np.ones(()))
