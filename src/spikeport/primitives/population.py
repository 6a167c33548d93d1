"""Populations of neurons, and the encoder through which data enters."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from numpy.typing import NDArray

from spikeport.primitives.frozen import freeze_fields
from spikeport.primitives.neurons import Neuron
from spikeport.primitives.synapses import Shape

InputKind = Literal["static", "events"]


@dataclass(frozen=True, slots=True)
class Population:
    """Neurons of one kind, of shape (neuron,) or (channel, *space)."""

    name: str
    shape: Shape
    neuron: Neuron

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class InputEncoder:
    """How data becomes integers.

    static: `n = clip(rint((gain * x + shift) / scale), low, high)`, one signed integer a value, zero to zero where shift is 0.
    events: `n = x`, counts of events, integers in [0, high]; scale is 1.
    """

    name: str
    shape: Shape
    kind: InputKind
    scale: NDArray[Any]
    """Size of one integer step in the model's units, broadcastable to `shape`."""
    low: int
    high: int
    gain: NDArray[Any] | None = None
    """Normalisation that the model does first, broadcastable to `shape`."""
    shift: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        freeze_fields(self, "scale", "gain", "shift")
