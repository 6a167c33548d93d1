"""Rewrites leave the function unchanged and put neurons beside their weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikeport.capture import FloatModel, capture  # noqa: E402
from spikeport.graph import (  # noqa: E402
    Affine,
    Graph,
    Quantize,
    Relu,
    evaluate,
    insert_quantizers,
    is_current,
    normalized,
    split_host_tail,
)
from spikeport.graph.rewrite import PASSES  # noqa: E402
from spikeport.primitives import Conv, Dense, MaxPool, Reshape  # noqa: E402
from tests.networks import SUPPORTED, build  # noqa: E402


def graph_of(name: str) -> tuple[Graph, np.ndarray]:
    model, x = build(name)
    return capture(FloatModel(model), x[:2]), x.numpy().astype(np.float64)


@pytest.mark.parametrize("name", SUPPORTED)
def test_rewriting_changes_nothing_but_the_form(name: str) -> None:
    graph, x = graph_of(name)
    body, _ = split_host_tail(graph)
    expected = evaluate(body, x)
    scale = np.abs(expected).max()
    for rewrite in PASSES:  # each one alone, until it has nothing more to do
        one = body
        while (after := rewrite(one)) is not one:
            one = after
        assert np.abs(evaluate(one, x) - expected).max() < 1e-6 * scale, rewrite.__name__
    ready = insert_quantizers(normalized(body))
    assert np.abs(evaluate(ready, x) - expected).max() < 1e-6 * scale
    for node in ready.nodes:  # the normal form: whatever reads a sum is a neuron, or adds or routes it on
        if isinstance(node.op, Conv | Dense | MaxPool):
            assert not is_current(ready, node.inputs[0]), node.name


def test_batch_norms_end_in_the_weights_before_them() -> None:
    graph, _ = graph_of("residual")
    ready = normalized(graph)

    def scales_of_sums(g: Graph) -> list[str]:
        scaled = [n for n in g.nodes if isinstance(n.op, Affine) and n.op.scale is not None]
        return [n.name for n in scaled if is_current(g, n.inputs[0])]

    assert scales_of_sums(graph) == ["norm", "norm1", "norm2"]
    assert scales_of_sums(ready) == []


def test_neurons_move_before_the_views_after_them() -> None:
    graph, _ = graph_of("linear over positions")
    ready = normalized(graph)
    (neuron,) = [n for n in ready.nodes if isinstance(n.op, Relu)]
    assert not isinstance(ready[neuron.inputs[0]].op, Reshape)


def test_a_linear_result_with_two_readers_gets_one_signed_quantizer() -> None:
    graph, _ = graph_of("doubled")
    ready = insert_quantizers(normalized(graph))
    assert [n.name for n in ready.nodes if isinstance(n.op, Quantize)] == ["b.bias.spikes"]


def test_a_softmax_at_the_end_is_split_off() -> None:
    graph, x = graph_of("softmax at the end")
    body, (softmax,) = split_host_tail(graph)
    assert not softmax.log
    assert np.allclose(evaluate(graph, x).sum(1), 1)
    assert not np.allclose(evaluate(body, x).sum(1), 1)
