"""From a float graph to integers: thresholds, weights, biases and identities by the equations of `quantize.py`."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.errors import DataError, OptionError, QuantizeError
from spikeport.graph import Add, Affine, Concat, Graph, Input, Node, Op, Relu, Softmax, build, output_shape
from spikeport.graph import evaluate as evaluate_graph
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Pad, Reshape
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    Interval,
    QuantizeOptions,
    evaluate,
    partial_sums,
    quantize,
)
from spikeport.quantize.integer import respond
from spikeport.quantize.layers import effective_bias, needed, settled, with_correction
from spikeport.quantize.paths import constant_terms

MODULE = sys.modules["spikeport.quantize.quantize"]  # the package's attribute of that name is the function


def graph(shape: tuple[int, ...], nodes: Iterable[tuple[str, Op, tuple[str, ...]]], output: str) -> Graph:
    """Nodes with their shapes inferred."""
    made = {"input": Node("input", Input(shape), (), shape)}
    for name, op, inputs in nodes:
        made[name] = Node(name, op, inputs, output_shape(op, [made[i].shape for i in inputs]))
    return build(made.values(), output)


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def conv(out: int, inside: int, *, size: int = 3, padding: int = 1, seed: int = 0) -> Conv:
    pairs = ((padding, padding),) * 2
    return Conv(weights(out, inside, size, size, seed=seed), (1, 1), pairs, (1, 1))


def mlp(seed: int = 0) -> Graph:
    return graph(
        (4,),
        [
            ("fc1", Dense(weights(6, 4, seed=seed)), ("input",)),
            ("b1", Affine(None, weights(6, seed=seed + 1)), ("fc1",)),
            ("relu1", Relu(), ("b1",)),
            ("fc2", Dense(weights(3, 6, seed=seed + 2)), ("relu1",)),
            ("b2", Affine(None, weights(3, seed=seed + 3)), ("fc2",)),
        ],
        "b2",
    )


def samples(*shape: int, seed: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def counting(network: IntegerNetwork, name: str) -> CountLayer:
    layer = network[name]
    assert isinstance(layer, CountLayer)
    return layer


def weight_between(network: IntegerNetwork, source: str, target: str) -> np.ndarray:
    (connection,) = [c for c in network.connections if (c.source, c.target) == (source, target)]
    assert connection.weighted is not None
    return connection.weighted.weight


def one_by_one(model: Graph, x: np.ndarray, options: QuantizeOptions | None = None) -> IntegerNetwork:
    """The integer network whose weights are each rounded to the nearest, without looking at the data."""
    with patch.object(MODULE, "MAX_COLUMNS", 0):
        return quantize(model, x, options or QuantizeOptions())


# The equations


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([3, 8, 12]), st.sampled_from([1, 7, 31]))
def test_thresholds_weights_and_offsets_follow_the_equations(seed: int, bits: int, levels: int) -> None:
    model, x = mlp(seed), samples(32, 4, seed=seed)
    network = one_by_one(model, x, QuantizeOptions(levels=levels, weight_bits=bits, state_bits=32))
    layer = counting(network, "relu1")
    widest = 2 ** (bits - 1) - 1
    real = model["fc1"].op.weight.astype(np.float64) * network.input.scale.ravel()  # type: ignore[union-attr]
    threshold = np.floor(widest * layer.scale / np.abs(real).max(axis=1))
    assert layer.threshold.tolist() == threshold.tolist()
    integer = weight_between(network, "input", "relu1")
    assert np.array_equal(integer, np.rint(real * (threshold / layer.scale)[:, None]))
    assert np.abs(integer).max() <= widest
    assert layer.offset.tolist() == (layer.threshold // 2).tolist()
    assert (layer.low, layer.high) == (0, levels)
    readout = network.readout
    real = model["fc2"].op.weight.astype(np.float64) * layer.scale  # type: ignore[union-attr]
    assert readout.scale == pytest.approx(np.abs(real).max() / widest, rel=1e-12)
    assert np.abs(weight_between(network, "relu1", "output")).max() == widest


@pytest.mark.parametrize("bits", [3, 5, 8])
def test_rounding_weights_together_never_leaves_their_width_and_loses_less(bits: int) -> None:
    """On inputs that are correlated, the sum that reaches a neuron is closer to the real one than by plain rounding."""
    model = mlp()
    x = (samples(200, 4) + 2 * samples(200, 1, seed=3)).astype(np.float32)
    options = QuantizeOptions(weight_bits=bits)
    together, alone = quantize(model, x, options), one_by_one(model, x, options)
    n = np.clip(np.rint(x / together.input.scale), together.input.low, together.input.high)
    lost = []
    for network in (together, alone):
        layer, integer = counting(network, "relu1"), weight_between(network, "input", "relu1")
        real = model["fc1"].op.weight.astype(np.float64) * network.input.scale  # type: ignore[union-attr]
        error = n @ (integer - real * (layer.threshold / layer.scale)[:, None]).T
        lost.append(float(((error - error.mean(axis=0)) ** 2).sum()))
        assert np.abs(integer).max() <= 2 ** (bits - 1) - 1
    assert counting(together, "relu1").threshold.tolist() == counting(alone, "relu1").threshold.tolist()
    assert lost[0] < lost[1]


def test_the_mean_error_of_each_channel_goes_into_its_bias() -> None:
    """Before: U's mean is off by what rounding the weights and the input loses. After: by half a unit at most."""
    model, x = mlp(), samples(64, 4)
    network = quantize(model, x, QuantizeOptions(weight_bits=3, input_bits=3, state_bits=32))
    found: dict[str, np.ndarray] = {}
    evaluate(network, x, visit=lambda layer, value: found.update({layer.name: value}))
    expected = evaluate_graph(model, x)
    difference = (found["output"] * network.readout.scale - expected).mean(axis=0)
    assert (np.abs(difference) <= 0.5 * network.readout.scale + 1e-5).all()


def test_a_correction_is_made_only_where_the_membrane_still_fits() -> None:
    layer = CountLayer("a", (2,), np.array([10, 10]), np.zeros(2, np.int64), np.array([5, 5]), 0, 3, np.ones(2))
    total = Interval(np.array([-20, -20]), np.array([80, 80]))
    assert needed(layer, total, 24).tolist() == [86, 86]  # 80 and the offset above; -20 - 30 below
    assert with_correction(layer, np.array([42, 0]), total, 8).bias.tolist() == [42, 0]  # 127: the last that fits
    assert with_correction(layer, np.array([43, 7]), total, 8).bias.tolist() == [0, 7]  # each channel for itself
    assert with_correction(layer, np.array([43, 0]), total, 9).bias.tolist() == [43, 0]
    assert with_correction(layer, np.array([-78, 0]), total, 8).bias.tolist() == [-78, 0]  # -128: the last that fits
    assert with_correction(layer, np.array([7, -79]), total, 8).bias.tolist() == [7, -79]  # no deeper than silence
    assert settled(replace(layer, bias=np.array([7, -79])), total, 24).bias.tolist() == [7, -76]
    assert layer.bias.tolist() == [0, 0]


def test_a_correction_of_a_channel_fits_at_all_its_positions() -> None:
    layer = CountLayer(
        "a", (2, 1, 2), np.full((2, 1, 1), 10), np.zeros((2, 1, 1), np.int64), np.full((2, 1, 1), 5), 0, 3, np.ones(1)
    )
    total = Interval(np.full((2, 1, 2), -20), np.array([[[80, 0]], [[0, 0]]]))
    assert with_correction(layer, np.full((2, 1, 1), 60), total, 8).bias.ravel().tolist() == [0, 60]


def test_a_bias_beyond_silence_or_saturation_is_cut_to_what_makes_a_difference() -> None:
    """A neuron that is silent, or saturated, whatever arrives, costs no bits of its membrane; its counts are the same."""
    rng = np.random.default_rng(0)
    for low in (0, -3):
        layer = CountLayer(
            "a", (5,), np.full(5, 10), np.array([-(10**9), 10**9, -70, 200, 3]), np.full(5, 5), low, 3, np.ones(1)
        )
        total = Interval(np.full(5, -100), np.full(5, 100))
        cut = replace(layer, bias=effective_bias(layer, total, 24))
        assert np.abs(cut.bias).max() < 300
        assert cut.bias[4] == 3
        arriving = np.concatenate([[np.full(5, -100), np.full(5, 100)], rng.integers(-100, 101, size=(500, 5))])
        assert np.array_equal(respond(cut, arriving), respond(layer, arriving))
        one_less = replace(cut, bias=cut.bias + np.array([1, -1, 0, 0, 0]))
        assert not np.array_equal(respond(one_less, arriving), respond(layer, arriving))


@pytest.mark.parametrize("state_bits", [9, 10, 12, 14, 24])
def test_every_layer_fits_into_the_membrane(state_bits: int) -> None:
    model, x = mlp(), samples(64, 4)
    network = quantize(model, x, QuantizeOptions(levels=3, state_bits=state_bits))
    limit = 2 ** (state_bits - 1)
    for layer, sums in zip(network.layers, partial_sums(network).values(), strict=True):
        assert sums.low.min() >= -limit
        assert sums.high.max() <= limit - 1
        if isinstance(layer, CountLayer):
            assert (sums.low - layer.threshold * layer.high).min() >= -limit
            assert layer.threshold.min() >= 1


def test_a_read_out_whose_sums_would_not_fit_gets_a_coarser_scale() -> None:
    model = graph(
        (2,),
        [
            ("fc1", Dense(np.eye(2, dtype=np.float32)), ("input",)),
            ("relu1", Relu(), ("fc1",)),
            ("wide", Dense(np.ones((300, 2), np.float32)), ("relu1",)),
            ("relu2", Relu(), ("wide",)),
            ("fc2", Dense(np.ones((2, 300), np.float32)), ("relu2",)),
        ],
        "fc2",
    )
    x = np.abs(samples(32, 2))
    free = quantize(model, x, QuantizeOptions(state_bits=24))
    tight = quantize(model, x, QuantizeOptions(state_bits=16))
    assert partial_sums(free)["output"].magnitude >= 2**15
    assert partial_sums(tight)["output"].magnitude < 2**15
    assert tight.readout.scale > free.readout.scale
    expected = evaluate_graph(model, x)
    error = np.abs(evaluate(tight, x) * tight.readout.scale - expected).max()
    assert error < 0.1 * np.abs(expected).max()


def test_a_read_out_that_no_scale_fits_is_refused_by_name() -> None:
    model = graph(
        (1,),
        [
            ("fc1", Dense(np.ones((400, 1), np.float32)), ("input",)),
            ("relu1", Relu(), ("fc1",)),
            ("fc2", Dense(np.ones((2, 400), np.float32)), ("relu1",)),
        ],
        "fc2",
    )
    with pytest.raises(QuantizeError, match="output: its sums need") as caught:
        quantize(model, np.abs(samples(16, 1)), QuantizeOptions(levels=7, state_bits=8, weight_bits=2, input_bits=2))
    assert "state_bits" in caught.value.problems[0].hint


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_a_read_out_of_tiny_weights_keeps_its_bias() -> None:
    bias = np.array([0.3, 0.7, -0.2], np.float32)
    model = graph(
        (4,),
        [
            ("fc1", Dense(weights(6, 4)), ("input",)),
            ("relu1", Relu(), ("fc1",)),
            ("fc2", Dense(weights(3, 6) * np.float32(1e-30)), ("relu1",)),
            ("b2", Affine(None, bias), ("fc2",)),
        ],
        "b2",
    )
    x = samples(16, 4)
    network = quantize(model, x, QuantizeOptions())
    assert np.allclose(evaluate(network, x) * network.readout.scale, bias, atol=1e-2)


# Biases of each position


def padded(shift: np.ndarray) -> Graph:
    """A constant added after the first neurons meets the zero padding of the second convolution."""
    return graph(
        (1, 5, 5),
        [
            ("c1", conv(2, 1, seed=1), ("input",)),
            ("relu1", Relu(), ("c1",)),
            ("shift", Affine(None, shift), ("relu1",)),
            ("c2", conv(3, 2, seed=2), ("shift",)),
            ("relu2", Relu(), ("c2",)),
            ("flat", Reshape((75,)), ("relu2",)),
            ("fc", Dense(weights(3, 75, seed=3)), ("flat",)),
        ],
        "fc",
    )


def test_a_constant_under_zero_padding_becomes_a_bias_of_each_position_exactly() -> None:
    shift = np.array([0.75, -0.5], np.float32).reshape(2, 1, 1)
    model, x = padded(shift), samples(24, 1, 5, 5)
    network = quantize(model, x, QuantizeOptions())
    layer = counting(network, "relu2")
    assert layer.bias.shape == (3, 5, 5)
    kernel = model["c2"].op.weight.astype(np.float64)  # type: ignore[union-attr]
    real = np.zeros((3, 5, 5))
    for row, column in np.ndindex(5, 5):  # the constant, seen through the part of the kernel that is inside
        for i, j in np.ndindex(3, 3):
            if 0 <= row + i - 1 < 5 and 0 <= column + j - 1 < 5:
                real[:, row, column] += kernel[:, :, i, j] @ shift.ravel()
    rounded = np.rint(real * (layer.threshold / layer.scale))
    correction = layer.bias - rounded
    assert (correction == correction[:, :1, :1]).all()  # the mean error of a channel, at every position the same
    assert np.abs(correction / layer.threshold).max() < 0.5
    assert len(np.unique(real[0])) > 5


def test_a_constant_that_padding_does_not_touch_is_one_bias_a_channel() -> None:
    model = padded(np.zeros((2, 1, 1), np.float32))
    network = quantize(model, samples(24, 1, 5, 5), QuantizeOptions())
    assert counting(network, "relu2").bias.shape == (3, 1, 1)


def test_constants_of_a_graph_are_what_it_computes_when_nothing_spikes() -> None:
    shift = np.array([2.0, 0.0], np.float32).reshape(2, 1, 1)
    values = constant_terms(padded(shift))
    assert values["c1"].tolist() == np.zeros((2, 5, 5)).tolist()
    assert values["shift"][:, 2, 2].tolist() == [2.0, 0.0]
    assert values["relu2"].any() == 0


# Identities, sums and concatenations


def residual(skip_scale: float = 1.0) -> Graph:
    return graph(
        (1, 4, 4),
        [
            ("c1", conv(3, 1, seed=4), ("input",)),
            ("relu1", Relu(), ("c1",)),
            ("c2", conv(3, 3, seed=5), ("relu1",)),
            ("skip", Affine(np.asarray(skip_scale, np.float32)), ("relu1",)),
            ("add", Add(), ("c2", "skip")),
            ("relu2", Relu(), ("add",)),
            ("flat", Reshape((48,)), ("relu2",)),
            ("fc", Dense(weights(2, 48, seed=6)), ("flat",)),
        ],
        "fc",
    )


@pytest.mark.parametrize("skip_scale", [1.0, 0.5])
def test_identity_coefficients_are_the_sources_scale_in_units_of_the_membrane(skip_scale: float) -> None:
    model, x = residual(skip_scale), samples(24, 1, 4, 4)
    network = one_by_one(model, x)
    before, layer = counting(network, "relu1"), counting(network, "relu2")
    from_source = [c.weighted for c in network.incoming("relu2")]
    (identity,) = [w for w in from_source if isinstance(w, OneToOne)]
    expected = np.rint(skip_scale * before.scale.ravel() * layer.threshold.ravel() / layer.scale.ravel())
    assert identity.weight.ravel().tolist() == expected.tolist()
    assert identity.weight.shape == (3, 1, 1)
    (weighted,) = [w for w in from_source if isinstance(w, Conv)]
    assert set(np.abs(weighted.weight).reshape(3, -1).max(axis=1).tolist()) <= {126, 127}  # the threshold is a floor


def test_a_value_added_to_itself_is_one_connection_of_twice_the_weight() -> None:
    model = graph(
        (4,),
        [
            ("fc1", Dense(weights(5, 4)), ("input",)),
            ("relu1", Relu(), ("fc1",)),
            ("fc2", Dense(weights(5, 5, seed=7)), ("relu1",)),
            ("add", Add(), ("relu1", "fc2", "relu1")),
            ("relu2", Relu(), ("add",)),
            ("fc3", Dense(weights(2, 5, seed=8)), ("relu2",)),
        ],
        "fc3",
    )
    network = quantize(model, samples(24, 4), QuantizeOptions())
    before, layer = counting(network, "relu1"), counting(network, "relu2")
    (identity,) = [c.weighted for c in network.incoming("relu2") if isinstance(c.weighted, OneToOne)]
    assert len(network.incoming("relu2")) == 2
    assert identity.weight.tolist() == np.rint(2 * before.scale * layer.threshold / layer.scale).tolist()


def test_a_concatenation_is_one_connection_from_each_part() -> None:
    model = graph(
        (1, 4, 4),
        [
            ("a", conv(2, 1, seed=1), ("input",)),
            ("ra", Relu(), ("a",)),
            ("b", conv(3, 1, seed=2), ("input",)),
            ("rb", Relu(1.5), ("b",)),
            ("cat", Concat(0), ("ra", "rb")),
            ("c", conv(4, 5, seed=3), ("cat",)),
            ("rc", Relu(), ("c",)),
            ("flat", Reshape((64,)), ("rc",)),
            ("fc", Dense(weights(2, 64, seed=6)), ("flat",)),
        ],
        "fc",
    )
    x = samples(24, 1, 4, 4)
    network = one_by_one(model, x)
    layer, kernel = counting(network, "rc"), model["c"].op.weight.astype(np.float64)  # type: ignore[union-attr]
    factor = (layer.threshold / layer.scale).reshape(4, 1, 1, 1)
    for name, part in (("ra", slice(0, 2)), ("rb", slice(2, 5))):
        scale = counting(network, name).scale.reshape(1, -1, 1, 1)
        expected = np.rint(kernel[:, part] * scale * factor)
        assert np.array_equal(weight_between(network, name, "rc"), expected)
        (connection,) = [c for c in network.incoming("rc") if c.source == name]
        assert not any(isinstance(s, Pad) for s in connection.synapses)  # silent channels are cut, not padded
    expected = evaluate_graph(model, x)
    error = np.abs(evaluate(network, x) * network.readout.scale - expected)
    assert np.sqrt((error**2).mean() / (expected**2).mean()) < 0.05


def test_maxima_keep_the_scale_of_what_they_choose_from() -> None:
    model = graph(
        (1, 4, 4),
        [
            ("c", conv(2, 1, seed=1), ("input",)),
            ("relu", Relu(), ("c",)),
            ("pool", MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ("relu",)),
            ("flat", Reshape((8,)), ("pool",)),
            ("fc", Dense(weights(2, 8, seed=6)), ("flat",)),
        ],
        "fc",
    )
    network = quantize(model, samples(24, 1, 4, 4), QuantizeOptions())
    assert [type(layer).__name__ for layer in network.layers] == ["CountLayer", "MaxLayer", "Readout"]
    assert network["pool"].scale.tolist() == counting(network, "relu").scale.tolist()  # type: ignore[union-attr]


# Input


def test_a_normalization_in_front_moves_into_the_encoder() -> None:
    gain, shift = np.array([2.0, 0.5], np.float32), np.array([-1.0, 3.0], np.float32)
    model = graph(
        (2,),
        [
            ("norm", Affine(gain, shift), ("input",)),
            ("fc1", Dense(weights(3, 2)), ("norm",)),
            ("relu", Relu(), ("fc1",)),
            ("fc2", Dense(weights(2, 3)), ("relu",)),
        ],
        "fc2",
    )
    x = samples(16, 2)
    network = quantize(model, x, QuantizeOptions())
    encoder = network.input
    assert encoder.gain is not None
    assert encoder.shift is not None
    assert (encoder.gain.tolist(), encoder.shift.tolist()) == (gain.tolist(), shift.tolist())
    largest = np.abs(x.astype(np.float64) * gain + shift).max(axis=0)
    assert np.allclose(encoder.scale, largest / 127, rtol=1e-6)
    counts = np.abs(x).max()
    events = quantize(model, np.rint(np.abs(x) / counts * 9), QuantizeOptions(input="events", input_bits=4))
    assert events.input.gain is None
    assert (events.input.scale.tolist(), events.input.low, events.input.high) == (1.0, 0, 15)
    assert counting(events, "relu").bias.any()  # there the shift is a bias


def test_a_channel_of_the_input_that_is_always_zero_takes_the_scale_of_the_others() -> None:
    x = samples(16, 4)
    x[:, 1] = 0
    scale = quantize(mlp(), x, QuantizeOptions()).input.scale
    assert scale[1] == scale.max()
    assert np.allclose(scale[[0, 2, 3]], np.abs(x).max(axis=0)[[0, 2, 3]] / 127)
    assert quantize(mlp(), x * 0, QuantizeOptions()).input.scale.tolist() == [1 / 127] * 4


# Results and refusals


def test_a_softmax_at_the_end_is_left_to_the_host() -> None:
    nodes = [(n.name, n.op, n.inputs) for n in mlp().nodes if n.name != "input"]
    network = quantize(graph((4,), [*nodes, ("p", Softmax(0), ("b2",))], "p"), samples(16, 4), QuantizeOptions())
    assert network.host_tail == (Softmax(0),)


def test_a_silent_layer_is_on_the_ledger() -> None:
    model = graph(
        (2,),
        [
            ("fc1", Dense(-np.ones((3, 2), np.float32)), ("input",)),
            ("relu", Relu(), ("fc1",)),
            ("fc2", Dense(np.ones((2, 3), np.float32)), ("relu",)),
        ],
        "fc2",
    )
    network = quantize(model, np.abs(samples(8, 2)), QuantizeOptions())
    assert any(e.node == "relu" and "never active" in e.what for e in network.ledger)
    assert not evaluate(network, np.abs(samples(8, 2))).any()


def test_a_model_without_neurons_and_a_layer_without_integer_form_are_refused() -> None:
    linear = graph((2,), [("fc", Dense(weights(2, 2)), ("input",))], "fc")
    with pytest.raises(QuantizeError, match="model: converts to 0 neurons") as caught:
        quantize(linear, samples(4, 2), QuantizeOptions())
    assert "ReLU" in caught.value.problems[0].hint
    with pytest.raises(QuantizeError, match=r"^relu1: channel") as caught:
        quantize(mlp(), samples(8, 4), QuantizeOptions(state_bits=8, levels=100))
    assert "state_bits" in caught.value.problems[0].hint


def test_unknown_layers_and_wrong_data_are_refused() -> None:
    with pytest.raises(OptionError, match="fc1: is not a layer") as caught:
        quantize(mlp(), samples(8, 4), QuantizeOptions(levels={"fc1": 3}))
    assert "relu1" in caught.value.problems[0].hint
    with pytest.raises(DataError, match="NaN"):
        quantize(mlp(), samples(8, 4) * np.nan, QuantizeOptions())


def test_the_number_of_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:

    one = quantize(residual(), samples(24, 1, 4, 4), QuantizeOptions())
    monkeypatch.setattr(MODULE, "CHUNK", 7)
    other = quantize(residual(), samples(24, 1, 4, 4), QuantizeOptions())
    for a, b in zip(one.layers, other.layers, strict=True):
        assert np.array_equal(getattr(a, "threshold", 0), getattr(b, "threshold", 0))
        assert np.abs(a.bias - b.bias).max() <= 1  # type: ignore[union-attr]  # a float32 mean near a half
