"""Recordings as NIRData, the container of `nir` for spikes and potentials over time."""

from __future__ import annotations

from math import inf, nextafter
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.files import replacing
from spikeport.primitives import DynamicRecording, SpikeEvents

SPIKES, POTENTIALS = "spikes", "potentials"


def nirdata_of(recording: DynamicRecording, dt: float) -> nir.NIRGraphData:
    """A recording as an object of `nir`; NIRData has one axis of neurons, so they are flat, in C order.

    Spikes stand in the middle of their step, so that no rounding moves one to the step before; payloads are kept as values.

    Raises:
        DataError: it holds nothing, or a name that HDF5 would take apart.
    """
    names = sorted(recording.spikes.keys() | recording.potentials.keys())
    problems = [
        Problem(name, "has a / in its name, which NIRData cannot hold", "rename it") for name in names if "/" in name
    ]
    if not names:
        problems.append(Problem("recording", "holds neither spikes nor potentials", "record some populations"))
    if problems:
        raise DataError(problems)
    nodes: dict[str, Any] = {}
    for name in names:
        observed: dict[str, Any] = {}
        if name in recording.spikes:
            observed[SPIKES] = _events(recording.spikes[name])
        if name in recording.potentials:
            values = recording.potentials[name]
            flat = values.reshape(len(values), values.shape[1], -1)
            observed[POTENTIALS] = nir.TimeGriddedData(np.ascontiguousarray(flat.transpose(1, 0, 2)), float(dt))
        nodes[name] = nir.NIRNodeData(observed)
    return nir.NIRGraphData(nodes)


def write_nirdata(recording: DynamicRecording, path: str | Path, dt: float) -> Path:
    """Write a recording as NIRData; a file that is there is replaced once the new one is whole.

    Raises:
        DataError: as `nirdata_of`.
        FileError: it cannot be written.
    """
    data = nirdata_of(recording, dt)
    with replacing(path) as temporary:
        nir.write_data(str(temporary), data)
    return Path(path)


def _events(events: SpikeEvents) -> nir.EventData:
    counts = np.bincount(events.samples, minlength=events.batch)
    shape = events.batch, max(1, int(counts.max(initial=0)))  # HDF5 compresses nothing that is empty
    starts = np.cumsum(counts) - counts
    cells = events.samples, np.arange(len(events)) - starts[events.samples]
    where: NDArray[np.int64] = np.full(shape, -1, np.int64)
    time: NDArray[np.float64] = np.full(shape, inf)
    where[cells] = events.neurons
    time[cells] = (events.steps + 0.5) * events.dt
    neurons, end = int(np.prod(events.shape)), events.n_steps * events.dt
    while int(end / events.dt) < events.n_steps:  # what `nir` makes of it
        end = nextafter(end, inf)
    if events.values is None:
        return nir.EventData(where, time, neurons, end)
    payloads = np.zeros(shape, events.values.dtype)
    payloads[cells] = events.values
    return nir.ValuedEventData(where, time, neurons, end, payloads)
