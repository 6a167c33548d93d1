"""The first thing in which two recordings differ: population, sample, step, neuron, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording, SpikeEvents, SpikingNetwork


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a backend may be from the reference, and why. Spikes in time are compared only where nothing may differ."""

    counts: int = 0
    """Largest difference of the spike count of a neuron in a sample."""
    potentials: float = 0.0
    """Largest difference of a read-out or a potential at the end of a run."""
    reason: str = ""
    """What makes it differ; empty only where nothing may."""

    def __post_init__(self) -> None:
        if (self.counts or self.potentials) and not self.reason:
            raise ValueError("a tolerance has a reason: say what makes the backend differ")

    @property
    def exact(self) -> bool:
        return not (self.counts or self.potentials)


EXACT = Tolerance()


def difference(
    network: SpikingNetwork | DynamicNetwork,
    found: Recording | DynamicRecording,
    expected: Recording | DynamicRecording,
    tolerance: Tolerance = EXACT,
) -> str | None:
    """What differs first, as a sentence; None where nothing does.

    Args:
        network: gives the order of populations, as far as they update in the same step.
        found: of the backend.
        expected: of the reference.
        tolerance: of counts and final potentials; without one every field is compared, every step, every dtype.
    """
    if not tolerance.exact:
        return next(_beyond(network, found, expected, tolerance), None)
    if found.n_steps != expected.n_steps:
        return f"{network.name}: took {found.n_steps} steps, the reference {expected.n_steps}; {_earliest(network, found, expected) or 'before that all is equal'}"
    return _earliest(network, found, expected) or next(_fields(network, found, expected), None)


def _earliest(network: Any, found: Any, expected: Any) -> str | None:
    """The difference of the lowest step; of one step, in the order of populations, potentials before spikes."""
    first: tuple[int, str] | None = None
    for name in (p.name for p in network.populations):
        for what, mine, theirs in (
            ("potential", _potential(found, name), _potential(expected, name)),
            ("second state", found_second(found, name), found_second(expected, name)),
            ("spike", _raster(found, name), _raster(expected, name)),
        ):
            if mine is None or theirs is None or mine.shape[1:] != theirs.shape[1:]:
                continue
            steps = min(len(mine), len(theirs))
            where = np.argwhere(~_same(mine[:steps], theirs[:steps]))
            if len(where) and (first is None or where[0][0] < first[0]):
                place = tuple(where[0])
                first = int(place[0]), _told(name, what, place, mine[place], theirs[place])
    return first[1] if first else None


def _fields(network: Any, found: Any, expected: Any) -> Iterator[str]:
    """Everything else that a recording holds."""
    for field in ("counts", "n_spikes", "spikes", "potentials", "currents"):
        mine, theirs = getattr(found, field, {}), getattr(expected, field, {})
        if field == "currents" and not mine:
            theirs = {}  # sessions need not give the second state of neurons that are no chip's, and those of chips are asked for it
        if sorted(mine) != sorted(theirs):
            yield f"{network.name}: `{field}` has {', '.join(mine) or 'nothing'}, the reference {', '.join(theirs) or 'nothing'}"
            continue
        for name in mine:
            a, b = (_raster(found, name), _raster(expected, name)) if field == "spikes" else (mine[name], theirs[name])
            yield from _unequal(f"{name}: `{field}`", a, b)
    for field in ("quiet_after", "readout", "output"):
        if hasattr(expected, field):
            yield from _unequal(f"{network.name}: `{field}`", getattr(found, field), getattr(expected, field))


def _unequal(what: str, mine: Any, theirs: Any) -> Iterator[str]:
    if mine.shape != theirs.shape:
        yield f"{what} has shape {mine.shape}, the reference {theirs.shape}"
    elif mine.dtype != theirs.dtype:
        yield f"{what} is of type {mine.dtype}, the reference of {theirs.dtype}"
    elif not (same := _same(mine, theirs)).all():
        place = tuple(np.argwhere(~same)[0])
        yield f"{what} at {tuple(map(int, place))} is {mine[place]}, the reference has {theirs[place]}"


def _beyond(network: Any, found: Any, expected: Any, tolerance: Tolerance) -> Iterator[str]:
    for name, theirs in expected.counts.items():
        off = np.abs(found.counts[name].astype(np.int64) - theirs)
        if off.max(initial=0) > tolerance.counts:
            place = tuple(np.argwhere(off > tolerance.counts)[0])
            limit = f"{tolerance.counts} may differ, as {tolerance.reason}"
            told = _told(name, "count", (-1, *place), found.counts[name][place], theirs[place])
            yield f"{told}; {limit}"
    for name, mine, theirs in _ends(network, found, expected):
        off = np.abs(mine.astype(np.float64) - theirs)
        if off.max(initial=0) > tolerance.potentials:
            place = tuple(np.argwhere(off > tolerance.potentials)[0])
            told = _told(name, "final potential", (-1, *place), mine[place], theirs[place])
            yield f"{told}; {tolerance.potentials} may differ, as {tolerance.reason}"


def _ends(network: Any, found: Any, expected: Any) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    if isinstance(expected, Recording):
        yield network.output, found.readout[-1], expected.readout[-1]
        return
    for name, theirs in expected.potentials.items():
        yield name, found.potentials[name][-1], theirs[-1]


def _told(name: str, what: str, place: tuple[Any, ...], mine: Any, theirs: Any) -> str:
    step, sample, *neuron = map(int, place)
    when = f" after step {step}" if step >= 0 and what != "spike" else f" in step {step}" if step >= 0 else ""
    return f"{name}: neuron {tuple(neuron)} of sample {sample}{when}: {what} {mine}, the reference has {theirs}"


def _potential(recording: Any, name: str) -> NDArray[Any] | None:
    potentials = recording.potentials.get(name)
    if potentials is None and isinstance(recording, Recording) and not recording.spikes:
        return None
    return None if potentials is None else np.asarray(potentials)


def found_second(recording: Any, name: str) -> NDArray[Any] | None:
    """Second state of neurons, where a recording has it."""
    values = getattr(recording, "currents", {}).get(name)
    return None if values is None else np.asarray(values)


def _raster(recording: Any, name: str) -> NDArray[Any] | None:
    train = recording.spikes.get(name)
    if train is None:
        return None
    return np.asarray(train.train().raster if isinstance(train, SpikeEvents) else train.raster)


def _same(mine: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """Equal values; -0.0 and 0.0 are one number, and nothing else is forgiven."""
    equal: NDArray[np.bool_] = np.asarray(mine == theirs)
    return equal
