"""The model as it is compared with: a copy in evaluation mode, in float32, on the CPU."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikeport.capture.source import forward_line
from spikeport.errors import CaptureError, DataError, Problem

CHUNK = 256
"""Samples of one call: bounds memory."""


def _views(model: nn.Module) -> dict[int, Any]:
    """What `deepcopy` takes in place of parameters: others on the same memory."""
    return {
        id(p): nn.Parameter(p.detach(), requires_grad=False)
        for p in model.parameters()
        if type(p) is nn.Parameter and p.dtype is torch.float32 and p.device.type == "cpu"
    }


class FloatModel:
    """A copy of a model that can be run without changing the original; whatever mode, dtype or device that has."""

    def __init__(self, model: nn.Module, *, shared: bool = False) -> None:
        """Args:
        model: any module.
        shared: parameters that are in float32 on the CPU stay those of the original, whose later training would be seen.
        """
        name = type(model).__name__
        if not isinstance(model, nn.Module):
            raise CaptureError(Problem(f"a {name}", "is not a torch.nn.Module", "wrap the function in a module"))
        try:
            module = copy.deepcopy(model, _views(model) if shared else None)
            with contextlib.suppress(NotImplementedError):  # a loaded `torch.export` archive has one mode only
                module.eval()
            self.module = module.to(device="cpu", dtype=torch.float32).requires_grad_(False)
        except Exception as error:
            hint = "load its weights first, and detach tensors kept as attributes"
            raise CaptureError(Problem(name, f"cannot be copied to the CPU: {error}", hint)) from error
        self.name = name

    def __call__(self, x: Tensor) -> Tensor:
        """The model's output for a batch of any real dtype.

        Raises:
            DataError: the model fails on this batch.
            CaptureError: the output is not one tensor with the batch first.
        """
        output = self.call(x)
        if not isinstance(output, Tensor):
            why = f"returns a {type(output).__name__}, not a tensor"
            hint = "wrap it in a module that returns the one tensor to convert"
            raise CaptureError(Problem(forward_line(self.module), why, hint))
        if output.ndim < 2 or len(output) != len(x):
            why = f"returns shape {tuple(output.shape)} for a batch of {len(x)}"
            raise CaptureError(Problem(forward_line(self.module), why, "return one row a sample: (batch, *output)"))
        return output

    def call(self, x: Tensor) -> Any:
        """Whatever the model returns for a batch.

        Raises:
            DataError: the model fails on this batch.
        """
        try:
            with torch.no_grad():
                return self.module(x.detach().to(device="cpu", dtype=torch.float32))
        except Exception as error:
            why = f"the model fails on a batch of shape {tuple(x.shape)}: {error}"
            raise DataError(
                Problem(
                    self.name,
                    why,
                    "give batches like those that it was trained on, of any size: x.shape[0] in views, not a number",
                )
            ) from error

    def run(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The same for arrays, in parts."""
        parts = [self(torch.tensor(x[i : i + CHUNK])).numpy() for i in range(0, len(x), CHUNK)]
        return np.concatenate(parts)
