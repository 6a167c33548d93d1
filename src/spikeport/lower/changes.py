"""Changes of a model as rewrites of its graph: averages in place of maxima or the other way round, and fewer channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import Add, Affine, Concat, Graph, Input, Node, Op, output_shape
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Pad, Reshape, Shape, Slice, SumPool


def has_maxima(graph: Graph) -> bool:
    """Whether there is anything to average in place of a maximum."""
    return any(isinstance(node.op, MaxPool) and set(node.op.dilation) == {1} for node in graph.nodes)


def averaged(graph: Graph) -> Graph:
    """The graph with average pooling in place of max pooling, as if the model had been trained so."""
    nodes: list[Node] = []
    for node in graph.nodes:
        match node.op:
            case MaxPool(kernel, stride, padding, dilation) if set(dilation) == {1}:
                inner = f"{node.name} sum"
                nodes.append(Node(inner, SumPool(kernel, stride, padding), node.inputs, node.shape, node.source))
                divisor = Affine(np.asarray(1 / prod(kernel)))
                nodes.append(Node(node.name, divisor, (inner,), node.shape, node.source))
            case _:
                nodes.append(node)
    return Graph(tuple(nodes), graph.output)


def has_sums(graph: Graph) -> bool:
    """Whether there is anything to take a maximum of in place of an average."""
    return any(isinstance(node.op, SumPool) for node in graph.nodes)


def maximized(graph: Graph) -> Graph:
    """The graph with max pooling in place of average pooling, as if the model had been trained so."""
    nodes: list[Node] = []
    for node in graph.nodes:
        match node.op:
            case SumPool(kernel, stride, padding):
                inner = f"{node.name} max"
                dilation = (1,) * len(kernel)
                nodes.append(
                    Node(inner, MaxPool(kernel, stride, padding, dilation), node.inputs, node.shape, node.source)
                )
                times = Affine(np.asarray(float(prod(kernel))))  # what follows divides a sum by as many
                nodes.append(Node(node.name, times, (inner,), node.shape, node.source))
            case _:
                nodes.append(node)
    return Graph(tuple(nodes), graph.output)


def narrowed(graph: Graph, factor: float) -> Graph:
    """The graph with so many times the channels in every layer but the input and the last one; the first ones are kept.

    Raises:
        ValueError: channels that do not divide as the graph needs.
    """
    last = _last_weights(graph)
    shapes: dict[str, Shape] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        before = [graph[name].shape for name in node.inputs]
        now = [shapes[name] for name in node.inputs]
        op = _narrow(node, before, now, 1.0 if node.name in last else factor)
        shapes[node.name] = shape = output_shape(op, now)
        nodes.append(replace(node, op=op, shape=shape))
    return Graph(tuple(nodes), graph.output)


def _last_weights(graph: Graph) -> set[str]:
    """Weights from which nothing but sums and routing leads to the output: their channels are the model's outputs."""
    found, stack = set[str](), [graph.output]
    while stack:
        node = graph[stack.pop()]
        if isinstance(node.op, Dense | Conv):
            found.add(node.name)
        else:
            stack += node.inputs
    return found


def _fewer(channels: int, factor: float) -> int:
    return max(1, round(channels * factor))


def _narrow(node: Node, before: Sequence[Shape], now: Sequence[Shape], factor: float) -> Op:
    match node.op:
        case Input() | Add() | Concat():
            return node.op
        case Dense(weight):
            return Dense(weight[: _fewer(len(weight), factor), : now[0][0]])
        case Conv(weight, groups=1):
            return replace(node.op, weight=weight[: _fewer(len(weight), factor), : now[0][0]])
        case Conv(weight, groups=groups):
            if groups != before[0][0]:
                raise ValueError(f"{node.name} has {groups} groups")
            return replace(node.op, weight=weight[: len(weight) // groups * now[0][0]], groups=now[0][0])
        case OneToOne(weight):
            return OneToOne(_cropped(weight, now[0]))
        case Affine(scale, shift):
            arrays = [None if array is None else _cropped(array, now[0]) for array in (scale, shift)]
            return Affine(*arrays)
        case Reshape(shape):
            return Reshape(_reshaped(node.name, before[0], now[0], shape))
        case Pad(width):
            (low, high), *rest = width
            if not low + high:
                return node.op
            missing = _fewer(before[0][0] + low + high, factor) - now[0][0]
            if missing < 0:
                raise ValueError(f"{node.name} would pad by {missing}")
            front = missing * low // (low + high)
            return Pad(((front, missing - front), *rest))
        case Slice(start, stop, step):
            old, new = before[0][0], now[0][0]
            first = (start[0] * new // old, *start[1:])
            return Slice(first, (max(first[0] + 1, stop[0] * new // old), *stop[1:]), step)
        case _:
            return node.op


def _cropped(array: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """The leading part of an array that broadcasts to a smaller shape."""
    trailing = shape[len(shape) - array.ndim :]
    return array[tuple(slice(None) if size == 1 else slice(n) for size, n in zip(array.shape, trailing, strict=True))]


def _reshaped(name: str, old: Shape, new: Shape, shape: Shape) -> Shape:
    if old == new:
        return shape
    if len(shape) == 1:
        return (prod(new),)
    if prod(shape[1:]) == prod(old[1:]) or prod(new) % prod(shape[1:]) == 0:
        return (prod(new) // prod(shape[1:]), *shape[1:])
    raise ValueError(f"{name} mixes channels with places")
