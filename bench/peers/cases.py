"""The two networks of the comparison with peers, with seeded random weights and thresholds that set the activity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peers import plain
from peers.case import INPUT, Case, Inflow, Layer

RESIDUAL_GAIN = 256
"""Weight of an identity: about the spread of what a convolution delivers in one step."""
CURRENT_STEP = 16
"""A static current is a multiple of this, so that the same case can be one pass over counts: 16 steps of a sixteenth."""
WEIGHT_SPREAD = 40
"""Standard deviation of the weights; they are cut at 126."""
CALIBRATION = 1
"""Samples on which thresholds are set."""


def resnet18(batch: int, *, steps: int = 16, activity: float = 0.065, seed: int = 0) -> Case:
    """ResNet-18 for CIFAR-10: 3 x 3 stem, four stages of two blocks at 64 to 512 channels, mean, linear: 0.556 GMAC."""
    build = _Builder(activity, seed)
    images = 2 * build.rng.integers(-3, 4, (max(batch, CALIBRATION), 3, 32, 32))
    build.begin(images[:CALIBRATION], steps, static=True)
    build.layer("conv1", 64, 1, biased=True)
    last = "conv1"
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}_{block}"
            build.layer(f"{name}_conv1", width, stride, biased=True)
            build.layer(f"{name}_conv2", width, 1, biased=True, shortcut=last, shortcut_stride=stride)
            last = f"{name}_conv2"
    return build.case(f"ResNet-18, T={steps}", images[:batch], pool=4)


def nmnist_cnn(events: NDArray[np.int64], *, activity: float = 0.05, seed: int = 1) -> Case:
    """Three convolutions (16, 32 by stride 2, 64 by stride 2) and a linear read-out on event counts (time, batch, 2, 34, 34): 3.2 MMAC."""
    build = _Builder(activity, seed)
    build.begin(events[:, :8], len(events), static=False)
    build.layer("conv1", 16, 1)
    build.layer("conv2", 32, 2)
    build.layer("conv3", 64, 2)
    return build.case(f"N-MNIST CNN, T={len(events)}", events, pool=1)


def random_events(batch: int, *, steps: int = 32, activity: float = 0.02, seed: int = 2) -> NDArray[np.int64]:
    """Events without a camera: independent in every place and step, (time, batch, 2, 34, 34)."""
    rng = np.random.default_rng(seed)
    return (rng.random((steps, batch, 2, 34, 34)) < activity).astype(np.int64)


@dataclass
class _Builder:
    """Adds layers one after the other; each gets the threshold at which it has the activity wanted, given those before."""

    activity: float
    seed: int
    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def begin(self, samples: NDArray[np.int64], steps: int, *, static: bool) -> None:
        x = torch.from_numpy(samples).float()
        self.steps, self.static = steps, static
        # (time, batch, ...), all steps of a layer at once: only one layer's trains are needed for the next
        self.trains: dict[str, Tensor] = {INPUT: x.expand(steps, *x.shape) if static else x}

    def layer(
        self,
        name: str,
        channels: int,
        stride: int,
        *,
        biased: bool = False,
        shortcut: str | None = None,
        shortcut_stride: int = 1,
    ) -> None:
        """A 3 x 3 convolution of the layer before; with a shortcut, the identity or a 1 x 1 convolution of an earlier one."""
        source = self.layers[-1].name if self.layers else INPUT
        before = self.trains[source].shape[2]
        inflows = [Inflow(source, self._weights(channels, before, 3), stride, 1)]
        gain = 1
        if shortcut is not None:
            width = self.trains[shortcut].shape[2]
            if shortcut_stride == 1 and width == channels:
                inflows.append(Inflow(shortcut, None))
                gain = RESIDUAL_GAIN
            else:
                inflows.append(Inflow(shortcut, self._weights(channels, width, 1), shortcut_stride))
        bias = 2 * self.rng.integers(-8, 9, channels) if biased else np.zeros(channels, np.int64)
        rows, columns = (-(-side // stride) for side in self.trains[source].shape[3:])
        made = Layer(name, (channels, rows, columns), tuple(inflows), bias, 2, gain)
        current = self._current(made)
        threshold = _threshold(current, self.activity)
        self.layers.append(Layer(name, made.shape, made.inflows, bias, threshold, gain))
        self.trains[name] = _fired(current, threshold)

    def case(self, name: str, samples: NDArray[np.int64], *, pool: int) -> Case:
        channels, rows, columns = self.layers[-1].shape
        units = channels * (rows // pool) * (columns // pool)
        readout = self.rng.integers(-63, 64, (10, units))
        return Case(name, self.steps, samples, self.static, tuple(self.layers), readout, pool)

    def _weights(self, out: int, into: int, side: int) -> NDArray[np.int64]:
        values = self.rng.normal(0, WEIGHT_SPREAD / 2, (out, into, side, side))
        return 2 * np.clip(np.rint(values), -63, 63).astype(np.int64)

    def _current(self, layer: Layer) -> Tensor:
        weights: Mapping[tuple[str, str], Tensor] = {
            (layer.name, i.source): torch.from_numpy(i.weight).float() for i in layer.inflows if i.weight is not None
        }
        sources = {i.source: self.trains[i.source] for i in layer.inflows}
        steps = range(self.steps)
        return torch.stack(
            [plain.arriving(layer, {n: train[t] for n, train in sources.items()}, weights) for t in steps]
        )


def _fired(current: Tensor, threshold: int) -> Tensor:
    """Trains of units with this current; float32 is exact, all sums being integers below 2**24."""
    v = torch.full_like(current[0], threshold / 2)
    trains = torch.empty_like(current)
    for t, arriving in enumerate(current):
        v += arriving
        trains[t] = v >= threshold
        v -= trains[t] * threshold
    return trains


def _threshold(current: Tensor, activity: float) -> int:
    """Twice an odd number, at which about this share of units fires in a step; within a hundredth of itself."""
    low, high = 0, int(current.abs().max()) + 1
    while high - low > 1 + low // 100:
        middle = (low + high) // 2
        if float(_fired(current, 4 * middle + 2).mean()) > activity:
            low = middle
        else:
            high = middle
    return 4 * high + 2
