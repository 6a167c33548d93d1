"""SpikingJelly in multi-step mode, which its documentation recommends for speed, on the implementation it chooses for CPUs."""

from __future__ import annotations

from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn

from peers.case import Case, Layer
from peers.libraries.wiring import LAYOUTS, Folded, Network, Wiring, all_steps

PACKAGES = ("spikingjelly", "torch", "numpy")
WAYS = tuple(LAYOUTS)


def build(case: Case, way: str) -> Network:
    def units(layer: Layer) -> nn.Module:
        return neuron.IFNode(v_threshold=layer.threshold / layer.gain, v_reset=None, step_mode="m")

    def go(wiring: Wiring, x: Tensor) -> Tensor:
        functional.reset_net(wiring)
        for layer in case.layers:
            wiring.neurons[layer.name].v = layer.threshold / layer.gain / 2
        return wiring(all_steps(case, wiring, x), channel_axis=2).sum(0)

    # what `layer.Conv2d(step_mode="m")` does: time folded into the batch
    return Network(case, Wiring(case, units, lifted=Folded), way, go)
