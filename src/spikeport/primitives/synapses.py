"""Synapses: the linear operators that carry spikes from one population to the next.

They are values without behaviour; `spikeport.graph.ops` says what each one computes. Shapes leave the batch axis out:
a population of feature maps has shape (channel, *space), a layer of units (neuron,). Weights are floating point before
quantization and integers after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikeport.primitives.frozen import freeze_fields

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """All-to-all: `y = weight @ x`, on a population of shape (pre,)."""

    weight: NDArray[Any]
    """Shape (post, pre)."""

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """Convolution over one or two spatial axes, as PyTorch defines it (cross-correlation), padded with zeros."""

    weight: NDArray[Any]
    """Shape (post channel, pre channel / groups, *kernel)."""
    stride: Shape
    padding: Pairs
    """Zeros before and after, for each spatial axis."""
    dilation: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True, eq=False)
class OneToOne:
    """Each neuron to the one with its index: `y = weight * x`."""

    weight: NDArray[Any]
    """Broadcastable to the population's shape."""

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True)
class SumPool:
    """Sum over windows of the spatial axes, padded with zeros."""

    kernel: Shape
    stride: Shape
    padding: Pairs


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same neurons under another shape, in C order."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axes in another order; `axes` as in `numpy.transpose`, without the batch axis."""

    axes: Shape


@dataclass(frozen=True, slots=True)
class Slice:
    """A regular part of each axis: `x[start:stop:step, ...]`, all bounds explicit and steps positive."""

    start: Shape
    stop: Shape
    step: Shape


@dataclass(frozen=True, slots=True)
class Pad:
    """Silent neurons before and after, for every axis."""

    width: Pairs


@dataclass(frozen=True, slots=True)
class Upsample:
    """Nearest-neighbour repetition, by an integer factor for every axis."""

    factor: Shape


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Largest value of each window; padding never wins."""

    kernel: Shape
    stride: Shape
    padding: Pairs
    dilation: Shape


Weighted = Dense | Conv | OneToOne
Routing = Reshape | Transpose | Slice | Pad | Upsample
Synapse = Weighted | SumPool | Routing


@dataclass(frozen=True, slots=True)
class Connection:
    """Spikes of `source` pass `synapses` in order and add to the membrane of `target`."""

    source: str
    target: str
    synapses: tuple[Synapse, ...]

    @property
    def weighted(self) -> Weighted | None:
        """The one synapse with weights, if there is one."""
        return next((s for s in self.synapses if isinstance(s, Weighted)), None)

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"
