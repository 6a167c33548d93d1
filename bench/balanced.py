"""The balanced random network: what it is, in numbers that every simulator reads. Needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNIT = 2.0**-16
"""All weights, currents and potentials are multiples of it, so that no order of adding them rounds."""


@dataclass(frozen=True, slots=True)
class Balanced:
    """80 % excitatory and 20 % inhibitory leaky integrate-and-fire neurons, each pair joined with one probability.

    Potentials are in units of a millivolt above rest: `tau dv/dt = -v + i`, exact integration at 1 ms, spike where
    `v >= threshold`, reset to 0, 2 ms refractory; delta synapses with 1 ms of delay and weights of their own.
    """

    neurons: int = 10_000
    connectivity: float = 0.1
    seed: int = 0
    tau: float = 0.02
    threshold: float = 20.0
    refractory: float = 0.002
    dt: float = 0.001
    weight: float = 0.1
    """Mean of an excitatory weight at 10,000 neurons; it shrinks with the root of the number of inputs."""
    inhibition: float = 5.0
    """Mean of an inhibitory weight over that of an excitatory one."""
    current: float = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The network drawn: synapses by source, and one value a neuron."""

    offsets: NDArray[np.int64]
    targets: NDArray[np.uint32]
    weights: NDArray[np.float64]
    current: NDArray[np.float64]
    initial: NDArray[np.float64]


def draw(balanced: Balanced) -> Drawn:
    """The same network for the same numbers."""
    rng = np.random.default_rng(balanced.seed)
    n = balanced.neurons
    block = max(1, 2**24 // n)
    counts, targets = [np.zeros(1, np.int64)], []
    for begin in range(0, n, block):
        sources, found = np.nonzero(rng.random((min(block, n - begin), n), dtype=np.float32) < balanced.connectivity)
        counts.append(np.bincount(sources, minlength=min(block, n - begin)))
        targets.append(found.astype(np.uint32))
    offsets = np.cumsum(np.concatenate(counts))
    mean = balanced.weight * np.sqrt(1000 / (n * balanced.connectivity)) / UNIT
    drawn = rng.integers(int(0.5 * mean), int(1.5 * mean), offsets[-1]) * UNIT
    drawn[offsets[4 * n // 5] :] *= -balanced.inhibition
    current = balanced.current + rng.integers(0, int(2 / UNIT), n) * UNIT
    initial = rng.integers(0, int(balanced.threshold / UNIT), n) * UNIT
    return Drawn(offsets, np.concatenate(targets), drawn, current, initial)


def save(drawn: Drawn, folder: Path) -> None:
    """Write one file an array."""
    for name in Drawn.__slots__:
        np.save(folder / f"{name}.npy", getattr(drawn, name))


def load(folder: Path) -> Drawn:
    """Read what `save` wrote."""
    arrays: Any = {name: np.load(folder / f"{name}.npy") for name in Drawn.__slots__}
    return Drawn(**arrays)
