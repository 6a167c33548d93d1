"""Learning in the compiled kernels: weights, spikes and potentials of the reference, bit for bit."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import spikeport as sp
from spikeport import native
from spikeport.backends import reference
from spikeport.backends.native import DynamicSession, simulate_dynamics
from spikeport.errors import DataError, GraphError, OptionError
from spikeport.primitives import (
    STDP,
    DynamicNetwork,
    DynamicRecording,
)
from tests.learning_networks import learners, recurrent

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
