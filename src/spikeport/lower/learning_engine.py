"""A rule in the terms of Loihi 2's learning engine: what of it has a register there, what has not, and why.

The engine keeps, of each synapse, a weight (8 bits and a sign) and two tags; of each source two traces x1, x2, and of each target three, y1 to y3, which a third factor may
take instead: 7 bits each, saturating, decaying with stochastic rounding. Once a step it adds sums of products to weight and tags, where the source sent (x0), where the
target sent (y0), or every 2^k steps (uk). A product is a coefficient, m 2^e with 4 bits of m, times traces, tags or the weight, each with a
constant; it is cut to 15 bits, and the sum is rounded stochastically to the weight's.

All of that is read from lava-nc 0.10.0 (magma/core/learning/constants.py, product_series.py, learning_rule_applier.py;
magma/core/model/py/connection.py), which calls its own simulation of the engine approximate. Nothing here steps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from spikeport.primitives import Factor, Projection, Rule, Term, Trace

TRACE_MAX = 2**7 - 1
IMPULSE_FRACTION = 2**8
"""Parts of 1 that an impulse may be a multiple of; what is below 1 is added stochastically."""
TAG_MAX = 2**8 - 1
WIDTHS = {"x": 7, "y": 7, "w": 9, "t": 9, "d": 9}
"""Bits of factors, by their first letter."""
MANTISSA_BITS, ACCUMULATOR_BITS, WIDEST = 4, 15, 31
MANTISSAS = (-8, 7)
EXPONENTS = (-7, 8)
LARGEST_K = 9
WEIGHTS = {(0, 255): "excitatory", (-255, 0): "inhibitory", (-256, 254): "mixed"}
"""Ends of the weight, by sign mode: there are no others."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """One field of a rule that the engine does not have."""

    field: str
    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class EngineForm:
    """What of a rule is said to the engine, in Lava's words."""

    equations: tuple[tuple[str, str], ...]
    """dw, dt and dd: sums of products."""
    traces: tuple[tuple[str, float, float], ...]
    """Name, impulse, time constant in steps."""
    names: tuple[tuple[str, str], ...]
    """What the rule's traces and third factors are called."""
    misfits: tuple[Misfit, ...]
    differs: tuple[str, ...]
    """What the engine does otherwise than a `Rule` even where everything fits."""

    def __str__(self) -> str:
        said = [f"{name} = {text}" for name, text in self.equations]
        said += [f"{name}: impulse {impulse:g}, tau {tau:g} steps" for name, impulse, tau in self.traces]
        return "; ".join(said)


def engine_form(rule: Rule, projection: Projection, *, dt: float, integer: bool) -> EngineForm:
    """A rule, as far as the engine has it, and field by field what it has not.

    Args:
        projection: that learns by it.
        dt: seconds of a step.
        integer: whether the network computes in integers.

    >>> import numpy as np
    >>> from spikeport.primitives import STDP, Dense
    >>> rule = STDP(a_plus=2.0, a_minus=2.0, w_max=255.0, unit=16.0, limit=127.0, rounding="stochastic")
    >>> form = engine_form(rule, Projection("a", "b", (Dense(np.array([[2]])),), plasticity=rule), dt=1e-3, integer=True)
    >>> str(form), form.misfits
    ('dw = 2^-3 * y0 * x1 - 2^-3 * x0 * y1; x1: impulse 16, tau 20 steps; y1: impulse 16, tau 20 steps', ())
    """
    names, misfits = _names(rule)
    for trace in rule.traces:
        misfits += _trace(trace)
    sums: dict[str, list[str]] = {}
    for i, term in enumerate(rule.terms):
        text, found = _product(term, names, dt)
        misfits += [Misfit(f"terms[{i}]{m.field}", m.why, m.hint) for m in found]
        into = "dw" if term.into == "w" else f"d{names.get(term.into, '?')}"
        sums.setdefault(into, []).append(text)
    misfits += [*_rhythm(rule), *_weight(rule), *_rest(rule, projection, integer)]
    registers = {t.name: t for t in rule.traces if t.of != "synapse"}
    traces = tuple(
        (names[n], t.increment, t.tau / dt) for n, t in registers.items() if n in names and t.tau is not None
    )
    equations = tuple((name, " + ".join(parts).replace("+ -", "- ")) for name, parts in sums.items())
    return EngineForm(equations, traces, tuple(names.items()), tuple(misfits), tuple(_differs(rule)))


def _names(rule: Rule) -> tuple[dict[str, str], list[Misfit]]:
    """Registers by name of the trace or third factor."""
    names, misfits = {"w": "w"}, list[Misfit]()
    sides: tuple[tuple[str, list[str], tuple[str, ...], str], ...] = (
        ("pre", [t.name for t in rule.of("pre")], ("x1", "x2"), "traces of the source"),
        (
            "post",
            [*(t.name for t in rule.of("post")), *rule.third],
            ("y1", "y2", "y3"),
            "traces of the target and third factors",
        ),
        ("synapse", [t.name for t in rule.of("synapse")], ("t", "d"), "tags of the synapse"),
    )
    for _, wanted, there, what in sides:
        names |= dict(zip(wanted, there, strict=False))
        misfits += [
            Misfit(name, f"is one more than the {len(there)} {what} that there are", "share one")
            for name in wanted[len(there) :]
        ]
    return names, misfits


def _trace(t: Trace) -> Iterator[Misfit]:
    if t.of == "synapse":
        if t.tau is not None:
            yield Misfit(
                f"{t.name}.tau",
                "decays, and tags of synapses do not",
                "tau=None, or a term that takes from it every 2^k steps",
            )
        if t.limit is None or t.limit > TAG_MAX:
            yield Misfit(f"{t.name}.limit", f"is {t.limit}, and a tag ends at {TAG_MAX}", f"limit={TAG_MAX}")
        return
    if t.tau is None:
        yield Misfit(f"{t.name}.tau", "does not decay, and every trace does", "a long tau")
    if t.kind == "set":
        yield Misfit(f"{t.name}.kind", "is set by a spike, and impulses are added", 'kind="add"')
    if not 0 <= t.increment <= TRACE_MAX or (t.increment * IMPULSE_FRACTION) % 1:
        why = f"is {t.increment:g}, and an impulse is a number from 0 to {TRACE_MAX} in steps of 1/{IMPULSE_FRACTION}"
        yield Misfit(f"{t.name}.increment", why, "another unit")
    if t.limit != TRACE_MAX:
        yield Misfit(
            f"{t.name}.limit", f"is {t.limit}, and a trace of 7 bits ends at {TRACE_MAX}", f"limit={TRACE_MAX}"
        )


def _product(term: Term, names: dict[str, str], dt: float) -> tuple[str, list[Misfit]]:
    """One product in Lava's words."""
    misfits = list[Misfit]()
    coefficient = term.coefficient * (dt * term.every) if term.per == "second" else term.coefficient
    on: Literal["x0", "y0"] | str = {"pre": "x0", "post": "y0"}.get(term.on, f"u{max(0, term.every.bit_length() - 1)}")
    factors = [_factor(f, names, misfits) for f in term.factors]
    width = MANTISSA_BITS + sum(WIDTHS[names[f.of][0]] for f in term.factors if f.of in names)
    if width > WIDEST:
        misfits.append(Misfit(".factors", f"take {width} bits together, and products have {WIDEST}", "fewer factors"))
    shift = max(0, width - ACCUMULATOR_BITS)
    mantissa, exponent = _scaled(coefficient)
    # what the engine cuts off the product to have 15 bits, the exponent gives back
    stated = exponent + shift
    if not MANTISSAS[0] <= mantissa <= MANTISSAS[1]:
        near = _nearest(coefficient, shift)
        why = f"is {coefficient:g}, which is no m 2^e with m from {MANTISSAS[0]} to {MANTISSAS[1]}"
        misfits.append(Misfit(".coefficient", why, repr(near if term.per == "event" else near / (dt * term.every))))
    elif not EXPONENTS[0] <= _widened(mantissa, stated)[1] <= EXPONENTS[1]:
        by = f", {shift} bits of which make up for products that are cut" if shift else ""
        why = f"is {coefficient:g}, {mantissa} 2^{stated}{by}: exponents are {EXPONENTS[0]} to {EXPONENTS[1]}"
        misfits.append(Misfit(".coefficient", why, "traces in another unit"))
    mantissa, stated = _widened(mantissa, stated)
    sign = "-" if mantissa < 0 else ""
    size = abs(mantissa)
    scale = f"2^{stated}" if size == 1 and stated else str(size) if not stated else f"{size} * 2^{stated}"
    return f"{sign}{' * '.join([scale, on, *factors])}", misfits


def _factor(f: Factor, names: dict[str, str], misfits: list[Misfit]) -> str:
    name = names.get(f.of, f.of)
    if f.plus % 1 or (f.of in names and abs(f.plus) >= 2 ** WIDTHS[name[0]]):
        why = f"has the constant {f.plus:g}, and constants are whole numbers within the factor's width"
        misfits.append(Misfit(f".{f.of}", why, "round it"))
    return name if not f.plus else f"({name} {'+' if f.plus > 0 else '-'} {abs(f.plus):g})"


def _scaled(value: float) -> tuple[int, int]:
    """An odd number, and the power of two that makes the value of it; exact."""
    if value == 0:
        return 0, 0
    numerator, denominator = Fraction(value).as_integer_ratio()
    exponent = (numerator & -numerator).bit_length() - 1
    return numerator >> exponent, exponent - (denominator.bit_length() - 1)


def _widened(mantissa: int, exponent: int) -> tuple[int, int]:
    """The same product with an exponent that is not above the largest, as far as the mantissa has room."""
    while exponent > EXPONENTS[1] and MANTISSAS[0] <= 2 * mantissa <= MANTISSAS[1]:
        mantissa, exponent = 2 * mantissa, exponent - 1
    return mantissa, exponent


def _nearest(value: float, shift: int) -> float:
    """The nearest coefficient that there is, with so many bits of the exponent spent."""
    low, high = (end - shift for end in EXPONENTS)
    near = (m * 2.0**e for m in range(MANTISSAS[0], MANTISSAS[1] + 1) if m for e in range(low, high + 1))
    return min(near, key=lambda there: abs(there - value))


def _rhythm(rule: Rule) -> Iterator[Misfit]:
    each = sorted({t.every for t in rule.terms if t.on == "step"})
    for every in each:
        if every & (every - 1) or every > 2**LARGEST_K:
            yield Misfit("every", f"is {every}, and rhythms are 2^k steps, k from 0 to {LARGEST_K}", "a power of two")
    if len(each) > 1:
        said = " and ".join(map(str, each))
        yield Misfit("every", f"is {said} steps in terms of one rule, and a rule has one rhythm", "one of them for all")


def _weight(rule: Rule) -> Iterator[Misfit]:
    ends = (rule.w_min, rule.w_max)
    if ends not in WEIGHTS:
        said = "; ".join(f"{low} to {high} ({mode})" for (low, high), mode in WEIGHTS.items())
        yield Misfit(
            "w_min, w_max",
            f"are {rule.w_min} and {rule.w_max}, and the memory ends weights: {said}",
            "one of these pairs",
        )


def _rest(rule: Rule, projection: Projection, integer: bool) -> Iterator[Misfit]:
    if rule.rounding != "stochastic":
        yield Misfit("rounding", f"is {rule.rounding!r}, and the engine rounds stochastically", 'rounding="stochastic"')
    if rule.delays == "dendritic":
        yield Misfit("delays", "lie on the dendrite, and the engine knows none", 'delays="axonal"')
    if projection.delay:
        why = f"of the projection is {projection.delay} steps, and a trace of the source does not wait for it"
        yield Misfit("delay", why, "no delay where something learns")
    if not integer:
        why = "is in floats, and the engine has integers: weights of 8 bits and a sign, traces of 7"
        yield Misfit("arithmetic", why, 'DynamicsContract.loihi("loihi2")')


def _differs(rule: Rule) -> Iterator[str]:
    yield "a pair in one step counts there, whose traces have that step's spikes in them, and not in a Rule"
    yield "a spike of the source is seen when it is sent, a step before it arrives"
    if any(t.of != "synapse" for t in rule.traces):
        yield "traces decay with stochastic rounding"
    if any(len(t.factors) > 1 for t in rule.terms):
        yield "products of several factors lose what is below their upper 15 bits"
