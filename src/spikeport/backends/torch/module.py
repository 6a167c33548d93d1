"""A spiking model as a `torch.nn.Module`, for use inside larger torch programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class SpikingModule(nn.Module):
    """Computes what the spiking model computes; no parameters, no gradient, any device."""

    def __init__(self, model: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self._model = model

    def forward(self, x: Tensor) -> Tensor:
        """Outputs on the model's own scale, shape (batch, *output)."""
        output: Tensor = self._model(x)
        return output
