"""snnTorch as its tutorials run it: `Leaky` with beta 1, the membrane handed from step to step.

Its reset comes one step after the spike, before the next input is added, which gives the same spikes.
"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn

from peers.case import Case, Layer
from peers.libraries.wiring import LAYOUTS, Network, Wiring, step_by_step

PACKAGES = ("snntorch", "torch", "numpy")
WAYS = tuple(LAYOUTS)


class _Units(nn.Module):
    """A `Leaky` layer and its membrane."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.unit = snn.Leaky(beta=1.0, threshold=layer.threshold / layer.gain, reset_mechanism="subtract")
        self.half = layer.threshold / layer.gain / 2
        self.membrane: Tensor | None = None

    def forward(self, current: Tensor) -> Tensor:
        if self.membrane is None:
            self.membrane = torch.full_like(current, self.half)
        spikes, self.membrane = self.unit(current, self.membrane)
        return spikes


def build(case: Case, way: str) -> Network:
    def go(wiring: Wiring, x: Tensor) -> Tensor:
        for units in wiring.neurons.values():
            units.membrane = None
        return step_by_step(case, wiring, x, wiring)

    return Network(case, Wiring(case, _Units), way, go)
