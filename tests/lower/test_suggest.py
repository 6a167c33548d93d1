"""Changes that make a network fit: tried, minimal, or a reason why there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeport.graph import Add, Affine, Graph, Input, Node, Relu, build, evaluate
from spikeport.lower import Reason
from spikeport.lower.changes import averaged, has_maxima, has_sums, maximized, narrowed
from spikeport.lower.examine import Carried
from spikeport.lower.findings import Findings
from spikeport.lower.suggest import TRIALS, TRIED_ALL, UNTOUCHED, search, worded
from spikeport.primitives import Conv, Dense, MaxPool, Pad, Reshape, Slice
from tests.lower.targets import chip


def carried(*reasons: Reason) -> Carried:
    return Carried(None, None, Findings(chip(), reasons=list(reasons)))


def reason(*helps: Any) -> Reason:
    return Reason("a", "is too much", helps=frozenset(helps))


MOVES: list[Any] = [
    ("weight_bits", 4),
    ("pooling", "average"),
    ("levels", 15),
    ("width", 0.5),
    ("levels", 7),
    ("width", 0.25),
]


def test_only_what_a_reason_calls_for_is_tried() -> None:
    tried: list[Any] = []

    def attempt(changes: Any) -> Carried:
        tried.append(dict(changes))
        return carried() if changes.get("levels", 99) <= 7 else carried(reason("levels"))

    found = search(carried(reason("levels")), MOVES, attempt)
    assert found.changes == {"levels": 7}
    assert tried == [{"levels": 15}, {"levels": 7}]


def test_changes_that_turn_out_to_be_unneeded_are_taken_back() -> None:
    def attempt(changes: Any) -> Carried:
        return carried() if "width" in changes else carried(reason("levels", "width"))

    assert search(carried(reason("levels", "width")), MOVES, attempt).changes == {"width": 0.5}


def test_without_a_knob_the_reason_is_told() -> None:
    found = search(carried(reason("levels"), Reason("b", "has skips")), MOVES, lambda _: carried())
    assert (found.changes, found.why) == (None, f"b: has skips; {UNTOUCHED}")
    never = search(carried(reason("levels")), MOVES, lambda _: carried(reason("levels")))
    assert (never.changes, never.why) == (None, f"a: is too much; {TRIED_ALL}")
    many: list[Any] = [("levels", n) for n in range(100, 0, -1)]
    assert (
        f"{TRIALS} changed networks" in search(carried(reason("levels")), many, lambda _: carried(reason("levels"))).why
    )


def test_a_model_that_cannot_be_made_is_passed_over() -> None:
    def attempt(changes: Any) -> Carried | None:
        return None if changes == {"levels": 15} else carried()

    assert search(carried(reason("levels")), MOVES, attempt).changes == {"levels": 7}


def test_changes_as_words() -> None:
    assert worded({"weight_bits": 4, "width": 0.25}) == "weight_bits=4, train with 0.25 times the channels"


def residual() -> Graph:
    """A block with a padded shortcut, a maximum, and a matrix at the end."""
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(size=(4, 2, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    inner = Conv(rng.normal(size=(8, 4, 3, 3)), (2, 2), ((1, 1), (1, 1)), (1, 1))
    depth = Conv(rng.normal(size=(8, 1, 1, 1)), (1, 1), ((0, 0), (0, 0)), (1, 1), 8)
    nodes = [
        Node("x", Input((2, 8, 8)), (), (2, 8, 8)),
        Node("conv", conv, ("x",), ()),
        Node("norm", Affine(rng.normal(size=(4, 1, 1)), rng.normal(size=(4, 1, 1))), ("conv",), ()),
        Node("relu", Relu(), ("norm",), ()),
        Node("inner", inner, ("relu",), ()),
        Node("depth", depth, ("inner",), ()),
        Node("every second", Slice((0, 0, 0), (4, 8, 8), (1, 2, 2)), ("relu",), ()),
        Node("pad", Pad(((2, 2), (0, 0), (0, 0))), ("every second",), ()),
        Node("add", Add(), ("depth", "pad"), ()),
        Node("relu2", Relu(), ("add",), ()),
        Node("max", MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ("relu2",), ()),
        Node("flat", Reshape((32,)), ("max",), ()),
        Node("linear", Dense(rng.normal(size=(3, 32))), ("flat",), ()),
        Node("bias", Affine(None, rng.normal(size=3)), ("linear",), ()),
    ]
    return build(nodes, "bias")


@pytest.mark.parametrize("factor", [0.5, 0.25])
def test_a_narrower_graph_has_fewer_channels_and_the_same_outputs(factor: float) -> None:
    thin = narrowed(residual(), factor)
    assert thin["relu"].shape == (int(4 * factor), 8, 8)
    assert thin["relu2"].shape == (int(8 * factor), 4, 4)
    assert thin["bias"].shape == (3,)
    assert evaluate(thin, np.ones((2, 2, 8, 8))).shape == (2, 3)


def test_a_graph_of_averages_is_that_of_average_pooling() -> None:
    graph = residual()
    assert has_maxima(graph)
    mean = averaged(graph)
    assert not has_maxima(mean)
    x = np.random.default_rng(1).normal(size=(2, 2, 8, 8))
    seen: dict[str, Any] = {}
    evaluate(mean, x, visit=lambda node, value: seen.update({node.name: value}))
    before = seen["relu2"].reshape(2, 8, 2, 2, 2, 2)
    assert np.allclose(seen["max"], before.mean(axis=(3, 5)))


def test_a_graph_of_maxima_is_that_of_max_pooling() -> None:
    graph = averaged(residual())
    assert has_sums(graph)
    most = maximized(graph)
    assert not has_sums(most)
    x = np.random.default_rng(1).normal(size=(2, 2, 8, 8))
    assert np.allclose(evaluate(most, x), evaluate(residual(), x))
