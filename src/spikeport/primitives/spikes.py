"""What a simulation gives back: spike trains, potentials, and when the network went quiet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives.frozen import freeze_fields


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrain:
    """Spikes of one population as a raster of signed payloads, shape (time, batch, *population)."""

    raster: NDArray[Any]
    dt: float
    """Duration of a step in seconds."""

    def __post_init__(self) -> None:
        freeze_fields(self, "raster")

    @property
    def counts(self) -> NDArray[np.int64]:
        """Sum of the payloads of each neuron, shape (batch, *population).

        >>> SpikeTrain(np.array([[[1, 0]], [[1, -1]]]), dt=1e-3).counts.tolist()
        [[2, -1]]
        """
        total: NDArray[np.int64] = self.raster.sum(axis=0, dtype=np.int64)
        return total

    def events(self, sample: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """Steps, flat neuron indices and payloads of one sample, in order of time.

        >>> [a.tolist() for a in SpikeTrain(np.array([[[1, 0]], [[1, -1]]]), dt=1e-3).events()]
        [[0, 1, 1], [0, 0, 1], [1, 1, -1]]
        """
        flat = self.raster[:, sample].reshape(len(self.raster), -1)
        steps, neurons = np.nonzero(flat)
        return steps, neurons, flat[steps, neurons]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One simulation of a batch, step by step. Mappings are by population name."""

    n_steps: int
    quiet_after: NDArray[Any]
    """Steps after which each sample fired no more, shape (batch,)."""
    readout: NDArray[Any]
    """Potential of the read-out after each step, integers, shape (time, batch, *output)."""
    output: NDArray[Any]
    """Final read-out on the model's own scale, shape (batch, *output); before any host tail."""
    counts: Mapping[str, NDArray[Any]]
    """Final counts of every spiking population, shape (batch, *population)."""
    n_spikes: Mapping[str, NDArray[Any]]
    """Number of spikes sent by each population in each sample, shape (batch,)."""
    spikes: Mapping[str, SpikeTrain] = field(default_factory=dict)
    """Recorded spike trains."""
    potentials: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Recorded membrane potentials after each step, shape (time, batch, *population)."""

    def __post_init__(self) -> None:
        freeze_fields(self, "quiet_after", "readout", "output")


@dataclass(frozen=True, slots=True, eq=False)
class SpikeEvents:
    """Spikes of one population as a list, in order of sample, step and neuron: compact where few fire."""

    samples: NDArray[Any]
    steps: NDArray[Any]
    neurons: NDArray[Any]
    """Flat indices."""
    shape: tuple[int, ...]
    """Of the population."""
    n_steps: int
    batch: int
    dt: float
    """Duration of a step in seconds."""
    values: NDArray[Any] | None = None
    """Payload of each spike, shape of `steps`; None: all are 1."""

    def __post_init__(self) -> None:
        freeze_fields(self, "samples", "steps", "neurons", "values")

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Spikes of each neuron, shape (batch, *population)."""
        size = prod(self.shape)
        flat = np.bincount(self.samples.astype(np.int64) * size + self.neurons, minlength=self.batch * size)
        return flat.reshape(self.batch, *self.shape)

    def train(self) -> SpikeTrain:
        """The same as a raster of payloads.

        >>> one = np.array([0]), np.array([1]), np.array([2])
        >>> SpikeEvents(*one, shape=(3,), n_steps=2, batch=1, dt=1e-3).train().raster.tolist()
        [[[0, 0, 0]], [[0, 0, 1]]]
        """
        kind = np.int8 if self.values is None else self.values.dtype
        raster = np.zeros((self.n_steps, self.batch, prod(self.shape)), dtype=kind)
        raster[self.steps, self.samples, self.neurons] = 1 if self.values is None else self.values
        return SpikeTrain(raster.reshape(self.n_steps, self.batch, *self.shape), self.dt)


@dataclass(frozen=True, slots=True, eq=False)
class DynamicRecording:
    """One simulation of a `DynamicNetwork`. Mappings are by population name."""

    n_steps: int
    counts: Mapping[str, NDArray[Any]]
    """Spikes of every neuron that can spike, shape (batch, *population)."""
    spikes: Mapping[str, SpikeEvents]
    """Recorded spikes."""
    potentials: Mapping[str, NDArray[Any]]
    """Recorded membrane potentials at the end of each step, shape (time, batch, *population); sigma of `FixedSigmaDelta`, the real part
    of `FixedResonateAndFire`, 0 of `GradedThreshold`, which keeps nothing."""
    currents: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Second state of neurons that have one, as `potentials`: the current of `CubaLIF` and `CubaLI`; w of `AdaptiveLIF`, `InterpolatedLIF`, `ResonateAndFire` and
    `SigmaDelta`, u of `Izhikevich`; u of `FixedCubaLIF`, the residue of `FixedSigmaDelta`, the imaginary part of `FixedResonateAndFire`; none of
    `GradedThreshold`."""
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Weights at the end, of projections that learn, by their name in `DynamicNetwork.plastic`: the shape that the synapse has them in, with
    the batch before it, (batch, post, pre) of `Dense`."""
    weights_over_time: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """The same at the end of every so many steps, (record, batch, ...)."""
