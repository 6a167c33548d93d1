"""Output shapes, without the batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import assert_never

from spikeport.graph.activations import Activation
from spikeport.graph.ops import Add, Affine, Concat, Input, Op, Quantize, Relu, Softmax
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
    Transpose,
    Upsample,
)


def window_shape(space: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Shape:
    """Number of windows along each spatial axis.

    >>> window_shape((32, 32), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    (16, 16)
    """
    if not len(space) == len(kernel) == len(stride) == len(padding) == len(dilation):
        raise ValueError(f"a {len(kernel)}-d window over {len(space)} spatial axes")
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"a window of {kernel} with stride {stride} and dilation {dilation}: all must be at least 1")
    sizes = []
    for size, k, s, (low, high), d in zip(space, kernel, stride, padding, dilation, strict=True):
        free = size + low + high - (k - 1) * d - 1
        if free < 0:
            raise ValueError(f"a window of {(k - 1) * d + 1} does not fit into {size} + {low} + {high}")
        sizes.append(free // s + 1)
    return tuple(sizes)


def output_shape(op: Op, shapes: Sequence[Shape]) -> Shape:
    """Shape of the output of `op`; raises ValueError where the inputs do not fit."""
    if isinstance(op, Input):
        return op.shape
    if not shapes or (len(shapes) > 1 and not isinstance(op, Add | Concat)):
        raise ValueError(f"{len(shapes)} inputs for one {type(op).__name__}")
    x = shapes[0]
    match op:
        case Affine(scale, shift):
            for array in (scale, shift):
                if array is not None and _broadcast(x, array.shape) != x:
                    raise ValueError(f"constant of shape {array.shape} for values of shape {x}")
            return x
        case OneToOne(weight):
            if _broadcast(x, weight.shape) != x:
                raise ValueError(f"weight of shape {weight.shape} for values of shape {x}")
            return x
        case Relu() | Activation() | Quantize():
            return x
        case Softmax(axis):
            if not 0 <= axis < len(x):
                raise ValueError(f"axis {axis} of {x}")
            return x
        case Add():
            if any(shape != x for shape in shapes):
                raise ValueError(f"adding shapes {', '.join(map(str, shapes))}")
            return x
        case Concat(axis):
            rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
            if not 0 <= axis < len(x) or len(rest) != 1:
                raise ValueError(f"concatenating {', '.join(map(str, shapes))} along axis {axis}")
            return (*x[:axis], sum(shape[axis] for shape in shapes), *x[axis + 1 :])
        case MaxPool(kernel, stride, padding, dilation):
            return (*x[: -len(kernel)], *window_shape(x[1:], kernel, stride, padding, dilation))
        case Dense(weight):
            if x != (weight.shape[1],):
                raise ValueError(f"weight of shape {weight.shape} for values of shape {x}")
            return (weight.shape[0],)
        case Conv(weight, stride, padding, dilation, groups):
            if x[0] != weight.shape[1] * groups or weight.shape[0] % groups:
                raise ValueError(f"weight of shape {weight.shape} in {groups} groups for {x[0]} channels")
            return (weight.shape[0], *window_shape(x[1:], weight.shape[2:], stride, padding, dilation))
        case SumPool(kernel, stride, padding):
            return (*x[: -len(kernel)], *window_shape(x[1:], kernel, stride, padding, (1,) * len(kernel)))
        case Reshape(shape):
            if prod(shape) != prod(x):
                raise ValueError(f"reshaping {x} to {shape}")
            return shape
        case Transpose(axes):
            if sorted(axes) != list(range(len(x))):
                raise ValueError(f"axes {axes} of {x}")
            return tuple(x[axis] for axis in axes)
        case Slice(start, stop, step):
            parts = zip(start, stop, step, x, strict=True)
            sizes = tuple(len(range(*slice(a, b, s).indices(size))) for a, b, s, size in parts)
            if 0 in sizes:
                raise ValueError(f"an empty slice of {x}")
            return sizes
        case Pad(width):
            return tuple(low + size + high for (low, high), size in zip(width, x, strict=True))
        case Upsample(factor):
            return tuple(size * times for size, times in zip(x, factor, strict=True))
        case _:
            assert_never(op)


def _broadcast(shape: Shape, other: Shape) -> Shape | None:
    """`shape` if an array of shape `other` broadcasts to it, else None."""
    if len(other) > len(shape):
        return None
    trailing = shape[len(shape) - len(other) :]
    return shape if all(b in (1, a) for a, b in zip(trailing, other, strict=True)) else None
