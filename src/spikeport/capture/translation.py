"""What the translation of an exported program is made of: values, calls, and the graph as it grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.capture.source import Origin
from spikeport.graph import Node, Op, output_shape
from spikeport.primitives import Shape


class Unsupported(Exception):  # noqa: N818 - a control flow of this room, which ends in a CaptureError
    """An operation that has no place in a `Graph`: why, and the way out."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


@dataclass(frozen=True, slots=True)
class Traced:
    """A value that depends on the input: the name of a node and its shape without the batch axis."""

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of something that was refused; what depends on it is only looked at for further problems."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operator, its arguments by the names of the operator's schema."""

    operator: str
    """Name without namespace and overload: `conv2d`."""
    arguments: Mapping[str, Any]
    """Values are `Traced`, constant tensors, numbers, strings, None, or lists of these."""
    shape: Shape | None
    """Shape of the result, batch included; None if it is not one tensor."""
    base: str
    """Name for its nodes."""
    origin: Origin

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that not all overloads have."""
        return self.arguments.get(name, default)

    def traced(self, name: str) -> Traced:
        """An argument that has to depend on the input."""
        value = self.arguments[name]
        if not isinstance(value, Traced):
            raise Unsupported(f"its argument `{name}` must depend on the input, and does not")
        return value

    def constant(self, name: str) -> NDArray[Any] | None:
        """An argument that must not depend on the input, as an array; None if it is None."""
        value = self.arguments[name]
        if value is None:
            return None
        if isinstance(value, Traced):
            why = "its weights depend on the input"
            raise Unsupported(why, "synapses have constant weights; products of activations cannot be spikes")
        return array(value)


@dataclass
class Translation:
    """The graph as it grows. `batch` is the size of the batch axis in all traced shapes."""

    batch: int
    nodes: list[Node] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def add(self, call: Call, op: Op, *inputs: Traced, suffix: str = "") -> Traced:
        """Append a node; a taken name gets `_2`, `_3`, ..."""
        try:
            shape = output_shape(op, [value.shape for value in inputs])
        except ValueError as error:
            raise Unsupported(str(error)) from error
        name = self.unique(f"{call.base}.{suffix}" if suffix else call.base)
        self.nodes.append(Node(name, op, tuple(value.name for value in inputs), shape, call.origin.short_line))
        return Traced(name, shape)

    def unique(self, name: str) -> str:
        """The name, numbered where it is taken."""
        while True:
            self.names[name] = count = self.names.get(name, 0) + 1
            if count == 1:
                return name
            name = f"{name}_{count}"


Handler = Callable[[Translation, Call], Any]


def array(value: Any) -> NDArray[Any]:
    """A constant as an array; a float tensor keeps its dtype."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return np.array(value.float().numpy() if value.dtype in (torch.float16, torch.bfloat16) else value.numpy())
    return np.asarray(value, dtype=np.float64)
