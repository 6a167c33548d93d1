"""Recordings as NIRData, the container of `nir` for spikes and potentials over time."""

from __future__ import annotations

from io import BytesIO
from math import inf, isfinite, nextafter
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, OptionError, Problem
from spikeport.files import write_whole
from spikeport.nir.nirdata import CURRENTS, POTENTIALS, SPIKES, Gridded, NirData, Observed, data_of
from spikeport.primitives import DynamicRecording, SpikeEvents


def nirdata_of(recording: DynamicRecording, dt: float) -> nir.NIRGraphData:
    """A recording as an object of `nir`; NIRData has one axis of neurons, so they are flat, in C order.

    Spikes stand in the middle of their step, so that no rounding moves one to the step before; payloads are kept as values.

    Raises:
        DataError: it holds nothing, or a name that HDF5 would take apart.
    """
    names = sorted(recording.spikes.keys() | recording.potentials.keys() | recording.currents.keys())
    problems = [
        Problem(name, "has a / in its name, which NIRData cannot hold", "rename it") for name in names if "/" in name
    ]
    if not names:
        problems.append(Problem("recording", "holds neither spikes nor states", "record some populations"))
    if problems:
        raise DataError(problems)
    nodes: dict[str, Any] = {}
    for name in names:
        observed: dict[str, Any] = {}
        if name in recording.spikes:
            observed[SPIKES] = _events(recording.spikes[name])
        for what, kept in ((POTENTIALS, recording.potentials), (CURRENTS, recording.currents)):
            if name in kept:
                flat = kept[name].reshape(*kept[name].shape[:2], -1)
                observed[what] = nir.TimeGriddedData(np.ascontiguousarray(flat.transpose(1, 0, 2)), float(dt))
        nodes[name] = nir.NIRNodeData(observed)
    return nir.NIRGraphData(nodes)


def write_nirdata(
    recording: DynamicRecording | NirData | nir.NIRGraphData, path: str | Path, *, dt: float | None = None
) -> Path:
    """Write a recording as NIRData; see `spikeport.write_nirdata`."""
    made = recording
    if isinstance(made, DynamicRecording):
        made = nirdata_of(made, _step(made, dt))
    elif dt is not None:
        raise OptionError(Problem("dt", "is given for a recording that has its own", "leave it out"))
    elif isinstance(made, nir.NIRGraphData):
        made = _object_of(data_of(made))
    elif isinstance(made, NirData):
        made = _object_of(made)
        data_of(made)  # what nobody could read is not written
    else:
        raise DataError(
            Problem("recording", f"is a {type(made).__name__}", "what sp.simulate or sp.read_nirdata gives")
        )
    packed = BytesIO()  # the library never writes to the disk: where that is full, it crashes
    nir.write_data(packed, made)
    return write_whole(path, packed.getvalue())


def _step(recording: DynamicRecording, dt: float | None) -> float:
    """Seconds of a step: what its spikes say.

    Raises:
        DataError: nobody says it, or two things are said.
    """
    found = {events.dt for events in recording.spikes.values()} | ({float(dt)} if dt is not None else set())
    if len(found) != 1 or not all(isfinite(step) and step > 0 for step in found):
        said = " and ".join(f"{step:g} s" for step in sorted(found)) or "said nowhere: potentials do not know it"
        raise DataError(Problem("dt", f"is {said}", "dt=network.contract.dt"))
    return found.pop()


def _object_of(data: NirData) -> nir.NIRGraphData:
    problems = [
        Problem(name, "has a / in its name, which NIRData cannot hold", "rename it")
        for name in (*data.nodes, *(what for observed in data.nodes.values() for what in observed))
        if "/" in name
    ]
    problems += [
        Problem(f"{name}.{what}", "holds nothing", "leave it out")
        for name, observed in data.nodes.items()
        for what, seen in observed.items()
        if isinstance(seen, Gridded) and not seen.data.size
    ]
    if problems:
        raise DataError(problems)
    return nir.NIRGraphData(
        {
            name: nir.NIRNodeData({what: _observed(seen) for what, seen in observed.items()})
            for name, observed in data.nodes.items()
        }
    )


def _observed(seen: Observed) -> Any:
    if isinstance(seen, Gridded):
        return nir.TimeGriddedData(seen.data, seen.dt)
    missing = ((0, 0), (0, int(not seen.neurons.shape[1])))  # HDF5 compresses nothing that is empty
    neurons, times = np.pad(seen.neurons, missing, constant_values=-1), np.pad(seen.times, missing, constant_values=inf)
    if seen.values is None:
        return nir.EventData(neurons, times, seen.n_neurons, seen.t_max)
    return nir.ValuedEventData(neurons, times, seen.n_neurons, seen.t_max, np.pad(seen.values, missing))


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
