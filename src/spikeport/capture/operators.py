"""The supported operators, each as nodes of a `Graph`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spikeport.capture.translation import Call, Handler, Traced, Translation, Unsupported, array
from spikeport.graph import Activation, Add, Affine, Concat, Relu, Softmax, window_shape
from spikeport.primitives import Conv, Dense, MaxPool, Pad, Pairs, Reshape, Shape, Slice, SumPool, Transpose, Upsample

HANDLERS: dict[str, Handler] = {}
"""By name of the operator, without namespace and overload."""

PASSED_ON = ("clone", "alias", "contiguous", "detach", "lift_fresh_copy", "lift_fresh", "view_as", "requires_grad_")


def handles(*operators: str) -> Callable[[Handler], Handler]:
    """Register a handler."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operators, handler))
        return handler

    return register


# synapses with weights


@handles("linear")
def _linear(t: Translation, call: Call) -> Traced:
    weight = call.constant("weight")
    assert weight is not None
    return _product(t, call, call.traced("input"), weight, call.constant("bias"))


@handles("matmul", "mm")
def _matmul(t: Translation, call: Call) -> Traced:
    other = "other" if "other" in call.arguments else "mat2"
    if not isinstance(call["self"], Traced):
        raise Unsupported(
            "multiplies a constant by activations from the left", "write it as x @ w or as a Linear layer"
        )
    weight = call.constant(other)
    assert weight is not None
    if weight.ndim != 2:
        raise Unsupported(f"multiplies by a constant of shape {weight.shape}", "use a matrix: one Linear layer")
    return _product(t, call, call.traced("self"), weight.T, None)


@handles("addmm")
def _addmm(t: Translation, call: Call) -> Traced:
    if call.get("alpha", 1) != 1 or call.get("beta", 1) != 1:
        raise Unsupported("scales its parts by alpha or beta", "use a Linear layer")
    weight = call.constant("mat2")
    assert weight is not None
    return _product(t, call, call.traced("mat1"), weight.T, call.constant("self"))


def _product(t: Translation, call: Call, x: Traced, weight: NDArray[Any], bias: NDArray[Any] | None) -> Traced:
    """`x @ weight.T + bias` over the last axis; over positions of a sequence it is a convolution of width 1."""
    if len(x.shape) == 1:
        y = t.add(call, Dense(weight), x)
        return y if bias is None else t.add(call, Affine(None, bias), y, suffix="bias")
    last = len(x.shape) - 1
    y = t.add(call, Transpose((last, *range(last))), x, suffix="features_first")
    positions = y.shape[1:]
    y = _reshaped(t, call, y, (y.shape[0], prod(positions)))
    y = t.add(call, Conv(weight[:, :, None], (1,), ((0, 0),), (1,)), y)
    if bias is not None:
        y = t.add(call, Affine(None, bias.reshape(-1, 1)), y, suffix="bias")
    y = _reshaped(t, call, y, (y.shape[0], *positions))
    return t.add(call, Transpose((*range(1, last + 1), 0)), y, suffix="features_last")


@handles("conv1d", "conv2d", "convolution")
def _convolution(t: Translation, call: Call) -> Traced:
    x, weight, bias = call.traced("input"), call.constant("weight"), call.constant("bias")
    assert weight is not None
    if call.get("transposed", False):
        raise Unsupported("is a transposed convolution", "use nearest upsampling followed by a convolution")
    n = weight.ndim - 2
    if n not in (1, 2) or len(x.shape) != n + 1:
        raise Unsupported(
            f"convolves {len(x.shape) - 1} spatial axes with a kernel of {n}", "use one or two spatial axes"
        )
    stride, dilation = _each(call["stride"], n), _each(call["dilation"], n)
    padding = _padding(call["padding"], weight.shape[2:], dilation)
    y = t.add(call, Conv(weight, stride, padding, dilation, int(call["groups"])), x)
    return y if bias is None else t.add(call, Affine(None, bias.reshape(-1, *(1,) * n)), y, suffix="bias")


def _padding(padding: Any, kernel: Shape, dilation: Shape) -> Pairs:
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":  # PyTorch puts the odd zero at the end
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in _each(padding, len(kernel)))


@handles("_native_batch_norm_legit_no_training", "batch_norm", "native_batch_norm", "cudnn_batch_norm")
def _batch_norm(t: Translation, call: Call) -> Any:
    x = call.traced("input")
    if call.get("training", False) or call["running_mean"] is None:
        raise Unsupported(
            "normalises with statistics of the batch", "train with track_running_stats=True, and call model.eval()"
        )
    mean, variance = (np.asarray(call.constant(name), np.float64) for name in ("running_mean", "running_var"))
    scale = 1 / np.sqrt(variance + float(call["eps"]))
    weight, bias = call.constant("weight"), call.constant("bias")
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale + (0.0 if bias is None else bias)
    shape = (-1, *(1,) * (len(x.shape) - 1))
    y = t.add(call, Affine(scale.reshape(shape), shift.reshape(shape)), x)
    return (y, None, None) if call.shape is None else y


# neurons


@handles("relu")
def _relu(t: Translation, call: Call) -> Traced:
    return t.add(call, Relu(), call.traced("self"))


@handles("relu6")
def _relu6(t: Translation, call: Call) -> Traced:
    return t.add(call, Relu(6.0), call.traced("self"))


@handles("hardtanh", "clamp", "clamp_min", "clip")
def _clamp(t: Translation, call: Call) -> Traced:
    low = call.get("min_val", call.get("min"))
    high = call.get("max_val", call.get("max"))
    if any(isinstance(bound, Traced | Tensor) for bound in (low, high)):
        raise Unsupported("clamps between values that are no numbers", "use clamp with numbers")
    bottom, top = -np.inf if low is None else float(low), np.inf if high is None else float(high)
    if bottom == 0 and top > 0:
        return t.add(call, Relu(None if np.isinf(top) else top), call.traced("self"))
    if not -np.inf < bottom < top < np.inf:
        raise Unsupported(f"clamps to [{low}, {high}]", "use clamp(0, c), or clamp(a, b) with two numbers a < b")
    return t.add(call, Activation("clamp", (bottom, top)), call.traced("self"))


@handles("threshold")
def _threshold(t: Translation, call: Call) -> Traced:
    if float(call["threshold"]) != 0.0 or float(call["value"]) != 0.0:
        raise Unsupported("jumps at its threshold", "use ReLU: threshold 0, value 0")
    return t.add(call, Relu(), call.traced("self"))


@handles("maximum")
def _maximum(t: Translation, call: Call) -> Traced:
    traced = [name for name in ("self", "other") if isinstance(call[name], Traced)]
    if len(traced) == 1 and not np.any(array(call["self" if traced == ["other"] else "other"])):
        return t.add(call, Relu(), call.traced(traced[0]))
    raise Unsupported("takes the larger of two values", "use ReLU or max pooling")


# pooling


@handles("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool1d_with_indices")
def _max_pool(t: Translation, call: Call) -> Any:
    x = call.traced("self")
    n = _window_axes(call, x)
    kernel = _each(call["kernel_size"], n)
    stride = _each(call["stride"], n) if call["stride"] else kernel
    padding, dilation = _each(call["padding"], n), _each(call["dilation"], n)
    pairs = _ceiling_pairs(x.shape[1:], kernel, stride, padding, dilation, bool(call["ceil_mode"]))
    y = t.add(call, MaxPool(kernel, stride, pairs, dilation), x)
    return (y, None) if call.shape is None else y


def _ceiling_pairs(space: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool) -> Pairs:
    """Padding before and after; a window that starts inside the input or its padding before may reach beyond (ceil)."""
    pairs = []
    for size, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True):
        after = p
        if ceil:
            span = d * (k - 1) + 1
            windows = -(-(size + 2 * p - span) // s) + 1
            if (windows - 1) * s >= size + p:
                windows -= 1
            after = max(p, (windows - 1) * s + span - size - p)
        pairs.append((p, after))
    return tuple(pairs)


@handles("adaptive_max_pool1d", "adaptive_max_pool2d")
def _adaptive_max_pool(t: Translation, call: Call) -> Any:
    x = call.traced("self")
    kernel = _adaptive_kernel(x, call["output_size"])
    y = t.add(call, MaxPool(kernel, kernel, ((0, 0),) * len(kernel), (1,) * len(kernel)), x)
    return (y, None) if call.shape is None else y


@handles("amax")
def _amax(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    axes = _axes(call["dim"], x)
    if 0 in axes:
        raise Unsupported("takes the maximum over channels", "take it over spatial axes, or use max pooling")
    kernel = tuple(size if axis in axes else 1 for axis, size in enumerate(x.shape))[1:]
    y = t.add(call, MaxPool(kernel, kernel, ((0, 0),) * len(kernel), (1,) * len(kernel)), x)
    return _reshaped(t, call, y, _result(t, call))


@handles("avg_pool1d", "avg_pool2d")
def _avg_pool(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    n = _window_axes(call, x)
    kernel = _each(call["kernel_size"], n)
    stride = _each(call["stride"], n) if call["stride"] else kernel
    padding = _each(call["padding"], n)
    if any(padding) and not call["count_include_pad"]:
        raise Unsupported("divides by a count that varies at the border", "use count_include_pad=True, or no padding")
    pairs: Pairs = tuple((p, p) for p in padding)
    if call["ceil_mode"] and window_shape(x.shape[1:], kernel, stride, pairs, (1,) * n) != _result(t, call)[1:]:
        raise Unsupported("divides by a count that varies at the border", "use ceil_mode=False")
    y = t.add(call, SumPool(kernel, stride, pairs), x)
    divisor = call.get("divisor_override") or prod(kernel)
    return t.add(call, Affine(np.asarray(1 / divisor)), y, suffix="divisor")


@handles("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
def _adaptive_avg_pool(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    kernel = _adaptive_kernel(x, call["output_size"])
    y = t.add(call, SumPool(kernel, kernel, ((0, 0),) * len(kernel)), x)
    return t.add(call, Affine(np.asarray(1 / prod(kernel))), y, suffix="divisor")


def _adaptive_kernel(x: Traced, output_size: Any) -> Shape:
    space = x.shape[1:]
    sizes = tuple(
        old if new is None else int(new) for old, new in zip(space, _each(output_size, len(space)), strict=True)
    )
    if any(old % new for old, new in zip(space, sizes, strict=True)):
        why = f"pools {space} to {sizes}: windows of different sizes"
        raise Unsupported(why, "choose an output size that divides the input size")
    return tuple(old // new for old, new in zip(space, sizes, strict=True))


@handles("mean", "sum")
def _reduce(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    axes = _axes(call.get("dim"), x)
    n = prod(x.shape[axis] for axis in axes)
    if 0 in axes or len(x.shape) > 3:  # the other axes move to the front: they are the channels of a sum over one axis
        kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
        y = (
            t.add(call, Transpose((*kept, *axes)), x, suffix="order")
            if (*kept, *axes) != tuple(range(len(x.shape)))
            else x
        )
        y = _reshaped(t, call, y, (prod(x.shape[axis] for axis in kept), n))
        y = t.add(call, SumPool((n,), (n,), ((0, 0),)), y)
    else:
        kernel = tuple(size if axis in axes else 1 for axis, size in enumerate(x.shape))[1:]
        y = t.add(call, SumPool(kernel, kernel, ((0, 0),) * len(kernel)), x)
    if call.operator == "mean":
        y = t.add(call, Affine(np.asarray(1 / n)), y, suffix="divisor")
    return _reshaped(t, call, y, _result(t, call))


# routing


@handles("view", "reshape", "_unsafe_view", "flatten", "unflatten", "unsqueeze", "squeeze", "view_copy", "squeeze_copy")
def _reshape(t: Translation, call: Call) -> Traced:
    return _reshaped(t, call, call.traced("self"), _result(t, call))


@handles("permute", "transpose", "t", "movedim", "swapaxes", "numpy_T")
def _transpose(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    rank = len(x.shape) + 1
    order = list(range(rank))
    if call.operator == "permute":
        order = [int(axis) % rank for axis in call["dims"]]
    elif call.operator in ("transpose", "swapaxes"):
        names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
        a, b = (int(call[name]) % rank for name in names)
        order[a], order[b] = order[b], order[a]
    elif call.operator == "movedim":
        source, target = (_each(call[name], 1) for name in ("source", "destination"))
        order = _moved(rank, source, target)
    else:
        order.reverse()
    if order[0] != 0:
        raise Unsupported("moves the batch axis", "keep samples apart: leave axis 0 where it is")
    if order == list(range(rank)):
        return x
    return t.add(call, Transpose(tuple(axis - 1 for axis in order[1:])), x)


def _moved(rank: int, source: Shape, target: Shape) -> list[int]:
    """Axis order of `movedim`."""
    places = {int(b) % rank: int(a) % rank for a, b in zip(source, target, strict=True)}
    rest = iter(axis for axis in range(rank) if axis not in places.values())
    return [places[axis] if axis in places else next(rest) for axis in range(rank)]


@handles("slice")
def _slice(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    axis = int(call["dim"]) % (len(x.shape) + 1)
    size = t.batch if axis == 0 else x.shape[axis - 1]
    part = range(size)[slice(call["start"], call["end"], int(call["step"]))]
    if part == range(size):
        return x
    if axis == 0:
        raise Unsupported("takes some samples of the batch", "keep samples apart: slice other axes only")
    return _sliced(t, call, x, axis - 1, part)


def _sliced(t: Translation, call: Call, x: Traced, axis: int, part: range) -> Traced:
    if not len(part):
        raise Unsupported("takes an empty slice")
    start, stop, step = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    start[axis], stop[axis], step[axis] = part.start, part[-1] + 1, part.step
    return t.add(call, Slice(tuple(start), tuple(stop), tuple(step)), x)


@handles("select")
def _select(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    axis = int(call["dim"]) % (len(x.shape) + 1)
    if axis == 0:
        raise Unsupported("takes one sample of the batch", "keep samples apart")
    index = int(call["index"]) % x.shape[axis - 1]
    return _reshaped(t, call, _sliced(t, call, x, axis - 1, range(index, index + 1)), _result(t, call))


@handles("split", "split_with_sizes", "chunk", "unbind", "tensor_split")
def _split(t: Translation, call: Call) -> list[Traced]:
    x = call.traced("self")
    axis = int(call["dim"]) % (len(x.shape) + 1)
    if axis == 0:
        raise Unsupported("splits the batch", "keep samples apart")
    size = x.shape[axis - 1]
    sizes = call.get("split_size", call.get("split_sizes"))
    if call.operator == "unbind":
        parts = [_sliced(t, call, x, axis - 1, range(i, i + 1)) for i in range(size)]
        shape = x.shape[: axis - 1] + x.shape[axis:]
        return [_reshaped(t, call, part, shape) for part in parts]
    if call.operator == "tensor_split":
        raise Unsupported("splits unevenly", "use split or slices")
    if call.operator == "chunk":
        sizes = -(-size // int(call["chunks"]))
    if isinstance(sizes, int):
        sizes = [min(sizes, size - start) for start in range(0, size, sizes)]
    starts = np.cumsum([0, *sizes]).tolist()
    return [_sliced(t, call, x, axis - 1, range(a, b)) for a, b in pairwise(starts)]


@handles("pad", "constant_pad_nd")
def _pad(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    value = call.get("value")
    if call.get("mode", "constant") != "constant" or (value is not None and float(value) != 0.0):
        raise Unsupported("pads with something other than zeros", "use zero padding: silence is zero")
    amounts = [int(a) for a in call["pad"]]
    pairs = [(a, b) for a, b in zip(amounts[::2], amounts[1::2], strict=True)][::-1]
    if len(pairs) > len(x.shape):
        if any(pairs[0]):
            raise Unsupported("pads the batch", "keep samples apart")
        pairs = pairs[1:]
    width = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs
    for axis, (low, high) in enumerate(width):
        if low < 0 or high < 0:  # negative padding crops
            x = _sliced(t, call, x, axis, range(max(0, -low), x.shape[axis] - max(0, -high)))
    grown = tuple((max(0, low), max(0, high)) for low, high in width)
    return t.add(call, Pad(grown), x) if any(map(any, grown)) else x


@handles("upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d")
def _upsample(t: Translation, call: Call) -> Traced:
    x = call.traced("input" if "input" in call.arguments else "self")
    result = _result(t, call)
    if any(new % old for old, new in zip(x.shape, result, strict=True)):
        raise Unsupported(f"resizes {x.shape[1:]} to {result[1:]}", "use a whole factor")
    return t.add(call, Upsample(tuple(new // old for old, new in zip(x.shape, result, strict=True))), x)


@handles("repeat_interleave")
def _repeat_interleave(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    if not isinstance(call["repeats"], int) or call["dim"] is None or int(call["dim"]) % (len(x.shape) + 1) == 0:
        raise Unsupported("repeats unevenly, or samples", "repeat along one axis by a whole number")
    return _upsample(t, call)


@handles("expand", "expand_as", "broadcast_to", "repeat")
def _expand(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    if _result(t, call) != x.shape:
        raise Unsupported("repeats values", "use nearest upsampling, or concatenate")
    return x


# several inputs


@handles("cat", "concat")
def _cat(t: Translation, call: Call) -> Traced:
    parts = call["tensors"]
    if not all(isinstance(part, Traced) for part in parts):
        raise Unsupported("concatenates constants", "add them as biases of the layers that read them")
    axis = int(call["dim"]) % (len(parts[0].shape) + 1)
    if axis == 0:
        raise Unsupported("concatenates along the batch", "keep samples apart")
    return t.add(call, Concat(axis - 1), *parts)


@handles("stack")
def _stack(t: Translation, call: Call) -> Traced:
    parts = call["tensors"]
    if not all(isinstance(part, Traced) for part in parts):
        raise Unsupported("stacks constants", "add them as biases of the layers that read them")
    axis = int(call["dim"]) % (len(parts[0].shape) + 2)
    if axis == 0:
        raise Unsupported("stacks along the batch", "keep samples apart")
    shape = (*parts[0].shape[: axis - 1], 1, *parts[0].shape[axis - 1 :])
    return t.add(call, Concat(axis - 1), *(_reshaped(t, call, part, shape) for part in parts))


@handles("add", "sub", "rsub")
def _add(t: Translation, call: Call) -> Traced:
    first, second = call["self"], call["other"]
    factors = [1.0, float(call.get("alpha", 1))]
    if call.operator == "sub":
        factors[1] = -factors[1]
    elif call.operator == "rsub":
        factors = [-factors[1], 1.0]
    parts, shift = [], None
    for value, factor in ((first, factors[0]), (second, factors[1])):
        if isinstance(value, Traced):
            parts.append(value if factor == 1.0 else t.add(call, Affine(np.asarray(factor)), value, suffix="factor"))
        else:
            shift = factor * array(value).astype(np.float64)
    if shift is not None:
        return t.add(call, Affine(None, _constant(t, parts[0], shift)), parts[0])
    if parts[0].shape != parts[1].shape:
        raise Unsupported(f"adds shapes {parts[0].shape} and {parts[1].shape}", "add values of one shape")
    return t.add(call, Add(), *parts)


@handles("mul", "div", "neg")
def _scale(t: Translation, call: Call) -> Traced:
    if call.operator == "neg":
        return t.add(call, Affine(np.asarray(-1.0)), call.traced("self"))
    first, second = call["self"], call["other"]
    if isinstance(first, Traced) and isinstance(second, Traced):
        why = "multiplies" if call.operator == "mul" else "divides"
        raise Unsupported(f"{why} activations by activations", "synapses have constant weights: multiply by constants")
    if call.get("rounding_mode") is not None:
        raise Unsupported("rounds", "leave rounding to the conversion")
    if call.operator == "div" and isinstance(second, Traced):
        raise Unsupported("divides by activations", "synapses have constant weights: divide by constants")
    x, factor = (first, array(second)) if isinstance(first, Traced) else (second, array(first))
    with np.errstate(divide="ignore"):
        scale = 1 / factor.astype(np.float64) if call.operator == "div" else factor.astype(np.float64)
    return t.add(call, Affine(_constant(t, x, scale)), x)


@handles("softmax", "_softmax", "log_softmax", "_log_softmax")
def _softmax(t: Translation, call: Call) -> Traced:
    x = call.traced("self")
    axis = int(call["dim"]) % (len(x.shape) + 1)
    if axis == 0:
        raise Unsupported("normalises over the batch", "keep samples apart: softmax over classes")
    return t.add(call, Softmax(axis - 1, call.operator.endswith("log_softmax")), x)


# nothing happens


@handles(*PASSED_ON)
def _pass_on(t: Translation, call: Call) -> Traced:
    return call.traced("self")


@handles("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def _dropout(t: Translation, call: Call) -> Traced:
    if call["train"] and float(call["p"]) > 0:
        raise Unsupported("drops values at inference", "pass training=self.training, and call model.eval()")
    return call.traced("input")


@handles("to", "_to_copy", "type_as", "float")
def _cast(t: Translation, call: Call) -> Traced:
    dtype = call.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise Unsupported(f"rounds to {dtype}", "leave rounding to the conversion")
    return call.traced("self")


def _each(value: Any, n: int) -> Shape:
    """One number for each of n axes."""
    values = list(value) if isinstance(value, Sequence) else [value]
    return tuple(values * n if len(values) == 1 else values)


def _axes(dim: Any, x: Traced) -> Shape:
    """Sorted axes without the batch."""
    rank = len(x.shape) + 1
    axes = sorted(int(axis) % rank for axis in (_each(dim, 1) if dim not in (None, []) else range(rank)))
    if 0 in axes:
        raise Unsupported("mixes the samples of a batch", "keep samples apart: leave axis 0 out")
    return tuple(axis - 1 for axis in axes)


def _window_axes(call: Call, x: Traced) -> int:
    """Number of spatial axes of a pooling, checked against the value."""
    n = 1 if "1d" in call.operator else 2
    if len(x.shape) != n + 1:
        raise Unsupported(f"pools {n} spatial axes of a value of shape {x.shape}", "give it (batch, channel, *space)")
    return n


def _result(t: Translation, call: Call) -> Shape:
    """Shape of the result without the batch axis."""
    if call.shape is None or len(call.shape) < 2 or call.shape[0] != t.batch:
        raise Unsupported(
            f"mixes samples: its result has shape {call.shape}", "keep axis 0 the batch, and one axis beside it"
        )
    return call.shape[1:]


def _reshaped(t: Translation, call: Call, x: Traced, shape: Shape) -> Traced:
    return x if x.shape == shape else t.add(call, Reshape(shape), x, suffix="view" if call.operator in _NAMED else "")


_NAMED = ("linear", "matmul", "mm", "addmm", "mean", "sum", "amax", "select", "stack", "unbind")


def _constant(t: Translation, x: Traced, value: NDArray[Any]) -> NDArray[Any]:
    """A constant that broadcasts to a value, without its batch axis."""
    if value.ndim == len(x.shape) + 1 and value.shape[0] == 1:
        value = value[0]
    fits = value.ndim <= len(x.shape) and all(
        a in (1, b) for a, b in zip(value.shape[::-1], x.shape[::-1], strict=False)
    )
    if not fits:
        why = f"combines a value of shape {x.shape} with a constant of shape {value.shape}"
        raise Unsupported(why, "use a constant that broadcasts to one sample")
    return value
