"""What operations compute, against torch and against loops written out."""

import numpy as np
import pytest

from spikeport.errors import GraphError
from spikeport.graph import (
    Add,
    Affine,
    Concat,
    Graph,
    Input,
    Node,
    Relu,
    Softmax,
    apply,
    build,
    evaluate,
    output_shape,
    to_text,
)
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Pad, Reshape, Slice, SumPool, Transpose, Upsample

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 4, 7, 6))
NONE = ((0, 0), (0, 0))

OPERATIONS = [
    Conv(RNG.normal(size=(6, 2, 3, 2)), (2, 1), ((1, 2), (0, 1)), (1, 2), 2),
    Conv(RNG.normal(size=(4, 1, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    SumPool((3, 2), (2, 2), ((1, 1), (0, 0))),
    MaxPool((3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2)),
    OneToOne(RNG.normal(size=(4, 1, 1))),
    Reshape((4, 42)),
    Transpose((2, 0, 1)),
    Slice((1, 0, 1), (4, 7, 6), (1, 2, 3)),
    Pad(((0, 1), (2, 0), (1, 1))),
    Upsample((1, 2, 3)),
    Affine(RNG.normal(size=(4, 1, 1)), RNG.normal(size=(4, 7, 6))),
    Relu(0.5),
    Softmax(0),
    Softmax(2, log=True),
]


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: type(op).__name__)
def test_numpy_and_torch_agree_and_have_the_inferred_shape(op: object) -> None:
    torch = pytest.importorskip("torch")
    from spikeport.backends.torch import TorchOperations

    found = apply(op, [IMAGE])  # type: ignore[arg-type]
    assert found.shape[1:] == output_shape(op, [IMAGE.shape[1:]])  # type: ignore[arg-type]
    operations = TorchOperations(dtype=torch.float64)
    expected = operations.store(operations.apply(op, [operations.load(IMAGE)]))  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_convolution_written_out() -> None:
    weight = RNG.integers(-4, 5, size=(6, 2, 3, 2))
    x = RNG.integers(-4, 5, size=(2, 4, 7, 6))
    found = apply(Conv(weight, (2, 1), ((1, 0), (0, 2)), (2, 1), 2), [x])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2)))
    for n, o, i, j in np.ndindex(*found.shape):
        group = o // 3
        total = sum(
            weight[o, c, a, b] * padded[n, 2 * group + c, 2 * i + 2 * a, j + b]
            for c in range(2)
            for a in range(3)
            for b in range(2)
        )
        assert found[n, o, i, j] == total


def test_a_convolution_over_one_axis_written_out() -> None:
    weight, x = RNG.integers(-4, 5, size=(3, 2, 3)), RNG.integers(-4, 5, size=(1, 2, 9))
    found = apply(Conv(weight, (3,), ((0, 0),), (1,)), [x])
    for o, i in np.ndindex(3, 3):
        assert found[0, o, i] == (weight[o] * x[0, :, 3 * i : 3 * i + 3]).sum()


def test_padding_never_wins_a_maximum() -> None:
    pool = MaxPool((2, 2), (1, 1), ((1, 1), (1, 1)), (1, 1))
    assert apply(pool, [np.full((1, 1, 2, 2), -5.0)]).max() == -5
    assert apply(pool, [np.full((1, 1, 2, 2), -5)]).max() == -5


def small(*nodes: Node, output: str = "y") -> Graph:
    return Graph((Node("x", Input((2,)), (), (2,)), *nodes), output)


def test_values_are_dropped_but_the_answer_is_right_when_they_are_read_twice() -> None:
    graph = small(
        Node("a", Relu(), ("x",), (2,)),
        Node("b", Add(), ("a", "a", "x"), (2,)),
        Node("y", Concat(0), ("b", "a"), (4,)),
    )
    assert evaluate(graph, np.array([[1.0, -2.0]])).tolist() == [[3.0, -2.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ((Node("y", Relu(), ("z",), (2,)),), "reads z"),
        ((Node("y", Relu(), ("x",), (3,)),), "has shape"),
        ((Node("y", Dense(np.ones((1, 3))), ("x",), (1,)),), "weight of shape"),
        ((Node("y", Affine(np.array(np.nan)), ("x",), (2,)),), "NaN"),
        ((Node("y", Relu(-1.0), ("x",), (2,)),), "ceiling"),
        ((Node("y", Relu(), ("x",), (2,)), Node("y", Relu(), ("x",), (2,))), "used twice"),
        ((Node("s", Softmax(0), ("x",), (2,)), Node("y", Relu(), ("s",), (2,))), "softmax"),
        ((Node("a", Relu(), ("x",), (2,)),), "not one of its nodes"),
        ((Node("y", Reshape((3,)), ("x",), (3,)),), "reshaping"),
        ((Node("y", Slice((0,), (0,), (1,)), ("x",), (0,)),), "empty"),
    ],
)
def test_a_graph_that_is_not_well_formed_is_refused(nodes: tuple[Node, ...], why: str) -> None:
    with pytest.raises(GraphError, match=why):
        small(*nodes)


def test_all_problems_of_a_graph_are_named_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        small(Node("a", Relu(-1.0), ("x",), (2,)), Node("y", Relu(), ("q",), (2,)))
    assert [p.where for p in caught.value.problems] == ["a", "y"]


def test_build_keeps_what_the_output_needs_in_order() -> None:
    nodes = [
        Node("y", Relu(), ("a",), ()),
        Node("unused", Relu(), ("x",), (2,)),
        Node("a", Relu(), ("x",), ()),
        Node("x", Input((2,)), (), (2,)),
    ]
    graph = build(nodes, "y")
    assert [n.name for n in graph.nodes] == ["x", "a", "y"]
    assert "unused" not in to_text(graph)


def test_a_deep_graph_needs_no_recursion() -> None:
    nodes = [Node("n0", Input((1,)), (), (1,))]
    nodes += [Node(f"n{i}", Relu(), (f"n{i - 1}",), (1,)) for i in range(1, 5000)]
    assert len(build(nodes, "n4999").nodes) == 5000
