"""Rules against Loihi 2's learning engine: field by field, and beside Lava's simulation of it (made by `bench/learning_engine.py`)."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.errors import LowerError
from spikeport.lower.learning_engine import EngineForm, engine_form
from spikeport.primitives import (
    STDP,
    Dense,
    DynamicPopulation,
    Factor,
    FixedCubaLIF,
    Projection,
    Rule,
    SpikeInput,
    Term,
    Threshold,
    Trace,
)

FILE = Path(__file__).with_name("lava_learning.npz")
CLOSE = 1e-9 * 256
"""Of floats: decaying numbers are added in another order."""
FITS = STDP(a_plus=2.0, a_minus=2.0, w_max=255.0, unit=16.0, limit=127.0, rounding="stochastic")


def judged(rule: Rule, *, delay: int = 0, integer: bool = True) -> EngineForm:
    learns = Projection("a", "b", (Dense(np.array([[2]])),), delay=delay, plasticity=rule)
    return engine_form(rule, learns, dt=1e-3, integer=integer)


def misfits(rule: Rule, **where) -> list[str]:
    return [m.field for m in judged(rule, **where).misfits]


def with_term(**changes) -> Rule:
    return replace(FITS, terms=(replace(FITS.terms[0], **changes), FITS.terms[1]))


def test_a_rule_that_fits_is_said_in_the_engines_words() -> None:
    form = judged(FITS)
    assert not form.misfits
    assert dict(form.equations) == {"dw": "2^-3 * y0 * x1 - 2^-3 * x0 * y1"}
    assert form.traces == (("x1", 16.0, 20.0), ("y1", 16.0, 20.0))


def test_products_get_back_in_the_exponent_what_is_cut_off_them() -> None:
    # 7 bits of a trace, 9 of the weight and 4 of the coefficient are 20, 5 more than are kept
    rule = replace(FITS, terms=(Term("post", -(2.0**-6), (Factor("pre"), Factor("w", -16.0))), FITS.terms[1]))
    assert dict(judged(rule).equations)["dw"] == "-2^-1 * y0 * x1 * (w - 16) - 2^-3 * x0 * y1"
    assert not judged(rule).misfits


@pytest.mark.parametrize(
    ("coefficient", "text"),
    [
        (7.0, "7 * y0 * x1"),
        (-8.0, "-2^3 * y0 * x1"),
        (1.5, "3 * 2^-1 * y0 * x1"),
        (1792.0, "7 * 2^8 * y0 * x1"),
        (2.0**10, "4 * 2^8 * y0 * x1"),
    ],
)
def test_coefficients_at_the_ends_of_mantissa_and_exponent_fit(coefficient: float, text: str) -> None:
    form = judged(with_term(coefficient=coefficient))
    assert not form.misfits
    assert dict(form.equations)["dw"].startswith(text)


@pytest.mark.parametrize("coefficient", [9.0, 0.01, 2.0**-8, 2.0**11, -(2.0**12)])
def test_coefficients_beyond_them_do_not(coefficient: float) -> None:
    assert misfits(with_term(coefficient=coefficient)) == ["terms[0].coefficient"]


@pytest.mark.parametrize(("coefficient", "nearest"), [(0.3, 0.3125), (0.01, 2.0**-7), (-0.3, -0.3125), (9.25, 10.0)])
def test_a_coefficient_between_is_refused_with_the_nearest_that_fits(coefficient: float, nearest: float) -> None:
    (found,) = judged(with_term(coefficient=coefficient)).misfits
    assert float(found.hint) == nearest
    assert not judged(with_term(coefficient=nearest)).misfits


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (replace(FITS, rounding="nearest"), ["rounding"]),
        (replace(FITS, w_max=200.0), ["w_min, w_max"]),
        (replace(FITS, w_min=None), ["w_min, w_max"]),
        (replace(FITS, delays="dendritic"), ["delays"]),
        (replace(FITS, traces=(replace(FITS.traces[0], limit=128.0), FITS.traces[1])), ["pre.limit"]),
        (replace(FITS, traces=(replace(FITS.traces[0], limit=None), FITS.traces[1])), ["pre.limit"]),
        (replace(FITS, traces=(replace(FITS.traces[0], kind="set"), FITS.traces[1])), ["pre.kind"]),
        (replace(FITS, traces=(replace(FITS.traces[0], tau=None), FITS.traces[1])), ["pre.tau"]),
        (replace(FITS, traces=(replace(FITS.traces[0], increment=127.5), FITS.traces[1])), ["pre.increment"]),
        (replace(FITS, traces=(replace(FITS.traces[0], increment=0.3), FITS.traces[1])), ["pre.increment"]),
        (replace(FITS, traces=(replace(FITS.traces[0], increment=-1.0), FITS.traces[1])), ["pre.increment"]),
        (with_term(factors=(Factor("pre", 0.5),)), ["terms[0].pre"]),
        (with_term(factors=(Factor("pre"),) * 4), ["terms[0].factors", "terms[0].coefficient"]),
        (replace(FITS, terms=(*FITS.terms, Term("step", 1.0, every=3))), ["every"]),
        (replace(FITS, terms=(*FITS.terms, Term("step", 1.0, every=2), Term("step", 1.0, every=4))), ["every"]),
    ],
)
def test_each_field_that_does_not_fit_is_named(rule: Rule, fields: list[str]) -> None:
    assert misfits(rule) == fields
    assert all(m.why for m in judged(rule).misfits)


def test_more_traces_than_there_are_registers_are_named() -> None:
    traces = tuple(Trace(f"p{i}", "pre", 0.02, limit=127.0) for i in range(3))
    posts = tuple(Trace(f"q{i}", "post", 0.02, limit=127.0) for i in range(3))
    tags = tuple(Trace(f"e{i}", "synapse", None, limit=255.0) for i in range(2))
    terms = tuple(
        Term("post", 1.0, (Factor(t.name),), "e0" if i % 2 else "e1") for i, t in enumerate((*traces, *posts))
    )
    rule = Rule(
        "many",
        (*traces, *posts, *tags),
        (*terms, Term("step", 1.0, (Factor("reward"), Factor("e0")))),
        ("reward",),
        0.0,
        255.0,
        "stochastic",
    )
    form = judged(rule)
    assert [m.field for m in form.misfits] == ["p2", "reward"]
    assert dict(form.names)["e0"] == "t"
    assert {name for name, _ in form.equations} == {"dw", "dt", "dd"}


def test_delays_and_floats_are_judged_where_they_are() -> None:
    assert misfits(FITS, delay=2) == ["delay"]
    assert misfits(FITS, integer=False) == ["arithmetic"]


def chip(rule: Rule) -> sp.DynamicNetwork:
    net = sp.Network("learns")
    cells = net.population("b", 2, FixedCubaLIF(du=4095, dv=0, threshold=640))
    net.connect(net.input("a", 2), cells, sp.Dense(np.full((2, 2), 4)), plasticity=rule)
    return net.build(contract=sp.DynamicsContract.loihi("loihi2"))


def test_check_and_compile_say_what_of_a_rule_fits_and_what_does_not() -> None:
    verdict = sp.check(chip(replace(FITS, rounding="floor", w_max=100.0)), "loihi2")
    assert {r.where for r in verdict.reasons} == {"a -> b: STDP.rounding", "a -> b: STDP.w_min, w_max"}
    assert any("pre is x1, post is y1" in note and "2^-3 * y0 * x1" in note for note in verdict.notes)
    fits = sp.check(chip(FITS), "loihi2")
    assert [r.where for r in fits.reasons] == ["a -> b"]
    assert "no simulation here steps it: dw = 2^-3 * y0 * x1" in fits.reasons[0].why
    with pytest.raises(LowerError, match=r"STDP\.rounding"):
        sp.compile(chip(replace(FITS, rounding="floor")), "loihi2")


@pytest.mark.parametrize("on", ["reference", "native"])
@pytest.mark.parametrize("number", range(6))
def test_weights_are_those_of_lava_where_nothing_is_drawn(number: int, on: str) -> None:
    if on == "native" and not native.available():
        pytest.skip("needs the compiled library")
    with np.load(FILE) as stored:
        pre, post, weights, lava = (stored[f"{name} {number}"] for name in ("pre", "post", "weights", "lava"))
        case = json.loads(str(stored[f"case {number}"]))
    choices, integer = case["choices"], case["integer"]
    if not integer:  # what a source sends counts here once it arrives, a step later than there
        choices["a_plus"] *= math.exp(-1e-3 / choices["tau_plus"])
        choices["a_minus"] /= math.exp(-1e-3 / choices["tau_minus"])
    (n_post, n_pre), drive = weights.shape, np.roll(post, -1, axis=0)
    network = sp.DynamicNetwork(
        "learning",
        (SpikeInput("pre", (n_pre,)), SpikeInput("drive", (n_post,))),
        (DynamicPopulation("post", (n_post,), Threshold(threshold=50_000)),),
        (
            Projection("drive", "post", (Dense(100_000 * np.eye(n_post, dtype=np.int64)),)),
            Projection("pre", "post", (Dense(weights),), plasticity=STDP(**choices)),
        ),
        sp.DynamicsContract(
            dt=1e-3, integrator="accumulate", layer_latency=1, arithmetic="integer" if integer else "float64"
        ),
    )
    x = {"pre": pre[:, None].astype(int), "drive": drive[:, None].astype(int)}
    found = sp.simulate(network, x, record_weights=["pre -> post"], weights_every=1, on=on)
    own = found.weights_over_time["pre -> post"][:, 0]
    settled = np.flatnonzero(
        np.arange(len(pre)) % 4 != 0
    )  # sources send in every fourth step, and that arrives a step later
    off = np.abs(own[settled] - lava[settled])
    assert off.max() <= (0 if integer else CLOSE)
    assert np.ptp(own) > 50
