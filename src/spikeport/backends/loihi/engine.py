"""What steps a placed program: the library, or its numpy twin. Both give the same chunk of steps, bit for bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport import native
from spikeport.backends.loihi.placed import Placed
from spikeport.native.lockstep import LineSpikes, listed


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What happened in some steps; mappings are by name of the group, for those that were asked for."""

    rasters: Mapping[str, NDArray[np.int32] | NDArray[np.int64]]
    """Payloads, (step, sample, *group), of `Placed.payload_type`."""
    potentials: Mapping[str, NDArray[np.int64]]
    """After each step."""
    seconds: Mapping[str, NDArray[np.int64]]
    """Second states of fixed-point neurons: currents, residues, imaginary parts."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a group of fixed-point neurons knows between two steps, shape (sample, neuron)."""

    v: NDArray[np.int64]
    second: NDArray[np.int64]
    third: NDArray[np.int64]
    """Refractory steps that are left, or an activation."""
    arriving: NDArray[np.int64]
    """Row k arrives in the k-th step from now, modulo 2^32, shape (slot, sample, neuron)."""
    imag: NDArray[np.int64]


class Engine(ABC):
    """The state of a batch of samples. It is used by one thread at a time."""

    placed: Placed
    samples: int
    step_index: int
    """Of the next step of the chip."""

    @abstractmethod
    def reset(self) -> None:
        """Restore the initial state."""

    @abstractmethod
    def with_samples(self, samples: int) -> Engine:
        """The same program with so many samples, in the initial state."""

    @abstractmethod
    def held(self) -> dict[str, Held]:
        """The state of each group, of a program whose neurons are all fixed-point ones."""

    @abstractmethod
    def hold(self, step: int, given: Mapping[str, Held]) -> None:
        """Go on from there; the next step has this index."""

    @abstractmethod
    def advance(
        self,
        steps: int,
        lines: Mapping[str, LineSpikes],
        *,
        record: Collection[str] = (),
        potentials: Collection[str] = (),
        seconds: Collection[str] = (),
    ) -> Chunk:
        """Take so many steps.

        Args:
            lines: spikes from outside in these steps.
        """


def open_engine(placed: Placed, samples: int, *, threads: int | None = None, on: str | None = None) -> Engine:
    """The library where it is there, else its twin; `on` chooses "native" or "numpy"."""
    from spikeport.backends.loihi.compiled import NativeEngine
    from spikeport.backends.loihi.twin import Twin

    if on == "numpy" or (on is None and not native.available()):
        return Twin(placed, samples)
    return NativeEngine(placed, samples, threads=native.default_threads() if threads is None else threads)


def line_spikes(raster: NDArray[Any]) -> LineSpikes:
    """Payloads of shape (step, sample, *line) as lists."""
    if native.available():
        return listed(raster)
    steps, samples, size = *raster.shape[:2], prod(raster.shape[2:])
    flat = np.ascontiguousarray(raster.reshape(steps, samples, size).swapaxes(0, 1)).reshape(-1)
    place = np.flatnonzero(flat)
    ends = np.searchsorted(place, np.arange(steps * samples + 1) * size).reshape(-1)
    offsets = np.empty((samples, steps + 1), np.int64)
    offsets[:, :steps] = ends[:-1].reshape(samples, steps)
    offsets[:, steps] = ends[steps :: max(1, steps)]
    return LineSpikes(offsets, (place % max(1, size)).astype(np.uint32), flat[place].astype(np.int64))
