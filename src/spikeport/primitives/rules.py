"""Learning rules that have names, written as `Rule`: what a network is given as `plasticity`."""

from __future__ import annotations

from typing import Literal

from spikeport.errors import OptionError, Problem
from spikeport.primitives.plasticity import WEIGHT, Factor, Rule, Term, Trace

Delays = Literal["axonal", "dendritic"]
Rounding = Literal["nearest", "floor", "stochastic"]
MOST_MU = 3


def STDP(  # noqa: N802  (a name that a network is written with, as those of neurons and synapses)
    *,
    a_plus: float = 0.01,
    a_minus: float = 0.01,
    tau_plus: float = 0.02,
    tau_minus: float = 0.02,
    mu: int | tuple[int, int] = 0,
    w_min: float = 0.0,
    w_max: float = 1.0,
    nearest: bool = False,
    limit: float | None = None,
    unit: float = 1.0,
    rounding: Rounding = "nearest",
    seed: int = 0,
    delays: Delays = "axonal",
) -> Rule:
    """Spike-timing dependent plasticity of pairs.

        post spike:  w = w + a_plus  * ((w_max - w) / (w_max - w_min))**mu_plus  * x,   x: trace of pre spikes, tau_plus
        pre spike:   w = w - a_minus * ((w - w_min) / (w_max - w_min))**mu_minus * y,   y: trace of post spikes, tau_minus

    Args:
        mu: 0 for changes that do not depend on the weight, 1 for proportional ones; of potentiation and depression apart as a pair.
        nearest: a trace is set by a spike, so that only the nearest one counts; else all pairs do.
        limit: traces end there.
        unit: what a spike adds to a trace: more than 1 gives traces of integers digits after the point.

    >>> STDP(a_plus=0.02, mu=1).terms[0].factors
    (Factor(of='pre', plus=0.0), Factor(of='w', plus=-1.0))
    """
    plus, minus = _exponents(mu)
    span = float(w_max) - float(w_min)
    if max(plus, minus) > 0 and not span > 0:
        why = f"w_max, {w_max!r}, is not above w_min, {w_min!r}, and changes depend on where a weight lies between them"
        raise OptionError(Problem("STDP", why, "a wider range, or mu=0"))
    kind: Literal["add", "set"] = "set" if nearest else "add"
    rise = (Factor("pre"), *(Factor(WEIGHT, 0.0 - w_max),) * plus)
    fall = (Factor("post"), *(Factor(WEIGHT, 0.0 - w_min),) * minus)
    return Rule(
        "STDP",
        traces=(
            Trace("pre", "pre", tau_plus, unit, kind, limit),
            Trace("post", "post", tau_minus, unit, kind, limit),
        ),
        terms=(
            Term("post", a_plus / unit * (-1) ** plus / span**plus, rise),
            Term("pre", -a_minus / unit / span**minus, fall),
        ),
        w_min=w_min,
        w_max=w_max,
        rounding=rounding,
        seed=seed,
        delays=delays,
    )


def _exponents(mu: int | tuple[int, int]) -> tuple[int, int]:
    given = mu if isinstance(mu, tuple) else (mu, mu)
    whole = all(isinstance(m, int) and not isinstance(m, bool) and 0 <= m <= MOST_MU for m in given)
    if len(given) != 2 or not whole:
        hint = f"a whole number from 0 to {MOST_MU}: products know no roots, whose last bits differ between machines"
        raise OptionError(Problem("STDP.mu", f"is {mu!r}", hint))
    return given


def RewardSTDP(  # noqa: N802
    *,
    rate: float = 1.0,
    a_plus: float = 0.01,
    a_minus: float = 0.01,
    tau_plus: float = 0.02,
    tau_minus: float = 0.02,
    tau_eligibility: float = 0.5,
    reward: str = "reward",
    baseline: float = 0.0,
    w_min: float | None = 0.0,
    w_max: float | None = 1.0,
    per: Literal["event", "second"] = "second",
    every: int = 1,
    unit: float = 1.0,
    limit: float | None = None,
    rounding: Rounding = "nearest",
    seed: int = 0,
    delays: Delays = "axonal",
) -> Rule:
    """Pairs leave an eligibility at the synapse, and a reward turns it into weight.

        post spike:  e = e + a_plus x            pre spike:  e = e - a_minus y
        every step:  w = w + rate * (reward - baseline) * e * dt

    Args:
        rate: per second, or per evaluation under per="event".
        reward: name by which a run is given it, one number or one for each target.
        baseline: what is expected, and changes nothing.
        unit, limit: of the traces of spikes, as in `STDP`.
    """
    return Rule(
        "RewardSTDP",
        traces=(
            Trace("pre", "pre", tau_plus, unit, "add", limit),
            Trace("post", "post", tau_minus, unit, "add", limit),
            Trace("eligibility", "synapse", tau_eligibility, limit=limit),
        ),
        terms=(
            Term("post", a_plus / unit, (Factor("pre"),), "eligibility"),
            Term("pre", -a_minus / unit, (Factor("post"),), "eligibility"),
            Term("step", rate, (Factor(reward, 0.0 - baseline), Factor("eligibility")), per=per, every=every),
        ),
        third=(reward,),
        w_min=w_min,
        w_max=w_max,
        rounding=rounding,
        seed=seed,
        delays=delays,
    )


def PES(  # noqa: N802
    *,
    rate: float = 1e-4,
    tau: float = 0.005,
    error: str = "error",
    w_min: float | None = None,
    w_max: float | None = None,
    per: Literal["event", "second"] = "second",
    every: int = 1,
    unit: float = 1.0,
    rounding: Rounding = "nearest",
    seed: int = 0,
) -> Rule:
    """The prescribed error sensitivity of the neural engineering framework: `dw/dt = -rate * error(post) * x(pre)`.

    Args:
        rate: per second, for a trace that one spike raises by 1; or per evaluation under per="event".
        tau: of the trace x of pre spikes.
        error: name by which a run is given what each target is wrong by, positive where it is too large.
    """
    return Rule(
        "PES",
        traces=(Trace("pre", "pre", tau, unit),),
        terms=(Term("step", -rate / unit, (Factor(error), Factor("pre")), per=per, every=every),),
        third=(error,),
        w_min=w_min,
        w_max=w_max,
        rounding=rounding,
        seed=seed,
    )


def Oja(  # noqa: N802
    *,
    rate: float = 0.01,
    tau: float = 0.02,
    w_min: float | None = None,
    w_max: float | None = None,
    unit: float = 1.0,
    rounding: Rounding = "nearest",
    seed: int = 0,
    delays: Delays = "axonal",
) -> Rule:
    """Oja's rule at spikes of the target, which stand for its activity y: `w = w + rate * (x - y w)`.

    x and y are the traces of pre and post spikes; weights into a target grow together to a finite length.
    """
    return Rule(
        "Oja",
        traces=(Trace("pre", "pre", tau, unit), Trace("post", "post", tau, unit)),
        terms=(
            Term("post", rate / unit, (Factor("pre"),)),
            Term("post", -rate / unit, (Factor("post"), Factor(WEIGHT))),
        ),
        w_min=w_min,
        w_max=w_max,
        rounding=rounding,
        seed=seed,
        delays=delays,
    )


def SynapticScaling(  # noqa: N802
    *,
    target: float,
    rate: float = 0.01,
    tau: float = 1.0,
    w_min: float | None = 0.0,
    w_max: float | None = None,
    every: int = 1,
) -> Rule:
    """Homeostasis: weights grow in proportion where the target fires too little, `dw/dt = rate * (1 - y / target) * w`.

    Args:
        target: firing rate that is aimed at, in hertz; y is measured with time constant `tau`.
        rate: per second.
        every: steps between two evaluations.
    """
    if not target > 0:
        raise OptionError(Problem("SynapticScaling.target", f"is {target!r}", "a positive number of hertz"))
    return Rule(
        "SynapticScaling",
        traces=(Trace("post", "post", tau, 1.0 / tau),),
        terms=(Term("step", -rate / target, (Factor("post", -target), Factor(WEIGHT)), per="second", every=every),),
        w_min=w_min,
        w_max=w_max,
    )
