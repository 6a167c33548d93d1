"""Networks in other equations on Loihi: whole numbers exactly, everything else by an explicit rounding that is on record."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikeport as sp
from spikeport.backends import reference
from spikeport.backends.loihi import LOIHI1, LOIHI2, fit
from spikeport.backends.loihi.fit import fitted
from spikeport.errors import LowerError
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    Projection,
    SpikeInput,
    Threshold,
)
from tests.backends.test_loihi_session import run

CLOSE = 0.04  # weights of 8 bits, sums rounded down, and a bias that acts one step early
WHOLE = DynamicsContract(dt=1e-3, integrator="accumulate", arithmetic="integer")


def network(
    neurons: list[Any], weights: list[Any], contract: DynamicsContract, delays: tuple[int, ...] = ()
) -> DynamicNetwork:
    """Layers one behind the other."""
    sizes = [np.shape(weights[0])[1], *(np.shape(w)[0] for w in weights)]
    names = ["in", *(f"p{i}" for i in range(len(neurons)))]
    populations = tuple(
        DynamicPopulation(n, (s,), neuron) for n, s, neuron in zip(names[1:], sizes[1:], neurons, strict=True)
    )
    projections = tuple(
        Projection(a, b, (Dense(np.asarray(w)),), delay=d)
        for a, b, w, d in zip(names[:-1], names[1:], weights, delays or (0,) * len(weights), strict=True)
    )
    return DynamicNetwork("net", (SpikeInput("in", (sizes[0],)),), populations, projections, contract)


@given(st.integers(0, 2**32), st.sampled_from([">", ">="]), st.sampled_from([0, 1]))
@settings(max_examples=25)
def test_whole_numbers_that_add_up_are_the_same_on_the_chip(seed: int, compare: Any, latency: Any) -> None:
    rng = np.random.default_rng(seed)
    contract = DynamicsContract(
        dt=1e-3, integrator="accumulate", arithmetic="integer", compare=compare, layer_latency=latency
    )
    sizes = [4, 5, 3]
    weights = [rng.integers(0, 128, (b, a)) for a, b in pairwise(sizes)]
    neurons = [
        IF(
            threshold=float(rng.integers(1, 300)),
            v_reset=0.0,
            bias=float(rng.integers(0, 3)),
            initial=float(rng.integers(0, 9)),
        )
        for _ in weights
    ]
    net = network(neurons, weights, contract, tuple(rng.integers(0, 4, len(weights)).tolist()))
    x = (rng.random((12, 2, 4)) < 0.4).astype(int)
    for backend in (LOIHI1, LOIHI2):
        found = run(backend, net, x)
        expected = reference.simulate_dynamics(net, x, record=None, potentials=list(net.by_name))
        for name in net.by_name:
            np.testing.assert_array_equal(found.spikes[name].train().raster, expected.spikes[name].train().raster)
            np.testing.assert_array_equal(found.potentials[name], expected.potentials[name])


@given(st.integers(0, 2**32), st.sampled_from([">", ">="]))
@settings(max_examples=25)
def test_units_without_memory_are_the_same_on_the_chip(seed: int, compare: Any) -> None:
    """Weights of both signs, of two synapses each, thresholds of both signs, biases, and sums that meet the threshold."""
    rng = np.random.default_rng(seed)
    contract = DynamicsContract(
        dt=1e-3, integrator="accumulate", arithmetic="integer", compare=compare, layer_latency=1, synapse="delta"
    )
    weights = [rng.integers(-w, w + 1, (b, a)) for (a, b), w in zip(pairwise([4, 5, 3]), (3, 6500), strict=True)]
    neurons = [
        Threshold(threshold=rng.integers(-4, 5, 5), bias=rng.integers(-2, 3, 5)),
        Threshold(threshold=abs(weights[1][:, 0]), bias=rng.integers(-1, 2, 3)),
    ]
    net = network(neurons, weights, contract, (0, 2))
    x = rng.integers(0, 2, (12, 2, 4))
    expected = reference.simulate_dynamics(net, x, record=None)
    for backend in (LOIHI1, LOIHI2):
        with backend.open(backend.compile(net, backend.targets[0]), record=["p0", "p1"], potentials=[]) as session:
            found = session.run(x)
        for name in net.by_name:
            np.testing.assert_array_equal(found.spikes[name].train().raster, expected.spikes[name].train().raster)


def test_units_without_memory_show_no_potential_and_end_where_the_register_does() -> None:
    net = network([Threshold(threshold=1.0)], [[[127 * 128 + 63]]], WHOLE)
    program = LOIHI2.compile(net, LOIHI2.targets[0])
    session = LOIHI2.open(program, record=["p0"], potentials=["p0"])
    with session, pytest.raises(sp.OptionError, match="p0: has no potential to show"):
        session.run(np.ones((1, 1, 1)))
    for weights, said in (
        ([[127 * 128 + 64]], "rounded to 8 bits"),
        ([[16000] * 9], "its sum of a step may leave 131,071, where it wraps"),
    ):
        with pytest.raises(LowerError, match=said):
            LOIHI2.compile(network([Threshold(threshold=1.0)], [weights], WHOLE), LOIHI2.targets[0])


def test_values_that_would_wrap_in_the_register_are_refused_where_they_enter() -> None:
    contract = DynamicsContract(
        dt=1e-3, integrator="accumulate", arithmetic="integer", synapse="delta", layer_latency=1
    )
    net = network([IF(threshold=100.0)], [[[127, 1]]], contract)
    most = (2**17 - 1) // 128
    program = LOIHI2.compile(net, LOIHI2.targets[0])
    for value in (most, most + 1):
        x = np.full((3, 1, 2), value)
        with LOIHI2.open(program, record=["p0"], potentials=[]) as session:
            if value > most:
                with pytest.raises(sp.DataError, match=r"in: has a value of 1,024, .* up to 1,023"):
                    session.run(x)
                continue
            found = session.run(x)
        expected = reference.simulate_dynamics(net, x, record=None)
        np.testing.assert_array_equal(found.counts["p0"], expected.counts["p0"])


def test_what_would_be_rounded_is_refused_and_fit_does_it_on_record() -> None:
    lif = LIF(tau=0.01, threshold=1.0)
    net = network([lif], [[[0.3]]], DynamicsContract(dt=1e-3, integrator="forward_euler"))
    with pytest.raises(LowerError, match=r"net: computes in float64(.|\n)*loihi.fit\(network, target\)"):
        LOIHI2.compile(net, LOIHI2.targets[0])
    rounded = fit(net, LOIHI2.targets[0])
    program = LOIHI2.compile(rounded, LOIHI2.targets[0])
    assert {entry.what for entry in program.ledger} >= {"decay of the potential rounded", "weights rounded to 8 bits"}
    # dv = 4096 / 10 is 409.6, and 410 is taken
    decay = next(entry for entry in program.ledger if entry.what == "decay of the potential rounded")
    assert decay.error == pytest.approx(0.4 / 409.6)
    assert fit(rounded, LOIHI2.targets[0]) is rounded
    # a potential that falls for ever has another end there
    falling = network([IF(threshold=3.0)], [[[-1]]], WHOLE)
    with pytest.raises(LowerError, match=r"p0: its potential saturates at -131,071(.|\n)*fit\(network, target\)"):
        LOIHI2.compile(falling, LOIHI2.targets[0])
    assert fit(falling, LOIHI2.targets[0]).contract.integrator == "loihi2"


@pytest.mark.parametrize("integrator", ["forward_euler", "exponential"])
@pytest.mark.parametrize("synapse", ["current", "delta"])
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "IF"])
def test_potentials_of_a_fitted_network_stay_close(integrator: Any, synapse: Any, kind: str) -> None:
    """Below the threshold, where nothing amplifies a difference; the bound is what the recorded roundings add up to, roughly."""
    rng = np.random.default_rng(3)
    common: dict[str, Any] = {"threshold": 60.0, "r": 1.3, "bias": 0.4}
    neurons: dict[str, Any] = {
        "LIF": LIF(tau=0.02, v_leak=0.5, v_reset=0.1, **common),
        "CubaLIF": CubaLIF(tau_mem=0.02, tau_syn=0.005, v_leak=0.5, v_reset=0.1, w_in=0.8, **common),
        "IF": IF(threshold=150.0, r=30.0 if synapse == "current" else 1.0, bias=0.1),
    }
    contract = DynamicsContract(dt=1e-3, integrator=integrator, synapse=synapse)
    net = network([neurons[kind]], [rng.normal(0.4, 0.5, (6, 8))], contract)
    x = (rng.random((60, 1, 8)) < 0.3).astype(int)
    found = fitted(net, "loihi2")
    mine = sp.simulate(found.network, x, record=["p0"])
    theirs = sp.simulate(net, x, record=["p0"], on="reference")
    assert not theirs.counts["p0"].any()
    offset = found.offsets["p0"]
    scale = found.scales["p0"]
    reset = 0.1 if kind != "IF" else 0.0
    v = mine.potentials["p0"][offset:] / scale + reset
    expected = theirs.potentials["p0"][: len(v)]
    spread = np.abs(expected).max()
    assert spread > 0.5
    assert np.abs(v[10:] - expected[10:]).max() < CLOSE * spread


def test_a_fitted_network_spikes_about_as_often() -> None:
    rng = np.random.default_rng(0)
    lif = LIF(tau=0.01, threshold=1.0)
    contract = DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta")
    net = network([lif, lif], [rng.normal(0.05, 0.2, (40, 30)), rng.normal(0.1, 0.2, (20, 40))], contract)
    x = (rng.random((200, 1, 30)) < 0.2).astype(int)
    mine = sp.simulate(fit(net, LOIHI2.targets[0]), x, record=())
    theirs = sp.simulate(net, x, record=(), on="reference")
    for name in ("p0", "p1"):
        total = theirs.counts[name].sum()
        assert total > 200
        assert abs(int(mine.counts[name].sum()) - total) < 0.1 * total


def test_refractory_steps_are_those_of_loihi1() -> None:
    net = network([IF(threshold=2.0, refractory=0.003)], [[[3]]], WHOLE)
    x = np.ones((12, 1, 1), int)
    found, expected = run(LOIHI1, net, x), reference.simulate_dynamics(net, x, record=None, potentials=["p0"])
    assert found.spikes["p0"].steps.tolist() == expected.spikes["p0"].steps.tolist() == [0, 4, 8]
    with pytest.raises(LowerError, match=r"p0.refractory: the LIF of loihi2 has none"):
        fit(net, LOIHI2.targets[0])


def test_what_no_rounding_helps_against_is_refused_all_at_once() -> None:
    subtract = DynamicsContract(dt=1e-3, integrator="forward_euler", reset="subtract", current_order="old")
    net = network([LIF(tau=0.01), LI(tau=0.01)], [[[1.0]], [[1.0]]], subtract)
    with pytest.raises(LowerError) as error:
        fit(net, LOIHI2.targets[0])
    for text in ("resets by subtraction", "takes currents a step late", "p1: LI has no threshold"):
        assert text in str(error.value)
    strong = network(
        [LIF(tau=0.01, threshold=1.0, bias=1e6)], [[[1.0]]], DynamicsContract(dt=1e-3, integrator="forward_euler")
    )
    with pytest.raises(LowerError, match=r"p0.bias: needs a bias of"):
        fit(strong, LOIHI2.targets[0])


@pytest.mark.parametrize("backend", [LOIHI1, LOIHI2])
def test_every_neuron_has_an_exponent_of_its_bias(backend: Any) -> None:
    neuron = IF(threshold=20_000, bias=np.array([3, -8190, -6000]))
    net = network([neuron], [np.ones((3, 1), int)], WHOLE)
    found: Any = fit(net, backend.targets[0])["p0"].neuron
    assert found.bias.tolist() == [3 * 64, -8190 * 64, -6000 * 64]
