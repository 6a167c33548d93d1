"""Brunel's network is his equations, what is measured of it is what trains with known answers say, and the mean field is his."""

from __future__ import annotations

import importlib
from math import log
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import spikeport as sp
from spikeport import native

BENCH = Path(__file__).resolve().parents[2] / "bench"
ON = "native" if native.available() else "reference"
ROUNDED = 0.06  # what he prints has one digit behind the point
FINITE = 0.08  # weights of 0.1 mV and steps of 0.1 ms, where the equations have white noise


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("brunel")


def by_hand(model: Any, made: sp.DynamicNetwork, x: dict[str, Any], n_steps: int) -> list[tuple[int, int]]:
    """(step, neuron) by the equations of the paper, one neuron after the other."""
    sizes = {"exc": model.excitatory, "inh": model.inhibitory}
    first = {"exc": 0, "inh": model.excitatory}
    total = sum(sizes.values())
    weights = np.zeros((total, total))
    for p in made.projections:
        if p.source in sizes:
            (sparse,) = p.synapses
            assert isinstance(sparse, sp.primitives.Sparse)
            rows, columns = (slice(first[name], first[name] + sizes[name]) for name in (p.target, p.source))
            weights[rows, columns] += sparse.dense()
    v = np.concatenate([made[name].neuron.initial for name in sizes])  # type: ignore[union-attr]
    outside = np.concatenate([x["to exc"], x["to inh"]], axis=2)[:, 0]
    fired = np.zeros((n_steps, total), bool)
    last = np.full(total, -(10**9))
    delay, deaf = round(model.delay / model.dt), round(model.refractory / model.dt)
    found = []
    for t in range(n_steps):
        jump = model.weight * outside[t - 1] if t else np.zeros(total)
        if t >= delay:
            jump = jump + weights @ fired[t - delay]
        hears = t - last > deaf
        v = np.where(hears, v * np.exp(-model.dt / model.tau) + jump, v)
        fired[t] = hears & (v > model.threshold)
        v, last = np.where(fired[t], model.v_reset, v), np.where(fired[t], t, last)
        found += [(t, int(k)) for k in np.flatnonzero(fired[t])]
    return found


@pytest.mark.parametrize(("g", "eta"), [(3.0, 2.0), (5.0, 2.0)])
@pytest.mark.parametrize("on", ["reference", "native"])
def test_the_network_is_the_equations(bench: Any, g: float, eta: float, on: str) -> None:
    if on == "native" and not native.available():
        pytest.skip(native.why_missing())
    model = bench.Brunel(g, eta, excitatory=80, inhibitory=20, weight=0.5)
    made = bench.network(model, seed=3).build(dt=model.dt)
    x = bench.external(model, made, 400, np.random.default_rng(0))
    spikes = sp.simulate(made, x, record=["exc", "inh"], on=on).spikes
    ours = [(t, n) for t, n in zip(spikes["exc"].steps.tolist(), spikes["exc"].neurons.tolist(), strict=True)]
    ours += [(t, n + 80) for t, n in zip(spikes["inh"].steps.tolist(), spikes["inh"].neurons.tolist(), strict=True)]
    expected = by_hand(model, made, x, 400)
    assert len(expected) > 150
    assert sorted(ours) == expected


def test_it_has_the_synapses_that_the_paper_says(bench: Any) -> None:
    """A tenth of each kind for every neuron, no pair twice, no neuron on itself."""
    model = bench.Brunel(5.0, 2.0, excitatory=200, inhibitory=50)
    made = bench.network(model, seed=0).build(dt=model.dt)
    joined = {p.name: p.synapses[0].dense() for p in made.projections if p.source in ("exc", "inh")}
    assert {name: set((w != 0).sum(axis=1)) for name, w in joined.items()} == {
        "exc -> exc": {20}, "exc -> inh": {20}, "inh -> exc": {5}, "inh -> inh": {5},
    }  # fmt: skip
    assert {name: sorted(set(w[w != 0].tolist())) for name, w in joined.items()} == {
        "exc -> exc": [0.1], "exc -> inh": [0.1], "inh -> exc": [-0.5], "inh -> inh": [-0.5],
    }  # fmt: skip
    assert not joined["exc -> exc"].diagonal().any()
    assert model.external == 20_000  # twice the 10 Hz that reach the threshold over 1,000 synapses


def trains(bench: Any, raster: Any, dt: float = 1e-4) -> Any:
    steps, neurons = np.nonzero(raster)
    return bench.Spikes(steps, neurons, len(raster), raster.shape[1], dt)


def test_regular_and_random_trains_are_told_apart(bench: Any) -> None:
    rng = np.random.default_rng(1)
    clocks = np.zeros((10_000, 60), bool)
    for k, phase in enumerate(rng.integers(0, 200, 60)):
        clocks[phase::200, k] = True
    found = bench.measured(trains(bench, clocks))
    assert (found.rate, found.cv, found.cv_of) == (50.0, 0.0, 60)
    found = bench.measured(trains(bench, rng.random((20_000, 200)) < 0.01))
    assert abs(found.cv - 1) < 0.05
    assert abs(found.modulation / found.chance - 1) < 0.05
    assert found.peak < 6  # the highest of 500 lines, each a mean over seven pieces


def test_a_common_rhythm_is_found(bench: Any) -> None:
    rng = np.random.default_rng(2)
    t = np.arange(20_000) * 1e-4
    rate = 0.01 * (1 + np.sin(2 * np.pi * 120 * t))
    found = bench.measured(trains(bench, rng.random((20_000, 400)) < rate[:, None]))
    assert found.frequency == 120
    assert found.peak > 50
    assert found.modulation > 2 * found.chance
    assert found.synchronous


def test_neurons_with_few_intervals_do_not_count(bench: Any) -> None:
    raster = np.zeros((2000, 3), bool)
    raster[:700:100, 0] = True  # six intervals
    raster[[0, 10, 700, 710, 1400, 1410], 1] = True  # five, of 10 and 690
    raster[[5, 900, 1000], 2] = True
    cv, neurons = bench.irregularity(trains(bench, raster))
    uneven = np.array([10, 690, 10, 690, 10])
    assert neurons == 2
    assert cv == pytest.approx(uneven.std() / uneven.mean() / 2)


def test_the_mean_field_is_his(bench: Any) -> None:
    """Rates of his table 1, in theory."""
    for regime in bench.REGIMES[1:]:
        rate, cv = bench.stationary(regime.model)
        assert abs(rate - regime.published["rate in theory"]) < ROUNDED
        assert 0.6 < cv < 0.8


def test_without_noise_it_is_a_clock(bench: Any) -> None:
    model = importlib.import_module("brunel_model")
    still = model.diffusion_rate(30.0, 1e-3, bench.Brunel(5.0, 2.0))
    assert still == pytest.approx(1 / (2e-3 + 0.02 * log((30 - 10) / (30 - 20))), rel=1e-6)


def test_neurons_under_independent_trains_are_those_of_the_equations(bench: Any) -> None:
    """Rate and irregularity, of neurons that hear Poisson trains at the rates of the asynchronous state."""
    model = bench.Brunel(5.0, 2.0)
    rate, cv = bench.stationary(model)
    rng = np.random.default_rng(0)
    net = sp.Network("independent")
    cells = net.population("cells", 150, bench.neuron(model))
    means = {"exc": model.external + 1000 * rate, "inh": 250 * rate}
    for name, weight in (("exc", model.weight), ("inh", -model.g * model.weight)):
        net.connect(net.input(name, 150), cells, sp.OneToOne(weight))
    x = {name: rng.poisson(mean * model.dt, (10_000, 1, 150)) for name, mean in means.items()}
    found = sp.simulate(net.build(dt=model.dt), x, record=["cells"], on=ON).spikes["cells"]
    spikes = bench.Spikes(found.steps, found.neurons, 10_000, 150, model.dt)
    assert spikes.rate == pytest.approx(rate, rel=FINITE)
    assert bench.irregularity(spikes)[0] == pytest.approx(cv, rel=FINITE)


def test_a_listener_hears_whole_trains_of_as_many_neurons(bench: Any) -> None:
    model = bench.Brunel(5.0, 2.0, excitatory=80, inhibitory=20)
    raster = np.zeros((500, 100), bool)
    raster[[3, 50, 499], :80] = True
    raster[[7, 8], 80:] = True
    found = bench.heard(model, trains(bench, raster), 4, np.random.default_rng(0))
    assert {name: x.sum(axis=0).tolist() for name, x in found.items()} == {"exc": [[24] * 4], "inh": [[4] * 4]}
    pair = found["inh"][:, 0, 0]
    assert np.flatnonzero(pair * np.roll(pair, -1)).size == 2  # each train keeps its interval
    assert found["exc"].max() < 8  # and none its place


def test_the_picture_shows_what_was_run(bench: Any) -> None:
    rng = np.random.default_rng(0)
    raster = rng.random((2500, 60)) < 0.01
    drawn = ElementTree.fromstring(bench.figure([(regime, trains(bench, raster)) for regime in bench.REGIMES]))
    assert len([text for text in drawn.itertext() if text.startswith(("A:", "B:", "C:", "D:"))]) == 4
    page = ElementTree.parse(BENCH.parent / "docs" / "images" / "brunel.svg").getroot()
    assert [child.tag for child in page] == [child.tag for child in drawn]
