"""What drivers on torch have in common for exports: layers with dyadic numbers, and the cases that a tool has no network for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SIZE = 8
FLAT: tuple[int, ...] = (SIZE,)
MAPS = (2, 6, 6)
Make = Callable[[np.random.Generator], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A network of the tool, and the shape of what enters it."""

    make: Make
    shape: tuple[int, ...] = FLAT


@dataclass(frozen=True, slots=True)
class Exporter:
    """How a tool makes, writes and runs networks of its own."""

    dt: float
    cases: Mapping[str, Case]
    absent: Mapping[str, str]
    """Kinds of network that the tool does not have, and why."""
    write: Callable[[Any, tuple[int, ...], str], Any]
    """Network, shape of what enters, path."""
    play: Callable[[Any, NDArray[np.float32]], NDArray[Any]]
    """The output of each step, from fresh state."""


def dyadic(rng: np.random.Generator, *shape: int, bits: int = 2) -> Any:
    """Multiples of 2^-bits around 0."""
    top = 2**bits
    return torch.from_numpy((rng.integers(-top, top + 1, shape) / top).astype(np.float32))


def dense(rng: np.random.Generator, n: int = SIZE, *, bias: bool = True, make: Any = torch.nn.Linear) -> Any:
    layer = make(n, SIZE, bias=bias)
    layer.weight.data = dyadic(rng, SIZE, n)
    if bias:
        layer.bias.data = dyadic(rng, SIZE, bits=3)
    return layer


def convolution(rng: np.random.Generator, *, make: Any = torch.nn.Conv2d) -> Any:
    layer = make(2, 3, 3, padding=1)
    layer.weight.data = dyadic(rng, 3, 2, 3, 3)
    layer.bias.data = dyadic(rng, 3, bits=3)
    return layer


def chosen(rng: np.random.Generator, *values: float) -> Any:
    """One of some values for each neuron."""
    return torch.from_numpy(rng.choice(values, SIZE).astype(np.float32))


def full(value: float, *shape: int) -> Any:
    return torch.full(shape or FLAT, value)


class Skip(torch.nn.Module):
    """Two layers, the second of which gets the spikes of the first as well."""

    def __init__(self, fc1: Any, n1: Any, fc2: Any, n2: Any) -> None:
        super().__init__()
        self.fc1, self.n1, self.fc2, self.n2 = fc1, n1, fc2, n2

    def forward(self, x: Any) -> Any:
        first = self.n1(self.fc1(x))
        return self.n2(self.fc2(first) + first)
