"""A plain stepper of cases in float64, where every number is an exact integer: what all libraries are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from peers.case import INPUT, Case, Layer


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Spikes over all steps."""

    layers: Mapping[str, NDArray[np.int64]]
    """Of every unit, (batch, *shape) by layer."""
    readout: NDArray[np.int64]
    """Potential after the last step, (batch, class)."""

    def differing(self, other: Counts) -> tuple[int, int]:
        """How many units were compared, and how many counts differ."""
        compared = sum(value.size for value in self.layers.values())
        return compared, sum(int((other.layers[name] != value).sum()) for name, value in self.layers.items())

    def activity(self, case: Case) -> float:
        """Spikes for each unit and step."""
        return sum(int(value.sum()) for value in self.layers.values()) / (case.steps * case.batch * case.neurons)


def step(case: Case) -> Counts:
    """All steps of all samples, layer by layer within a step, as `peers.case` says."""
    weights = {
        (layer.name, inflow.source): torch.from_numpy(inflow.weight.astype(np.float64))
        for layer in case.layers
        for inflow in layer.inflows
        if inflow.weight is not None
    }
    v = {
        layer.name: torch.full((case.batch, *layer.shape), layer.threshold / 2, dtype=torch.float64)
        for layer in case.layers
    }
    counts = {layer.name: torch.zeros((case.batch, *layer.shape), dtype=torch.int64) for layer in case.layers}
    readout_weight = torch.from_numpy(case.readout.astype(np.float64))
    readout = torch.zeros((case.batch, len(case.readout)), dtype=torch.float64)
    x = torch.from_numpy(case.input.astype(np.float64))
    for t in range(case.steps):
        sent = {INPUT: x if case.static else x[t]}
        for layer in case.layers:
            v[layer.name] += arriving(layer, sent, weights)
            fires = v[layer.name] >= layer.threshold
            v[layer.name] -= fires * float(layer.threshold)
            counts[layer.name] += fires
            sent[layer.name] = fires.double()
        readout += pooled(case, sent[case.layers[-1].name]) @ readout_weight.T
    return Counts({name: value.numpy() for name, value in counts.items()}, readout.round().to(torch.int64).numpy())


def arriving(layer: Layer, sent: Mapping[str, Tensor], weights: Mapping[tuple[str, str], Tensor]) -> Tensor:
    """What a layer's sources and its bias add in one step; `weights` by layer and source."""
    total = torch.from_numpy(layer.bias).to(sent[layer.inflows[0].source].dtype).reshape(-1, 1, 1)
    for inflow in layer.inflows:
        spikes = sent[inflow.source]
        if inflow.weight is None:
            total = total + layer.gain * spikes
        else:
            weight = weights[layer.name, inflow.source]
            total = total + F.conv2d(spikes, weight, None, inflow.stride, inflow.padding)
    return total


def pooled(case: Case, spikes: Tensor) -> Tensor:
    """Sums over the windows before the read-out, (batch, unit)."""
    return (F.avg_pool2d(spikes, case.pool) * case.pool**2).flatten(1)
