"""The native stepper of hand-made networks gives the reference's spikes and potentials, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikeport as sp
from spikeport import native
from spikeport.backends import reference
from spikeport.backends.dynamics import Shared
from spikeport.backends.native import DynamicSession, simulate_dynamics
from spikeport.errors import DataError, NativeError, OptionError
from spikeport.plugin.driving import drive
from spikeport.primitives import (
    IF,
    LIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    Izhikevich,
    Projection,
    Relay,
    Sparse,
    SpikeInput,
)
from spikeport.primitives.contract import CHOICES
from tests.dynamic_networks import simulations

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_missing())


def assert_equal(found: DynamicRecording, expected: DynamicRecording) -> None:
    assert found.n_steps == expected.n_steps
    for name, counts in expected.counts.items():
        assert np.array_equal(found.counts[name], counts), name
    for name, events in expected.spikes.items():
        for field in ("samples", "steps", "neurons"):
            assert np.array_equal(getattr(found.spikes[name], field), getattr(events, field)), (name, field)
        assert (found.spikes[name].values is None) == (events.values is None), name
        assert events.values is None or np.array_equal(found.spikes[name].values, events.values), name
    for name, values in expected.potentials.items():
        assert found.potentials[name].dtype == values.dtype
        assert np.array_equal(found.potentials[name], values), name
    assert found.counts.keys() == expected.counts.keys()


@settings(max_examples=150, deadline=None)
@given(simulations())
def test_native_equals_the_reference_under_every_contract(case: tuple[DynamicNetwork, dict[str, Any]]) -> None:
    network, given_ = case
    everything = [p.name for p in network.populations]
    expected = reference.simulate_dynamics(network, **given_, potentials=everything)
    for level in native.levels():
        with native.using(level):
            assert_equal(simulate_dynamics(network, **given_, potentials=everything), expected)


def recurrent(neurons: int = 3000, seed: int = 0, arithmetic: Any = "float64", **contract: Any) -> DynamicNetwork:
    """Large enough to be cut into parts; weights without a short binary form, so that sums show their order."""
    rng = np.random.default_rng(seed)
    sources, targets = rng.integers(0, neurons, 40 * neurons), rng.integers(0, neurons, 40 * neurons)
    weights = rng.integers(-3, 4, 40 * neurons) if arithmetic == "integer" else rng.normal(0.02, 0.3, 40 * neurons)
    sparse = Sparse.from_pairs(sources, targets, weights, pre=neurons, post=neurons)
    kind: Any = IF(threshold=20, bias=1) if arithmetic == "integer" else LIF(tau=0.01, bias=1.3, refractory=2e-3)
    population = DynamicPopulation("n", (neurons,), kind)
    settled = DynamicsContract(
        dt=1e-3,
        integrator="accumulate" if arithmetic == "integer" else "exponential",
        synapse="delta",
        arithmetic=arithmetic,
        **contract,
    )
    return DynamicNetwork("loop", (), (population,), (Projection("n", "n", (sparse,), delay=3),), settled)


@pytest.mark.parametrize("arithmetic", ["float64", "float32", "integer"])
def test_the_number_of_threads_changes_nothing(arithmetic: str) -> None:
    network = recurrent(arithmetic=arithmetic)
    expected = reference.simulate_dynamics(network, n_steps=25, potentials=["n"])
    assert expected.counts["n"].sum() > 1000
    for threads in (1, 2, 3):
        assert_equal(simulate_dynamics(network, n_steps=25, potentials=["n"], threads=threads), expected)


@pytest.mark.parametrize("arithmetic", ["float64", "float32", "integer"])
def test_the_number_of_threads_changes_nothing_of_payloads(arithmetic: str) -> None:
    """Several spikes a step, and an analog population that hears and is heard."""
    network = recurrent(arithmetic=arithmetic, spikes="multi", reset="subtract")
    rng = np.random.default_rng(2)
    pairs = rng.integers(0, 3000, 9000), rng.integers(0, 3000, 9000)
    weights = rng.integers(-2, 3, 9000) if arithmetic == "integer" else rng.normal(0, 0.05, 9000)
    sparse = Sparse.from_pairs(*pairs, weights, pre=3000, post=3000)
    analog = DynamicPopulation("sum", (3000,), Relay(bias=1))
    projections = (*network.projections, Projection("n", "sum", (sparse,)), Projection("sum", "n", (sparse,), delay=2))
    network = replace(network, populations=(*network.populations, analog), projections=projections)
    given: dict[str, Any] = {"n_steps": 12, "potentials": ["n", "sum"], "currents": {"n": 45}}
    expected = reference.simulate_dynamics(network, **given)
    assert expected.spikes["n"].values is not None
    for threads in (1, 3):
        assert_equal(simulate_dynamics(network, threads=threads, **given), expected)


def test_counts_of_thresholds_at_the_ends_of_numbers() -> None:
    """Exact multiples, one below them, the largest count, and infinity."""
    v = np.array([3.0, np.nextafter(3.0, 0), 2.9999999999999996, 1e300, 0.3, 2.0**53, 1.0, 5e-324])
    threshold = np.array([1.0, 1.0, 3.0, 1e-300, 0.1, 1.0, 1.0, 5e-324])
    neuron = IF(threshold=threshold, initial=v)
    contract = DynamicsContract(
        dt=1e-3, integrator="accumulate", compare=">=", spikes="multi", reset="subtract", reset_when="next_step"
    )
    network = DynamicNetwork("ends", (), (DynamicPopulation("n", (8,), neuron),), (), contract)
    expected = reference.simulate_dynamics(network, n_steps=1)
    assert expected.counts["n"].tolist() == [[3, 2, 0, 2**53, 2, 2**53, 1, 1]]
    for level in native.levels():
        with native.using(level):
            assert_equal(simulate_dynamics(network, n_steps=1), expected)


def test_samples_are_independent_of_each_other_and_of_threads() -> None:
    network = recurrent()
    currents = {"n": np.random.default_rng(1).normal(0, 0.5, (5, 3000))}
    expected = reference.simulate_dynamics(network, n_steps=12, currents=currents, potentials=["n"])
    for threads in (1, 2, 7):
        found = simulate_dynamics(network, n_steps=12, currents=currents, potentials=["n"], threads=threads)
        assert_equal(found, expected)


def test_a_session_goes_on_where_it_was_and_reset_brings_the_beginning_back() -> None:
    network = recurrent()
    whole = simulate_dynamics(network, n_steps=30, potentials=["n"])
    with DynamicSession(network, threads=2) as session:
        parts = [session.run(n_steps=n, potentials=["n"]) for n in (1, 13, 16)]
        assert np.array_equal(np.concatenate([p.potentials["n"] for p in parts]), whole.potentials["n"])
        steps = np.concatenate([p.spikes["n"].steps + at for p, at in zip(parts, (0, 1, 14), strict=True)])
        assert np.array_equal(steps, whole.spikes["n"].steps)
        assert np.array_equal(sum(p.counts["n"] for p in parts), whole.counts["n"])
        session.reset()
        assert_equal(session.run(n_steps=30, potentials=["n"]), whole)


@settings(max_examples=60, deadline=None)
@given(simulations(), st.sampled_from(CHOICES["reset_when"]), st.sampled_from(CHOICES["current_order"]))
def test_a_session_becomes_a_network_with_the_same_synapses(case: Any, reset_when: Any, current_order: Any) -> None:
    network, given_ = case
    if any(isinstance(p.neuron, Izhikevich) for p in network.populations) and reset_when == "after_next_update":
        reset_when = "next_step"  # which they refuse
    compare = {">": ">=", ">=": ">"}[network.contract.compare]
    changed = replace(network.contract, compare=compare, reset_when=reset_when, current_order=current_order)
    first = replace(network.populations[0], neuron=replace(network.populations[0].neuron, bias=2.0))
    other = replace(network, contract=changed, populations=(first, *network.populations[1:]))
    names = [p.name for p in network.populations]
    batch = drive(network, given_["x"], n_steps=given_["n_steps"], currents=given_["currents"]).batch
    with DynamicSession(network, batch=batch, shared=Shared()) as session:
        for each in (network, other, other, network):
            assert session.become(each)
            expected = reference.simulate_dynamics(each, **given_, potentials=names)
            assert_equal(session.run(**given_, potentials=names), expected)


def test_a_session_does_not_become_a_network_with_other_synapses() -> None:
    network = recurrent(neurons=1100)
    (projection,) = network.projections
    currents = {"n": np.random.default_rng(1).normal(0, 0.5, (5, 1100))[:1]}
    expected = simulate_dynamics(network, n_steps=9, currents=currents)
    with DynamicSession(network, threads=2, shared=Shared()) as session:
        later = replace(network, projections=(replace(projection, delay=projection.delay + 1),))
        (sparse,) = projection.synapses
        equal = replace(network, projections=(replace(projection, synapses=(replace(sparse),)),))
        assert not session.become(later)
        assert not session.become(equal)  # equal weights are not known to be so
        assert_equal(session.run(n_steps=9, currents=currents), expected)
        assert session.become(network)
        assert_equal(session.run(n_steps=9, currents=currents), expected)


def test_a_session_refuses_what_it_was_not_opened_for() -> None:
    population = DynamicPopulation("n", (3,), LIF(tau=0.01))
    dense = Projection("in", "n", (Dense(np.ones((3, 2))),))
    contract = DynamicsContract(dt=1e-3, integrator="exponential")
    network = DynamicNetwork("small", (SpikeInput("in", (2,)),), (population,), (dense,), contract)
    for wrong in ({"batch": 0}, {"threads": 0}, {"threads": 1.5}):
        with pytest.raises(OptionError, match="whole number from 1 on"):
            DynamicSession(network, **wrong)
    session = DynamicSession(network, batch=2)
    with pytest.raises(DataError, match="3 samples, and the session was opened for 2"):
        session.run(np.zeros((4, 3, 2)))
    assert session.run(np.zeros((4, 2, 2))).counts["n"].shape == (2, 3)
    session.close()
    session.close()
    with pytest.raises(NativeError, match="is closed"):
        session.run(np.zeros((4, 2, 2)))
    with pytest.raises(NativeError, match="is closed"):
        session.reset()


def test_a_thousand_sessions_leave_no_memory_behind() -> None:
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        pytest.skip("counts memory in kilobytes, as Linux does")
    network = recurrent(neurons=1100)

    def opened(times: int) -> int:
        for _ in range(times):
            with DynamicSession(network, threads=2) as session:
                session.run(n_steps=1)
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    warm = opened(50)
    assert opened(1000) - warm < 50_000  # kilobytes; a session holds about 500


def test_one_door_steps_networks_with_dynamics_as_well() -> None:
    network = recurrent()
    expected = reference.simulate_dynamics(network, n_steps=9, potentials=["n"])
    for on in (None, "native", "reference"):
        assert_equal(sp.simulate(network, max_steps=9, record=None, on=on), expected)
    assert sp.simulate(network, max_steps=9).spikes == {}
    with pytest.raises(OptionError, match="z: is not a population"):
        sp.simulate(network, max_steps=9, record=["z"])


LONG = """
import signal, sys, threading
import numpy as np
import spikeport as sp
from tests.backends.test_native_dynamics import recurrent

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and pass that on
network = recurrent()
threading.Timer(1.0, lambda: print("running", flush=True)).start()
try:
    sp.simulate(network, max_steps=100_000_000, record=(), on="native")
except sp.Interrupted as error:
    part = error.finished
    again = sp.simulate(network, max_steps=min(error.done, 50), record=["n"])
    print(error.done == part.n_steps > 0, part.counts["n"].sum() >= again.counts["n"].sum(), "steps" in str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_keeps_the_steps_that_were_finished() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", LONG]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGINT)
        found, said = child.communicate()
    assert found == "True True True\n", said
