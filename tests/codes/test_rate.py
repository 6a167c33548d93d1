"""The rate code: exact where a current is constant, close elsewhere, and never called more."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport import codes, native
from spikeport.backends import reference
from spikeport.backends.reference import stepper
from spikeport.codes import rate
from spikeport.errors import OptionError
from spikeport.graph import Input, Node, Relu, build
from spikeport.model import SpikingModel, load
from spikeport.primitives import Connection, Dense, InputEncoder, MaxPool, OneToOne, PlainIF, Population, Reshape
from spikeport.quantize import CountLayer, IntegerNetwork, MaxLayer, Readout, StaircaseLayer, evaluate
from spikeport.report import Report
from tests.integer_networks import random_input, random_network

CASES, STEPS = 20_000, 12
SEEDS = st.integers(0, 2**31)


def uniform(seed: int, kind: str = "static") -> IntegerNetwork:
    """A random network of seven levels throughout, without maxima, thresholds large enough for some precision."""
    network = random_network(seed, kind=kind, everything=False)
    layers = [
        replace(
            layer, high=7, low=0 if layer.low == 0 else -7, threshold=5 * layer.threshold, offset=2 * layer.threshold
        )
        if isinstance(layer, CountLayer)
        else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def test_membranes_wider_than_asked_for_are_in_the_ledger() -> None:
    base = replace(uniform(1), state_bits=8)
    made = codes.encode(base, "rate", steps=32)
    (entry,) = (entry for entry in made.ledger if entry.what == rate.WIDER)
    assert entry.error == made.contract.state_bits - 8 > 0
    wide = replace(base, state_bits=40)
    assert rate.WIDER not in [entry.what for entry in codes.encode(wide, "rate", steps=32).ledger]


def spikes_of(module: ModuleType, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of many units by the stepper's rule and by Python's integers, step by step."""
    rng = np.random.default_rng(seed)
    threshold, initial = rng.integers(1, 30, size=CASES), rng.integers(-9, 20, size=CASES)
    arriving = rng.integers(-25, 40, size=(STEPS, CASES)) * (rng.random((STEPS, CASES)) < 0.7)
    exact = rng.random(CASES) < 0.4  # exactly at the threshold in the first step
    arriving[0] = np.where(exact, threshold - initial, arriving[0])
    cell = Population("n", (CASES,), PlainIF(threshold, initial, np.zeros((), np.int64)))
    state = module._State(initial[None].copy(), np.zeros((1, CASES), dtype=np.int64))
    found = np.stack([module._update(cell, state, now[None], t)[0] for t, now in enumerate(arriving)])
    expected = np.zeros_like(found)
    for i, (th, v) in enumerate(zip(threshold.tolist(), initial.tolist(), strict=True)):
        for t, a in enumerate(arriving[:, i].tolist()):
            v += a
            if v >= th:
                v, expected[t, i] = v - th, 1
    return found, expected


def test_a_plain_unit_fires_and_subtracts() -> None:
    found, expected = spikes_of(stepper, 0)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("state.v >= threshold", "state.v > threshold"),
        ("state.v -= spikes * threshold", "state.v *= 1 - spikes"),
        ("state.v -= spikes * threshold", "pass"),
    ],
)
def test_a_mutated_plain_unit_is_caught(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = inspect.getsource(stepper)
    start = source.index("        case PlainIF(threshold):")
    head, rule = source[:start], source[start:]
    assert old in rule.partition("case RadixIF")[0]
    module = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", module)
    exec(compile(head + rule.replace(old, new, 1), "mutant.py", "exec"), module.__dict__)
    found, expected = spikes_of(module, 0)
    assert not np.array_equal(found, expected)


def one_layer(threshold: int, high: int) -> IntegerNetwork:
    one = Dense(np.ones((1, 1), dtype=np.int64))
    layer = CountLayer(
        "n", (1,), np.array([threshold]), np.array([3]), np.array([threshold // 2]), 0, high, np.ones(())
    )
    return IntegerNetwork(
        InputEncoder("input", (1,), "static", np.ones(()), -1000, 1000),
        (layer, Readout("output", (1,), np.array([0]), 1.0)),
        (Connection("input", "n", (one,)), Connection("n", "output", (one,))),
        8,
        24,
    )


@pytest.mark.parametrize("times", [1, 2])
def test_a_constant_current_is_carried_exactly(times: int) -> None:
    """N(T) = clip(floor((T x + h) / th), 0, T) for the first layer, with as many steps as levels; twice as many are finer.

    Shares of a split current differ by one, though: with many more steps a count may lag behind where it saturates.
    """
    network = one_layer(10, 7)
    spiking = codes.encode(network, "rate", steps=7 * times)
    x = np.arange(-120.0, 121.0)[:, None]
    found = reference.simulate(spiking, x)
    u = times * (x + 3) + 5
    assert np.array_equal(found.counts["n"], np.clip(u // 10, 0, 7 * times))
    if times == 1:
        assert np.array_equal(found.readout[-1], evaluate(network, x))
    assert found.n_steps == spiking.contract.max_steps == 7 * times


@settings(max_examples=30)
@given(SEEDS, st.sampled_from(["static", "events"]), st.integers(1, 20))
def test_all_steppers_send_the_same_spikes_within_the_bounds(seed: int, kind: str, steps: int) -> None:
    network = uniform(seed, kind)
    spiking = codes.encode(network, "rate", steps=steps)
    x = random_input(network, seed)
    names = [p.name for p in spiking.populations if isinstance(p.neuron, PlainIF)]
    found = reference.simulate(spiking, x, record=[*names, spiking.output])
    bounds = rate.membranes(spiking)
    for name, potential in found.potentials.items():
        assert (potential >= bounds[name].low).all()
        assert (potential <= bounds[name].high).all()
    if native.available():
        from spikeport.backends.native import simulate

        assert_same(simulate(spiking, x, record=names), found, names)
    if find_spec("torch"):
        from spikeport.backends.torch import simulate as on_torch

        assert_same(on_torch(spiking, x, record=names), found, names)


def assert_same(found, expected, names) -> None:
    assert np.array_equal(found.readout, expected.readout)
    for name in names:
        assert np.array_equal(found.spikes[name].raster, expected.spikes[name].raster), name


@settings(max_examples=10)
@given(SEEDS, st.sampled_from(["static", "events"]))
def test_fitting_brings_the_spikes_of_each_layer_closer(seed: int, kind: str) -> None:
    network = uniform(seed, kind)
    encoded = random_input(network, seed, samples=12).astype(np.int64)
    spiking = codes.encode(network, "rate", steps=14)
    fitted = rate.calibrated(spiking, network, encoded)
    counts: dict[str, np.ndarray] = {}
    evaluate(network, encoded.astype(np.float64), visit=lambda layer, n: counts.update({layer.name: n}))
    first = next(p.name for p in spiking.populations if isinstance(p.neuron, PlainIF))
    target = 2 * np.maximum(counts[first], 0)
    errors = [
        np.square(reference.simulate(s, encoded.astype(np.float64)).counts[first] - target).sum()
        for s in (spiking, fitted)
    ]
    assert errors[1] <= errors[0]
    assert any("statistical" in entry.what for entry in fitted.ledger)
    again = rate.tuned(spiking, rate.parameters_of(fitted))
    x = encoded.astype(np.float64)
    assert np.array_equal(reference.simulate(again, x).readout, reference.simulate(fitted, x).readout)


def test_fitting_reads_the_same_trains_as_the_stepper_sends() -> None:
    rng = np.random.default_rng(0)
    arriving = rng.integers(-9, 12, size=(STEPS, 5, 6))
    neuron = PlainIF(rng.integers(1, 20, size=6), rng.integers(0, 9, size=6), rng.integers(-30, 30, size=6))
    population = Population("n", (6,), neuron)
    state = stepper._State(np.repeat(neuron.initial[None], 5, axis=0), np.zeros((5, 6), dtype=np.int64))
    for t, spikes in enumerate(rate.fire(neuron, arriving)):
        bias = stepper.split(neuron.bias, t, STEPS)
        assert np.array_equal(stepper._update(population, state, arriving[t] + bias, t), spikes)


def test_a_threshold_that_is_far_off_is_found() -> None:
    arriving = np.full((20, 8, 1), 10)
    target = np.full((8, 1), 10.0)  # every second step: a threshold of 20, and 14 is there
    found, (before, after) = rate.fitted(PlainIF(np.array([14]), np.array([7]), np.array([0])), arriving, target, 20)
    assert after == 0 < before
    assert found.threshold.tolist() == [20]


def test_what_has_no_rate_is_refused_by_name() -> None:
    network = one_layer(10, 7)
    window = MaxPool((1,), (1,), ((0, 0),), (1,))
    layer = network.layers[0]
    table = StaircaseLayer("n", (1,), np.array([[1], [2]]), np.array([0]), 0, np.ones(()))
    with pytest.raises(OptionError, match="n: has a table of thresholds"):
        codes.encode(replace(network, layers=(table, network.layers[1])), "rate")
    wide = replace(
        network,
        layers=(layer, MaxLayer("max", (1, 1), window, np.ones(())), network.layers[1]),
        connections=(
            network.connections[0],
            Connection("n", "max", (Reshape((1, 1)),)),
            Connection("max", "output", (Reshape((1,)),)),
        ),
    )
    with pytest.raises(OptionError, match="max: takes the maximum over spikes"):
        codes.encode(wide, "rate")
    second = replace(layer, name="m", high=3)
    uneven = replace(
        network,
        layers=(layer, second, network.layers[1]),
        connections=(network.connections[0], Connection("n", "m", ()), Connection("m", "output", ())),
    )
    with pytest.raises(OptionError, match="m: has 3 levels, other layers 7"):
        codes.encode(uneven, "rate")
    with pytest.raises(OptionError, match="steps: is 0"):
        codes.encode(network, "rate", steps=0)


def model(seed: int = 1) -> SpikingModel:
    network = uniform(seed)
    graph = build(
        [
            Node("input", Input(network.input.shape), (), network.input.shape),
            Node("r", Relu(), ("input",), network.input.shape),
        ],
        "r",
    )
    encoded = random_input(network, seed, samples=6).astype(np.int64)
    spiking = codes.encode(network, "rate", steps=9)
    return SpikingModel(graph, network, rate.calibrated(spiking, network, encoded), Report.empty(), encoded)


def test_a_model_of_rates_is_called_by_stepping_and_keeps_what_was_fitted(tmp_path: Path) -> None:
    snn = model()
    x = random_input(snn.integer, 4, samples=5)
    stepped = reference.simulate(snn.network, x).output.astype(np.float32)
    assert np.array_equal(snn(x), stepped)
    read = load(snn.save(tmp_path / "m.spk"))
    assert read.network.contract == snn.network.contract
    assert np.array_equal(read(x), stepped)
    assert read.with_code("rate", steps=9, data=snn.samples.astype(np.float64)).network.contract.code == "rate"
    with pytest.raises(OptionError, match="'rate' has no lemma"):
        _ = snn.certificate


def test_rates_that_nothing_was_fitted_to_are_in_the_ledger() -> None:
    snn = replace(model(), samples=None)
    unfitted = snn.with_code("rate", steps=9)
    assert any("are not fitted" in entry.what for entry in unfitted.network.ledger)
    fitted = model().with_code("rate", steps=9)
    assert not any("are not fitted" in entry.what for entry in fitted.network.ledger)
    with pytest.raises(OptionError, match="data: is given, and the signed code fits nothing to it"):
        snn.with_code("signed", data=np.zeros((1, *snn.integer.input.shape)))


def test_parameters_that_do_not_fit_are_refused() -> None:
    snn = model()
    good = dict(rate.parameters_of(snn.network))
    name = next(p.name for p in snn.network.populations if isinstance(p.neuron, PlainIF))
    threshold, initial, bias = good[name]
    bad = [
        {name: (threshold * 0, initial, bias)},
        {name: (threshold.astype(np.float64), initial, bias)},
        {name: (np.ones((9, 9, 9, 9), np.int64), initial, bias)},
        {"nobody": (threshold, initial, bias)},
    ]
    for parameters in bad:
        with pytest.raises(ValueError, match=r"fit|parameters"):
            rate.tuned(snn.network, parameters)


def test_multiples_are_delivered_with_and_without_weights() -> None:
    from spikeport.quantize import multiplied

    plain = multiplied(Connection("a", "b", (Reshape((4,)),)), (2, 2), 6)
    assert isinstance(plain.synapses[-1], OneToOne)
    assert plain.synapses[-1].weight.tolist() == [6]
    weighted = multiplied(Connection("a", "b", (Dense(np.array([[2, -1]])),)), (2,), -3)
    assert weighted.synapses[0].weight.tolist() == [[-6, 3]]  # type: ignore[union-attr]
