"""A graph as text: one line a node, for reading and for diffs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from spikeport.graph.graph import Graph


def to_text(graph: Graph) -> str:
    """One line for each node: name, operation, inputs, output shape.

    >>> from spikeport.graph import Input, Node, Relu, build
    >>> print(to_text(build([Node("x", Input((2,)), (), (2,)), Node("y", Relu(), ("x",), (2,))], "y")))
    x = Input(shape=(2,)) -> (2,)
    y = Relu(x) -> (2,)
    output y
    """
    lines = []
    for node in graph.nodes:
        options = [
            f"{f.name}={_value(getattr(node.op, f.name))}"
            for f in fields(node.op)
            if getattr(node.op, f.name) is not None
        ]
        lines.append(f"{node.name} = {type(node.op).__name__}({', '.join([*node.inputs, *options])}) -> {node.shape}")
    return "\n".join([*lines, f"output {graph.output}"])


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return repr(value)
