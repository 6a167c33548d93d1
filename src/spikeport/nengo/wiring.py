"""Transforms as synapses, and Nengo's synapses as populations that filter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.nengo.draft import Draft, Refused, Synapses
from spikeport.primitives import LI, Dense, OneToOne, Relay, Sparse

Feed = Callable[[str, float], None]
"""Adds what a connection brings to a population, times a factor."""


def synapses_of(weights: Any, source: int, rows: NDArray[Any], columns: NDArray[Any], target: int) -> Synapses:
    """A transform between parts of two places: `target[columns] += weights @ source[rows]`.

    Args:
        weights: one number, one for each line, a matrix, or a sparse one.
        source, target: sizes of both.
    """
    if hasattr(weights, "tocoo"):
        entries = weights.tocoo()
        return _sparse(rows[entries.col], columns[entries.row], entries.data, source, target)
    if hasattr(weights, "indices"):
        row, column = np.asarray(weights.indices).T
        return _sparse(rows[column], columns[row], np.asarray(weights.data, float), source, target)
    values = np.asarray(weights, dtype=np.float64)
    whole = len(rows) == source and len(columns) == target
    straight = whole and (rows == np.arange(source)).all() and (columns == np.arange(target)).all()
    if values.ndim < 2:
        each = np.broadcast_to(values, len(rows))
        return (OneToOne(each),) if straight else _sparse(rows, columns, each, source, target)
    if values.ndim > 2:
        raise Refused("its transform is a convolution", "nengo.Sparse or nengo.Dense with the same weights")
    if straight:
        return (Dense(values),)
    to, of = np.indices(values.shape)
    return _sparse(rows[of.ravel()], columns[to.ravel()], values.ravel(), source, target)


def _sparse(sources: Any, targets: Any, weights: Any, pre: int, post: int) -> Synapses:
    return (Sparse.from_pairs(sources, targets, weights, pre=pre, post=post),)


def scaled(weights: Any, factor: float) -> Any:
    """The weights of a transform, times a factor."""
    if hasattr(weights, "tocoo"):
        return weights * factor
    if hasattr(weights, "indices"):
        return type(weights)(weights.indices, np.asarray(weights.data) * factor, weights.shape)
    return np.asarray(weights, dtype=np.float64) * factor


def filtered(draft: Draft, name: str, size: int, synapse: Any, feed: Feed) -> tuple[str, int]:
    """Add what a synapse of Nengo does to what a connection brings; the place that gives it, and the steps it takes from there.

    What Nengo's synapse gives in a step is what it made of the steps before: the last step is the delay.

    Raises:
        Refused: a synapse that is neither of first order nor two of them alike.
    """
    import nengo

    kind = type(synapse)
    if synapse is None:
        feed(draft.population(name, size, Relay()), 1.0)
        return name, 0
    if kind not in (nengo.Lowpass, nengo.Alpha):
        raise Refused(f"its synapse, {synapse}, is no Lowpass and no Alpha", "nengo.Lowpass(tau), or None")
    if not synapse.analog or synapse.method != "zoh":
        raise Refused(f"its synapse, {synapse}, is not made discrete by a zero-order hold", 'method="zoh", analog=True')
    if synapse.tau == 0:
        feed(draft.population(name, size, Relay()), 1.0)
        return name, 1
    if kind is nengo.Lowpass:
        feed(draft.population(name, size, LI(tau=synapse.tau)), 1.0)
        return name, 1
    return _alpha(draft, name, size, synapse.tau, feed), 1


def _alpha(draft: Draft, name: str, size: int, tau: float, feed: Feed) -> str:
    """A lowpass of a lowpass, solved exactly for an input that is held over a step:

    s = d s + k x,  v = d v + a s + b x,  with d = exp(-r), k = 1 - d, a = r d, b = k - a and r = dt / tau. `LI` gives `v = d v + k i`, so i
    is the first one's last value times a / k, and x times b / k.
    """
    ratio = draft.dt / tau
    k = -math.expm1(-ratio)
    a = ratio * math.exp(-ratio)
    arriving = draft.population(f"{name}/arriving", size, Relay())
    first = draft.population(f"{name}/first", size, LI(tau=tau))
    second = draft.population(name, size, LI(tau=tau))
    ones = np.ones(size)
    feed(arriving, 1.0)
    draft.project(arriving, first, (OneToOne(ones),))
    draft.project(first, second, (OneToOne(ones * (a / k)),), delay=1)
    draft.project(arriving, second, (OneToOne(ones * ((k - a) / k)),))
    return second
