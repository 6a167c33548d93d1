"""NeuroCUDA: the `IFNeuron` that its converter puts in the place of activations, its network called once a step.

Its spikes are worth their threshold, so weights are divided by the threshold of the layer they read.
"""

from __future__ import annotations

from torch import Tensor, nn

from peers.case import INPUT, Case, Layer
from peers.libraries.wiring import LAYOUTS, Network, Wiring, step_by_step

PACKAGES = ("neurocuda", "torch", "numpy")
WAYS = tuple(LAYOUTS)


def build(case: Case, way: str) -> Network:
    from models import IFNeuron, reset_spiking  # the package installs this module beside itself

    worth = {INPUT: 1.0}
    unit: dict[str, float] = {}
    for layer in case.layers:
        identity = next((i.source for i in layer.inflows if i.weight is None), INPUT)
        unit[layer.name] = worth[identity] / layer.gain
        worth[layer.name] = layer.threshold * unit[layer.name]

    def units(layer: Layer) -> nn.Module:
        return IFNeuron(thresh=worth[layer.name])

    def go(wiring: Wiring, x: Tensor) -> Tensor:
        reset_spiking(wiring)
        return step_by_step(case, wiring, x, wiring)

    return Network(case, Wiring(case, units, unit=unit, worth=worth), way, go)
