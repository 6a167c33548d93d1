"""Learning in the compiled kernels: weights, spikes and potentials of the reference, bit for bit."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikeport as sp
from spikeport import native
from spikeport.backends import reference
from spikeport.backends.native import DynamicSession, simulate_dynamics
from spikeport.errors import DataError, GraphError, OptionError
from spikeport.primitives import (
    IF,
    LIF,
    STDP,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    Factor,
    OneToOne,
    Projection,
    Relay,
    RewardSTDP,
    Rule,
    Sparse,
    SpikeInput,
    Term,
    Threshold,
    Trace,
)

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_missing())


def assert_equal(found: DynamicRecording, expected: DynamicRecording) -> None:
    for name, counts in expected.counts.items():
        assert np.array_equal(found.counts[name], counts), name
    for kind in ("potentials", "weights", "weights_over_time"):
        mine, theirs = getattr(found, kind), getattr(expected, kind)
        assert mine.keys() == theirs.keys()
        for name, values in theirs.items():
            assert mine[name].dtype == values.dtype
            assert np.array_equal(mine[name], values, equal_nan=values.dtype.kind == "f"), (kind, name)


def rule(rng: np.random.Generator, integer: bool) -> Rule:
    """Any rule of bounded numbers."""
    sides = [s for s in ("pre", "post", "synapse") for _ in range(rng.integers(0, 3))]
    rng.shuffle(sides)
    size = 20 if integer else 1

    def trace(i: int, side: Any) -> Trace:
        tau = None if rng.random() < 0.2 else float(rng.choice([0.0004, 0.003, 0.02]))
        limit = float(rng.integers(5, 60))  # analog loops grow, and float32 ends
        if side == "synapse":
            return Trace(f"x{i}", side, tau, limit=limit)
        return Trace(f"x{i}", side, tau, float(rng.integers(-3, 2 * size)), rng.choice(["add", "set"]), limit)

    traces = tuple(trace(i, side) for i, side in enumerate(sides))
    third = ("reward",) if rng.random() < 0.4 else ()
    readable = ["w", *(t.name for t in traces), *third]
    own = [t.name for t in traces if t.of == "synapse"]

    def term(into: str | None = None, must: str | None = None) -> Term:
        on = rng.choice(["pre", "post", "step"])
        names = [*([must] if must else []), *rng.choice(readable, rng.integers(0, 3))]
        factors = tuple(Factor(str(n), float(rng.integers(-4, 5))) for n in names)
        coefficient = int(rng.integers(-40, 41)) / 64 if integer else float(rng.normal(0, 0.05))
        every = int(rng.integers(1, 4)) if on == "step" else 1
        return Term(str(on), coefficient, factors, str(into or rng.choice(["w", *own])), every=every)  # type: ignore[arg-type]

    terms = (
        *(term(into=name) for name in own),
        *(term(must=name) for name in [*(t.name for t in traces), *third]),
        *(term() for _ in range(rng.integers(1, 4))),
    )
    rounding = rng.choice(["nearest", "floor", "stochastic"])
    bounds = (-120, 120) if integer else (-2.0, 2.0)
    return Rule(
        "drawn",
        traces,
        terms,
        third,
        *bounds,
        rounding=str(rounding),  # type: ignore[arg-type]
        seed=int(rng.integers(0, 2**62)),
        delays=str(rng.choice(["axonal", "dendritic"])),  # type: ignore[arg-type]
    )


@st.composite
def learners(draw: Any) -> tuple[DynamicNetwork, dict[str, Any]]:
    """Loops of populations that fire, count or send their potential, joined by what learns and what does not; and what drives them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32), label="seed"))
    arithmetic = draw(st.sampled_from(["float64", "float32", "integer"]), label="arithmetic")
    integer = arithmetic == "integer"
    contract = DynamicsContract(
        dt=1e-3,
        integrator="accumulate",
        arithmetic=arithmetic,
        spikes=draw(st.sampled_from(["single", "multi"]), label="spikes"),
        reset="subtract",
        layer_latency=draw(st.sampled_from([0, 1]), label="latency"),
        state_bits=8,
    )
    batch, n_steps = draw(st.integers(1, 3)), draw(st.integers(1, 14))
    unit: Any = 30 if integer else 1.0
    sizes = [int(rng.integers(1, 40)) for _ in range(draw(st.integers(1, 3)))]
    kinds: list[Any] = [IF(threshold=unit), Threshold(threshold=unit), Relay()]
    chances = [[0.4, 0.2, 0.4], [0.6, 0.4, 0.0]]  # the first one may be analog, and then hears the input alone
    populations = tuple(
        DynamicPopulation(f"p{i}", (n,), kinds[rng.choice(3, p=chances[i > 0])]) for i, n in enumerate(sizes)
    )
    places = [SpikeInput("in", (7,)), *populations]
    projections = []
    for k in range(draw(st.integers(1, 4))):
        source, target = places[rng.integers(len(places))], populations[rng.integers(len(populations))]
        if isinstance(target.neuron, Relay):
            source = places[0]
        pre, post = source.size, target.size
        learns = rule(rng, integer) if k == 0 or rng.random() < 0.6 else None
        weights = rng.integers(-20, 40, (post, pre)) if integer else rng.normal(0.2, 0.4, (post, pre)).clip(-2, 2)
        pairs = rng.integers(0, pre, 60), rng.integers(0, post, 60)
        synapses: list[Any] = [
            Dense(weights),
            Sparse.from_pairs(*pairs, weights.ravel()[rng.integers(0, weights.size, 60)], pre=pre, post=post),
        ]
        if pre == post:
            synapses.append(OneToOne(weights[0]))
        chosen = synapses[rng.integers(len(synapses))]
        delay = int(rng.integers(0 if learns is None else 1, 4))
        if source.name == "in" and learns is not None and learns.delays == "axonal":
            delay = int(rng.integers(0, 3))
        delay = max(delay, int(source.name != "in"))
        projections.append(Projection(source.name, target.name, (chosen,), delay=delay, plasticity=learns))
    network = DynamicNetwork("learners", (places[0],), populations, tuple(projections), contract)  # type: ignore[arg-type]
    x = rng.integers(-1, 3, (n_steps, batch, 7)) * (rng.random((n_steps, batch, 7)) < 0.4)
    drive = {p.name: rng.integers(0, 40, (n_steps, batch, p.size)) / (1 if integer else 32) for p in populations}
    reward: Any = rng.integers(-3, 4, (n_steps, batch)) if rng.random() < 0.7 else 2
    given: dict[str, Any] = {
        "x": x,
        "currents": drive,
        "modulation": dict.fromkeys(network.third_factors, reward),
        "record_weights": list(network.plastic),
        "weights_every": int(rng.integers(1, 6)),
        "potentials": [p.name for p in populations],
    }
    return network, given


@settings(max_examples=120, deadline=None)
@given(learners())
def test_native_learns_as_the_reference_does(case: tuple[DynamicNetwork, dict[str, Any]]) -> None:
    network, given_ = case
    try:
        expected = reference.simulate_dynamics(network, **given_)
    except GraphError as refused:  # drawn integers that may leave 64 bits: both say so
        with pytest.raises(GraphError, match=re.escape(str(refused))):
            simulate_dynamics(network, **given_)
        return
    for level in native.levels():
        with native.using(level):
            assert_equal(simulate_dynamics(network, **given_), expected)


def recurrent(arithmetic: Any, delays: Any, neurons: int = 1500) -> DynamicNetwork:
    """Large enough to be cut into parts, with rows longer than a block."""
    rng = np.random.default_rng(0)
    integer = arithmetic == "integer"
    pairs = rng.integers(0, neurons, 30 * neurons), rng.integers(0, neurons, 30 * neurons)
    pairs[0][:900] = 3
    pairs[1][900:1800] = 7
    weights = rng.integers(0, 20, len(pairs[0])) if integer else rng.normal(0.05, 0.1, len(pairs[0])).clip(0, 1)
    sparse = Sparse.from_pairs(*pairs, weights, pre=neurons, post=neurons)
    kind: Any = IF(threshold=200) if integer else LIF(tau=0.01, bias=1.3, refractory=2e-3)
    learns = RewardSTDP(
        a_plus=24 if integer else 0.013,
        a_minus=40 if integer else 0.011,
        rate=0.25,
        per="event",
        every=3,
        unit=64 if integer else 1,
        limit=500,
        w_max=50 if integer else 1.0,
        rounding="stochastic",
        delays=delays,
    )
    contract = DynamicsContract(
        dt=1e-3,
        integrator="accumulate" if integer else "exponential",
        synapse="delta",
        arithmetic=arithmetic,
    )
    return DynamicNetwork(
        "loop",
        (),
        (DynamicPopulation("n", (neurons,), kind),),
        (Projection("n", "n", (sparse,), delay=2, plasticity=learns),),
        contract,
    )


@pytest.mark.parametrize("delays", ["axonal", "dendritic"])
@pytest.mark.parametrize("arithmetic", ["float64", "float32", "integer"])
def test_the_number_of_threads_changes_nothing(arithmetic: str, delays: str) -> None:
    network = recurrent(arithmetic, delays)
    rng = np.random.default_rng(1)
    drive = rng.integers(0, 60, (20, 1, 1500)) if arithmetic == "integer" else rng.random((20, 1, 1500)) * 4
    given_: dict[str, Any] = {
        "n_steps": 20,
        "currents": {"n": drive},
        "modulation": {"reward": rng.integers(-2, 3, (20, 1))},
        "record_weights": ["n -> n"],
        "weights_every": 9,
        "potentials": ["n"],
    }
    expected = reference.simulate_dynamics(network, **given_)
    assert expected.counts["n"].sum() > 1000
    changed = expected.weights["n -> n"] != expected.weights_over_time["n -> n"][0]
    assert changed.mean() > 0.3
    for threads in (1, 2, 3):
        assert_equal(simulate_dynamics(network, **given_, threads=threads), expected)


def test_samples_learn_apart_whatever_the_threads() -> None:
    network = recurrent("float64", "axonal")
    drive = np.random.default_rng(2).random((5, 1500)) * 4
    given_: dict[str, Any] = {
        "n_steps": 8,
        "currents": {"n": drive},
        "modulation": {"reward": 1.0},
        "record_weights": ["n -> n"],
    }
    expected = reference.simulate_dynamics(network, **given_)
    for threads in (1, 2, 7):
        assert_equal(simulate_dynamics(network, **given_, threads=threads), expected)
    alone = simulate_dynamics(network, **{**given_, "currents": {"n": drive[3:4]}})
    assert np.array_equal(alone.weights["n -> n"][0], expected.weights["n -> n"][3])


def test_a_session_goes_on_with_its_weights_and_reset_brings_the_first_ones_back() -> None:
    network = recurrent("float64", "dendritic", neurons=60)
    told: dict[str, Any] = {"modulation": {"reward": 1.0}, "currents": {"n": 3.0}}
    whole = simulate_dynamics(network, n_steps=40, record_weights=["n -> n"], potentials=["n"], **told)
    with DynamicSession(network) as session:
        for _ in range(2):
            parts = [session.run(n_steps=n, potentials=["n"], **told) for n in (1, 13, 26)]
            assert np.array_equal(np.concatenate([p.potentials["n"] for p in parts]), whole.potentials["n"])
            assert np.array_equal(session.weights("n -> n"), whole.weights["n -> n"])
            session.reset()
            assert np.array_equal(session.weights("n -> n")[0], network.projections[0].synapses[0].weights)  # type: ignore[union-attr]


def test_steps_at_the_door_are_those_of_a_whole_run() -> None:
    network = recurrent("float64", "axonal", neurons=50)
    drive = {"n": np.full((2, 50), 3.0)}
    rewards = np.array([[1.0, -1.0], [0.5, 0.0], [2.0, 2.0], [0.0, 1.0]])
    whole = sp.simulate(
        network,
        max_steps=4,
        currents=drive,
        modulation={"reward": rewards},
        record_weights=["n -> n"],
        record=None,
        on="native",
    )
    assert isinstance(whole, DynamicRecording)
    with sp.open(sp.compile(network, "native")) as session:
        session.reset(2)
        with pytest.raises(DataError, match="was not given"):
            session.step()
        for reward in rewards:
            session.modulate({"reward": reward[:, None]})
            session.step(currents=drive)
        assert np.array_equal(session.weights("n -> n"), whole.weights["n -> n"])
        with pytest.raises(OptionError, match="is no projection that learns"):
            session.weights("n")


def test_the_fastest_backend_learns() -> None:
    network = recurrent("float64", "axonal", neurons=40)
    options: dict[str, Any] = {"max_steps": 9, "modulation": {"reward": 1.0}, "record_weights": ["n -> n"]}
    found = sp.simulate(network, currents={"n": 3.0}, **options)
    expected = sp.simulate(network, currents={"n": 3.0}, on="reference", **options)
    assert isinstance(found, DynamicRecording)
    assert isinstance(expected, DynamicRecording)
    assert np.array_equal(found.weights["n -> n"], expected.weights["n -> n"])
    assert not np.array_equal(found.weights["n -> n"][0], network.projections[0].synapses[0].weights)  # type: ignore[union-attr]
    quiet = replace(network, projections=(replace(network.projections[0], plasticity=STDP(w_max=1.0)),))
    assert sp.simulate(quiet, max_steps=2).n_steps == 2
