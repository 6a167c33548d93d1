"""Recordings as NIRData says them: for each node what was observed, on a grid of time or as a list of events.

A file is HDF5, and what a group is stands in its attributes. Like any file from outside it is read by another process, within bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import floor, isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.nir import limits
from spikeport.primitives import DynamicRecording, SpikeEvents
from spikeport.primitives.frozen import freeze_fields
from spikeport.storage import hdf5
from spikeport.storage.hdf5 import ATTRIBUTES, Tree

FILE = hdf5.Kind(
    name="NIRData",
    suffix=".nird",
    error=DataError,
    again="write it again, with nir or sp.write_nirdata",
    max_file_bytes=limits.MAX_FILE_BYTES,
    max_loaded_bytes=limits.MAX_LOADED_BYTES,
    max_objects=limits.MAX_OBJECTS,
    max_depth=limits.MAX_DEPTH,
    max_rank=3,
    max_name=limits.MAX_NAME,
    max_text=limits.MAX_NAME,
    max_attributes=8,
)
SPIKES, POTENTIALS, CURRENTS = "spikes", "potentials", "currents"
"""What we call what we observe; the last one is the second state of neurons."""
MAX_CELLS = 2**27
"""Steps times neurons times samples that events are laid out over."""
WHOLE = 1e-6
"""Of a step: a time that is so near to the beginning of one is meant to be there; and one that its type cannot hold better."""
TYPE = "__type__"


@dataclass(frozen=True, slots=True, eq=False)
class Gridded:
    """What was observed in every step, shape (sample, time, neuron); truth values are spikes."""

    data: NDArray[Any]
    dt: float
    """Seconds of a step."""

    def __post_init__(self) -> None:
        freeze_fields(self, "data")


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What happened when, shape (sample, event); where a sample has fewer events than another, the neuron is -1."""

    neurons: NDArray[Any]
    times: NDArray[Any]
    """Seconds."""
    n_neurons: int
    t_max: float
    """Seconds that were recorded."""
    values: NDArray[Any] | None = None
    """Of each event; None: it has none but that it happened."""

    def __post_init__(self) -> None:
        freeze_fields(self, "neurons", "times", "values")

    def on_grid(self, dt: float) -> Gridded:
        """The sum of the values of each neuron in each step; an event without a value counts 1.

        Raises:
            DataError: it does not fit into memory, or an event is after the last step.
        """
        samples, steps, neurons, values = self.by_step(dt)
        n_steps = self.n_steps(dt)
        if n_steps * max(1, self.n_neurons) * max(1, len(self.neurons)) > MAX_CELLS:
            why = f"has {n_steps:,} steps of {dt:g} s of {self.n_neurons:,} neurons, more than {MAX_CELLS:,} values"
            raise DataError(Problem("events", why, "give a longer step, or record less"))
        data: NDArray[Any] = np.zeros((len(self.neurons), n_steps, self.n_neurons), values.dtype)
        np.add.at(data, (samples, steps, neurons), values)
        return Gridded(data, dt)

    def n_steps(self, dt: float) -> int:
        """Steps that the recording takes, the last one whole or begun."""
        exact = self.t_max / dt
        if not exact < 2**53:
            raise DataError(
                Problem("events", f"last {self.t_max:g} s, too many steps of {dt:g} s", "give a longer step")
            )
        near = round(exact)
        return near if abs(exact - near) <= WHOLE else floor(exact) + 1  # as near as float64 holds it

    def by_step(self, dt: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """Samples, steps, neurons and values of all events, sample by sample."""
        there = self.neurons >= 0
        samples, places = np.nonzero(there)
        exact = self.times[samples, places].astype(np.float64) / dt
        held = np.finfo(self.times.dtype).eps if self.times.dtype.kind == "f" else 0.0
        near = np.abs(exact - np.rint(exact)) <= np.clip(2 * held * exact, WHOLE, 0.25)
        steps = np.where(near, np.rint(exact), np.floor(exact))
        n_steps = self.n_steps(dt)
        if (steps >= n_steps).any():
            why = f"hold one at {self.times[samples, places].max():g} s, and {n_steps:,} steps of {dt:g} s end there or before"
            raise DataError(Problem("events", why, "record one step more, t_max"))
        values = np.ones(len(samples), np.int64) if self.values is None else _wide(self.values[samples, places])
        return samples, steps.astype(np.int64), self.neurons[samples, places].astype(np.int64), values


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers where their sums have room."""
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


Observed = Gridded | Events


@dataclass(frozen=True, slots=True, eq=False)
class NirData:
    """A recording: by node (`sub.lif` for one in a nested graph) and by the name of what was observed."""

    nodes: Mapping[str, Mapping[str, Observed]]

    def __post_init__(self) -> None:
        frozen = {name: MappingProxyType(dict(observed)) for name, observed in self.nodes.items()}
        object.__setattr__(self, "nodes", MappingProxyType(frozen))

    @property
    def dt(self) -> float | None:
        """Of what is on a grid; None if nothing is.

        Raises:
            DataError: several.
        """
        found = {o.dt for observed in self.nodes.values() for o in observed.values() if isinstance(o, Gridded)}
        if len(found) > 1:
            why = f"has time steps of {', '.join(f'{dt:g}' for dt in sorted(found))} s"
            raise DataError(Problem("recording", why, "record on one grid of time"))
        return next(iter(found), None)

    def recording(self, dt: float | None = None) -> DynamicRecording:
        """The same as what a simulation gives, neurons in one axis: events and truth values are spikes, and whatever is called `spikes`;
        numbers called `currents` are second states of neurons, and others potentials.

        Args:
            dt: seconds of a step, for events; default: that of what is on a grid.

        Raises:
            DataError: no step or several, lengths or samples that differ, or two observations of one kind at a node.
        """
        step = step_of(self, dt)
        spikes: dict[str, SpikeEvents] = {}
        potentials: dict[str, NDArray[Any]] = {}
        currents: dict[str, NDArray[Any]] = {}
        for name, observed in self.nodes.items():
            second = observed.get(CURRENTS)
            if isinstance(second, Gridded):
                currents[name] = np.ascontiguousarray(second.data.transpose(1, 0, 2))
                observed = {what: seen for what, seen in observed.items() if what != CURRENTS}
            fired, kept = sorted_out(name, observed)
            if fired is not None:
                spikes[name] = _spikes(fired, step)
            if kept is not None:
                potentials[name] = np.ascontiguousarray(kept.data.transpose(1, 0, 2))
        grids = (*potentials.values(), *currents.values())
        lengths = {s.n_steps for s in spikes.values()} | {len(p) for p in grids}
        batches = {s.batch for s in spikes.values()} | {p.shape[1] for p in grids}
        for what, found in (("steps", lengths), ("samples", batches)):
            if len(found) != 1:
                raise DataError(Problem("recording", f"has {sorted(found)} {what}", f"record the same {what} of all"))
        counts = {name: s.counts for name, s in spikes.items()}
        return DynamicRecording(lengths.pop(), counts, spikes, potentials, currents)


def step_of(data: NirData, dt: float | None) -> float:
    """Seconds of a step.

    Raises:
        DataError: nobody says it, or it is not what the recording says.
    """
    own = data.dt
    if dt is not None and not (isfinite(dt) and dt > 0):
        raise DataError(Problem("dt", f"is {dt!r}", "positive seconds"))
    if own is not None and dt is not None and abs(own - dt) > WHOLE * own:
        raise DataError(Problem("dt", f"is {dt:g} s, and the recording has steps of {own:g} s", "leave it out"))
    found = own if own is not None else dt
    if found is None:
        raise DataError(Problem("dt", "is said nowhere: events have times, and no steps", "dt=1e-4, seconds of a step"))
    return found


def sorted_out(name: str, observed: Mapping[str, Observed]) -> tuple[Observed | None, Gridded | None]:
    """What of a node is spikes, and what potentials.

    Raises:
        DataError: two of one kind.
    """
    fired: dict[str, Observed] = {}
    kept: dict[str, Gridded] = {}
    for what, seen in observed.items():
        if what == CURRENTS and POTENTIALS in observed:
            continue
        if what == SPIKES or isinstance(seen, Events) or seen.data.dtype.kind == "b":
            fired[what] = seen
        else:
            kept[what] = seen
    for found in (fired, kept):
        if len(found) > 1:
            why = f"has {' and '.join(found)}, which are of one kind"
            raise DataError(Problem(name, why, "take what is meant out of `nodes`"))
    return next(iter(fired.values()), None), next(iter(kept.values()), None)


def _spikes(observed: Observed, dt: float) -> SpikeEvents:
    """One event for each neuron and step, in order."""
    if isinstance(observed, Events):
        samples, steps, neurons, values = observed.by_step(dt)
        n_steps, batch, size = observed.n_steps(dt), len(observed.neurons), observed.n_neurons
    else:
        samples, steps, neurons = np.nonzero(observed.data)
        values = _wide(observed.data[samples, steps, neurons])
        batch, n_steps, size = observed.data.shape
    if n_steps * size * batch >= 2**62:
        raise DataError(Problem("events", f"are of {n_steps:,} steps of {size:,} neurons, too many to number"))
    key, place = np.unique((samples * n_steps + steps) * size + neurons, return_inverse=True)
    total = np.zeros(len(key), values.dtype)
    np.add.at(total, place, values)
    cells = key // max(1, size)
    payload = None if (total == 1).all() else total
    return SpikeEvents(
        cells // max(1, n_steps), cells % max(1, n_steps), key % max(1, size), (size,), n_steps, batch, dt, payload
    )


# -- from files and from objects of `nir` ----------------------------------------------------------------------------------


def read_nirdata(path: str | Path) -> NirData:
    """A file of NIRData; see `spikeport.read_nirdata`."""
    return _data_of(hdf5.read_tree(Path(path), FILE), str(path))


def data_of(given: nir.NIRGraphData) -> NirData:
    """The same of an object of `nir`, with the same checks.

    Raises:
        DataError: as `read_nirdata`.
    """
    return _data_of(_tree(given), "recording")


def _data_of(tree: Tree, where: str) -> NirData:
    problems: list[Problem] = []
    nodes: dict[str, dict[str, Observed]] = {}
    if tree.get(ATTRIBUTES, {}).get(TYPE) != "NIRGraphData":
        hint = "give a file that nir.write_data or sp.write_nirdata wrote"
        raise DataError(Problem(where, "holds no NIRData", hint))
    for name, node in _nodes(tree, "", problems):
        if name in nodes:
            problems.append(Problem(name, "is the name of two nodes once nested graphs are written out", "rename one"))
        nodes[name] = node
    if problems:
        raise DataError([replace(p, where=f"{where}: {p.where}") for p in problems])
    return NirData(nodes)


def _nodes(tree: Tree, prefix: str, problems: list[Problem]) -> Iterator[tuple[str, dict[str, Observed]]]:
    for name, node in _members(tree, "nodes", prefix.rstrip(".") or "graph", problems):
        here = f"{prefix}{name}"
        match node.get(ATTRIBUTES, {}).get(TYPE):
            case "NIRGraphData":
                yield from _nodes(node, f"{here}.", problems)
            case "NIRNodeData":
                members = _members(node, "observables", here, problems)
                observed = {what: _observed(seen, f"{here}.{what}", problems) for what, seen in members}
                yield here, {what: seen for what, seen in observed.items() if seen is not None}
            case other:
                problems.append(Problem(here, f"is of type {str(other)[:60]!r}", "NIRNodeData or NIRGraphData"))


def _members(tree: Tree, kind: str, where: str, problems: list[Problem]) -> Iterator[tuple[str, Tree]]:
    """The groups inside of a group that holds nothing else."""
    members = tree.get(kind)
    unknown = sorted(set(tree) - {kind, ATTRIBUTES}) + sorted(set(tree.get(ATTRIBUTES, {})) - {TYPE})
    if not isinstance(members, dict) or unknown or ATTRIBUTES in members:
        what = f"has entries that NIRData does not: {', '.join(unknown[:5])}" if unknown else f"has no {kind}"
        problems.append(Problem(where, what))
        return
    for name, member in members.items():
        if isinstance(member, dict):
            yield name, member
        else:
            problems.append(Problem(f"{where}.{name}", f"is none of the {kind}"))


ENTRIES = {
    "EventData": (("idx", "time"), ("n_neurons", "t_max")),
    "TimeGriddedData": (("data",), ("dt",)),
    "ValuedEventData": (("idx", "time", "value"), ("n_neurons", "t_max")),
}
"""Arrays and numbers of what may be observed."""


def _observed(tree: Tree, where: str, problems: list[Problem]) -> Observed | None:
    attributes = tree.get(ATTRIBUTES, {})
    kind = str(attributes.get(TYPE))
    if kind not in ENTRIES:
        problems.append(Problem(where, f"is of type {kind[:60]!r}", f"NIRData has {', '.join(ENTRIES)}"))
        return None
    names, numbers = ENTRIES[kind]
    given = {**{n: a for n, a in attributes.items() if n != TYPE}, **{n: a for n, a in tree.items() if n != ATTRIBUTES}}
    odd = sorted(set(given) ^ {*names, *numbers})
    if odd:
        problems.append(Problem(where, f"has other entries than a {kind}: {', '.join(name[:40] for name in odd[:5])}"))
        return None
    found = list(_wrong(given, names, numbers, where))
    problems += found
    if found:
        return None
    if kind == "TimeGriddedData":
        return Gridded(given["data"], float(given["dt"].reshape(())))
    size, t_max = int(given["n_neurons"].reshape(())), float(given["t_max"].reshape(()))
    times = given["time"]
    times = times if times.dtype.kind == "f" else times.astype(np.float64)
    return Events(given["idx"], times, size, t_max, given.get("value"))


def _wrong(given: Mapping[str, Any], names: tuple[str, ...], numbers: tuple[str, ...], where: str) -> Iterator[Problem]:
    """What is wrong with the entries of an observation."""
    for name in (*names, *numbers):
        value = given[name]
        one = name in numbers
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or (one and value.size != 1):
            yield Problem(f"{where}.{name}", "is no number")
            return
        if value.dtype.kind in "iu" and ((value > limits.MAX_INTEGER) | (value < -limits.MAX_INTEGER)).any():
            yield Problem(f"{where}.{name}", f"holds integers beyond {limits.MAX_INTEGER:,}")
            return
    for name in numbers:
        value = float(given[name].reshape(()))
        least = 0.0 if name != "dt" else np.nextafter(0, 1)
        if not (isfinite(value) and least <= value <= 2**53) or (name == "n_neurons" and value != int(value)):
            yield Problem(f"{where}.{name}", f"is {value:g}", "a whole number" if name == "n_neurons" else "seconds")
            return
    axes = 3 if names == ("data",) else 2
    shapes = {given[name].shape for name in names}
    if len(shapes) != 1 or len(next(iter(shapes))) != axes:
        said = ", ".join(f"{name} {given[name].shape}" for name in names)
        yield Problem(where, f"has the shapes {said}, and {'one of ' if axes == 2 else ''}{axes} axes are meant")
        return
    if names == ("data",):
        if not np.isfinite(given["data"]).all():
            yield Problem(f"{where}.data", "is not finite everywhere")
        return
    neurons, times = given["idx"], given["time"]
    size, t_max = int(given["n_neurons"].reshape(())), float(given["t_max"].reshape(()))
    if neurons.dtype.kind not in "iu" or (neurons < -1).any() or (neurons >= size).any():
        yield Problem(f"{where}.idx", f"is not of neurons 0 to {size - 1:,}, or -1 for no event")
        return
    there = neurons >= 0
    if not np.isfinite(times[there]).all() or (times[there] < 0).any() or (times[there] > t_max).any():
        yield Problem(f"{where}.time", f"is not within 0 and t_max, {t_max:g} s, for every event")
    if "value" in names and not np.isfinite(given["value"][there]).all():
        yield Problem(f"{where}.value", "is not finite for every event")


def _tree(given: Any) -> Tree:
    """An object of `nir` as a file holds it."""
    kind = type(given).__name__
    tree: Tree = {ATTRIBUTES: {TYPE: kind}}
    if isinstance(given, nir.NIRGraphData):
        tree["nodes"] = {name: _tree(node) for name, node in given.nodes.items()}
    elif isinstance(given, nir.NIRNodeData):
        tree["observables"] = {name: _tree(seen) for name, seen in given.observables.items()}
    elif kind in ENTRIES:
        names, numbers = ENTRIES[kind]
        tree |= {name: np.asarray(getattr(given, name)) for name in names}
        tree[ATTRIBUTES] |= {name: np.asarray(getattr(given, name)) for name in numbers}
    return tree
