"""What each operation computes, in torch; the same numbers as `spikeport.graph.ops` up to floating-point rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from spikeport.graph import Add, Affine, Concat, Input, Op, Quantize, Relu, Softmax
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


class TorchOperations:
    """Evaluates operations on tensors of one device and dtype; constants are moved there once."""

    def __init__(self, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
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
            case Conv(weight, stride, padding, dilation, groups):
                symmetric = all(low == high for low, high in padding)
                if not symmetric:
                    x = _pad_space(x, padding, 0.0)
                amount = [low for low, _ in padding] if symmetric else [0] * len(padding)
                conv = F.conv1d if weight.ndim == 3 else F.conv2d
                return conv(x, self.constant(weight), None, list(stride), amount, list(dilation), groups)
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


def _pad_space(x: Tensor, padding: Pairs, value: float) -> Tensor:
    if not any(any(pair) for pair in padding):
        return x
    return F.pad(x, [amount for pair in reversed(padding) for amount in pair], value=value)
