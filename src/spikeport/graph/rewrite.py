"""Rewrites that leave a graph's function unchanged and bring neurons next to the weights that feed them.

Each pass is a pure function from graph to graph; a pass that does not apply returns the graph it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikeport.graph.activations import Activation
from spikeport.graph.graph import Graph, Node, build
from spikeport.graph.ops import Add, Affine, Concat, Input, Quantize, Relu, Softmax, apply
from spikeport.primitives import Conv, Dense, MaxPool, Pad, Reshape, Routing, Shape, Slice, SumPool, Transpose, Upsample

Floats = NDArray[np.floating]
Pass = Callable[[Graph], Graph]


def normalized(graph: Graph) -> Graph:
    """All passes, repeated until none applies."""
    while True:
        before = graph
        for rewrite in PASSES:
            graph = rewrite(graph)
        if graph is before:
            return graph


def merge_affines(graph: Graph) -> Graph:
    """Two affine operations in a row become one; one that does nothing disappears."""
    users = graph.consumers()
    for node in graph.nodes:
        if not isinstance(node.op, Affine):
            continue
        outer = node.op
        if outer.scale is None and outer.shift is None:
            return _substitute(graph, node.name, node.inputs[0])
        below = graph[node.inputs[0]]
        if isinstance(below.op, Affine) and len(users[below.name]) == 1 and below.name != graph.output:
            merged = Affine(
                _product(outer.scale, below.op.scale), _sum(_scaled(below.op.shift, outer.scale), outer.shift)
            )
            return _edit(graph, [replace(node, op=merged, inputs=below.inputs)])
    return graph


def fold_scales(graph: Graph) -> Graph:
    """A scale after a linear operation moves into its weights: batch norm, and the divisor of an average.

    It passes sums, poolings and spatial routing on the way. Shifts stay behind; they become biases.
    """
    users = graph.consumers()
    for node in graph.nodes:
        if not isinstance(node.op, Affine) or node.op.scale is None:
            continue
        below = graph[node.inputs[0]]
        if len(users[below.name]) != 1 or below.name == graph.output or not is_current(graph, below.name):
            continue
        scale, rest = node.op.scale, replace(node, op=Affine(None, node.op.shift))
        channels = per_channel(scale, below.shape)
        match below.op:
            case Dense(weight):
                rows = np.broadcast_to(scale, below.shape)
                return _edit(graph, [replace(below, op=Dense(_times(weight, rows[:, None]))), rest])
            case Conv(weight) if channels is not None:
                stretched = _times(weight, channels.reshape(-1, *(1,) * (weight.ndim - 1)))
                return _edit(graph, [replace(below, op=replace(below.op, weight=stretched)), rest])
            case Add():
                parts = [
                    Node(_fresh(graph, f"{node.name}.{i}"), Affine(scale), (name,), below.shape, node.source)
                    for i, name in enumerate(below.inputs)
                ]
                return _edit(graph, [replace(below, inputs=tuple(p.name for p in parts)), rest], parts)
            case Concat(axis):
                parts, start = [], 0
                full = np.broadcast_to(scale, below.shape)
                for i, name in enumerate(below.inputs):
                    stop = start + graph[name].shape[axis]
                    part = np.take(full, range(start, stop), axis)
                    parts.append(
                        Node(_fresh(graph, f"{node.name}.{i}"), Affine(part), (name,), graph[name].shape, node.source)
                    )
                    start = stop
                return _edit(graph, [replace(below, inputs=tuple(p.name for p in parts)), rest], parts)
            case SumPool() | Pad() | Slice() | Upsample() if channels is not None:
                above = graph[below.inputs[0]]
                if scale.size > 1 and above.shape[0] != below.shape[0]:
                    continue
                shape = (-1, *(1,) * (len(above.shape) - 1))
                inner = scale if scale.size == 1 else channels.reshape(shape)
                return _hoist(graph, node, below, Affine(inner), rest)
            case Reshape() | Transpose() if scale.size == 1:
                return _hoist(graph, node, below, Affine(scale.reshape(())), rest)
    return graph


def neurons_first(graph: Graph) -> Graph:
    """A neuron moves before the routing and the maximum that it follows, where they commute with its function.

    Routing does, unless it pads with a zero that the function would change; a maximum does if the function rises.
    """
    users = graph.consumers()
    for node in graph.nodes:
        if not isinstance(node.op, Relu | Activation):
            continue
        below = graph[node.inputs[0]]
        if len(users[below.name]) != 1 or below.name == graph.output:
            continue
        rises = isinstance(node.op, Relu) or node.op.turn is None
        silent = isinstance(node.op, Relu) or node.op.starts_at_zero
        if (isinstance(below.op, Routing) and (silent or not isinstance(below.op, Pad))) or (
            isinstance(below.op, MaxPool) and rises
        ):
            above = graph[below.inputs[0]]
            moved = Node(node.name, node.op, below.inputs, above.shape, node.source)
            return _swap(graph, node, below, moved)
        pool = graph[below.inputs[0]] if below.inputs else below
        if (
            not rises
            or not isinstance(below.op, Affine)
            or not isinstance(pool.op, MaxPool)
            or not _rises(below.op, below.shape)
        ):
            continue
        if len(users[pool.name]) != 1 or pool.name == graph.output:
            continue
        if is_current(graph, pool.inputs[0]):
            shape = graph[pool.inputs[0]].shape
            inner = replace(below, op=_by_channel(below.op, below.shape), inputs=pool.inputs, shape=shape)
            moved = Node(node.name, node.op, (below.name,), shape, node.source)
            table = {below.name: inner, node.name: moved, pool.name: replace(pool, inputs=(node.name,))}
            nodes = [table.get(n.name, _reading(n, node.name, pool.name)) for n in graph.nodes]
            return build(nodes, pool.name if graph.output == node.name else graph.output)
    return graph


def maxima_first(graph: Graph) -> Graph:
    """A maximum of spikes moves before a rising affine operation, so that it sees counts."""
    for node in graph.nodes:
        below = graph[node.inputs[0]] if node.inputs else node
        if not isinstance(node.op, MaxPool) or not isinstance(below.op, Affine) or is_current(graph, below.name):
            continue
        if len(graph.consumers()[below.name]) == 1 and _rises(below.op, below.shape):
            moved = Node(node.name, node.op, below.inputs, graph[below.inputs[0]].shape, node.source)
            after = replace(below, op=_by_channel(below.op, below.shape), shape=node.shape)
            return _swap(graph, node, after, moved)
    return graph


def drop_needless_relus(graph: Graph) -> Graph:
    """A rectifier without a ceiling of what is never negative does nothing."""
    positive = nonnegative(graph)
    for node in graph.nodes:
        if isinstance(node.op, Relu) and node.op.ceiling is None and node.inputs[0] in positive:
            below = graph[node.inputs[0]]
            if not is_current(graph, below.name):
                return _substitute(graph, node.name, below.name)
    return graph


PASSES: tuple[Pass, ...] = (merge_affines, fold_scales, neurons_first, maxima_first, drop_needless_relus)


def split_host_tail(graph: Graph) -> tuple[Graph, tuple[Softmax, ...]]:
    """The graph without a trailing softmax, and what was taken off, in order."""
    tail: list[Softmax] = []
    output = graph.output
    while isinstance(op := graph[output].op, Softmax):
        tail.insert(0, op)
        output = graph[output].inputs[0]
    return (build(graph.nodes, output), tuple(tail)) if tail else (graph, ())


def insert_quantizers(graph: Graph) -> Graph:
    """Puts a `Quantize` (a rectifier where nothing is negative) wherever a linear result must become spikes:

    it has several readers, or its reader has weights of its own, or is a maximum, or moves channels in a way that no
    per-channel threshold survives; and wherever spikes were scaled differently that a convolution or a sum reads as one.
    """
    for _ in range(2 * len(graph.nodes) + 1):
        place = next(_unspiked(graph), None)
        if place is None:
            return graph
        op = Relu() if place in nonnegative(graph) else Quantize()
        name = _fresh(graph, f"{place}.spikes")
        node = Node(name, op, (place,), graph[place].shape, graph[place].source)
        others = [_reading(n, place, name) for n in graph.nodes]
        output = name if graph.output == place else graph.output
        graph = build([*others, node], output)
    raise AssertionError("quantizers keep being inserted")


def _unspiked(graph: Graph) -> Iterator[str]:
    """Names of values that must become spikes first, in order."""
    users = graph.consumers()
    for node in graph.nodes:
        if isinstance(node.op, Conv | SumPool) and not is_current(graph, node.inputs[0]) and not _one_gain(graph, node):
            yield from _nearest_scales(graph, node.inputs[0])
        mixed = isinstance(node.op, Concat) and not all(is_current(graph, i) for i in node.inputs)
        for name in node.inputs:
            if not is_current(graph, name):
                if isinstance(node.op, MaxPool) and _has_affine(graph, name):
                    yield name
                continue
            many = len(users[name]) > 1 or name == graph.output
            weights = isinstance(node.op, Conv | Dense | MaxPool) or (
                isinstance(node.op, Affine) and node.op.scale is not None
            )
            moves = (
                isinstance(node.op, Routing)
                and not _keeps_channels(node, graph[name].shape)
                and not _only_read_out(graph, node)
            )
            if many or weights or moves or mixed:
                yield name


def _one_gain(graph: Graph, node: Node) -> bool:
    """Whether spikes that a reader multiplies by one weight, or sums, were scaled by one factor on the way."""
    gain = _gain(graph, node.inputs[0])
    if gain is None:
        return False
    if isinstance(node.op, SumPool):
        return _summed_gain(node.op, gain) is not None
    return per_channel(gain, gain.shape) is not None


def _gain(graph: Graph, name: str) -> Floats | None:
    """What spikes are multiplied by until they are a value; NaN where nothing ever spikes, None if sums mix several factors."""
    node = graph[name]
    if is_spiking(node.op):
        return np.ones(node.shape)
    parts = [_gain(graph, i) for i in node.inputs]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    match node.op:
        case Affine(scale):
            return known[0] if scale is None else known[0] * scale
        case Pad(width):
            return np.pad(known[0], width, constant_values=np.nan)
        case SumPool():
            return _summed_gain(node.op, known[0])
        case _:
            return np.asarray(apply(node.op, [part[None] for part in known])[0])


def _summed_gain(op: SumPool, gain: Floats) -> Floats | None:
    window = MaxPool(op.kernel, op.stride, op.padding, (1,) * len(op.kernel))
    far = np.finfo(np.float64).max
    highest = apply(window, [np.where(np.isnan(gain), -far, gain)[None]])[0]
    lowest = -apply(window, [np.where(np.isnan(gain), -far, -gain)[None]])[0]
    if not np.array_equal(np.where(highest <= -far, 0, highest), np.where(lowest >= far, 0, lowest)):
        return None
    return np.where(highest <= -far, np.nan, highest)


def _nearest_scales(graph: Graph, name: str) -> Iterator[str]:
    """The last scaling on each way from spikes to a value."""
    node = graph[name]
    if is_spiking(node.op):
        return
    if isinstance(node.op, Affine) and node.op.scale is not None:
        yield name
        return
    for i in node.inputs:
        yield from _nearest_scales(graph, i)


def is_spiking(op: object) -> bool:
    """Whether a node's value is counts: an input or a neuron."""
    return isinstance(op, Input | Relu | Activation | Quantize | MaxPool)


def is_current(graph: Graph, name: str) -> bool:
    """Whether a value is a sum of weighted spikes, rather than spikes, routed, pooled or scaled."""
    stack = [name]
    while stack:
        node = graph[stack.pop()]
        if isinstance(node.op, Conv | Dense | Add):
            return True
        if not is_spiking(node.op):
            stack.extend(node.inputs)
    return False


def nonnegative(graph: Graph) -> set[str]:
    """Names of values that are never below zero, whatever enters."""
    names: set[str] = set()
    for node in graph.nodes:
        match node.op:
            case Relu():
                names.add(node.name)
            case Activation():
                if node.op.is_never_negative:
                    names.add(node.name)
            case Affine(scale, shift):
                if node.inputs[0] in names and all(a is None or a.min() >= 0 for a in (scale, shift)):
                    names.add(node.name)
            case Input() | Conv() | Dense():
                pass
            case _:
                if all(i in names for i in node.inputs):
                    names.add(node.name)
    return names


def per_channel(array: Floats, shape: Shape) -> Floats | None:
    """The one value of each channel, shape (channel,), if `array` does not vary inside channels; NaN is no value."""
    full = np.broadcast_to(array, shape).reshape(shape[0], -1)
    if full.shape[1] == 1:
        return np.array(full[:, 0])
    with np.errstate(invalid="ignore"):
        filled = np.where(np.isnan(full), -np.inf, full)
        highest = filled.max(axis=1)
        lowest = np.where(np.isnan(full), np.inf, full).min(axis=1)
    empty = np.isneginf(highest)
    if not np.all((highest == lowest) | empty):
        return None
    return np.where(empty, np.nan, highest)


def _keeps_channels(node: Node, before: Shape) -> bool:
    """Whether each output channel of a routing comes from one input channel, and each input channel goes to one."""
    match node.op:
        case Reshape(shape):
            return shape[0] == before[0]
        case Transpose(axes):
            return axes[0] == 0
        case Upsample(factor):
            return factor[0] == 1
        case _:
            return True


def _only_read_out(graph: Graph, node: Node) -> bool:
    """Whether a value reaches nothing but the output, without neurons or weights on the way."""
    users = graph.consumers()
    while node.name != graph.output:
        following = users[node.name]
        if len(following) != 1 or not isinstance(following[0].op, Affine | Add | SumPool | Routing | Concat):
            return False
        node = following[0]
    return True


def _has_affine(graph: Graph, name: str) -> bool:
    stack = [name]
    while stack:
        node = graph[stack.pop()]
        if isinstance(node.op, Affine):
            return True
        if not is_spiking(node.op):
            stack.extend(node.inputs)
    return False


def _by_channel(op: Affine, shape: Shape) -> Affine:
    """An affine operation that is uniform in each channel, for values of any size."""

    def smaller(array: Floats | None) -> Floats | None:
        channels = None if array is None else per_channel(array, shape)
        return None if channels is None else channels.reshape(-1, *(1,) * (len(shape) - 1))

    return Affine(smaller(op.scale), smaller(op.shift))


def _rises(op: Affine, shape: Shape) -> bool:
    """Whether an affine operation keeps the order of values inside each channel."""
    scale = np.ones(()) if op.scale is None else op.scale
    shift = np.zeros(()) if op.shift is None else op.shift
    channels = per_channel(scale, shape)
    return channels is not None and bool((channels > 0).all()) and per_channel(shift, shape) is not None


def _product(a: Floats | None, b: Floats | None) -> Floats | None:
    if a is None or b is None:
        return b if a is None else a
    return _times(a, b)


def _scaled(shift: Floats | None, scale: Floats | None) -> Floats | None:
    return shift if shift is None or scale is None else _times(shift, scale)


def _times(a: Floats, b: Floats) -> Floats:
    """Product in double precision, stored in the wider of the two types."""
    return np.asarray(a.astype(np.float64) * b.astype(np.float64), dtype=np.result_type(a, b))


def _sum(a: Floats | None, b: Floats | None) -> Floats | None:
    if a is None or b is None:
        return b if a is None else a
    return np.asarray(a.astype(np.float64) + b.astype(np.float64), dtype=np.result_type(a, b))


def _fresh(graph: Graph, name: str) -> str:
    """The name, numbered where the graph has it already."""
    found, number = name, 1
    while found in graph.by_name:
        number += 1
        found = f"{name}_{number}"
    return found


def _edit(graph: Graph, changed: Sequence[Node], added: Sequence[Node] = ()) -> Graph:
    """The graph with some nodes replaced by name, and some added."""
    table = {node.name: node for node in changed}
    return build([*(table.get(node.name, node) for node in graph.nodes), *added], graph.output)


def _substitute(graph: Graph, name: str, other: str) -> Graph:
    """The graph with every use of one value replaced by another; nodes nobody reads disappear."""
    return build([_reading(n, name, other) for n in graph.nodes], other if graph.output == name else graph.output)


def _reading(node: Node, name: str, other: str) -> Node:
    """The node with one of its inputs replaced."""
    return replace(node, inputs=tuple(other if i == name else i for i in node.inputs)) if name in node.inputs else node


def _swap(graph: Graph, upper: Node, lower: Node, moved: Node) -> Graph:
    """`upper(lower(x))` becomes `lower(moved(x))`; readers of `upper` now read `lower`."""
    after = replace(lower, inputs=(moved.name,))
    nodes = []
    for node in graph.nodes:
        if node.name == upper.name:
            nodes.append(moved)
        elif node.name == lower.name:
            nodes.append(after)
        else:
            nodes.append(_reading(node, upper.name, lower.name))
    return build(nodes, lower.name if graph.output == upper.name else graph.output)


def _hoist(graph: Graph, node: Node, below: Node, scale: Affine, rest: Node) -> Graph:
    """Move a scale from after `below` to before it; the shift stays in `rest`."""
    inner = Node(_fresh(graph, f"{node.name}.scale"), scale, below.inputs, graph[below.inputs[0]].shape, node.source)
    return _edit(graph, [replace(below, inputs=(inner.name,)), rest], [inner])
