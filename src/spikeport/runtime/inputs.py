"""What enters a run, in seconds and hertz, as spikes of steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.primitives import Shape, SpikeEvents, SpikeInput, freeze_fields


@dataclass(frozen=True, slots=True, eq=False)
class Poisson:
    """Spikes at random, each line on its own; in a step a line sends as many as the Poisson distribution of mean `rate dt` says."""

    rate: float | NDArray[Any]
    """Hertz, at least 0; broadcastable to the input's shape."""
    seed: int = 0

    def __post_init__(self) -> None:
        freeze_fields(self, "rate")


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTimes:
    """Spikes at given times, on given lines; a spike belongs to the step that its time lies in."""

    times: NDArray[Any]
    """Seconds from the beginning, shape (spike,), in any order."""
    lines: NDArray[Any]
    """Flat indices, shape (spike,)."""

    def __post_init__(self) -> None:
        freeze_fields(self, "times", "lines")


ON_THE_GRID = 1e-6
"""Of a step: a time that is so close below the beginning of a step means that one; seconds are decimal fractions, which floats round."""


def entering(place: SpikeInput, given: Any, *, n_steps: int, dt: float) -> Any:
    """Spikes for one input, as simulators take them: `SpikeEvents`, or a raster (time, batch, *input).

    Args:
        given: a raster (time, *input) or (time, batch, *input), `SpikeEvents`, `SpikeTimes` or `Poisson`.

    Raises:
        DataError: times or lines that do not exist, or rates that are none.
    """
    match given:
        case Poisson():
            return _poisson(place, given, n_steps, dt)
        case SpikeTimes():
            return _times(place, given, n_steps, dt)
        case SpikeEvents():
            return given
        case _:
            values = given.detach().cpu().numpy() if hasattr(given, "detach") else np.asarray(given)
            return values[:, None] if values.shape[1:] == place.shape else values


def going_on(place: SpikeInput, given: Any, *, n_steps: int, dt: float, first: int, batch: int) -> SpikeEvents:
    """Spikes of some steps of a session, for all its samples; what is given for one sample enters all of them.

    `Poisson` is drawn step by step and sample by sample, from counters: a step's spikes are the same wherever a session is cut.

    Args:
        given: as for `entering`; times are from the first of these steps on.
        first: index of that step in the session.

    Raises:
        DataError: as `entering`; or samples of another number.
    """
    if isinstance(given, Poisson):
        return _poisson_by_step(place, given, n_steps, dt, first, batch)
    made = entering(place, given, n_steps=n_steps, dt=dt)
    if not isinstance(made, SpikeEvents):
        made = _listed(place, made, dt)
    if made.batch not in (1, batch):
        raise DataError(
            Problem(place.name, f"has {made.batch} samples, and the session {batch}", "one for all, or each")
        )
    if made.n_steps > n_steps:
        raise DataError(Problem(place.name, f"has {made.n_steps} steps, and {n_steps} are taken"))
    if made.batch == batch:
        return made
    samples = np.repeat(np.arange(batch), len(made))
    steps, neurons = np.tile(made.steps, batch), np.tile(made.neurons, batch)
    values = None if made.values is None else np.tile(made.values, batch)
    return SpikeEvents(samples, steps, neurons, made.shape, made.n_steps, batch, made.dt, values)


def _listed(place: SpikeInput, raster: Any, dt: float) -> SpikeEvents:
    """A raster (time, batch, *input) as a list."""
    if raster.ndim < 2 or raster.shape[2:] != place.shape:
        hint = f"(time, *{place.shape}), or with the batch behind time"
        raise DataError(Problem(place.name, f"has shape {raster.shape}", hint))
    if raster.dtype.kind not in "iufb" or not np.isfinite(raster).all():
        raise DataError(Problem(place.name, "is not finite numbers"))
    flat = raster.reshape(*raster.shape[:2], place.size).transpose(1, 0, 2)
    samples, steps, neurons = np.nonzero(flat)
    values = flat[samples, steps, neurons]
    payloads = None if (values == 1).all() else values
    return SpikeEvents(samples, steps, neurons, place.shape, len(raster), raster.shape[1], dt, payloads)


def _poisson_by_step(place: SpikeInput, given: Poisson, n_steps: int, dt: float, first: int, batch: int) -> SpikeEvents:
    mean = _rates(place, given) * dt
    found = []
    for sample in range(batch):
        key = np.random.SeedSequence([given.seed, sample]).generate_state(2, np.uint64)
        for step in range(n_steps if mean.any() else 0):
            # the highest word of the counter is the step: no step's numbers come to those of another
            drawn = np.random.Generator(np.random.Philox(counter=[0, 0, 0, first + step], key=key)).poisson(mean)
            lines = np.flatnonzero(drawn)
            found.append((np.full(len(lines), sample), np.full(len(lines), step), lines, drawn[lines]))
    none = np.zeros(0, np.int64)
    columns = [np.concatenate([none, *column]) for column in zip(*found, strict=True)] if found else [none] * 4
    values = None if (columns[3] == 1).all() else columns[3]
    return SpikeEvents(columns[0], columns[1], columns[2], place.shape, n_steps, batch, dt, values)


def _rates(place: SpikeInput, given: Poisson) -> NDArray[np.float64]:
    """Hertz of each line, flat."""
    rate = np.asarray(given.rate, dtype=np.float64)
    try:
        each = np.broadcast_to(rate, place.shape).ravel()
    except ValueError as error:
        why = f"has rates of shape {rate.shape}, and the input is {place.shape}"
        raise DataError(Problem(place.name, why)) from error
    if not (np.isfinite(each) & (each >= 0)).all():
        raise DataError(Problem(place.name, "has rates that are no numbers of hertz from 0 on"))
    return each


def _poisson(place: SpikeInput, given: Poisson, n_steps: int, dt: float) -> SpikeEvents:
    each = _rates(place, given)
    rng = np.random.default_rng(given.seed)
    # the number of spikes of a line in the whole time, spread evenly over its steps, is the same process
    totals = rng.poisson(each * dt * n_steps)
    lines = np.repeat(np.arange(place.size), totals)
    return _events(rng.integers(0, n_steps, len(lines)), lines, place.shape, n_steps, dt)


def _times(place: SpikeInput, given: SpikeTimes, n_steps: int, dt: float) -> SpikeEvents:
    times, lines = np.asarray(given.times, dtype=np.float64), np.asarray(given.lines)
    problems = []
    if times.ndim != 1 or lines.shape != times.shape:
        problems.append(Problem(place.name, f"has times of shape {times.shape} and lines of shape {lines.shape}"))
    elif times.size:
        if not np.isfinite(times).all() or times.min() < 0 or times.max() >= n_steps * dt:
            why = f"has spikes outside of the run, which ends at {n_steps * dt:g} s"
            problems.append(Problem(place.name, why, "give seconds from the beginning, or a longer duration"))
        if lines.dtype.kind not in "iu" or lines.min() < 0 or lines.max() >= place.size:
            problems.append(Problem(place.name, f"has spikes on lines other than 0 to {place.size - 1}"))
    if problems:
        raise DataError(problems)
    steps = np.minimum((times / dt + ON_THE_GRID).astype(np.int64), n_steps - 1)
    return _events(steps, lines.astype(np.int64), place.shape, n_steps, dt)


def _events(steps: NDArray[Any], lines: NDArray[Any], shape: Shape, n_steps: int, dt: float) -> SpikeEvents:
    """Events in order; several in one place are one that counts so many."""
    size = prod(shape)
    places, counts = np.unique(steps.astype(np.int64) * size + lines, return_counts=True)
    values = None if (counts == 1).all() else counts.astype(np.int64)
    samples = np.zeros(len(places), np.int64)
    return SpikeEvents(samples, places // size, places % size, shape, n_steps, 1, dt, values)
