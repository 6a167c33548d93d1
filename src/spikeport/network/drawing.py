"""Synapses that are drawn: which pairs of neurons are joined, with which weights and delays."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem
from spikeport.network.recipes import DistanceDependent, Normal, Uniform, Weights
from spikeport.primitives import Shape

Indices = NDArray[np.int64]
BLOCK = 2**22
"""Pairs that are looked at in one go."""
_MOST_TRIES = 1000


def draw(values: Weights, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """So many values; one number stays one.

    Raises:
        OptionError: a distribution that has no such values.
    """
    match values:
        case Normal():
            return _cut_normal(values, n, rng)
        case Uniform(low, high):
            if not low <= high:
                raise OptionError(Problem("Uniform", f"is {values}", "low at most high"))
            return rng.uniform(low, high, n)
        case _:
            return np.asarray(values)


def _cut_normal(normal: Normal, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if not (normal.std >= 0 and normal.low <= normal.high):
        raise OptionError(Problem("Normal", f"is {normal}", "std of at least 0, and low at most high"))
    values = rng.normal(normal.mean, normal.std, n)
    for _ in range(_MOST_TRIES):
        outside = np.flatnonzero((values < normal.low) | (values > normal.high))
        if not len(outside):
            return values
        values[outside] = rng.normal(normal.mean, normal.std, len(outside))
    raise OptionError(Problem("Normal", f"{normal} has hardly any values in its range", "widen the range"))


def pairs_with_probability(p: float, pre: int, post: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Offsets by source and targets: each pair with probability `p`, targets rising within a source.

    The gaps between joined pairs, numbered in C order, are geometric: so the time is that of the synapses, not of the pairs.
    """
    if p == 0:
        return np.zeros(pre + 1, np.int64), np.zeros(0, np.uint32)
    rows = max(1, BLOCK // max(1, ceil(post * p)))
    counts, targets = [np.zeros(1, np.int64)], []
    for begin in range(0, pre, rows):
        size = min(rows, pre - begin) * post
        found = _positions(p, size, rng)
        source = found // post
        counts.append(np.bincount(source, minlength=min(rows, pre - begin)))
        source *= post
        found -= source
        targets.append(found.astype(np.uint32))
    return np.cumsum(np.concatenate(counts)), np.concatenate(targets) if targets else np.zeros(0, np.uint32)


def _positions(p: float, size: int, rng: np.random.Generator) -> Indices:
    """Those of `size` places that are taken, each with probability `p`."""
    if p == 1:
        return np.arange(size)
    parts: list[Indices] = []
    last = -1
    while last < size:
        expected = (size - last) * p
        gaps = rng.geometric(p, int(expected + 4 * sqrt(expected) + 16))
        part = last + np.cumsum(np.minimum(gaps, size + 1))
        parts.append(part)
        last = int(part[-1])
    found = np.concatenate(parts)
    return found[: np.searchsorted(found, size)]


def pairs_of_in_degree(
    n: int, pre: int, post: int, multapses: bool, selves: bool, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Sources and targets, by target: `n` sources for each. `selves`: whether a neuron may be its own source."""
    targets = np.repeat(np.arange(post), n)
    most = pre if selves else pre - 1
    if multapses:
        sources = rng.integers(0, most, n * post)
    else:
        sources = np.concatenate([rng.choice(most, n, replace=False) for _ in range(post)]) if post else targets
    if not selves:
        sources += sources >= targets
    return sources, targets


def pairs_by_distance(
    recipe: DistanceDependent, source: Shape, target: Shape, same: bool, rng: np.random.Generator
) -> tuple[Indices, Indices, NDArray[np.float64]]:
    """Sources, targets and distances; `same`: whether source and target are one population.

    Raises:
        OptionError: probabilities outside of 0 to 1.
    """
    places, pre, post = _places(target), prod(source), prod(target)
    parts = []
    rows = max(1, BLOCK // post)
    for begin in range(0, pre, rows):
        here = np.arange(begin, min(begin + rows, pre))
        apart = np.abs(_places(source, here)[:, None] - places[None])
        if recipe.periodic:
            apart = np.minimum(apart, 1 - apart)
        distance = np.sqrt((apart**2).sum(axis=2))
        p = _probability(recipe, distance)
        taken = rng.random(p.shape) < p
        if same and not recipe.self_connections:
            taken[here - begin, here] = False
        j, i = np.nonzero(taken)
        parts.append((j + begin, i, distance[j, i]))
    sources, targets, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sources, targets, distances


def _probability(recipe: DistanceDependent, distance: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(recipe.probability, Normal):
        normal = recipe.probability
        if not normal.std > 0:
            raise OptionError(Problem("DistanceDependent.probability", f"is {normal}", "a positive std"))
        return np.exp(-((distance - normal.mean) ** 2) / (2 * normal.std**2))
    p = np.asarray(recipe.probability(distance.ravel()), dtype=np.float64).reshape(distance.shape)
    if not ((p >= 0) & (p <= 1)).all():
        raise OptionError(Problem("DistanceDependent.probability", "gives values outside of 0 to 1"))
    return p


def _places(shape: Shape, which: Indices | None = None) -> NDArray[np.float64]:
    """Where neurons stand in the unit cube, shape (neuron, axis)."""
    index = np.arange(prod(shape)) if which is None else which
    return np.stack([axis / size for axis, size in zip(np.unravel_index(index, shape), shape, strict=True)], axis=1)


def by_delay(steps: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp] | slice]]:
    """Each number of steps there is, rising, and which entries have it."""
    if steps.ndim == 0:
        yield int(steps), slice(None)
        return
    for value in np.unique(steps):
        yield int(value), np.flatnonzero(steps == value)
