"""Small networks for tests, with answers that were worked out by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np

from spikeport.graph import output_shape
from spikeport.primitives import (
    Connection,
    Conv,
    Dense,
    InputEncoder,
    InputKind,
    MaxPool,
    OneToOne,
    Reshape,
    Shape,
    SumPool,
    Synapse,
    Upsample,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer
from spikeport.targets import Target

KINDS: tuple[InputKind, ...] = get_args(InputKind)
STATE_BITS = 16
"""Of the networks that are encoded: enough for all of them under every code."""
ONE = np.ones((), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Integers, what enters them, and what comes out."""

    integer: IntegerNetwork
    x: Any
    """(batch, *input)."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """Of layers, (batch, *layer)."""
    readout: Any = None
    """Integers at the end, (batch, *output)."""


def boundaries(kind: InputKind = "static") -> Known:
    """Two layers and a read-out: sums equal to a threshold, below it by one, zero, negative, at the largest count and beyond.

    >>> known = boundaries()
    >>> known.counts["edge"][0], known.readout[0]
    ([1, 1, 1, 2, 1, 3], [7, -5])
    """
    source = InputEncoder("input", (6,), kind, ONE, 0, 7)
    edge = CountLayer(
        "edge",
        (6,),
        threshold=np.array([4, 3, 2, 4, 5, 1]),
        bias=np.array([0, -1, 6, 0, -3, 0]),
        offset=np.zeros(6, np.int64),
        low=0,
        high=3,
        scale=ONE,
    )
    total = CountLayer(
        "sum",
        (3,),
        threshold=np.array([2, 3, 1]),
        bias=np.array([1, 0, -2]),
        offset=np.zeros(3, np.int64),
        low=0,
        high=3,
        scale=ONE,
    )
    output = Readout("output", (2,), np.array([0, -5]), 0.5)
    connections = (
        Connection("input", "edge", (OneToOne(np.array([1, 1, -1, 2, 3, 1])),)),
        Connection("edge", "sum", (Dense(np.array([[1, 0, 1, 0, 0, 0], [0, 1, 0, 1, 0, -1], [1, -1, 0, 0, 2, 1]])),)),
        Connection("sum", "output", (Dense(np.array([[1, -1, 2], [3, 1, -1]])),)),
    )
    return Known(
        IntegerNetwork(source, (edge, total, output), connections, 4, STATE_BITS),
        np.array([[4, 4, 4, 4, 4, 4], [0, 0, 0, 0, 0, 0], [7, 7, 7, 7, 7, 7], [3, 4, 1, 1, 1, 2]], dtype=np.float64),
        counts={
            "edge": [[1, 1, 1, 2, 1, 3], [0, 0, 3, 0, 0, 0], [1, 2, 0, 3, 3, 3], [0, 1, 2, 0, 0, 2]],
            "sum": [[1, 0, 3], [2, 0, 0], [1, 0, 3], [1, 0, 0]],
        },
        readout=[[7, -5], [2, 1], [7, -5], [1, -2]],
    )


def both_signs(kind: InputKind = "static") -> Known:
    """A layer whose counts have both signs, at both ends of their range, and one that rises unevenly.

    >>> both_signs().counts["line"]
    [[1, -1, 2, -2], [0, 0, 0, 0], [2, -2, 3, -3]]
    """
    source = InputEncoder("input", (4,), kind, ONE, 0, 7)
    line = CountLayer(
        "line",
        (4,),
        threshold=np.array([3, 3, 2, 2]),
        bias=np.zeros(4, np.int64),
        offset=np.array([1, 1, 1, 1]),
        low=-3,
        high=3,
        scale=ONE,
    )
    output = Readout("output", (2,), np.array([1, 0]), 1.0)
    connections = (
        Connection("input", "line", (OneToOne(np.array([1, -1, 1, -1])),)),
        Connection("line", "output", (Dense(np.array([[1, 2, 0, -1], [-2, 0, 1, 1]])),)),
    )
    return Known(
        IntegerNetwork(source, (line, output), connections, 4, STATE_BITS),
        np.array([[4, 4, 4, 4], [0, 0, 0, 0], [7, 7, 7, 7]], dtype=np.float64),
        # (4 + 1) // 3, (-4 + 1) // 3, (4 + 1) // 2, (-4 + 1) // 2; (7 + 1) // 3 is 2
        counts={"line": [[1, -1, 2, -2], [0, 0, 0, 0], [2, -2, 3, -3]]},
        readout=[[2, -2], [1, 0], [2, -4]],
    )


def curved(kind: InputKind = "static") -> Known:
    """A layer that climbs a table of thresholds, two of them equal, the first one negative.

    >>> curved().counts["curve"]
    [[2, 0, 1], [0, 0, 0], [3, 3, 3]]
    """
    source = InputEncoder("input", (3,), kind, ONE, 0, 7)
    table = np.array([[1, 3, -1], [4, 3, 7], [5, 4, 8]])
    curve = StaircaseLayer("curve", (3,), table, bias=np.array([0, -2, -4]), low=0, scale=ONE)
    output = Readout("output", (1,), np.array([-1]), 1.0)
    connections = (
        Connection("input", "curve", (OneToOne(np.array([1, 1, 2])),)),
        Connection("curve", "output", (Dense(np.array([[1, -1, 2]])),)),
    )
    return Known(
        IntegerNetwork(source, (curve, output), connections, 4, STATE_BITS),
        np.array([[4, 4, 3], [0, 2, 0], [7, 7, 6]], dtype=np.float64),
        # sums 4, 2, 2; 0, 0, -4; 7, 5, 8
        counts={"curve": [[2, 0, 1], [0, 0, 0], [3, 3, 3]]},
        readout=[[3], [-1], [5]],
    )


def skipping(kind: InputKind = "static") -> Known:
    """A population that is fed by two others, of different depths.

    >>> skipping().readout
    [[5, 1], [0, 0], [5, 1]]
    """
    source = InputEncoder("input", (2,), kind, ONE, 0, 7)
    ends: dict[str, Any] = {"low": 0, "high": 3, "scale": ONE}
    first = CountLayer("first", (2,), np.array([2, 3]), np.zeros(2, np.int64), np.zeros(2, np.int64), **ends)
    second = CountLayer("second", (2,), np.array([1, 2]), np.zeros(2, np.int64), np.zeros(2, np.int64), **ends)
    output = Readout("output", (2,), np.array([0, 0]), 1.0)
    connections = (
        Connection("input", "first", (OneToOne(np.array([1, 1])),)),
        Connection("first", "second", (Dense(np.array([[1, -1], [1, 1]])),)),
        Connection("first", "output", (OneToOne(np.array([1, 1])),)),
        Connection("second", "output", (Dense(np.array([[2, 1], [-1, 1]])),)),
    )
    return Known(
        IntegerNetwork(source, (first, second, output), connections, 4, STATE_BITS),
        np.array([[4, 4], [0, 0], [5, 5]], dtype=np.float64),
        # first 2, 1; second 1, 3 // 2
        counts={"first": [[2, 1], [0, 0], [2, 1]], "second": [[1, 1], [0, 0], [1, 1]]},
        readout=[[5, 1], [0, 0], [5, 1]],
    )


MAPS: Mapping[str, tuple[Synapse, ...]] = {
    "one to one": (OneToOne(np.array([[[2]], [[-1]]])),),
    "convolution": (Conv(np.array([[[[1, -1], [2, 0]], [[0, 1], [-1, 1]]]] * 2), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),),
    "sum pooling": (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))),),
    "routing": (Upsample((1, 2, 1)),),
}
"""Operators between maps of two channels; the map before is (2, 4, 4)."""
MAP = (2, 4, 4)


def capped(cap: int, kind: InputKind = "static") -> IntegerNetwork:
    """A layer that stops counting at a number, below what its sums reach."""
    source = InputEncoder("input", (3,), kind, ONE, 0, 7)
    ends: dict[str, Any] = {"low": 0, "high": cap, "scale": ONE}
    layer = CountLayer("capped", (3,), np.array(1), np.array([0, 1, 0]), np.array(0), **ends)
    connections = (
        Connection("input", "capped", (OneToOne(np.array([1, 2, 1]) * (cap // 7 + 1)),)),
        Connection("capped", "output", (Dense(np.array([[1, -1, 2], [0, 1, 1]])),)),
    )
    return IntegerNetwork(source, (layer, Readout("output", (2,), np.array(0), 1.0)), connections, 4, STATE_BITS)


def signed_input(kind: InputKind = "static") -> IntegerNetwork:
    """The network of `boundaries`, whose input may be negative too."""
    known = boundaries(kind).integer
    return replace(known, input=replace(known.input, low=-7))


def operator(kind: str, ending: str = "dense", input: InputKind = "static") -> IntegerNetwork:
    """A converted network whose middle layer is reached by one kind of synapse; it ends with a dense read-out, or a convolution."""
    flat = kind == "dense"
    shape: Shape = (6,) if flat else MAP
    source = InputEncoder("input", shape, input, ONE, 0, 7)
    ends: dict[str, Any] = {"low": 0, "high": 3, "scale": ONE}

    def layer(name: str, shape: tuple[int, ...]) -> CountLayer:
        return CountLayer(name, shape, np.array(3), np.array(1), np.array(1), **ends)

    def joined(shape: Shape, chain: tuple[Synapse | MaxPool, ...]) -> Shape:
        for synapse in chain:
            shape = output_shape(synapse, [shape])
        return shape

    layers: list[Layer] = [layer("before", shape)]
    connections = [Connection("input", "before", (OneToOne(np.array(1)),))]
    if flat:
        weight = np.array([[1, -1, 0, 2, 0, 1], [0, 1, 1, -2, 1, 0], [3, 0, -3, 1, 1, -1]])
        chain: tuple[Synapse, ...] = (Dense(weight),)
        after: Shape = (3,)
        layers.append(layer("after", after))
    elif kind == "max pooling":
        window = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
        chain, after = (), joined(shape, (window,))
        layers.append(MaxLayer("after", after, window, ONE))
    else:
        chain = MAPS[kind]
        after = joined(shape, chain)
        layers.append(layer("after", after))
    connections.append(Connection("before", "after", chain))
    if ending == "dense":
        size = int(np.prod(after))
        weight = (np.arange(2 * size).reshape(2, size) % 5) - 2
        last: tuple[Synapse, ...] = (Dense(weight),) if flat else (Reshape((size,)), Dense(weight))
        out: tuple[int, ...] = (2,)
    else:
        weight = ((np.arange(4 * after[0]).reshape(2, after[0], 1, 2)) % 5) - 2
        last = (Conv(weight, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),)
        out = joined(after, last)
    layers.append(Readout("output", out, np.array(0), 1.0))
    connections.append(Connection("after", "output", last))
    return IntegerNetwork(source, tuple(layers), tuple(connections), 4, STATE_BITS)


def frames(network: IntegerNetwork, samples: int = 3, seed: int = 0) -> Any:
    """Input of a converted network: all zero, all at the maximum, and random ones."""
    encoder, rng = network.input, np.random.default_rng(seed)
    x = rng.integers(encoder.low, encoder.high + 1, size=(samples, *encoder.shape))
    x[0] = 0
    if samples > 1:
        x[1] = encoder.high
    return x.astype(np.float64)


def drawn(seed: int, target: Target) -> IntegerNetwork:
    """A random network of one to four layers in the operators that a target offers; weights have three bits."""
    rng = np.random.default_rng(seed)
    offered = target.known("synapses", frozenset(["dense", "one to one", "convolution", "sum pooling", "routing"]))
    maps = {"convolution", "routing"} <= offered and ("dense" in offered) and rng.random() < 0.6
    shape: tuple[int, ...] = (int(rng.integers(1, 3)), 4, 4) if maps else (int(rng.integers(2, 8)),)
    source = InputEncoder("input", shape, KINDS[int(rng.integers(2))], ONE, 0, 7)
    layers: list[Layer] = []
    connections: list[Connection] = []
    shapes = {"input": shape}
    for i in range(int(rng.integers(1, 5))):
        name, before = f"layer{i}", list(shapes)[-1]
        chain = _chain(rng, shapes[before], offered)
        out = shapes[before]
        for synapse in chain:
            out = output_shape(synapse, [out])
        connections.append(Connection(before, name, chain))
        if target.known("skips", True) and "one to one" in offered:
            for other in [n for n, s in shapes.items() if s == out and n not in (before, "input")][:1]:
                connections.append(Connection(other, name, (OneToOne(rng.integers(-3, 4, size=out)),)))
        threshold, bias = rng.integers(1, 8, size=out), rng.integers(-6, 7, size=out)
        top = int(rng.choice([1, 3, 7]))
        bottom = -top if rng.random() < 0.25 else 0
        layers.append(CountLayer(name, out, threshold, bias, threshold // 2, bottom, top, ONE))
        shapes[name] = out
    last, out = list(shapes)[-1], list(shapes.values())[-1]
    size = int(np.prod(out))
    weight = Dense(rng.integers(-3, 4, size=(3, size)))
    connections.append(Connection(last, "output", (weight,) if len(out) == 1 else (Reshape((size,)), weight)))
    layers.append(Readout("output", (3,), rng.integers(-6, 7, size=(3,)), 0.25))
    return IntegerNetwork(source, tuple(layers), tuple(connections), 4, STATE_BITS)


def _chain(rng: np.random.Generator, shape: tuple[int, ...], offered: Collection[str]) -> tuple[Synapse, ...]:
    if len(shape) == 1:
        if "one to one" in offered and rng.random() < 0.3:
            return (OneToOne(rng.integers(-3, 4, size=shape)),)
        return (Dense(rng.integers(-3, 4, size=(int(rng.integers(1, 8)), *shape))),)
    if "sum pooling" in offered and min(shape[1:]) > 1 and rng.random() < 0.25:
        return (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))),)
    kernel = rng.integers(-3, 4, size=(int(rng.integers(1, 4)), shape[0], 3, 3))
    stride = int(rng.integers(1, 3))
    return (Conv(kernel, (stride, stride), ((1, 1), (1, 1)), (1, 1), 1),)
