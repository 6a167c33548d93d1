"""Synapses as NIR nodes: a chain becomes stages, each of them one NIR node or, rarely, two.

    Dense                               Linear, or Affine with a bias
    Conv                                Conv1d, Conv2d; groups as zeros, since the type check of `nir` 1.0.8 refuses groups
    SumPool                             SumPool2d; a Conv of ones in 1-d and where the padding is not equal
    OneToOne                            Scale
    Reshape that merges axes            Flatten
    Slice, Pad (and OneToOne after)     one Conv of zeros and coefficients; a Linear on a layer of units

Shapes leave the batch axis out. Planning needs shapes alone; `nodes` makes the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, assert_never

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.graph import output_shape
from spikeport.nir.limits import MAX_ELEMENTS
from spikeport.nir.windows import Axis, Window, symmetric
from spikeport.primitives import (
    Conv,
    Dense,
    OneToOne,
    Pad,
    Reshape,
    Shape,
    Slice,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
)


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A dense layer, or a choice of units of a layer, as a matrix."""

    weight: Dense | Choice
    source: Shape
    target: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution, sum or choice of neurons over feature maps; `crop` comes first where one kernel cannot say it."""

    weight: Conv | SumPool | Choice
    source: Shape
    target: Shape
    windows: tuple[Window, ...]
    crop: tuple[Window, ...] = ()
    """Windows of an identity that pads zeros behind the input."""


@dataclass(frozen=True, slots=True, eq=False)
class Pooling:
    """Sums over windows with equal padding."""

    pool: SumPool
    source: Shape
    target: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """A coefficient a neuron; None is one."""

    weight: OneToOne | None
    source: Shape
    target: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Flattening:
    """Axes `start` to `end` as one."""

    start: int
    end: int
    source: Shape
    target: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """The identity as a matrix or convolution of one tap: a place for a bias."""

    source: Shape
    target: Shape


Stage = Matrix | Convolution | Pooling | Scaling | Flattening | Same


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Slices and paddings in a row: each output is one input times a coefficient, or nothing."""

    channel: Axis
    axes: tuple[Axis, ...]
    """Of space; none on a layer of units."""
    coefficients: tuple[OneToOne, ...] = ()
    """One a channel, each of them."""


def plan(chain: Sequence[Synapse], shape: Shape, where: str) -> tuple[tuple[Stage, ...], list[Problem]]:
    """Stages of a chain on a population of `shape`, and what NIR cannot say of it."""
    stages: list[Stage] = []
    problems: list[Problem] = []
    index = 0
    while index < len(chain):
        synapse = chain[index]
        count, target = 1, output_shape(synapse, [shape])
        stage: Stage | Problem
        match synapse:
            case Dense():
                stage = Matrix(synapse, shape, target)
            case OneToOne():
                stage = Scaling(synapse, shape, target)
            case Reshape():
                stage = _flattening(shape, target, where)
            case SumPool(kernel, _, padding) if len(kernel) == 2 and all(low == high for low, high in padding):
                stage = Pooling(synapse, shape, target)
            case Conv() | SumPool():
                stage = _convolution(synapse, shape, target, where)
            case Slice() | Pad():
                choice, count, target = _choice(chain[index:], shape)
                stage = Matrix(choice, shape, target) if len(shape) == 1 else _convolution(choice, shape, target, where)
            case Transpose() | Upsample():
                kind = "a permutation of axes" if isinstance(synapse, Transpose) else "upsampling"
                stage = Problem(where, f"{kind} has no form in NIR", "move it into the weights of the next layer")
            case _:
                assert_never(synapse)
        if isinstance(stage, Problem):
            problems.append(stage)
        else:
            stages.append(stage)
            problems += [
                Problem(where, f"needs weights of shape {size} in NIR, too many to write", "use a smaller layer")
                for size in weight_shapes(stage)
                if prod(size) > MAX_ELEMENTS
            ]
        shape, index = target, index + count
    return tuple(stages), problems


def weight_shapes(stage: Stage) -> tuple[Shape, ...]:
    """Shapes of the weights of a stage's nodes."""
    match stage:
        case Matrix():
            return ((stage.target[0], stage.source[0]),)
        case Convolution():
            channels = stage.source[0]
            main = (stage.target[0], channels, *(w.size for w in stage.windows))
            return ((channels, channels, *(w.size for w in stage.crop)), main) if stage.crop else (main,)
        case Scaling():
            return (stage.target,)
        case Same():
            return ((stage.target[0], stage.target[0], *(1,) * (len(stage.target) - 1)),)
        case Pooling() | Flattening():
            return ((),)
        case _:
            assert_never(stage)


def carries_bias(stage: Stage) -> bool:
    """Whether the last node of a stage has room for one bias a channel."""
    return isinstance(stage, Matrix | Convolution | Same)


def kind(stage: Stage) -> str:
    """A word for the names of a stage's nodes."""
    match stage:
        case Matrix():
            return "linear"
        case Convolution():
            return "conv"
        case Pooling():
            return "pool"
        case Scaling():
            return "scale"
        case Flattening():
            return "flatten"
        case Same():
            return "bias"
        case _:
            assert_never(stage)


def nodes(stage: Stage, bias: NDArray[Any] | None, dtype: np.dtype[Any]) -> tuple[nir.NIRNode, ...]:
    """The NIR nodes of a stage; `bias` is one a channel, None for none."""
    match stage:
        case Matrix():
            matrix = stage.weight.weight if isinstance(stage.weight, Dense) else _choice_weight(stage.weight)
            return (_linear(matrix, bias, dtype),)
        case Convolution():
            result = []
            space = stage.source[1:]
            if stage.crop:
                result.append(_conv(_eye(stage.source[0]), stage.crop, space, None, dtype))
                space = tuple(_outputs(n, w) for n, w in zip(space, stage.crop, strict=True))
            result.append(_conv(_taps(stage), stage.windows, space, bias, dtype))
            return tuple(result)
        case Pooling(pool):
            padding = np.array([low for low, _ in pool.padding])
            return (nir.SumPool2d(kernel_size=np.array(pool.kernel), stride=np.array(pool.stride), padding=padding),)
        case Scaling(weight):
            scale = np.asarray(1) if weight is None else weight.weight
            return (nir.Scale(scale=np.array(np.broadcast_to(scale, stage.source), dtype=dtype)),)
        case Flattening(start, end):
            last = end if end < len(stage.source) - 1 else -1
            return (nir.Flatten(input_type={"input": np.array(stage.source)}, start_dim=start, end_dim=last),)
        case Same(_, target):
            if len(target) == 1:
                return (_linear(np.eye(target[0]), bias, dtype),)
            windows = (Window(1, 1, 1, 0, 0, 1),) * (len(target) - 1)
            return (_conv(_eye(target[0]), windows, target[1:], bias, dtype),)
        case _:
            assert_never(stage)


def _linear(matrix: NDArray[Any], bias: NDArray[Any] | None, dtype: np.dtype[Any]) -> nir.NIRNode:
    weight = np.array(matrix, dtype=dtype)
    return nir.Linear(weight=weight) if bias is None else nir.Affine(weight=weight, bias=bias)


def _conv(
    taps: NDArray[Any], windows: Sequence[Window], space: Shape, bias: NDArray[Any] | None, dtype: np.dtype[Any]
) -> nir.NIRNode:
    """A convolution node; `taps` of shape (out, in, *taps) or (out, in) go to their places among zero taps."""
    taps = taps.reshape(*taps.shape, *(1,) * (2 + len(windows) - taps.ndim))
    weight = np.zeros((*taps.shape[:2], *(w.size for w in windows)), dtype=dtype)
    places = (
        slice(w.first, w.first + w.step * (n - 1) + 1, w.step) for w, n in zip(windows, taps.shape[2:], strict=True)
    )
    weight[(slice(None), slice(None), *places)] = taps
    bias = np.zeros(len(weight), dtype=dtype) if bias is None else bias
    stride, padding, dilation = (tuple(getattr(w, name) for w in windows) for name in ("stride", "padding", "dilation"))
    if len(windows) == 1:
        return nir.Conv1d(space[0], weight, stride[0], padding[0], dilation[0], 1, bias)
    return nir.Conv2d(space, weight, stride, padding, dilation, 1, bias)


def _taps(stage: Convolution) -> NDArray[Any]:
    """Weights of shape (out, in, *taps), groups and sums written out with zeros."""
    match stage.weight:
        case Conv(weight, groups=groups):
            if groups == 1:
                return weight
            out, per_group, *kernel = weight.shape
            spread = np.zeros((groups, out // groups, groups, per_group, *kernel), dtype=weight.dtype)
            each = np.arange(groups)
            spread[each, :, each] = weight.reshape(groups, out // groups, per_group, *kernel)
            return spread.reshape(out, groups * per_group, *kernel)
        case SumPool(kernel):
            eye = _eye(stage.source[0])
            return np.array(np.broadcast_to(eye.reshape(*eye.shape, *(1,) * len(kernel)), (*eye.shape, *kernel)))
        case Choice():
            return _choice_weight(stage.weight)
        case _:
            assert_never(stage.weight)


def _eye(size: int) -> NDArray[np.int64]:
    return np.eye(size, dtype=np.int64)


def _outputs(size: int, window: Window) -> int:
    return (size + 2 * window.padding - (window.size - 1) * window.dilation - 1) // window.stride + 1


def _flattening(source: Shape, target: Shape, where: str) -> Stage | Problem:
    """The first range of axes whose product gives the target."""
    for start in range(len(source)):
        for end in range(start, len(source)):
            if (*source[:start], prod(source[start : end + 1]), *source[end + 1 :]) == target:
                return Flattening(start, end, source, target)
    why = f"a reshape of {source} to {target} has no form in NIR, which merges neighbouring axes only"
    return Problem(where, why, "give the populations shapes that need no unflattening")


def _convolution(weight: Conv | SumPool | Choice, source: Shape, target: Shape, where: str) -> Stage | Problem:
    if len(source) not in (2, 3):
        return Problem(
            where, f"a population of shape {source} has no convolution in NIR", "use one or two spatial axes"
        )
    axes = weight.axes if isinstance(weight, Choice) else _axes(weight, source, target)
    windows = symmetric(axes)
    if windows is not None:
        return Convolution(weight, source, target, windows)
    # One kernel size for both axes fails only by parity: one more zero behind one axis, two behind the other, change it.
    for odd in range(len(axes)):
        crop = tuple(Window(2, *((1, 1, 1) if i == odd else (2, 1, 2)), 1, 1) for i in range(len(axes)))
        larger = [
            Axis(_outputs(a.size, c), a.taps, a.spacing, a.stride, a.before, a.outputs)
            for a, c in zip(axes, crop, strict=True)
        ]
        windows = symmetric(larger)
        if windows is not None:
            return Convolution(weight, source, target, windows, crop)
    return Problem(where, f"a window of {axes} has no symmetric form in NIR", "use equal padding and a square kernel")


def _axes(weight: Conv | SumPool, source: Shape, target: Shape) -> tuple[Axis, ...]:
    kernel = weight.weight.shape[2:] if isinstance(weight, Conv) else weight.kernel
    dilation = weight.dilation if isinstance(weight, Conv) else (1,) * len(kernel)
    rows = zip(source[1:], kernel, dilation, weight.stride, weight.padding, target[1:], strict=True)
    return tuple(Axis(n, k, d, s, low, m) for n, k, d, s, (low, _), m in rows)


def _choice(chain: Sequence[Synapse], shape: Shape) -> tuple[Choice, int, Shape]:
    """The longest run of slices and paddings that is one choice, its length, and the shape after it."""
    axes = [Axis(n, 1, 1, 1, 0, n) for n in shape]
    coefficients: list[OneToOne] = []
    count = 0
    for synapse in chain:
        match synapse:
            case Slice(start, stop, step) if not coefficients:
                axes = [_sliced(*part) for part in zip(axes, start, stop, step, strict=True)]
            case Pad(width) if not coefficients and all(map(_silent_beyond, axes, width)):
                axes = [
                    replace(x, before=x.before + x.stride * low, outputs=x.outputs + low + high)
                    for x, (low, high) in zip(axes, width, strict=True)
                ]
            case OneToOne(weight) if all(n == 1 for n in weight.shape[max(0, weight.ndim - len(shape) + 1) :]):
                coefficients.append(synapse)
            case _:
                break
        shape, count = output_shape(synapse, [shape]), count + 1
    return Choice(axes[0], tuple(axes[1:]), tuple(coefficients)), count, shape


def _sliced(axis: Axis, start: int, stop: int, step: int) -> Axis:
    outputs = len(range(start, min(stop, axis.outputs), step))
    return Axis(axis.size, 1, 1, axis.stride * step, axis.before - axis.stride * start, outputs)


def _silent_beyond(axis: Axis, width: tuple[int, int]) -> bool:
    """Whether outputs before the first and after the last one read no neuron, as padding wants."""
    before = not width[0] or -axis.stride - axis.before < 0
    after = not width[1] or axis.stride * axis.outputs - axis.before >= axis.size
    return before and after


def _choice_weight(choice: Choice) -> NDArray[np.int64]:
    """Matrix from input to output channels."""
    read = choice.channel.stride * np.arange(choice.channel.outputs) - choice.channel.before
    used = np.flatnonzero((read >= 0) & (read < choice.channel.size))
    weight = np.zeros((choice.channel.outputs, choice.channel.size), dtype=np.int64)
    weight[used, read[used]] = 1
    for coefficient in choice.coefficients:
        flat = coefficient.weight.reshape(-1).astype(np.int64)
        weight *= np.broadcast_to(flat, len(weight))[:, None]
    return weight
