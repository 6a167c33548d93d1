"""The operations of a `Graph`, and what each one computes, in numpy.

Linear operators are the synapses of `spikeport.primitives`; the operations here are what else a model is made of.
`apply` gives the meaning of all of them; every other evaluator (torch, native) is compared with it. Arrays carry a
leading batch axis, operations do not mention it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spikeport.graph.activations import Activation
from spikeport.primitives import (
    Conv,
    Dense,
    MaxPool,
    OneToOne,
    Pad,
    Pairs,
    Reshape,
    Shape,
    Slice,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
    freeze_fields,
)


@dataclass(frozen=True, slots=True)
class Input:
    """Where data enters."""

    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """`y = scale * x + shift`, elementwise; None means 1 and 0. Biases, batch norms and constants end up here."""

    scale: NDArray[Any] | None = None
    shift: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        freeze_fields(self, "scale", "shift")


@dataclass(frozen=True, slots=True)
class Relu:
    """`y = min(max(x, 0), ceiling)`."""

    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Quantize:
    """A place where a linear result becomes spikes of both signs; the identity on floats."""


@dataclass(frozen=True, slots=True)
class Add:
    """Sum of all inputs."""


@dataclass(frozen=True, slots=True)
class Concat:
    """Inputs one after the other along `axis` (0 is the channel)."""

    axis: int


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax, or its logarithm, along `axis`; only ever on the host, after the read-out."""

    axis: int
    log: bool = False


Op = Input | Affine | Relu | Activation | Quantize | MaxPool | Add | Concat | Softmax | Synapse


class Operations(Protocol):
    """A way to evaluate operations: numpy's here, torch's in `spikeport.backends.torch`."""

    def load(self, array: NDArray[Any]) -> Any:
        """This evaluator's own kind of array."""

    def store(self, array: Any) -> NDArray[Any]:
        """Back to numpy."""

    def apply(self, op: Op, inputs: Sequence[Any]) -> Any:
        """The output of one operation; arrays have a leading batch axis."""


class NumpyOperations:
    """The reference meaning of all operations."""

    def load(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def store(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def apply(self, op: Op, inputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return apply(op, inputs)


def apply(op: Op, inputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The output of `op` for inputs of shape (batch, *shape).

    >>> apply(Relu(), [np.array([[-1.0, 2.0]])]).tolist()
    [[0.0, 2.0]]
    """
    x = inputs[0]
    match op:
        case Input() | Quantize():
            return x
        case Affine(scale, shift):
            y = x if scale is None else x * scale.astype(x.dtype)
            return y if shift is None else y + shift.astype(x.dtype)
        case Relu(ceiling):
            return np.maximum(x, 0) if ceiling is None else np.clip(x, 0, ceiling)
        case Activation():
            return op(x)
        case Add():
            total = inputs[0]
            for other in inputs[1:]:
                total = total + other
            return total
        case Concat(axis):
            return np.concatenate(list(inputs), axis=axis + 1)
        case Softmax(axis, log):
            shifted = x - x.max(axis=axis + 1, keepdims=True)
            logarithm = shifted - np.log(np.exp(shifted).sum(axis=axis + 1, keepdims=True))
            return logarithm if log else np.exp(logarithm)
        case MaxPool(kernel, stride, padding, dilation):
            lowest = np.finfo(x.dtype).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
            view = _windows(_pad(x, padding, lowest), kernel, stride, dilation)
            return np.asarray(view.max(axis=tuple(range(-len(kernel), 0))))
        case _:
            return apply_synapse(op, x)


def apply_synapse(op: Synapse, x: NDArray[Any]) -> NDArray[Any]:
    """The output of one linear operator for input of shape (batch, *shape), in the dtype of `x` and the weights."""
    match op:
        case Dense(weight):
            return x @ weight.T
        case Conv():
            return _conv(op, x)
        case OneToOne(weight):
            return x * weight
        case SumPool(kernel, stride, padding):
            view = _windows(_pad(x, padding, 0), kernel, stride, (1,) * len(kernel))
            return view.sum(axis=tuple(range(-len(kernel), 0)), dtype=x.dtype)
        case Reshape(shape):
            return x.reshape(len(x), *shape)
        case Transpose(axes):
            return x.transpose(0, *(axis + 1 for axis in axes))
        case Slice(start, stop, step):
            return x[(slice(None), *(slice(*part) for part in zip(start, stop, step, strict=True)))]
        case Pad(width):
            return np.pad(x, ((0, 0), *width))
        case Upsample(factor):
            for axis, times in enumerate(factor):
                x = x.repeat(times, axis=axis + 1) if times > 1 else x
            return x
        case _:
            assert_never(op)


def _pad(x: NDArray[Any], padding: Pairs, value: float) -> NDArray[Any]:
    """Pad the trailing spatial axes with a constant."""
    if not any(any(pair) for pair in padding):
        return x
    leading = x.ndim - len(padding)
    return np.pad(x, ((0, 0),) * leading + padding, constant_values=value)


def _windows(x: NDArray[Any], kernel: Shape, stride: Shape, dilation: Shape) -> NDArray[Any]:
    """View of all windows of the trailing axes, shape (..., *output, *kernel)."""
    n = len(kernel)
    axes = tuple(range(x.ndim - n, x.ndim))
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(x, spans, axes)
    steps = tuple(slice(None, None, s) for s in stride)
    inside = tuple(slice(None, None, d) for d in dilation)
    index: tuple[Any, ...] = (..., *steps, *inside)
    return view[index]


def patches(op: Conv, x: NDArray[Any], positions: NDArray[np.int64]) -> NDArray[Any]:
    """What a convolution reads at some output positions (flat indices), shape (batch, position, group, input of a group)."""
    n = len(op.stride)
    view = _windows(_pad(x, op.padding, 0), op.weight.shape[2:], op.stride, op.dilation)
    index = np.unravel_index(positions, view.shape[2 : 2 + n])
    chosen = view[(slice(None), slice(None), *index)]  # type: ignore[arg-type] # numpy types no mixed index
    return np.moveaxis(chosen, 2, 1).reshape(len(x), len(positions), op.groups, -1)


def _conv(op: Conv, x: NDArray[Any]) -> NDArray[Any]:
    """Convolution as one matrix product over all windows, so that BLAS does the work."""
    weight, groups = op.weight, op.groups
    out_channels, per_group, *kernel = weight.shape
    view = _windows(_pad(x, op.padding, 0), tuple(kernel), op.stride, op.dilation)
    batch, _, *rest = view.shape
    n = len(kernel)
    output = rest[:n]
    # (batch, *output, group, channel in group, *kernel): the windows of one output become one row
    order = (0, *range(2, 2 + n), 1, *range(2 + n, 2 + 2 * n))
    columns = view.transpose(order).reshape(-1, groups, per_group * int(np.prod(kernel)))
    matrix = weight.reshape(groups, out_channels // groups, -1)
    if groups == 1:
        y = columns[:, 0] @ matrix[0].T
    else:
        y = np.einsum("ngk,gok->ngo", columns, matrix, optimize=True)
    y = y.reshape(batch, *output, out_channels)
    return np.ascontiguousarray(np.moveaxis(y, -1, 1))
