"""sinabs with its squeezing layers: time folded into the batch everywhere, unfolded inside the units alone."""

from __future__ import annotations

import torch
from sinabs.activation import MembraneSubtract, SingleSpike
from sinabs.layers import IAFSqueeze
from torch import Tensor, nn

from peers.case import Case, Layer
from peers.libraries.wiring import LAYOUTS, Network, Wiring

PACKAGES = ("sinabs", "torch", "numpy")
WAYS = tuple(LAYOUTS)


def build(case: Case, way: str) -> Network:
    def units(layer: Layer) -> nn.Module:
        return IAFSqueeze(
            batch_size=case.batch,
            spike_threshold=torch.tensor(layer.threshold / layer.gain),
            spike_fn=SingleSpike,
            reset_fn=MembraneSubtract(),
        )

    def go(wiring: Wiring, x: Tensor) -> Tensor:
        for layer in case.layers:
            wiring.neurons[layer.name].v_mem = torch.full((case.batch, *layer.shape), layer.threshold / layer.gain / 2)
        if case.static:
            current = wiring.enter(x).repeat_interleave(case.steps, 0)
        else:
            current = wiring.enter(x.transpose(0, 1).flatten(0, 1))
        return wiring(current).unflatten(0, (case.batch, case.steps)).sum(1)

    return Network(case, Wiring(case, units), way, go)
