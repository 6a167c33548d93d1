"""Spikes that NEST 3.10's `iaf_psc_delta` sent, with delays of many steps and refractory periods of 0 to 9: made by `bench/golden_balanced.py`."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native

FILE = Path(__file__).with_name("nest_balanced.npz")
BENCH = Path(__file__).resolve().parents[2] / "bench"
POPULATIONS = ("exc", "inh", "edge")
FASTEST = "native" if native.available() else "reference"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("golden_balanced")


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(FILE) as read:
        return dict(read)


def spikes(bench: Any, golden: dict[str, Any], on: str, **choices: Any) -> list[tuple[int, int]]:
    """(step, neuron) in order, neurons of all populations counting on."""
    network = bench.built(golden, **choices)
    found = sp.simulate(network, bench.entering(golden), record=POPULATIONS, on=on).spikes
    first, pairs = 0, list[tuple[int, int]]()
    for name in POPULATIONS:
        pairs += zip(found[name].steps.tolist(), (found[name].neurons + first).tolist(), strict=True)
        first += network[name].size
    return sorted(pairs)


def nests(golden: dict[str, Any]) -> list[tuple[int, int]]:
    return list(zip(golden["steps"].tolist(), golden["neurons"].tolist(), strict=True))


@pytest.mark.parametrize("on", ["reference", "native"])
def test_every_spike_is_nests(bench: Any, golden: dict[str, Any], on: str) -> None:
    if on == "native" and not native.available():
        pytest.skip(native.why_missing())
    assert len(golden["steps"]) > 500
    assert spikes(bench, golden, on) == nests(golden)


def test_boundaries_are_where_the_equations_say(bench: Any, golden: dict[str, Any]) -> None:
    """What NEST did at the threshold and around refractory periods, worked out by hand."""
    first = sum(bench.SIZES.values())
    found: dict[int, list[int]] = {}
    for step, neuron in nests(golden):
        if neuron >= first:
            found.setdefault(neuron - first, []).append(step)
    expected = {
        "at the threshold": [5],
        "a unit above it": [5],
        "at the threshold by two at once": [5],
        "deaf for two steps": [*range(5, 42, 3)],
        "deaf for one": [*range(5, 42, 2)],
        "never deaf": [*range(5, 42)],
        # what arrives 5 steps after a spike is lost, what arrives 6 steps after it counts
        "in the last step of five": [5, 32, 38],
    }
    assert found == {list(bench.EDGE).index(name): steps for name, steps in expected.items()}


@pytest.mark.parametrize(
    "choices", [{"compare": ">"}, {"integrator": "forward_euler"}, {"reset_when": "after_next_update"}]
)
def test_another_contract_gives_other_spikes(bench: Any, golden: dict[str, Any], choices: dict[str, Any]) -> None:
    assert spikes(bench, golden, FASTEST, **choices) != nests(golden)


def test_a_delay_is_the_whole_time_whatever_the_latency(bench: Any, golden: dict[str, Any]) -> None:
    assert spikes(bench, golden, FASTEST, layer_latency=0) == nests(golden)


@pytest.mark.parametrize("name", ["exc.refractory", "edge.refractory", "exc.inh.delay", "drive.exc.delay"])
def test_delays_and_refractory_periods_matter(bench: Any, golden: dict[str, Any], name: str) -> None:
    one = np.full_like(golden[name], golden[name].max())
    assert spikes(bench, golden | {name: one}, FASTEST) != nests(golden)


def test_a_network_that_nest_would_step_otherwise_is_refused(
    bench: Any, golden: dict[str, Any], tmp_path: Path
) -> None:
    case = importlib.import_module("nest_case")
    with pytest.raises(case.NotInNestError, match="compare is '>'"):
        case.save(bench.built(golden, compare=">"), bench.entering(golden), tmp_path)
    net = sp.Network("other")
    net.population("n", 2, sp.LIF(tau=0.02, v_min=-1.0))
    contract = sp.DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta", layer_latency=1, compare=">=")
    with pytest.raises(case.NotInNestError, match="n has v_min"):
        case.save(net.build(contract=contract), {}, tmp_path)
    assert Counter(path.suffix for path in tmp_path.iterdir()) == {}
