"""How synapses learn: a rule of traces and terms, small enough for chips, portable between simulators.

A projection with a rule keeps weights for each sample of a batch apart: they are state. In every step, after all populations were
updated, so that all that is sent in it is known, each synapse `j -> i` of the projection goes through this:

    1  decay       every trace x of the projection:  x = d x,  d = exp(-dt / tau)
    2  "post"      where i sent something:           delta = value * sum of the terms on "post"
    3  "pre"       where something of j arrived:     delta = value * sum of the terms on "pre"
    4  "step"      everywhere, every so many steps:  delta = sum of the terms on "step"
    5  increments  traces of j and i, of what arrived and was sent: x = x + value * increment, or x = increment for "set"

A term is `coefficient * (factor + constant) * ...`, multiplied from left to right; `value` is what was sent, 1 for a spike, and
stands second, after the coefficient. In 2, 3 and 4 all terms are evaluated before anything is changed; then, for the weight and for each trace of
the synapse, the sum of its terms in the order of the list is added, and the weight is kept within `w_min` and `w_max`. So traces are
those before this step's own increments: a pair in one step counts neither for potentiation nor for depression, as in NEST.

Delays. "axonal": the delay lies before the synapse. What j sent arrives `delay` steps (with the contract's latency) later; that is
its event, and the weight of that moment counts, as it is before this step's learning. "dendritic", as NEST's: what j sends is at the
synapse at once, its effect passes there with the weight as this step's learning leaves it, and needs `delay` steps from there to i; what
i sends needs as many steps back to the synapse.

What arrives over a projection that learns is summed apart, by source neuron and position among its synapses, and added after all that
arrives over projections that do not: by source (inputs, then populations) and in the order of the list.

Integer arithmetic has integer traces and weights. Decay is T(x, k) = sign(x) (|x| k >> 12) with k = 4096 d to the nearest.
Increments, limits and constants are whole numbers; coefficients are multiples of 2^-24, and the sum of terms is rounded once, as `rounding`
says: to the nearest with ties to even, down, or up with the probability of what is cut off. Those drawn numbers are
Philox4x32-10 of the rule's seed, the step, the projection and the synapse: the same for each sample, and for every number of threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args, get_type_hints

from spikeport.errors import GraphError, Problem

WEIGHT = "w"
"""Name of the weight among factors and targets of terms."""
MOST_FACTORS = 8
"""Of a term."""
MOST_TERMS = 16
MOST_TRACES = 16


@dataclass(frozen=True, slots=True)
class Trace:
    """A number that events drive and time lets decay: of each source ("pre"), each target ("post"), or each synapse.

    What adds to a trace of the synapse, an eligibility, is terms that name it in `into`.
    """

    name: str
    of: Literal["pre", "post", "synapse"]
    tau: float | None
    """Seconds; None: it stays."""
    increment: float = 1.0
    """Of an event; none of synapses."""
    kind: Literal["add", "set"] = "add"
    """An event adds, so that all pairs count; or sets, so that the nearest one does."""
    limit: float | None = None
    """It stays within this, to both sides: registers saturate. None: no bound; integers that do not decay need one."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A trace, the weight `w` or a third factor, plus a constant."""

    of: str
    plus: float = 0.0


@dataclass(frozen=True, slots=True)
class Term:
    """One product, evaluated at events of the source, of the target, or in every step."""

    on: Literal["pre", "post", "step"]
    coefficient: float
    factors: tuple[Factor, ...] = ()
    into: str = WEIGHT
    """What it adds to: the weight, or a trace of the synapse."""
    per: Literal["event", "second"] = "event"
    """Of terms on "step" the coefficient may be a rate: it is then multiplied by the seconds that lie between two evaluations."""
    every: int = 1
    """Of terms on "step": in steps whose number, counted from 1, is a multiple of it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A learning rule; the equations stand at the top of `spikeport.primitives.plasticity`.

    >>> pairs = Rule(
    ...     "pairs",
    ...     traces=(Trace("x", "pre", 0.02), Trace("y", "post", 0.02)),
    ...     terms=(Term("post", 0.01, (Factor("x"),)), Term("pre", -0.01, (Factor("y"),))),
    ...     w_min=0.0,
    ...     w_max=1.0,
    ... )
    >>> pairs.third
    ()
    """

    name: str
    traces: tuple[Trace, ...]
    terms: tuple[Term, ...]
    third: tuple[str, ...] = ()
    """Third factors: numbers that a run is given by these names, for all targets or for each of them."""
    w_min: float | None = None
    w_max: float | None = None
    rounding: Literal["nearest", "floor", "stochastic"] = "nearest"
    """Of integers."""
    seed: int = 0
    """Of the numbers that stochastic rounding draws."""
    delays: Literal["axonal", "dendritic"] = "axonal"
    """On which side of the synapse the projection's delay lies."""

    def __post_init__(self) -> None:
        problems = tuple(_problems(self))
        if problems:
            raise GraphError(problems)

    def of(self, side: Literal["pre", "post", "synapse"]) -> tuple[Trace, ...]:
        """Traces of one side, in the order of the list."""
        return tuple(trace for trace in self.traces if trace.of == side)


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and isfinite(value)


def _choice_problems(where: str, instance: Any) -> Iterator[Problem]:
    """Fields that are none of their choices."""
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        choices = get_args(hints[field.name])
        value = getattr(instance, field.name)
        if choices and all(isinstance(choice, str) for choice in choices) and value not in choices:
            yield Problem(f"{where}.{field.name}", f"is {value!r}", f"one of {', '.join(map(repr, choices))}")


def _problems(rule: Rule) -> Iterator[Problem]:
    where = rule.name if isinstance(rule.name, str) and rule.name else "rule"
    if where != rule.name:
        yield Problem("rule.name", f"is {rule.name!r}", "a name, which errors call it by")
    whole = [
        ("traces", Trace, MOST_TRACES),
        ("terms", Term, MOST_TERMS),
        ("third", str, MOST_TRACES),
    ]
    broken = False
    for name, kind, most in whole:
        values = getattr(rule, name)
        if not isinstance(values, tuple) or not all(isinstance(value, kind) for value in values):
            yield Problem(f"{where}.{name}", "is not all of one kind", f"a tuple of {kind.__name__}")
            broken = True
        elif len(values) > most:
            yield Problem(f"{where}.{name}", f"are {len(values)}", f"{most} at most")
    if broken:
        return
    yield from _choice_problems(where, rule)
    if not rule.terms:
        yield Problem(where, "has no terms, and changes nothing", "leave plasticity out")
    names = Counter([*(trace.name for trace in rule.traces), *rule.third, WEIGHT])
    for name, times in names.items():
        if not isinstance(name, str) or not name:
            yield Problem(where, f"{name!r} is the name of a trace or third factor", "give it one")
        elif times > 1:
            yield Problem(where, f"{name!r} is the name of two things", "give each a name of its own")
    for trace in rule.traces:
        yield from _trace_problems(f"{where}.{trace.name}", trace)
    for i, term in enumerate(rule.terms):
        yield from _term_problems(f"{where}.terms[{i}]", term, rule)
    used = {factor.of for term in rule.terms if _products(term) for factor in term.factors}
    used |= {term.into for term in rule.terms}
    for name in names:
        if name not in used and name != WEIGHT:
            yield Problem(f"{where}.{name}", "is used by no term", "leave it out")
    yield from _bound_problems(where, rule)
    if isinstance(rule.seed, bool) or not isinstance(rule.seed, int) or not 0 <= rule.seed < 2**63:
        yield Problem(f"{where}.seed", f"is {rule.seed!r}", "a whole number from 0 on")


def _bound_problems(where: str, rule: Rule) -> Iterator[Problem]:
    ends = [(name, getattr(rule, name)) for name in ("w_min", "w_max")]
    bad = [(name, value) for name, value in ends if value is not None and not _number(value)]
    for name, value in bad:
        yield Problem(f"{where}.{name}", f"is {value!r}", "a number, or None for no bound")
    if not bad and rule.w_min is not None and rule.w_max is not None and rule.w_min > rule.w_max:
        yield Problem(f"{where}.w_min", f"is {rule.w_min:g}, above w_max, {rule.w_max:g}")


def _trace_problems(where: str, trace: Trace) -> Iterator[Problem]:
    yield from _choice_problems(where, trace)
    if trace.tau is not None and not (_number(trace.tau) and trace.tau > 0):
        yield Problem(f"{where}.tau", f"is {trace.tau!r}", "positive seconds, or None for a trace that stays")
    if not _number(trace.increment):
        yield Problem(f"{where}.increment", f"is {trace.increment!r}", "a number")
    elif trace.of == "synapse" and (trace.increment != 1 or trace.kind != "add"):
        yield Problem(where, "is a trace of synapses, which events do not drive", "give terms that name it in `into`")
    if trace.limit is not None and not (_number(trace.limit) and trace.limit > 0):
        yield Problem(f"{where}.limit", f"is {trace.limit!r}", "a positive number, or None for no bound")


def _products(term: Term) -> bool:
    return isinstance(term.factors, tuple) and all(isinstance(f, Factor) for f in term.factors)


def _term_problems(where: str, term: Term, rule: Rule) -> Iterator[Problem]:
    yield from _choice_problems(where, term)
    if not _number(term.coefficient):
        yield Problem(f"{where}.coefficient", f"is {term.coefficient!r}", "a number")
    if isinstance(term.every, bool) or not isinstance(term.every, int) or not 1 <= term.every < 2**31:
        yield Problem(f"{where}.every", f"is {term.every!r}", "a number of steps from 1 on")
    elif term.on != "step" and (term.every != 1 or term.per != "event"):
        yield Problem(
            where, f'is on "{term.on}", which has no rhythm and no rate', 'on="step", or every=1, per="event"'
        )
    if not _products(term):
        yield Problem(f"{where}.factors", "are not all Factors", "a tuple of Factor")
        return
    if len(term.factors) > MOST_FACTORS:
        yield Problem(f"{where}.factors", f"are {len(term.factors)}", f"{MOST_FACTORS} at most")
    known = {WEIGHT, *rule.third, *(trace.name for trace in rule.traces)}
    for factor in term.factors:
        if factor.of not in known:
            yield Problem(where, f"{factor.of!r} is no trace, no third factor, and not 'w'", "name it in the rule")
        if not _number(factor.plus):
            yield Problem(f"{where}.{factor.of}", f"its constant is {factor.plus!r}", "a number")
    if term.into not in {WEIGHT, *(trace.name for trace in rule.of("synapse"))}:
        yield Problem(where, f"adds to {term.into!r}", "'w', or a trace of the synapse")
