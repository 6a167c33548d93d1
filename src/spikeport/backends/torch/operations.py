"""What each operation computes, in torch; the same numbers as `spikeport.graph.ops` up to floating-point rounding.

A convolution is left to the library on a CPU. Elsewhere it is written as a product of matrices over all windows, since a library
for GPUs may choose Winograd or FFT, which compute with fractions and turn exact integers into approximate ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from spikeport.graph import Activation, Add, Affine, Concat, Curve, Input, Op, Quantize, Relu, Softmax
from spikeport.primitives import (
    Conv,
    Dense,
    MaxPool,
    OneToOne,
    Pad,
    Pairs,
    Reshape,
    Slice,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
)

COLUMN_VALUES = 2**24
"""Values of a convolution's windows that are written out at once: bounds memory."""


class TorchOperations:
    """Evaluates operations on tensors of one device and dtype; constants are moved there once."""

    def __init__(
        self,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        explicit: bool | None = None,
    ) -> None:
        """`explicit` says whether convolutions are products of matrices; None: on every device but a CPU."""
        self.device = torch.device(device)
        self.dtype = dtype
        self.explicit = self.device.type != "cpu" if explicit is None else explicit
        self._constants: dict[int, tuple[NDArray[Any], Tensor]] = {}

    def load(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, device=self.device, dtype=self.dtype)  # a copy: inputs are never written to

    def store(self, array: Tensor) -> NDArray[Any]:
        return array.numpy(force=True)

    def constant(self, array: NDArray[Any]) -> Tensor:
        """A parameter as a tensor; kept, together with the array, so that its identity stays valid."""
        found = self._constants.get(id(array))
        if found is None:
            found = self._constants[id(array)] = (array, self.load(np.asarray(array)))
        return found[1]

    def apply(self, op: Op, inputs: Sequence[Tensor]) -> Tensor:
        x = inputs[0]
        match op:
            case Input() | Quantize():
                return x
            case Affine(scale, shift):
                y = x if scale is None else x * self.constant(scale)
                return y if shift is None else y + self.constant(shift)
            case Relu(ceiling):
                return x.clamp(0, ceiling)
            case Activation(curve, parameters):
                return ACTIVATIONS[curve](x, *parameters)
            case Add():
                total = inputs[0]
                for other in inputs[1:]:
                    total = total + other
                return total
            case Concat(axis):
                return torch.cat(list(inputs), axis + 1)
            case Softmax(axis, log):
                return F.log_softmax(x, axis + 1) if log else F.softmax(x, axis + 1)
            case MaxPool(kernel, stride, padding, dilation):
                x = _pad_space(x, padding, float("-inf"))
                pool = F.max_pool1d if len(kernel) == 1 else F.max_pool2d
                return pool(x, list(kernel), list(stride), 0, list(dilation))
            case _:
                return self.synapse(op, x)

    def synapse(self, op: Synapse, x: Tensor) -> Tensor:
        """The output of one linear operator."""
        match op:
            case Dense(weight):
                return x @ self.constant(weight).T
            case Conv():
                return self.conv(op, x)
            case OneToOne(weight):
                return x * self.constant(weight)
            case SumPool(kernel, stride, padding):
                x = _pad_space(x, padding, 0.0)
                if len(kernel) == 1:
                    return F.avg_pool2d(x[..., None, :], (1, *kernel), (1, *stride), divisor_override=1)[..., 0, :]
                return F.avg_pool2d(x, list(kernel), list(stride), divisor_override=1)
            case Reshape(shape):
                return x.reshape(len(x), *shape)
            case Transpose(axes):
                return x.permute(0, *(axis + 1 for axis in axes))
            case Slice(start, stop, step):
                return x[(slice(None), *(slice(*part) for part in zip(start, stop, step, strict=True)))]
            case Pad(width):
                return _pad_space(x, width, 0.0)
            case Upsample(factor):
                for axis, times in enumerate(factor):
                    x = x.repeat_interleave(times, axis + 1) if times > 1 else x
                return x
            case _:
                assert_never(op)

    def conv(self, op: Conv, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """A convolution that starts from `bias`, one value a channel, instead of zero."""
        symmetric = all(low == high for low, high in op.padding)
        if not symmetric:
            x = _pad_space(x, op.padding, 0.0)
        amount = [low for low, _ in op.padding] if symmetric else [0] * len(op.padding)
        if self.explicit:
            y = _window_products(op, self.constant(op.weight), x, amount)
            return y if bias is None else y.add_(bias.reshape(-1, *(1,) * len(op.stride)))
        conv = F.conv1d if len(op.stride) == 1 else F.conv2d
        return conv(x, self.constant(op.weight), bias, list(op.stride), amount, list(op.dilation), op.groups)


def _window_products(op: Conv, weight: Tensor, x: Tensor, padding: list[int]) -> Tensor:
    """A convolution as one product of matrices a group, over windows that are written out."""
    if len(op.stride) == 1:  # a signal is an image of one row
        row = Conv(op.weight[:, :, None], (1, *op.stride), ((0, 0), *op.padding), (1, *op.dilation), op.groups)
        return _window_products(row, weight[:, :, None], x[:, :, None], [0, *padding])[:, :, 0]
    kernel = tuple(weight.shape[2:])
    spans = (x.shape[i + 2] + 2 * padding[i] - op.dilation[i] * (kernel[i] - 1) - 1 for i in range(2))
    space = tuple(span // stride + 1 for span, stride in zip(spans, op.stride, strict=True))
    matrix = weight.reshape(op.groups, len(weight) // op.groups, -1)
    y = x.new_empty(len(x), op.groups, matrix.shape[1], space[0] * space[1])
    each = max(1, COLUMN_VALUES // max(1, x.shape[1] * kernel[0] * kernel[1] * y.shape[3]))
    for part, out in zip(torch.split(x, each), torch.split(y, each), strict=True):
        columns = F.unfold(part, kernel, op.dilation, (padding[0], padding[1]), op.stride)
        torch.matmul(matrix, columns.reshape(len(part), op.groups, matrix.shape[2], -1), out=out)
    return y.reshape(len(x), len(weight), *space)


ACTIVATIONS: Mapping[Curve, Callable[..., Tensor]] = {
    "clamp": torch.clamp,
    "elu": torch.ops.aten.elu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "leaky_relu": F.leaky_relu,
    "log_sigmoid": F.logsigmoid,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}


def _pad_space(x: Tensor, padding: Pairs, value: float) -> Tensor:
    if not any(any(pair) for pair in padding):
        return x
    return F.pad(x, [amount for pair in reversed(padding) for amount in pair], value=value)
