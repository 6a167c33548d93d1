"""Synapses as people write them: what joins two populations, before their shapes are known.

Each is a value; `resolve` makes the operators of `primitives` of it. All take a `delay` in seconds, the whole time from a spike to its
arrival; 0 means as soon as the contract lets it, which by default is in the next step. Delays that are drawn are rounded to whole steps. What is drawn takes a `seed`; without one
it is drawn from the network's seed and the name of the connection, so that it depends neither on the order of lines nor on other
connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import freeze_fields

Size = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal distribution, cut to the range from `low` to `high` by drawing again."""

    mean: float
    std: float
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every value from `low` to `high` alike."""

    low: float
    high: float


Weight = int | float | Normal | Uniform
"""Of synapses that are drawn: whole numbers stay whole."""
Weights = Weight | NDArray[Any]
Delays = int | float | Normal | Uniform


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Every source neuron to every target neuron: `y = weight @ x`, both populations flat in C order."""

    weight: NDArray[Any]
    """Shape (post, pre)."""
    delay: float = 0.0

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True, eq=False)
class AllToAll:
    """Every source neuron to every target neuron, with one weight or weights that are drawn."""

    weight: Weight = 1.0
    self_connections: bool = True
    """Whether a population that is joined with itself joins each neuron with itself."""
    delay: Delays = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OneToOne:
    """Each neuron to the one with its index; populations of one shape."""

    weight: int | float | NDArray[Any] = 1.0
    """Broadcastable to the shape."""
    delay: float = 0.0

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Synapses one by one, between flat indices; a pair that comes twice is two synapses."""

    pre: NDArray[Any]
    """Source neurons, shape (synapse,)."""
    post: NDArray[Any]
    """Target neurons, shape (synapse,)."""
    weight: int | float | NDArray[Any] = 1.0
    """One, or shape (synapse,)."""
    delay: float | NDArray[Any] = 0.0
    """One, or shape (synapse,)."""

    def __post_init__(self) -> None:
        freeze_fields(self, "pre", "post", "weight", "delay")


@dataclass(frozen=True, slots=True, eq=False)
class FixedProbability:
    """Each pair of neurons is joined with probability `p`, once at most (Erdős-Rényi)."""

    p: float
    weight: Weight = 1.0
    self_connections: bool = True
    delay: Delays = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FixedInDegree:
    """Each target neuron has `n` synapses, from source neurons that are drawn, the same one several times too (`multapses`) or not."""

    n: int
    weight: Weight = 1.0
    multapses: bool = True
    self_connections: bool = True
    delay: Delays = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DistanceDependent:
    """Each pair of neurons is joined with a probability that depends on their distance, once at most.

    A neuron of a population of shape (height, width), or any other, stands at its index divided by the number along each axis: all
    populations fill the unit square, cube or line; both must have as many axes.
    """

    probability: Callable[[NDArray[np.float64]], NDArray[np.float64]] | Normal
    """Of distances, shape (pair,): probabilities; `Normal(0, std)` is the bell `exp(-d^2 / (2 std^2))`, which is 1 at 0."""
    weight: Weight = 1.0
    periodic: bool = False
    """Whether the space is a torus."""
    self_connections: bool = True
    delay: Delays = 0.0
    speed: float | None = None
    """Of what travels, in lengths of the space a second: adds distance / speed to the delay."""
    seed: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Conv1d:
    """Convolution of a population of shape (channel, length), as PyTorch defines it."""

    weight: NDArray[Any]
    """Shape (post channel, pre channel / groups, kernel)."""
    stride: Size = 1
    padding: Size | Literal["same", "valid"] = 0
    dilation: Size = 1
    groups: int = 1
    delay: float = 0.0

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d:
    """Convolution of a population of shape (channel, height, width), as PyTorch defines it."""

    weight: NDArray[Any]
    """Shape (post channel, pre channel / groups, height, width)."""
    stride: Size = 1
    padding: Size | Literal["same", "valid"] = 0
    dilation: Size = 1
    groups: int = 1
    delay: float = 0.0

    def __post_init__(self) -> None:
        freeze_fields(self, "weight")


@dataclass(frozen=True, slots=True)
class SumPool2d:
    """Sums of windows of a population of shape (channel, height, width)."""

    kernel: Size
    stride: Size | None = None
    """None: as far as the kernel."""
    padding: Size = 0
    weight: float = 1.0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class AvgPool2d:
    """Means of windows of a population of shape (channel, height, width); padding counts as silent neurons."""

    kernel: Size
    stride: Size | None = None
    padding: Size = 0
    delay: float = 0.0


Recipe = (
    Dense
    | AllToAll
    | OneToOne
    | Sparse
    | FixedProbability
    | FixedInDegree
    | DistanceDependent
    | Conv1d
    | Conv2d
    | SumPool2d
    | AvgPool2d
)
"""What `Module.connect` takes, besides the operators of `primitives` themselves."""
