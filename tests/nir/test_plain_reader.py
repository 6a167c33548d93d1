"""What a reader of NIR sees that knows nothing of our metadata; its meaning of each node is written out here."""

import itertools

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.graph import apply_synapse
from spikeport.nir import to_nir
from spikeport.primitives import Accumulator, Conv, Dense, Slice
from tests.nir.networks import chain_cases, integers, network, networks, residual


def window_sums(x, weight, stride, padding, dilation):
    """Cross-correlation with loops: weight of shape (out, in, *kernel), x of shape (in, *space)."""
    space = len(stride)
    x = np.pad(x, ((0, 0), *((p, p) for p in padding)))
    kernel = weight.shape[2:]
    sizes = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(x.shape[1:], kernel, dilation, stride, strict=True)]
    y = np.zeros((len(weight), *sizes))
    for at in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, kernel)):
            place = tuple(at[i] * stride[i] + tap[i] * dilation[i] for i in range(space))
            y[(slice(None), *at)] += weight[(slice(None), slice(None), *tap)] @ x[(slice(None), *place)]
    return y


def listed(value, n):
    return [int(v) for v in np.broadcast_to(value, n)]


def response(node, x):
    match node:
        case nir.Linear():
            return node.weight.astype(float) @ x
        case nir.Affine():
            return node.weight.astype(float) @ x + node.bias
        case nir.Scale():
            return node.scale * x
        case nir.Flatten():
            last = node.end_dim % x.ndim
            return x.reshape(*x.shape[: node.start_dim], -1, *x.shape[last + 1 :])
        case nir.Conv1d() | nir.Conv2d():
            n = node.weight.ndim - 2
            assert node.groups == 1
            parts = [listed(v, n) for v in (node.stride, node.padding, node.dilation)]
            y = window_sums(x, node.weight.astype(float), *parts)
            return y + node.bias.reshape(-1, *(1,) * n)
        case nir.SumPool2d():
            ones = np.ones((1, 1, *listed(node.kernel_size, 2)))
            parts = (listed(node.stride, 2), listed(node.padding, 2), [1, 1])
            return np.concatenate([window_sums(channel[None], ones, *parts) for channel in x])
        case _:
            raise AssertionError(type(node))


def arriving(graph, sent):
    """Sum of what reaches each neuron and output when the neurons and the input in `sent` send these values."""
    values = dict(sent)

    def value(name):
        if name not in values:
            values[name] = response(graph.nodes[name], total(name))
        return values[name]

    def total(name):
        return sum(value(a) for a, b in graph.edges if b == name)

    return {name: total(name) for name, node in graph.nodes.items() if isinstance(node, nir.IF | nir.Output)}


def opened(before, folder):
    to_nir(before, folder / "network.nir")
    return nir.read(folder / "network.nir")


def assert_linear_parts(before, graph, rng):
    """What reaches every population for random values of all others; in a presentation of 4 steps a bias is exact."""
    names = [before.input.name, *(p.name for p in before.populations)]
    nodes = ["input", *(f"block_{i}_neuron" for i in range(len(names) - 2)), "output"]
    shapes = [before.input.shape, *(p.shape for p in before.populations)]
    sent = {name: integers(rng, *shape) for name, shape in zip(names, shapes, strict=True)}
    found = arriving(graph, {node: sent[name] for node, name in zip(nodes[:-1], names[:-1], strict=True)})
    for population, node in zip(before.populations, nodes[1:], strict=True):
        expected = np.zeros(population.shape)
        for connection in before.incoming(population.name):
            x = sent[connection.source][None]
            for synapse in connection.synapses:
                x = apply_synapse(synapse, x)
            expected += x[0]
        each = np.broadcast_to(population.neuron.bias, population.shape).reshape(population.shape[0], -1)
        middle = (each.min(axis=1) + each.max(axis=1)) / 2  # one a channel; the bias itself where it is one a channel
        bias = middle.reshape(-1, *(1,) * (len(population.shape) - 1)) / 4
        assert np.array_equal(found[node], expected + bias), population.name


@pytest.mark.parametrize("case", chain_cases())
def test_every_form_of_a_synapse_computes_the_same(case, tmp_path):
    rng = np.random.default_rng(5)
    shape, chain = chain_cases()[case]
    before = network(rng, shape, [[chain]])
    assert_linear_parts(before, opened(before, tmp_path), rng)


@settings(max_examples=40)
@given(networks(presentation=4), st.integers(0, 2**32))
def test_any_reader_computes_the_same_linear_parts(tmp_path_factory, before, seed):
    assert_linear_parts(before, opened(before, tmp_path_factory.mktemp("nir")), np.random.default_rng(seed))


@settings(max_examples=40)
@given(networks())
def test_neurons_are_plain_and_nir_adds_no_node(tmp_path_factory, before):
    graph = opened(before, tmp_path_factory.mktemp("nir"))
    assert [tuple(node.input_type["input"]) for node in graph.inputs.values()] == [before.input.shape]
    assert [tuple(node.output_type["output"]) for node in graph.outputs.values()] == [before.populations[-1].shape]
    neurons = [p for p in before.populations if not isinstance(p.neuron, Accumulator)]
    assert sum(isinstance(node, nir.IF) for node in graph.nodes.values()) == len(neurons)
    for index, population in enumerate(neurons):
        node = graph.nodes[f"block_{index}_neuron"]
        assert node.v_threshold.shape == population.shape
        assert np.array_equal(node.v_threshold, np.broadcast_to(population.neuron.threshold, population.shape))
        assert np.all(node.r == 1)
        assert not np.any(node.v_reset)


def test_a_shortcut_is_one_strided_convolution_of_one_tap(tmp_path):
    before = residual(np.random.default_rng(0))
    graph = opened(before, tmp_path)
    kinds = sorted(type(node).__name__ for node in graph.nodes.values())
    assert kinds == ["Affine", "Conv2d", "Conv2d", "Flatten", "IF", "Input", "Output", "SumPool2d"]
    shortcut = graph.nodes["block_0_neuron_conv_2"]
    assert shortcut.weight.shape == (8, 4, 1, 1)
    assert listed(shortcut.stride, 2) == [2, 2]
    coefficients = before.connections[1].synapses[2].weight[:, 0, 0]
    assert np.array_equal(shortcut.weight[2:6, :, 0, 0], np.diag(coefficients[2:6]))


def test_node_names_suit_every_framework(tmp_path):
    graph = opened(residual(np.random.default_rng(0)), tmp_path)
    assert all(name.isidentifier() for name in graph.nodes)


def test_one_number_format_holds_the_whole_file(tmp_path):
    graph = opened(residual(np.random.default_rng(0)), tmp_path)
    arrays = [
        v
        for n in graph.nodes.values()
        for v in (getattr(n, k, None) for k in ("weight", "bias", "scale", "v_threshold"))
    ]
    assert {v.dtype for v in arrays if v is not None} == {np.dtype(np.float32)}


def test_the_ledger_says_what_plain_readers_miss(tmp_path):
    rng = np.random.default_rng(0)
    before = residual(rng, per_position=True)
    ledger = to_nir(before, tmp_path / "network.nir")
    assert {entry.node for entry in ledger} == {"a small network", "in/put", "block.0/neuron", "out"}
    bias = before.populations[0].neuron.bias.reshape(8, -1)
    worst = max((b.max() - b.min()) / 2 for b in bias)
    assert [e.error for e in ledger if "bias of each position" in e.what] == [worst]
    start = [e.error for e in ledger if "starts at 0" in e.what]
    assert start == [before.populations[0].neuron.initial.max()]
    assert any("log_softmax" in entry.what for entry in ledger)


def test_a_bias_without_weights_gets_a_node(tmp_path):
    rng = np.random.default_rng(1)
    before = network(rng, (3,), [[()]], readout=())
    graph = opened(before, tmp_path)
    node = graph.nodes["block_0_neuron_bias"]
    assert np.array_equal(node.weight, np.eye(3))
    assert np.array_equal(node.bias * 4, before.populations[0].neuron.bias)


def test_groups_are_written_out_with_zeros(tmp_path):
    rng = np.random.default_rng(2)
    conv = Conv(integers(rng, 4, 1, 3, 3, low=1), (1, 1), ((1, 1), (1, 1)), (1, 1), 4)
    graph = opened(network(rng, (4, 5, 5), [[(conv,)]]), tmp_path)
    weight = graph.nodes["block_0_neuron_conv"].weight
    assert weight.shape == (4, 4, 3, 3)
    assert np.array_equal(weight[np.arange(4), np.arange(4)], conv.weight[:, 0])
    assert np.count_nonzero(weight) == 36


def test_a_layer_without_bias_is_linear(tmp_path):
    rng = np.random.default_rng(3)
    before = network(rng, (3,), [[(Slice((0,), (2,), (1,)), Dense(integers(rng, 2, 2)))]])
    object.__setattr__(before.populations[0].neuron, "bias", np.zeros(1, dtype=np.int64))
    kinds = [
        type(node).__name__ for name, node in sorted(opened(before, tmp_path).nodes.items()) if name.startswith("block")
    ]
    assert kinds == ["IF", "Linear", "Linear"]
