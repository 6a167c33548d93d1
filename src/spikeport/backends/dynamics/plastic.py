"""From a learning rule to the numbers of a step, in the dtype of the arithmetic: what every stepper of plastic projections begins with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.rows import Rows, checked_chain, rows
from spikeport.errors import Problem
from spikeport.plugin.driving import LARGEST_INPUT
from spikeport.plugin.ranges import DECAY_BITS, UNBOUNDED, decay_of, integer_decay, largest_trace
from spikeport.primitives import Dense, Projection, Reshape, Rule, Shape, Sparse, Term, Trace

MOST_SHIFT = 24
"""Bits after the point of integer coefficients."""
LARGEST_PRODUCT = 2**62
"""Of integers, whatever is summed in a step."""


class On(IntEnum):
    """When terms are evaluated, in this order."""

    POST = 0
    PRE = 1
    STEP = 2


class Of(IntEnum):
    """What a factor reads."""

    PRE = 0
    POST = 1
    SYNAPSE = 2
    WEIGHT = 3
    THIRD = 4


@dataclass(frozen=True, slots=True)
class TracePlan:
    """Numbers of the dtype; of integers `decay` is in 1/4096."""

    decay: Any
    increment: Any
    sets: bool
    limit: Any
    """Infinity, or `UNBOUNDED`, for none."""


@dataclass(frozen=True, slots=True)
class FactorPlan:
    of: Of
    index: int
    """Among the traces of its side, or the third factors."""
    plus: Any


@dataclass(frozen=True, slots=True)
class TermPlan:
    on: On
    into: int
    """0: the weight; k: trace k - 1 of the synapse."""
    coefficient: Any
    """Of integers in units of 2^-shift."""
    every: int
    factors: tuple[FactorPlan, ...]


@dataclass(frozen=True, slots=True)
class End:
    """A source or a target."""

    shape: Shape
    sends: int
    """Largest absolute value in one step, of integers."""

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Place:
    """A projection in its network."""

    name: str
    """That of `DynamicNetwork.plastic`."""
    number: int
    source: End
    target: End


@dataclass(frozen=True, slots=True, eq=False)
class PlasticPlan:
    """A rule over the synapses of one projection, in the order of their rows."""

    name: str
    """That of `DynamicNetwork.plastic`."""
    number: int
    """Place of the projection in the network's list."""
    rule: Rule
    pre_size: int
    post_size: int
    sources: NDArray[np.uint32]
    """Of each synapse."""
    targets: NDArray[np.uint32]
    weights: NDArray[Any]
    """Before the first step."""
    pre: tuple[TracePlan, ...]
    post: tuple[TracePlan, ...]
    synapse: tuple[TracePlan, ...]
    terms: tuple[TermPlan, ...]
    low: Any
    high: Any
    shift: int
    """Of integers: the sum of terms is shifted right by so much, and rounded."""
    dense: bool
    shape: Shape
    """Of the weights as the synapse has them."""

    @property
    def dendritic(self) -> bool:
        return self.rule.delays == "dendritic"

    @property
    def most(self) -> NDArray[Any]:
        """Largest absolute weight there may be."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def shaped(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Weights (..., synapse) as the synapse has them: (..., post, pre) of `Dense`, the population's shape of `OneToOne`."""
        return _shaped(weights, self.shape, self.dense)


def shaped_weights(p: Projection, source: Shape, weights: NDArray[Any]) -> NDArray[Any]:
    """`PlasticPlan.shaped` of a projection that there is no plan of."""
    return _shaped(weights, _shape_of(p, source), isinstance(p.weighted, Dense))


def _shaped(weights: NDArray[Any], shape: Shape, dense: bool) -> NDArray[Any]:
    lead = weights.shape[:-1]
    if dense:
        post, pre = shape
        return np.ascontiguousarray(np.swapaxes(weights.reshape(*lead, pre, post), -1, -2))
    return weights.reshape(*lead, *shape)


def plastic_rows(p: Projection, source: Shape, target: Shape) -> Rows:
    """Synapses by source with one weight each, zeros too.

    Raises:
        ValueError: the synapses do not lead from the one shape to the other; the text says why.
    """
    checked_chain(p, source, target)
    weighted, pre = p.weighted, prod(source)
    if isinstance(weighted, Sparse):
        found = rows(p, source, target)
        return Rows(found.offsets, found.targets, np.array(weighted.each_weight()))
    if isinstance(weighted, Dense):
        post = len(weighted.weight)
        every = np.tile(np.arange(post, dtype=np.uint32), pre)
        return Rows(np.arange(pre + 1) * post, every, weighted.weight.T.ravel())
    assert weighted is not None
    each = np.arange(pre, dtype=np.uint32)
    return Rows(np.arange(pre + 1), each, np.array(np.broadcast_to(weighted.weight, _shape_of(p, source)).ravel()))


def _shape_of(p: Projection, source: Shape) -> Shape:
    """That of the weights in the synapse; a `OneToOne` has one for each neuron of what arrives at it."""
    match p.weighted:
        case Dense(weight):
            return weight.shape
        case Sparse() as sparse:
            return sparse.targets.shape
    before = takewhile(lambda synapse: synapse is not p.weighted, p.synapses)
    shapes = [synapse.shape for synapse in before if isinstance(synapse, Reshape)]
    return shapes[-1] if shapes else source


def make_plastic(p: Projection, found: Rows, place: Place, *, dt: float, problems: list[Problem]) -> PlasticPlan:
    """The numbers of a rule.

    Args:
        found: synapses by source, weights in the dtype of the arithmetic.
        problems: gets what integer arithmetic does not hold.
    """
    rule = p.plasticity
    assert rule is not None
    dtype: Any = found.weights.dtype.type
    integer = dtype is np.int64
    source, target = place.source, place.target
    where = f"{place.name}: {rule.name}"
    unbounded: Any = np.int64(UNBOUNDED) if integer else dtype(np.inf)

    def number_of(value: float, what: str) -> Any:
        if not integer:
            return dtype(value)
        if value != int(value) or abs(value) >= 2**31:
            problems.append(Problem(f"{where}.{what}", f"is {value:g}", "integer arithmetic has whole numbers"))
            return np.int64(0)
        return np.int64(value)

    def trace(t: Trace) -> TracePlan:
        decay = np.int64(integer_decay(t, dt)) if integer else dtype(decay_of(t, dt))
        limit = unbounded if t.limit is None else number_of(t.limit, f"{t.name}.limit")
        return TracePlan(decay, number_of(t.increment, f"{t.name}.increment"), t.kind == "set", limit)

    coefficients = [
        term.coefficient * (dt * term.every) if term.per == "second" else float(term.coefficient) for term in rule.terms
    ]
    shift = _shift(coefficients) if integer else 0
    if shift is None:
        for i, value in enumerate(coefficients):
            if _shift([value]) is None:
                near = round(value * 2**MOST_SHIFT) / 2**MOST_SHIFT
                hint = f"{near!r}, or {round(value * 256) / 256!r}"
                why = f"is {value!r}, no multiple of 2^-{MOST_SHIFT}, and integer arithmetic rounds no coefficient"
                problems.append(Problem(f"{where}.terms[{i}]", why, hint))
        shift = 0
    places = {t.name: (Of.PRE, i) for i, t in enumerate(rule.of("pre"))}
    places |= {t.name: (Of.POST, i) for i, t in enumerate(rule.of("post"))}
    places |= {t.name: (Of.SYNAPSE, i) for i, t in enumerate(rule.of("synapse"))}
    places |= {name: (Of.THIRD, i) for i, name in enumerate(rule.third)} | {"w": (Of.WEIGHT, 0)}

    def term(t: Term, coefficient: float) -> TermPlan:
        factors = tuple(FactorPlan(*places[f.of], number_of(f.plus, f.of)) for f in t.factors)
        scaled = np.int64(int(coefficient * 2**shift)) if integer else dtype(coefficient)
        into = 0 if t.into == "w" else 1 + places[t.into][1]
        return TermPlan(On[t.on.upper()], into, scaled, t.every, factors)

    made = PlasticPlan(
        name=place.name,
        number=place.number,
        rule=rule,
        pre_size=source.size,
        post_size=target.size,
        sources=np.repeat(np.arange(source.size, dtype=np.uint32), np.diff(found.offsets)),
        targets=found.targets,
        weights=found.weights,
        pre=tuple(map(trace, rule.of("pre"))),
        post=tuple(map(trace, rule.of("post"))),
        synapse=tuple(map(trace, rule.of("synapse"))),
        terms=tuple(map(term, rule.terms, coefficients)),
        low=-unbounded if rule.w_min is None else number_of(rule.w_min, "w_min"),
        high=unbounded if rule.w_max is None else number_of(rule.w_max, "w_max"),
        shift=shift,
        dense=isinstance(p.weighted, Dense),
        shape=_shape_of(p, source.shape),
    )
    if integer:
        problems.extend(_beyond_integers(made, where, source, target, dt))
    return made


def _shift(coefficients: Sequence[float]) -> int | None:
    """Fewest bits after the point that hold all of them; None if too many."""
    return next((s for s in range(MOST_SHIFT + 1) if all(c * 2**s == int(c * 2**s) for c in coefficients)), None)


def _beyond_integers(plan: PlasticPlan, where: str, source: End, target: End, dt: float) -> Iterator[Problem]:
    """What has no bound below which 64 bits hold all sums."""
    rule, size = plan.rule, dict[str, int]()
    if rule.w_min is None or rule.w_max is None:
        yield Problem(where, "has no w_min or no w_max, and integers have an end", "give both")
        return
    for trace in rule.traces:
        size[trace.name] = largest_trace(trace, dt, source.sends if trace.of == "pre" else target.sends)
    for name, bound in size.items():
        if bound << DECAY_BITS >= LARGEST_PRODUCT:
            why = "is an integer trace that may grow beyond 64 bits: nothing bounds it"
            yield Problem(f"{where}.{name}", why, "give it a limit, or a shorter tau")
    size |= dict.fromkeys(rule.third, LARGEST_INPUT) | {"w": max(abs(int(plan.low)), abs(int(plan.high)))}
    for on in On:
        total = 0
        for term, planned in zip(rule.terms, plan.terms, strict=True):
            if planned.on is on:
                value = {On.PRE: source.sends, On.POST: target.sends, On.STEP: 1}[on]
                product = prod(size[f.of] + abs(int(f.plus)) for f in term.factors)
                total += abs(int(planned.coefficient)) * value * product
        if total >= LARGEST_PRODUCT:
            why = f'its terms on "{on.name.lower()}" may leave 64 bits'
            yield Problem(where, why, "limits of traces, narrower weights, or coefficients with fewer bits")
