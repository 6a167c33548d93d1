"""Networks with dynamics as files of a tool: what comes out of the tool's reading, by hand for one neuron and at the boundaries.

That the unmodified importers give these spikes is measured with the tools: `bench/nir_matrix.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError
from spikeport.primitives import (
    IF,
    LIF,
    Conv,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    NetworkOutput,
    OneToOne,
    Projection,
    Relay,
    Reshape,
    SpikeInput,
    SumPool,
)

DT = 1e-3
EULER = DynamicsContract(dt=DT, integrator="forward_euler")
SINABS = replace(EULER, integrator="accumulate", compare=">=", spikes="multi", reset="subtract")
SPYX = replace(
    EULER,
    synapse="delta",
    reset="subtract",
    reset_when="after_next_update",
    layer_latency=1,
    bias_register="weighted",
)
TO_VALUE = ("norse", "snntorch", "spikingjelly")


def one(neuron: Any, contract: DynamicsContract = EULER, weight: float = 1.0) -> DynamicNetwork:
    return chain([neuron], contract, [np.full((1, 1), weight)])


def chain(
    neurons: list[Any],
    contract: DynamicsContract,
    weights: list[np.ndarray],
    biases: tuple[Any, ...] = (),
    back: Projection | None = None,
) -> DynamicNetwork:
    names = [f"layer.{i}" for i in range(len(neurons))]
    populations = tuple(
        DynamicPopulation(name, (len(w),), neuron) for name, neuron, w in zip(names, neurons, weights, strict=True)
    )
    sources = ["x", *names]
    projections = [
        Projection(a, b, (Dense(w),), bias=biases[i] if i < len(biases) else None)
        for i, (a, b, w) in enumerate(zip(sources, names, weights, strict=False))
    ]
    outputs = (NetworkOutput("y", names[-1]),)
    inputs = (SpikeInput("x", (weights[0].shape[1],)),)
    every = (*projections, *([back] if back is not None else []))
    return DynamicNetwork("net", inputs, populations, every, contract, outputs=outputs)


def spikes(network: DynamicNetwork, x: np.ndarray) -> list[list[float]]:
    """Of the first output, in each step."""
    source = network.outputs[0].source
    found = simulate_dynamics(network, x.reshape(len(x), 1, *network.inputs[0].shape), potentials=[source])
    if source in found.spikes:
        return [[float(v) for v in row.ravel()] for row in found.spikes[source].train().raster[:, 0]]
    return [[float(v) for v in row.ravel()] for row in found.potentials[source][:, 0]]


def through(network: DynamicNetwork, tool: str, tmp_path: Path) -> tuple[DynamicNetwork, nir.NIRGraph, Any]:
    """What the tool makes of the file, the file, and the ledger."""
    path = tmp_path / f"{tool}.nir"
    ledger = sp.to_nir(network, path, dialect=tool)
    dt = 1e-4 if tool == "snntorch" else DT
    found = sp.from_nir(path, like=tool, dt=dt)
    assert isinstance(found, DynamicNetwork)
    assert sp.from_nir(path).contract == found.contract  # what the file declares is what the tool does
    return found, nir.read(path), ledger


def same(network: DynamicNetwork, tool: str, tmp_path: Path, x: np.ndarray) -> Any:
    found, _, ledger = through(network, tool, tmp_path)
    assert spikes(found, x) == spikes(network, x)
    assert sum(map(sum, spikes(network, x))) > 0
    return ledger


def why(network: DynamicNetwork, tool: str, tmp_path: Path) -> str:
    with pytest.raises(NirError) as caught:
        sp.to_nir(network, tmp_path / "refused.nir", dialect=tool)
    assert not (tmp_path / "refused.nir").exists()
    return str(caught.value)


def steps(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


# -- one neuron, by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TO_VALUE)
def test_a_potential_exactly_at_the_threshold_fires_where_the_network_says(tool: str, tmp_path: Path) -> None:
    at, beyond = steps(1, 0, 0), steps(1 + 2.0**-23, 0, 0)
    neuron = LIF(tau=4 * DT, r=4.0)
    found, _, _ = through(one(neuron), tool, tmp_path)
    assert spikes(found, at) == [[0], [0], [0]]
    assert spikes(found, beyond) == [[1], [0], [0]]
    found, _, _ = through(one(neuron, replace(EULER, compare=">=")), tool, tmp_path)
    assert spikes(found, at) == [[1], [0], [0]]
    assert spikes(found, steps(1 - 2.0**-24, 0)) == [[0], [0]]


@pytest.mark.parametrize("tool", TO_VALUE)
@pytest.mark.parametrize("r", [0.5, 1.0, 4.0, 10.0, -4.0])
def test_r_and_tau_are_folded_into_what_the_tool_reads(tool: str, r: float, tmp_path: Path) -> None:
    x = np.sign(r) * np.array([5.0, 0.0, 1.0, 1.5, 0.25, 3.0, 0.0, 8.0]).reshape(-1, 1)
    same(one(LIF(tau=8 * DT, r=r, threshold=0.25)), tool, tmp_path, x)


def test_files_have_the_numbers_that_the_tools_ask_for(tmp_path: Path) -> None:
    network = one(LIF(tau=8 * DT, r=2.0))
    _, file, _ = through(network, "norse", tmp_path)
    (lif,) = (n for n in file.nodes.values() if isinstance(n, nir.LIF))
    assert (lif.r, lif.v_threshold, lif.tau) == (1.0, 0.5, 8 * DT)  # r is ignored: v / 2
    _, file, ledger = through(network, "snntorch", tmp_path)
    (lif,) = (n for n in file.nodes.values() if isinstance(n, nir.LIF))
    assert (lif.r, lif.v_threshold, lif.tau) == (8.0, 4.0, np.float32(8e-4))  # the input counts in full: 4 v
    assert "a step of 0.001 s is one of 0.0001 s" in str(ledger[0])
    _, file, ledger = through(network, "spikingjelly", tmp_path)
    (lif,) = (n for n in file.nodes.values() if isinstance(n, nir.LIF))
    assert (lif.r, lif.tau) == (8.0, 8 * DT)
    assert lif.v_threshold == np.nextafter(np.float32(4), np.float32(5))  # its comparison is >=
    assert "dt=0.001" in " ".join(map(str, ledger))


@pytest.mark.parametrize("tool", TO_VALUE)
def test_a_leak_and_a_bias_of_the_neuron_become_a_bias_before_it(tool: str, tmp_path: Path) -> None:
    x = np.array([0.0, 0.5, 0.5, 1.0, 0.0, 2.0, 0.0, 0.0]).reshape(-1, 1)
    same(one(LIF(tau=4 * DT, r=4.0, v_leak=0.5, bias=0.125)), tool, tmp_path, x)
    resting = replace(EULER, initial="v_leak")
    if tool == "norse":
        same(one(LIF(tau=4 * DT, r=4.0, v_leak=0.75), resting), tool, tmp_path, x)
    else:
        assert "starts where it resets to" in why(one(LIF(tau=4 * DT, v_leak=0.75), resting), tool, tmp_path)


@pytest.mark.parametrize("tool", TO_VALUE)
def test_potentials_count_from_where_they_reset_to(tool: str, tmp_path: Path) -> None:
    x = np.array([2.0, 0.0, 1.0, 1.5, 0.0, 0.0, 3.0, 1.0]).reshape(-1, 1)
    begins = replace(EULER, initial="v_reset")
    for leak in (0.0, -0.5, 0.25):
        same(one(LIF(tau=4 * DT, r=4.0, v_reset=-0.5, v_leak=leak), begins), tool, tmp_path, x)
    elsewhere = one(LIF(tau=4 * DT, r=4.0, v_reset=-0.5))
    if tool == "norse":
        same(elsewhere, tool, tmp_path, x)
    else:
        assert "starts at 0 and resets to -0.5" in why(elsewhere, tool, tmp_path)


@pytest.mark.parametrize("tool", TO_VALUE)
def test_integrators_never_leak(tool: str, tmp_path: Path) -> None:
    x = np.array([0.5, *[0.0] * 20, 0.5, 2.0**-22, 0.0]).reshape(-1, 1)
    for network in (one(IF(r=1 / DT)), one(IF(), replace(EULER, integrator="accumulate"))):
        found, _, ledger = through(network, tool, tmp_path)
        assert [step for step, sent in enumerate(spikes(found, x)) if sent[0]] == [22]
        assert all(entry.is_remark for entry in ledger)


@pytest.mark.parametrize("tool", TO_VALUE)
def test_currents_with_a_decay_are_carried(tool: str, tmp_path: Path) -> None:
    x = np.array([4.0, 0.0, 0.0, 2.0, 2.0, 0.0, -1.0, 8.0, 0.0]).reshape(-1, 1)
    neuron = CubaLIF(tau_syn=2 * DT, tau_mem=4 * DT, r=2.0, w_in=4.0, threshold=0.5)
    same(one(neuron), tool, tmp_path, x)
    same(one(neuron, replace(EULER, synapse="delta")), tool, tmp_path, x)
    assert "the new current" in why(one(neuron, replace(EULER, current_order="old")), tool, tmp_path)


def test_sinabs_takes_steps_for_seconds_and_sends_every_threshold(tmp_path: Path) -> None:
    x = np.array([3.5, 0.5, -5.0, 2.0, 9.0, 0.0]).reshape(-1, 1)
    clipped = one(IF(v_min=-1.0), SINABS)
    assert spikes(clipped, x) == [[3], [1], [0], [1], [9], [0]]
    assert all(entry.is_remark for entry in same(clipped, "sinabs", tmp_path, x))
    free = one(IF(), SINABS)
    assert spikes(free, x) == [[3], [1], [0], [0], [6], [0]]
    same(free, "sinabs", tmp_path, x)
    leaky = one(LIF(tau=4 * DT, r=4.0, threshold=0.5), replace(SINABS, integrator="forward_euler"))
    _, file, ledger = through(leaky, "sinabs", tmp_path)
    (lif,) = (n for n in file.nodes.values() if isinstance(n, nir.LIF))
    assert lif.tau == pytest.approx(-1 / np.log(0.75))  # of which exp gives three quarters
    assert all(entry.is_remark for entry in ledger)
    same(leaky, "sinabs", tmp_path, x)


def test_spyx_takes_a_step_a_layer(tmp_path: Path) -> None:
    x = np.array([2.0, 0.75, 0.0, 0.0, 3.0, 0.0, 0.0]).reshape(-1, 1)
    exact = one(LIF(tau=2 * DT), SPYX)
    assert all(entry.is_remark for entry in same(exact, "spyx", tmp_path, x))
    early = one(IF(), replace(SINABS, compare=">", spikes="single"))
    found, _, ledger = through(early, "spyx", tmp_path)
    assert spikes(found, x) == [[0], *spikes(early, x)[:-1]]
    assert [str(entry) for entry in ledger if entry.unit == "steps"] == [
        "net: its spikes come 1 steps later in spyx, which has the network's delays elsewhere (1 steps)"
    ]
    with pytest.raises(NirError, match="its spikes come 1 steps later"):
        sp.to_nir(early, tmp_path / "strict.nir", dialect="spyx", strict=True)


# -- networks -------------------------------------------------------------------------------------------------------------


def quarters(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-4, 5, shape) / 4


def given(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2, (40, *shape)).astype(float)


@pytest.mark.parametrize("tool", ["norse", "snntorch"])
def test_each_neuron_may_have_its_own_numbers(tool: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    taus, threshold = rng.choice([2.0, 4.0, 8.0], 6), np.array([0.5, 1.0, 1.5, 0.75, 3.0, 1.0])
    neuron = LIF(tau=taus * DT, r=taus, threshold=threshold)
    network = chain([neuron, neuron], EULER, [quarters(rng, 6, 6), quarters(rng, 6, 6)], (quarters(rng, 6),) * 2)
    ledger = same(network, tool, tmp_path, given(rng, 6))
    assert all(entry.is_remark for entry in ledger)  # thresholds are made equal by whole factors: no weight is rounded
    assert "has one tau for all neurons" in why(network, "spikingjelly", tmp_path)


@pytest.mark.parametrize("tool", TO_VALUE)
@pytest.mark.parametrize("register", ["spikes", "weighted"])
def test_loops_take_a_step_and_their_biases_begin_when_they_did(tool: str, register: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    back = Projection("layer.0", "layer.0", (Dense(quarters(rng, 5, 5)),), 1, np.full(5, 0.5))
    contract = replace(EULER, bias_register=register)
    neuron = LIF(tau=4 * DT, r=4.0)
    network = chain([neuron, neuron], contract, [quarters(rng, 5, 5), quarters(rng, 5, 5)], (quarters(rng, 5),), back)
    if tool == "snntorch" and register == "weighted":
        assert "layer.0: its constant drive would begin in step 0" in why(network, tool, tmp_path)
    else:
        same(network, tool, tmp_path, given(rng, 5))
    if tool == "snntorch" and register == "spikes":  # it rewires a neuron and a matrix that lead to each other
        edges = set(through(network, tool, tmp_path)[1].edges)
        assert not any((b, a) in edges for a, b in edges)
    longer = replace(network, projections=(*network.projections[:-1], replace(back, delay=2, bias=None)))
    assert "layer.0 -> layer.0: takes 2 steps, and 1 would be" in why(longer, tool, tmp_path)


def maps(neuron: Any, contract: DynamicsContract, *mean: OneToOne, padding: int = 0) -> DynamicNetwork:
    rng = np.random.default_rng(2)
    conv = Conv(quarters(rng, 3, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    side = 3 + padding
    pool = SumPool((2, 2), (2, 2), ((padding, padding),) * 2)
    populations = (
        DynamicPopulation("a", (3, 6, 6), neuron),
        DynamicPopulation("b", (3, side, side), neuron),
        DynamicPopulation("c", (4,), neuron),
    )
    projections = (
        Projection("x", "a", (conv,), 0, quarters(rng, 3, 1, 1)),
        Projection("a", "b", (pool, *mean)),
        Projection("b", "c", (Reshape((3 * side**2,)), Dense(quarters(rng, 4, 3 * side**2)))),
    )
    return DynamicNetwork(
        "maps", (SpikeInput("x", (2, 6, 6)),), populations, projections, contract, outputs=(NetworkOutput("y", "c"),)
    )


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("mean", [(), (OneToOne(np.array(0.25)),)])
def test_feature_maps_are_carried_with_sums_and_means(mean: Any, padding: int, tmp_path: Path) -> None:
    x = given(np.random.default_rng(3), 2, 6, 6)[:16]
    for tool in TO_VALUE:
        same(maps(LIF(tau=4 * DT, r=4.0), EULER, *mean, padding=padding), tool, tmp_path, x)
    same(maps(IF(v_min=-1.0), SINABS, *mean, padding=padding), "sinabs", tmp_path, x)


def test_spyx_flattens_channels_last(tmp_path: Path) -> None:
    network = maps(LIF(tau=4 * DT), SPYX)
    biasless = replace(network, projections=tuple(replace(p, bias=None) for p in network.projections))
    for found in (network, biasless):
        same(found, "spyx", tmp_path, given(np.random.default_rng(3), 2, 6, 6)[:16])


@pytest.mark.parametrize("tool", TO_VALUE)
def test_values_part_and_meet_again_in_an_order_in_which_the_tool_runs_them(tool: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    neuron = LIF(tau=4 * DT, r=4.0)
    skip = Projection("layer.0", "layer.1", ())
    network = chain([neuron, neuron], EULER, [quarters(rng, 5, 5), quarters(rng, 5, 5)], (), skip)
    first = replace(network, projections=(network.projections[0], skip, network.projections[1]))
    for each in (network, first):
        same(each, tool, tmp_path, given(rng, 5))


@pytest.mark.parametrize("tool", TO_VALUE)
def test_sums_are_read_as_they_are(tool: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    network = chain([LIF(tau=4 * DT, r=4.0), Relay()], EULER, [quarters(rng, 5, 5), quarters(rng, 3, 5)], (1.0, 0.5))
    same(network, tool, tmp_path, given(rng, 5))


# -- what is said, and what is refused ------------------------------------------------------------------------------------


def test_numbers_that_round_are_losses_and_refused_under_strict(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    network = chain([LIF(tau=0.02, r=1.0)], EULER, [rng.normal(0.5, 1.0, (6, 4)) * 20])
    _, _, ledger = through(network, "norse", tmp_path)
    losses = [str(entry) for entry in ledger if not entry.is_remark]
    assert any("weight in float32" in text for text in losses)
    assert any("decay in float32" in text for text in losses)
    assert any("comes within rounding of a threshold" in text for text in losses)
    with pytest.raises(NirError, match="weight in float32"):
        sp.to_nir(network, tmp_path / "strict.nir", dialect="norse", strict=True)
    short = one(LIF(tau=4 * DT, r=4.0))
    for tool in TO_VALUE:
        found = sp.to_nir(short, tmp_path / "strict.nir", dialect=tool, strict=True)
        assert any("computes in float32" in str(entry) for entry in found)


def test_what_a_tool_cannot_carry_is_refused_all_at_once(tmp_path: Path) -> None:
    neuron = LIF(tau=4 * DT, refractory=2 * DT, v_min=-1.0)
    text = why(one(neuron, replace(EULER, reset="subtract", spikes="multi")), "snntorch", tmp_path)
    for part in ("refractory period", "lower clip", "resets to a value", "one spike a step"):
        assert part in text
    assert "rockpool runs no network of ours: its importer fails at every LIF" in why(one(neuron), "rockpool", tmp_path)
    assert "sinabs has no CubaLIF" in why(one(CubaLIF(tau_syn=DT, tau_mem=DT), SINABS_EULER), "sinabs", tmp_path)
    assert "fires where v >= threshold" in why(one(IF(), replace(SINABS, compare=">")), "sinabs", tmp_path)
    late = chain([IF(), IF()], replace(SPYX, layer_latency=0), [np.ones((1, 1))] * 2, (0.0, 0.25))
    assert "layer.1: its constant drive would begin" in why(late, "spyx", tmp_path)
    network = one(LIF(tau=4 * DT))
    assert "has 2 inputs" in why(replace(network, inputs=(*network.inputs, SpikeInput("z", (1,)))), "norse", tmp_path)


SINABS_EULER = replace(SINABS, integrator="forward_euler")


def test_the_first_spike_that_is_another_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeport.nir import dialects

    folding = dialects.fold

    def wrong(*arguments: Any) -> Any:
        made, problems = folding(*arguments)
        neuron = replace(made.neuron, threshold=np.nextafter(np.float32(made.neuron.threshold), np.float32(0)))
        return replace(made, neuron=neuron), problems

    monkeypatch.setattr(dialects, "fold", wrong)
    text = why(one(LIF(tau=4 * DT, r=4.0)), "norse", tmp_path)
    assert "layer.0: neuron 0 sends 0, not 1, in step 0 of run" in text


def test_a_leak_that_balances_a_bias_leaves_nothing_to_add(tmp_path: Path) -> None:
    network = chain([LIF(tau=4 * DT, r=4.0, v_leak=0.5)], EULER, [np.ones((1, 1))], (np.array([-0.125]),))
    x = np.array([0.5, 0.75, 2.0, 0.0]).reshape(-1, 1)
    for tool in ("snntorch", "spikingjelly"):
        same(network, tool, tmp_path, x)
