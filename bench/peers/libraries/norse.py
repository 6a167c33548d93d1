"""Norse: its `SNN` module over all steps, linear layers lifted over time, or folded into the batch where that is faster.

Its `IAF` resets to a value only; the step here is that function with Norse's own `reset_subtract` in its place, which the
`SNN` module is made to take.
"""

from __future__ import annotations

import torch
from norse.torch import Lift
from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.functional.threshold import threshold
from norse.torch.module.snn import SNN
from torch import Tensor, nn

from peers.case import Case, Layer
from peers.libraries.wiring import LAYOUTS, Folded, Network, Wiring, all_steps

PACKAGES = ("norse", "torch", "numpy")
WAYS = tuple(f"{how}, {layout}" for how in ("lifted", "folded") for layout in LAYOUTS)


def _step(
    current: Tensor, state: IAFFeedForwardState, p: IAFParameters, dt: float
) -> tuple[Tensor, IAFFeedForwardState]:
    v = state.v + current
    z = threshold(v - p.v_th, p.method, p.alpha)
    return z, IAFFeedForwardState(v=reset_subtract(z, v, p.v_reset, p.v_th))


class _Units(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        half = layer.threshold / layer.gain / 2
        p = IAFParameters(v_th=torch.tensor(layer.threshold / layer.gain))
        self.units = SNN(_step, lambda x: IAFFeedForwardState(v=torch.full_like(x[0], half)), p)

    def forward(self, current: Tensor) -> Tensor:
        spikes: Tensor = self.units(current)[0]
        return spikes


def build(case: Case, way: str) -> Network:
    how, layout = way.split(", ")

    def go(wiring: Wiring, x: Tensor) -> Tensor:
        return wiring(all_steps(case, wiring, x), channel_axis=2).sum(0)

    return Network(case, Wiring(case, _Units, lifted=Lift if how == "lifted" else Folded), layout, go)
