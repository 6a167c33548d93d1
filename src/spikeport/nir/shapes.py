"""Shapes of what enters and leaves every node, worked out from the parameters and along the edges; without a batch axis.

The inference of `nir` 1.0.8 is wrong for groups and for kernels with sides of different lengths, and stops at nested graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from spikeport.errors import NirError, Problem
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.limits import MAX_ELEMENTS
from spikeport.nir.nodes import TYPES
from spikeport.primitives import Pairs, Shape


@dataclass(frozen=True, slots=True)
class Shapes:
    """Of what enters a node, and of what leaves it."""

    source: Shape
    target: Shape


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution or pooling with everything as pairs and tuples of one entry an axis."""

    kernel: Shape
    stride: Shape
    padding: Pairs
    dilation: Shape

    def over(self, space: Shape) -> Shape:
        """Lengths of the axes after it; below 1 where the window is larger than what it lies over."""
        rows = zip(space, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in rows)


Step = Callable[[str, Shape | None], Shapes | None]
"""Shapes of a node, given what enters it where that is known; None if they are not known yet."""


def infer(graph: NirGraph) -> Mapping[str, Shapes]:
    """Shapes of every node of a flat graph.

    Raises:
        NirError: shapes that do not fit, nodes whose shape follows from nothing, nodes that nothing leads to; all of them.
    """
    problems: list[Problem] = []
    bad: set[str] = set()

    def step(name: str, entering: Shape | None) -> Shapes | None:
        try:
            return None if name in bad else node_shapes(graph[name], entering)
        except ValueError as error:
            problems.append(Problem(name, str(error)))
            bad.add(name)
            return None

    found = propagated(graph, step)
    after_bad = _reached(bad, graph)
    for name in graph.nodes:
        if name not in found and name not in after_bad:
            hint = "the file leaves it open: write input_shape, or lead an Input to it"
            problems.append(Problem(name, "its shape follows from nothing", hint))
    for a, b in graph.edges:
        if a in found and b in found and found[a].target != found[b].source:
            problems.append(_misfit(graph, a, b, found))
    if problems:
        raise NirError(problems)
    return found


def propagated(graph: NirGraph, *steps: Step) -> dict[str, Shapes]:
    """Shapes of the nodes of a flat graph, along its edges; a later step is asked where the earlier ones know no more."""
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        targets[a].append(b)
    found: dict[str, Shapes] = {}
    for step in steps:
        for start in graph.nodes:
            todo: list[tuple[str, Shape | None]] = [(start, None)]
            while todo:
                name, entering = todo.pop()
                shapes = None if name in found else step(name, entering)
                if shapes is not None:
                    found[name] = shapes
                    todo += [(target, shapes.target) for target in reversed(targets[name]) if target not in found]
    return found


def _reached(starts: Collection[str], graph: NirGraph) -> set[str]:
    """These nodes, and all that lie behind them."""
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        targets[a].append(b)
    seen, todo = set(starts), list(starts)
    while todo:
        new = [target for target in targets[todo.pop()] if target not in seen]
        seen.update(new)
        todo += new
    return seen


def _misfit(graph: NirGraph, a: str, b: str, found: Mapping[str, Shapes]) -> Problem:
    sent, wanted = found[a].target, found[b].source
    kind = graph[b].kind
    hint = ""
    if fills(kind):
        if all(spreads(shape, sent) for shape in parameter_shapes(graph[b]).values()):
            hint = "its parameters would broadcast: write them out in full"
    elif kind == "Output":
        hint = f"write {sent} as its shape, which is that of what arrives"
    return Problem(f"{a} -> {b}", f"{a} gives shape {sent}, and {b} takes {wanted}", hint)


def fills(kind: str) -> bool:
    """Whether nodes of a kind have one shape, that of all their parameters."""
    return kind == "Scale" or TYPES[kind].group in ("neuron", "delay")


def parameter_shapes(node: NirNode) -> dict[str, Shape]:
    """Shapes of the arrays of a node, in the order of its type."""
    return {p.name: node[p.name].shape for p in TYPES[node.kind].parameters if p.name in node.parameters}


def spreads(shape: Shape, to: Shape) -> bool:
    """Whether an array says plainly what each value of a larger one is: it holds one value, or has every axis, of length 1 where it does not
    vary. A vector for the last axis alone is not plain: it could be one value a channel as well. Leading axes of length 1 say nothing.

    >>> spreads((), (4, 8, 8)), spreads((1,), (4,)), spreads((4, 1, 1), (4, 8, 8)), spreads((1, 4), (4,))
    (True, True, True, True)
    >>> spreads((8,), (4, 8, 8)), spreads((3,), (4,)), spreads((0,), (4,))
    (False, False, False)
    """
    if prod(shape) == 1:
        return True
    while len(shape) > len(to) and shape[0] == 1:
        shape = shape[1:]
    return len(shape) == len(to) and all(n in (1, m) for n, m in zip(shape, to, strict=True))


def node_shapes(node: NirNode, entering: Shape | None) -> Shapes | None:
    """Shapes of a node, from its parameters and where needed from what enters it; None if that is not known yet.

    Raises:
        ValueError: parameters that contradict each other or what enters; the text says how.
    """
    match node.kind:
        case "Input" | "Output":
            shape = integers(node["shape"])
            return Shapes(shape, shape)
        case "Affine" | "Linear":
            post, pre = node["weight"].shape
            if node.kind == "Affine" and node["bias"].shape != (post,):
                raise ValueError(f"its bias has shape {node['bias'].shape} for {post} outputs")
            return Shapes((pre,), (post,))
        case "Conv1d" | "Conv2d":
            return _convolution(node, entering)
        case "SumPool2d" | "AvgPool2d":
            if entering is None:
                return None
            if len(entering) != 3:
                raise ValueError(f"pools over 2 axes of (channel, y, x), and what enters has shape {entering}")
            return Shapes(entering, (entering[0], *_over(pooling_window(node), entering[1:])))
        case "Flatten":
            source = integers(node["input_type"]) if "input_type" in node.parameters else entering
            return None if source is None else Shapes(source, flattened(node, source))
        case _:
            shapes = parameter_shapes(node)
            if len(set(shapes.values())) > 1:
                said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
                raise ValueError(f"its parameters have different shapes: {said}; write them out in full")
            shape = next(iter(shapes.values()))
            if not shape or 0 in shape:
                raise ValueError(f"its parameters have shape {shape}, which says no neurons; write them out in full")
            return Shapes(shape, shape)


def _convolution(node: NirNode, entering: Shape | None) -> Shapes | None:
    weight = node["weight"]
    axes, groups = weight.ndim - 2, whole(node["groups"])
    if len(weight) % groups:
        raise ValueError(f"has {len(weight)} output channels in {groups} groups")
    if node["bias"].shape != (len(weight),):
        raise ValueError(f"its bias has shape {node['bias'].shape} for {len(weight)} channels")
    if "input_shape" in node.parameters:
        space = each(node["input_shape"], axes)
    elif entering is not None:
        if len(entering) != axes + 1:
            raise ValueError(f"lies over {axes} axes behind channels, and what enters has shape {entering}")
        space = entering[1:]
    else:
        return None
    channels = weight.shape[1] * groups
    return Shapes((channels, *space), (len(weight), *_over(convolution_window(node), space)))


def _over(window: Window, space: Shape) -> Shape:
    result = window.over(space)
    if min(result, default=1) < 1:
        raise ValueError(f"its window does not fit into {space}")
    if prod(result) > MAX_ELEMENTS:
        raise ValueError(f"gives maps of {result}, too many values")
    return result


def convolution_window(node: NirNode) -> Window:
    """The window of a convolution; "same" keeps the size at stride 1, with the odd zero at the end, as PyTorch does.

    Raises:
        ValueError: a padding "same" with a stride, which nobody defines.
    """
    kernel = node["weight"].shape[2:]
    axes = len(kernel)
    stride, dilation = each(node["stride"], axes), each(node["dilation"], axes)
    padding = node.parameters["padding"]
    pairs: Pairs
    if not isinstance(padding, str):
        pairs = tuple((n, n) for n in each(padding, axes))
    elif padding == "valid":
        pairs = ((0, 0),) * axes
    else:
        if set(stride) != {1}:
            raise ValueError('has padding "same" and a stride, which PyTorch does not define')
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pairs = tuple((total // 2, total - total // 2) for total in totals)
    return Window(kernel, stride, pairs, dilation)


def pooling_window(node: NirNode) -> Window:
    """The window of a pooling."""
    kernel, stride, padding = (each(node[name], 2) for name in ("kernel_size", "stride", "padding"))
    return Window(kernel, stride, tuple((n, n) for n in padding), (1, 1))


def flattened(node: NirNode, source: Shape) -> Shape:
    """The shape behind a Flatten; its axes count without the batch.

    Raises:
        ValueError: axes that there are not.
    """
    rank = len(source)
    start, end = (int(node[name]) for name in ("start_dim", "end_dim"))
    if any(float(node[name]) != int(node[name]) for name in ("start_dim", "end_dim")):
        raise ValueError("its axes are no whole numbers")
    first, last = (n + rank if n < 0 else n for n in (start, end))
    if not 0 <= first <= last < rank:
        raise ValueError(f"flattens axes {start} to {end} of shape {source}; axes count from 0, without the batch")
    return (*source[:first], prod(source[first : last + 1]), *source[last + 1 :])


def integers(array: NDArray[Any]) -> Shape:
    """An array of whole numbers as a shape."""
    return tuple(int(n) for n in array.ravel())


def whole(array: NDArray[Any]) -> int:
    """One whole number."""
    return int(array.reshape(-1)[0])


def each(array: NDArray[Any], axes: int) -> Shape:
    """One number an axis, from one for all or one for each.

    Raises:
        ValueError: another number of them.
    """
    values = integers(array)
    if len(values) == 1:
        return values * axes
    if len(values) != axes:
        raise ValueError(f"has {list(values)} for {axes} axes")
    return values
