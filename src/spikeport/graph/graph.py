"""The float network before conversion: an immutable list of nodes in evaluation order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.graph.activations import Activation
from spikeport.graph.ops import Affine, Input, NumpyOperations, Op, Operations, Relu, Softmax
from spikeport.graph.shapes import output_shape
from spikeport.primitives import Conv, Dense, OneToOne, Shape


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; `inputs` are names of earlier nodes."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    shape: Shape
    """Shape of the output, without the batch axis."""
    source: str = ""
    """Where it stands in the user's program, `file:line`, if known."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in evaluation order, one `Input` first; `output` names the node whose value leaves.

    Making one checks everything: names, order, shapes, finite parameters; all problems are raised at once.
    """

    nodes: tuple[Node, ...]
    output: str
    by_name: Mapping[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {node.name: node for node in self.nodes})
        problems = list(_problems(self))
        if problems:
            raise GraphError(problems)

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    @property
    def input(self) -> Node:
        return next(node for node in self.nodes if isinstance(node.op, Input))

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each node, once per use."""
        users: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                users[name].append(node)
        return users


def build(nodes: Iterable[Node], output: str) -> Graph:
    """A `Graph` of the nodes that `output` needs, in evaluation order, with shapes inferred anew."""
    nodes = list(nodes)
    table = {node.name: node for node in nodes}
    if len(table) < len(nodes):
        twice = sorted(name for name, times in Counter(node.name for node in nodes).items() if times > 1)
        raise GraphError([Problem(name, "is a name used twice") for name in twice])
    order: dict[str, Node] = {}
    stack = [(output, False)]
    while stack:  # depth first, without recursion: deep models have thousands of nodes
        name, ready = stack.pop()
        if name in order:
            continue
        node = table[name]
        if ready:
            shape = output_shape(node.op, [order[i].shape for i in node.inputs])
            order[name] = node if node.shape == shape else Node(name, node.op, node.inputs, shape, node.source)
        else:
            stack.append((name, True))
            stack.extend((i, False) for i in reversed(node.inputs) if i not in order)
    if not any(isinstance(node.op, Input) for node in order.values()):
        order = {node.name: node for node in table.values() if isinstance(node.op, Input)} | order
    return Graph(tuple(order.values()), output)


def evaluate(
    graph: Graph,
    x: NDArray[Any],
    *,
    operations: Operations | None = None,
    visit: Callable[[Node, Any], None] | None = None,
) -> NDArray[Any]:
    """The graph's output for a batch `x` of shape (batch, *shape); `visit` sees every node's value.

    Values are dropped as soon as their last reader has run.
    """
    ops = operations or NumpyOperations()
    left = {name: len(users) for name, users in graph.consumers().items()}
    left[graph.output] += 1
    values: dict[str, Any] = {}
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        value = ops.load(x) if isinstance(node.op, Input) else ops.apply(node.op, inputs)
        if visit is not None:
            visit(node, value)
        if left[node.name]:
            values[node.name] = value
        for name in node.inputs:
            left[name] -= 1
            if not left[name]:
                values.pop(name, None)
    return ops.store(values[graph.output])


def parameters(op: Op) -> dict[str, NDArray[Any]]:
    """The arrays of an operation by field name."""
    match op:
        case Dense(weight) | OneToOne(weight):
            return {"weight": weight}
        case Conv():
            return {"weight": op.weight}
        case Affine(scale, shift):
            return {k: v for k, v in (("scale", scale), ("shift", shift)) if v is not None}
        case _:
            return {}


def _problems(graph: Graph) -> Iterator[Problem]:
    seen: dict[str, Shape] = {}
    if sum(isinstance(node.op, Input) for node in graph.nodes) != 1:
        yield Problem("graph", "must have exactly one input")
    if graph.output not in graph.by_name:
        yield Problem("graph", f"its output `{graph.output}` is not one of its nodes")
    for node in graph.nodes:
        where = f"{node.name} ({node.source})" if node.source else node.name
        if node.name in seen:
            yield Problem(where, "is a name used twice")
        missing = [name for name in node.inputs if name not in seen]
        if missing:
            yield Problem(where, f"reads {', '.join(missing)}, which no earlier node computes")
        else:
            try:
                shape = output_shape(node.op, [seen[name] for name in node.inputs])
                if shape != node.shape:
                    yield Problem(where, f"has shape {shape}, not {node.shape}")
            except ValueError as error:
                yield Problem(where, str(error))
        for field_name, array in parameters(node.op).items():
            if not np.all(np.isfinite(array)):
                yield Problem(
                    where, f"its {field_name} holds NaN or infinite values", "check the training of this layer"
                )
        if isinstance(node.op, Relu) and node.op.ceiling is not None and not 0 < node.op.ceiling < np.inf:
            yield Problem(where, f"its ceiling {node.op.ceiling} is not a positive number")
        why = node.op.problem() if isinstance(node.op, Activation) else None
        if why is not None:
            yield Problem(where, why)
        if isinstance(node.op, Softmax) and node.name != graph.output:
            yield Problem(where, "softmax runs on the host, after the read-out only")
        seen[node.name] = node.shape
