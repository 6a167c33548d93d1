"""What goes into a simulation: spikes from outside by step, and currents, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, OptionError, Problem
from spikeport.primitives import DynamicNetwork, DynamicsContract, SpikeEvents, SpikeInput

LARGEST_CURRENT = 2**31
"""Largest absolute value of a current under integer arithmetic."""
LARGEST_INPUT = 2**15
"""Largest absolute value of a spike from outside under integer arithmetic."""
LARGEST_PAYLOAD = 2**24
"""The same for the neurons of a chip."""
DTYPES = {"float64": np.float64, "float32": np.float32, "integer": np.int64}


def dtype_of(contract: DynamicsContract) -> Any:
    """In which potentials, weights and inputs are held."""
    return np.int64 if contract.chip else DTYPES[contract.arithmetic]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Spikes of one input: those of sample b and step t are entries `offsets[b, t]` to `offsets[b, t + 1]`, neurons rising."""

    offsets: NDArray[np.int64]
    """Shape (batch, n_steps + 1)."""
    neurons: NDArray[np.uint32]
    values: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """All that enters."""

    n_steps: int
    batch: int
    events: tuple[Events, ...]
    """One entry an input, in the order of the network."""
    currents: Mapping[str, NDArray[Any]]
    """By population, shape (time or 1, batch or 1, neuron)."""
    modulation: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """By third factor, shape (time or 1, batch or 1, neuron or 1)."""


def drive(
    network: DynamicNetwork,
    x: Any,
    *,
    n_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    modulation: Mapping[str, Any] | None = None,
    batch: int | None = None,
) -> Drive:
    """Check and sort what enters.

    Args:
        x: by name of the input a raster (time, batch, *input) or `SpikeEvents`; without a name where there is one input; None
            where there is none.
        n_steps: steps to simulate; by default as many as the input has.
        currents: by name of the population, shape broadcastable to (*population), constant in all samples and steps, or
            (batch, *population), or (time, batch, *population).
        modulation: third factors that plasticity needs, by name: a number, or (time, batch), or (time, batch, *population) for one number
            for each target; 1 in place of time or batch stands for all of them.
        batch: samples that there must be; by default as many as the input has, or 1.

    Raises:
        DataError: what does not fit, all of it by name.
        OptionError: nothing says how many steps there are.
    """
    problems: list[Problem] = []
    given = _named(network, x, problems)
    fed = {name: np.asarray(values) for name, values in (currents or {}).items()}
    for name, values in list(fed.items()):
        if name not in network.by_name:
            problems.append(Problem(f"currents[{name!r}]", "is not a population of this network"))
            del fed[name]
        elif network.contract.chip:
            hint = "send spikes over a projection, or give the neurons a bias"
            problems.append(
                Problem(f"currents[{name!r}]", f"neurons of {network.contract.integrator} take no currents", hint)
            )
            del fed[name]
        elif not _numbers(values):
            problems.append(Problem(f"currents[{name!r}]", "is not finite numbers"))
            del fed[name]
    lengths = {name: (_steps(v), _batch(v)) for name, v in given.items()}
    lengths |= {
        f"currents[{name!r}]": _current_lengths(values, len(network[name].shape)) for name, values in fed.items()
    }
    steps, found = {n for n, _ in lengths.values() if n}, {b for _, b in lengths.values() if b}
    if n_steps is None and not steps and not problems:
        raise OptionError(Problem("n_steps", "nothing says how many steps to simulate", "give n_steps"))
    if n_steps is not None and (isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer) or n_steps < 1):
        raise OptionError(Problem("n_steps", f"is {n_steps!r}", "at least one step"))
    total = int(n_steps) if n_steps is not None else max(steps, default=1)
    for name, (n, _) in lengths.items():
        if n > total or (n_steps is None and 0 < n < total):
            problems.append(Problem(name, f"has {n} steps, and {total} are simulated"))
    if len(found) > 1:
        problems.append(Problem("input", f"has samples of different numbers: {sorted(found)}"))
    elif batch is not None and found - {batch}:
        problems.append(Problem("input", f"has {max(found)} samples, and the session was opened for {batch}"))
    samples = batch or max(found, default=1)
    events = tuple(_events(network, place, given.get(place.name), total, samples, problems) for place in network.inputs)
    ready = {name: _current(network, name, values, total, problems) for name, values in fed.items()}
    told = checked_modulation(network, modulation, total, samples, problems)
    if problems:
        raise DataError(problems)
    return Drive(total, samples, events, ready, told)


def checked_modulation(
    network: DynamicNetwork,
    modulation: Mapping[str, Any] | None,
    n_steps: int,
    batch: int,
    problems: list[Problem],
) -> dict[str, NDArray[Any]]:
    """Third factors as (time or 1, batch or 1, neuron or 1), in the dtype of the arithmetic; what does not fit is added to `problems`."""
    needed, found = network.third_factors, dict[str, NDArray[Any]]()
    given = dict(modulation or {})
    for name in given.keys() - needed.keys():
        hint = f"one of {', '.join(needed)}" if needed else "leave it out"
        problems.append(Problem(f"modulation[{name!r}]", "is a third factor of no projection of this network", hint))
    for name, targets in needed.items():
        where = f"modulation[{name!r}]"
        if name not in given:
            why = f"is not given, and what leads to {', '.join(dict.fromkeys(targets))} learns by it"
            problems.append(Problem(where, why, f"modulation={{{name!r}: 0.0}} for none"))
            continue
        values = np.asarray(given[name])
        if not _numbers(values):
            problems.append(Problem(where, "is not finite numbers"))
            continue
        shapes = {network[target].shape for target in targets}
        lead = values.shape[:2] if values.ndim else (1, 1)
        each = values.shape[2:]
        fits = len(lead) == 2 and lead[0] in (1, *range(n_steps, lead[0] + 1)) and lead[1] in (1, batch)
        told = prod(each) == 1 or all(each in (shape, (prod(shape),)) for shape in shapes)
        if not fits or not told:
            wanted = " and ".join(map(str, sorted(shapes)))
            hint = f"a number, or (time, batch), or (time, batch, *target): {n_steps} steps, {batch} samples, target {wanted}"
            problems.append(Problem(where, f"has shape {values.shape}", hint))
            continue
        flat = values.reshape(*lead, prod(each))
        found[name] = _in_range(network, flat, LARGEST_INPUT, where, problems)
    return found


def checked_modulators(network: DynamicNetwork, batch: int, values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Third factors of one step: (batch or 1, neuron or 1), in the dtype of the arithmetic.

    Raises:
        DataError: names or values that do not fit, or that are missing.
    """
    problems: list[Problem] = []
    timed = {name: np.asarray(v)[None] if np.ndim(v) else v for name, v in values.items()}
    found = checked_modulation(network, timed, 1, batch, problems)
    if problems:
        raise DataError(problems)
    return {name: v[0] for name, v in found.items()}


def require_modulation(network: DynamicNetwork, modulation: Mapping[str, Any]) -> None:
    """Refuse a step of which a third factor is not known.

    Raises:
        DataError: it was never given.
    """
    missing = [name for name in network.third_factors if name not in modulation]
    if missing:
        raise DataError([Problem(name, "is a third factor that was not given", "session.modulate") for name in missing])


def _named(network: DynamicNetwork, x: Any, problems: list[Problem]) -> dict[str, Any]:
    names = [place.name for place in network.inputs]
    if x is None:
        return {}
    if not isinstance(x, Mapping):
        if len(names) != 1:
            problems.append(
                Problem("input", f"the network has {len(names)} inputs", "give a mapping from names to spikes")
            )
            return {}
        x = {names[0]: x}
    given: dict[str, Any] = {}
    for name, spikes in x.items():
        if name not in names:
            problems.append(Problem(name, "is not an input of this network", f"one of {', '.join(names) or 'none'}"))
            continue
        shape = network.inputs[names.index(name)].shape
        if isinstance(spikes, SpikeEvents):
            if spikes.shape == shape:
                given[name] = spikes
            else:
                problems.append(Problem(name, f"spikes are of shape {spikes.shape}, and the input has {shape}"))
            continue
        raster = spikes.detach().cpu().numpy() if hasattr(spikes, "detach") else np.asarray(spikes)
        if raster.ndim < 2 or raster.shape[2:] != shape:
            problems.append(Problem(name, f"has shape {raster.shape}", f"(time, batch, {', '.join(map(str, shape))})"))
        elif not _numbers(raster):
            problems.append(Problem(name, "is not finite numbers"))
        elif not raster.shape[1]:
            problems.append(Problem(name, "has no samples", f"(time, batch, {', '.join(map(str, shape))})"))
        else:
            given[name] = raster
    return given


def _largest_input(network: DynamicNetwork) -> int:
    return LARGEST_PAYLOAD if network.contract.chip else LARGEST_INPUT


def _numbers(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iufb" and bool(np.isfinite(values).all())


def _steps(spikes: Any) -> int:
    return spikes.n_steps if isinstance(spikes, SpikeEvents) else len(spikes)


def _batch(spikes: Any) -> int:
    return spikes.batch if isinstance(spikes, SpikeEvents) else spikes.shape[1]


def _current_lengths(values: NDArray[Any], ndim: int) -> tuple[int, int]:
    """Steps and samples that a current has; 0 where it is constant."""
    if values.ndim <= ndim:
        return 0, 0
    return (0, values.shape[0]) if values.ndim == ndim + 1 else (values.shape[0], values.shape[1])


def _in_range(
    network: DynamicNetwork, values: NDArray[Any], limit: int, where: str, problems: list[Problem]
) -> NDArray[Any]:
    if dtype_of(network.contract) is np.int64 and values.size:
        before = len(problems)
        if (values != np.rint(values)).any():
            problems.append(Problem(where, "has values that are not whole numbers, and the arithmetic is integer"))
        elif np.abs(values.astype(np.float64)).max() > limit:
            problems.append(Problem(where, f"has values beyond {limit:,}, and the arithmetic is integer"))
        if len(problems) > before:
            values = np.zeros_like(values)  # a cast might say more than the problem does
    return np.ascontiguousarray(values, dtype=dtype_of(network.contract))


def _events(
    network: DynamicNetwork, place: SpikeInput, spikes: Any, n_steps: int, batch: int, problems: list[Problem]
) -> Events:
    if spikes is None or problems:
        return Events(
            np.zeros((batch, n_steps + 1), np.int64), np.zeros(0, np.uint32), np.zeros(0, dtype_of(network.contract))
        )
    if isinstance(spikes, SpikeEvents):
        sample, step, neuron = (np.asarray(a, dtype=np.int64) for a in (spikes.samples, spikes.steps, spikes.neurons))
        for what, index, count in (
            ("samples", sample, batch),
            ("steps", step, spikes.n_steps),
            ("neurons", neuron, place.size),
        ):
            if index.size and not (index.min() >= 0 and index.max() < count):
                problems.append(
                    Problem(
                        place.name, f"{what} of its spikes run from {index.min()} to {index.max()}, not below {count}"
                    )
                )
        if problems:
            return _events(network, place, None, n_steps, batch, problems)
        payload = np.ones(len(spikes), np.int64) if spikes.values is None else np.asarray(spikes.values)
        if payload.shape != step.shape or not _numbers(payload):
            why = f"has payloads of type {payload.dtype} and shape {payload.shape} for {len(spikes)} spikes"
            problems.append(Problem(place.name, why, "one finite number a spike"))
            return _events(network, place, None, n_steps, batch, problems)
        # a spike that is listed twice counts twice
        place_of, which = np.unique((sample * n_steps + step) * place.size + neuron, return_inverse=True)
        values = np.zeros(len(place_of), dtype=np.int64 if payload.dtype.kind in "iub" else np.float64)
        np.add.at(values, which, payload)
        sample, rest = np.divmod(place_of, n_steps * place.size)
        step, neuron = np.divmod(rest, place.size)
        values = _in_range(network, values, _largest_input(network), place.name, problems)
    else:
        flat = spikes.reshape(len(spikes), batch, place.size).transpose(1, 0, 2)
        sample, step, neuron = np.nonzero(flat)
        values = _in_range(network, flat[sample, step, neuron], _largest_input(network), place.name, problems)
    counts = np.bincount(sample * n_steps + step, minlength=batch * n_steps).reshape(batch, n_steps)
    ends = np.cumsum(counts).reshape(batch, n_steps)
    offsets = np.concatenate([(ends - counts)[:, :1], ends], axis=1)
    return Events(np.ascontiguousarray(offsets), neuron.astype(np.uint32), values)


def _current(
    network: DynamicNetwork, name: str, values: NDArray[Any], n_steps: int, problems: list[Problem]
) -> NDArray[Any]:
    """As (time or 1, batch or 1, neuron)."""
    shape, where = network[name].shape, f"currents[{name!r}]"
    lead = max(0, values.ndim - len(shape))
    try:
        wide = np.broadcast_to(values, (*values.shape[:lead], *shape))
    except ValueError:
        lead = 3
    if lead > 2:
        problems.append(
            Problem(where, f"has shape {values.shape}", f"{shape}, with (batch,) or (time, batch) before it")
        )
        return np.zeros((1, 1, network[name].size), dtype_of(network.contract))
    flat = wide.reshape((1,) * (2 - lead) + values.shape[:lead] + (network[name].size,))
    if lead == 2 and len(flat) < n_steps:
        why = f"has {len(flat)} steps, and {n_steps} are simulated"
        problems.append(Problem(where, why, "a current without an end has no time axis"))
    return _in_range(network, flat, LARGEST_CURRENT, where, problems)
