"""One-pass evaluation in torch: the integers of the numpy evaluator, whatever the dtype it chooses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from spikeport.backends.torch import ExactEvaluator, TorchOperations, operations  # noqa: E402
from spikeport.backends.torch.exact import encode  # noqa: E402
from spikeport.errors import DataError  # noqa: E402
from spikeport.graph import apply_synapse  # noqa: E402
from spikeport.primitives import Connection, Conv, Dense, InputEncoder  # noqa: E402
from spikeport.quantize import (  # noqa: E402
    CountLayer,
    IntegerNetwork,
    Readout,
    StaircaseLayer,
    encode_input,
    evaluate,
)
from tests.integer_networks import random_input, random_network  # noqa: E402

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]


@pytest.mark.parametrize("device", DEVICES)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(["static", "events"]), explicit=st.sampled_from([None, True]))
def test_torch_and_numpy_give_the_same_counts(device: str, seed: int, kind: str, explicit: bool | None) -> None:
    network = random_network(seed, kind=kind, curved=seed % 2 == 0)
    x = random_input(network, seed, samples=4)
    counts: dict[str, np.ndarray] = {}
    expected = evaluate(network, x, visit=lambda layer, value: counts.update({layer.name: value}))
    seen: dict[str, list[np.ndarray]] = {}
    evaluator = ExactEvaluator(network, device=device, explicit=explicit)
    found = evaluator(
        torch.tensor(x), visit=lambda layer, v: seen.setdefault(layer.name, []).append(v.numpy(force=True).copy())
    )
    assert found.dtype == torch.int64
    assert np.array_equal(found.numpy(force=True), expected)
    for name, value in counts.items():
        assert np.array_equal(np.concatenate(seen[name]), value), name


def chain(threshold: int, weight: int, bias: int, high: int) -> IntegerNetwork:
    """One neuron whose sums come as close to the ends of float32's integers as wanted."""
    layer = CountLayer("n", (1,), np.array([threshold]), np.array([bias]), np.array([0]), -high, high, np.ones(()))
    return IntegerNetwork(
        InputEncoder("input", (1,), "static", np.ones(()), -1000, 1000),
        (layer, Readout("output", (1,), np.array([0]), 1.0)),
        (
            Connection("input", "n", (Dense(np.array([[weight]])),)),
            Connection("n", "output", (Dense(np.array([[1]])),)),
        ),
        16,
        48,
    )


@pytest.mark.parametrize(
    ("threshold", "weight", "high"),
    [(3, 1, 300), (8191, 16000, 1023), (4097, 16383, 4095), (2**20 + 1, 2**21 - 1, 7), (7, 2**30, 4095), (1, 1, 4095)],
)
def test_quotients_at_and_beside_whole_numbers_are_exact(threshold: int, weight: int, high: int) -> None:
    """U just below, at and just above multiples of the threshold, in float32 and in float64."""
    for offset in (-1, 0, 1):
        network = chain(threshold, weight, offset, high)
        x = np.arange(-1000.0, 1001.0)[:, None]
        assert np.array_equal(ExactEvaluator(network)(torch.tensor(x)).numpy(), evaluate(network, x))


@pytest.mark.parametrize("width", [1, 2**14, 2**40])
def test_tables_far_outside_the_sums_count_as_just_outside(width: int) -> None:
    """Steps at, beside and beyond every sum, in float32 and in float64; far ones would round in either."""
    weight = max(1, width // 1000)
    middle = [k * weight + i for k in (-1000, -3, 0, 0, 999, 1000) for i in (-1, 0, 1)]
    table = np.array(sorted([-(2**62), -(2**53) - 1, 2**24 + 1, 2**53 + 1, 2**62, *middle]))[:, None]
    plain = chain(1, weight, 0, 7)
    layer = StaircaseLayer("n", (1,), table, np.array([0]), -7, np.ones(()))
    network = replace(plain, layers=(layer, plain.layers[1]))
    x = np.arange(-1000.0, 1001.0)[:, None]
    found = ExactEvaluator(network)(torch.tensor(x)).numpy()
    assert found.ravel().tolist() == [-7 + sum(int(v) * weight >= c for c in table.ravel().tolist()) for v in x.ravel()]
    assert np.array_equal(found, evaluate(network, x))


def test_float32_is_chosen_only_where_the_bound_allows_it() -> None:
    small, large = ExactEvaluator(chain(3, 1, 0, 10)), ExactEvaluator(chain(3, 2**15, 0, 10))
    assert [step.dtype for step in small._steps] == [torch.float32, torch.float32]
    assert [step.dtype for step in large._steps] == [torch.float64, torch.float32]


@given(st.integers(0, 2**31))
def test_inputs_are_rounded_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = rng.uniform(1e-3, 2, size=(3, 1))
    encoder = InputEncoder(
        "input", (3, 5), "static", scale, -127, 127, rng.normal(size=(3, 1)), rng.normal(size=(3, 1))
    )
    x = rng.normal(scale=rng.choice([0.1, 1, 100]), size=(4, 3, 5)).astype(rng.choice([np.float32, np.float64]))
    x[0, 0, 0] = scale[0, 0] * 2.5  # a tie, which rounds to even
    assert np.array_equal(encode(encoder, torch.tensor(x)).numpy(), encode_input(encoder, x))


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.zeros(2, 3), "shape"),
        (torch.full((1, 1), torch.nan), "NaN"),
        (torch.full((1, 1), torch.inf), "NaN or infinite"),
        (torch.zeros(1, 1, dtype=torch.complex64), "dtype"),
    ],
)
def test_bad_input_is_refused(x: torch.Tensor, why: str) -> None:
    with pytest.raises(DataError, match=why):
        ExactEvaluator(chain(3, 1, 0, 10))(x)


def test_input_is_never_written_to_and_an_empty_batch_is_one() -> None:
    evaluator = ExactEvaluator(chain(3, 1, 0, 10))
    for dtype in (torch.float64, torch.float32, torch.int32, torch.uint8):
        x = torch.arange(5).reshape(5, 1).to(dtype)
        before = x.clone()
        evaluator(x)
        assert torch.equal(x, before)
    assert evaluator(torch.zeros(0, 1)).shape == (0, 1)


def test_the_surrounding_program_keeps_its_precision_settings() -> None:
    before = torch.get_float32_matmul_precision()
    network = random_network(1)
    x = torch.tensor(random_input(network, 1))
    try:
        for precision in ("medium", "high", "highest"):
            torch.set_float32_matmul_precision(precision)
            assert np.array_equal(ExactEvaluator(network)(x).numpy(), evaluate(network, x.numpy()))
            assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("signal", [False, True])
def test_convolutions_as_products_of_matrices_are_those_of_the_library(groups: int, signal: bool) -> None:
    """Strides, dilations, one-sided padding, several parts, one spatial axis or two; sums beside the end of float32."""
    rng = np.random.default_rng(groups)
    weight = rng.integers(-127, 128, size=(8, 4 // groups, 3) if signal else (8, 4 // groups, 3, 2))
    axes = 1 if signal else 2
    x = torch.tensor(rng.integers(-5000, 5000, size=(5, 4, 9) if signal else (5, 4, 9, 7)), dtype=torch.float32)
    for padding in (((1, 1), (0, 0)), ((2, 1), (0, 3))):
        op = Conv(weight, (2, 1)[:axes], padding[:axes], (1, 2)[:axes], groups)
        library = TorchOperations(dtype=torch.float32, explicit=False)
        bias = torch.arange(8.0)
        expected = library.conv(op, x, bias)
        assert np.array_equal(expected.numpy() - bias.numpy().reshape(-1, *(1,) * axes), apply_synapse(op, x.numpy()))
        for values in (1, operations.COLUMN_VALUES):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(operations, "COLUMN_VALUES", values)
                assert torch.equal(TorchOperations(explicit=True).conv(op, x, bias), expected)
    assert TorchOperations(device="meta").explicit
    assert not TorchOperations().explicit


def test_an_explicit_convolution_never_reaches_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("a convolution was left to the library")

    network = random_network(3)
    x = random_input(network, 3)
    for name in ("conv1d", "conv2d"):
        monkeypatch.setattr(torch.nn.functional, name, forbidden)
    assert np.array_equal(ExactEvaluator(network, explicit=True)(torch.tensor(x)).numpy(), evaluate(network, x))
    with pytest.raises(AssertionError, match="left to the library"):
        ExactEvaluator(network)(torch.tensor(x))
