"""Networks with dynamics through NIR: what is read back gives the same spikes and potentials, bit for bit, or was refused by name."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

import spikeport as sp
from spikeport.backends import reference
from spikeport.errors import NirError
from spikeport.nir import outward
from spikeport.primitives import (
    IF,
    LIF,
    Approximation,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    NetworkOutput,
    OneToOne,
    Projection,
    Relay,
    Reshape,
    Sparse,
    SpikeInput,
)
from tests.dynamic_networks import simulations

CONTRACT = DynamicsContract(dt=1e-3, integrator="forward_euler")
REFUSALS = ("has no form in NIR", "has no node in NIR", "has no convolution in NIR", "two synapses from one source")


def through(network: DynamicNetwork, *, strict: bool = False) -> DynamicNetwork:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "n.nir"
        sp.to_nir(network, path, strict=strict)
        again = sp.from_nir(path)
    assert isinstance(again, DynamicNetwork)
    return again


def assert_same(before: DynamicNetwork, after: DynamicNetwork, run: dict[str, Any]) -> None:
    names = [p.name for p in before.populations]
    first = reference.simulate_dynamics(before, **run, potentials=names)
    second = reference.simulate_dynamics(after, **run, potentials=names)
    assert second.n_steps == first.n_steps
    assert list(second.counts) == list(first.counts)
    for name in names:
        np.testing.assert_array_equal(second.potentials[name], first.potentials[name])
    for name, expected in first.spikes.items():
        found = second.spikes[name]
        for field in fields(expected):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))


@settings(max_examples=60, deadline=None)
@given(simulations())
def test_a_network_comes_back_with_every_spike_and_potential(case: tuple[DynamicNetwork, dict[str, Any]]) -> None:
    network, run = case
    try:
        again = through(network)
    except NirError as error:
        odd = [p for p in error.problems if not any(why in p.why for why in REFUSALS)]
        if odd:
            raise
        return
    assert_same(network, again, run)
    assert (again.name, again.contract, again.inputs) == (network.name, network.contract, network.inputs)


@pytest.mark.parametrize("register", ["spikes", "weighted"])
def test_a_sum_with_a_bias_on_a_delayed_loop_comes_back(register: Any) -> None:
    contract = replace(CONTRACT, bias_register=register)
    relay = DynamicPopulation("sum", (2,), Relay(bias=np.array([1.5, -1])))
    loop = Projection("sum", "sum", (OneToOne(np.array([0.5, 2.0])),), 2)
    network = DynamicNetwork("loop", (), (relay,), (loop,), contract)
    assert_same(network, through(network), {"n_steps": 8})


def mixed(neuron: Any, contract: DynamicsContract = CONTRACT) -> DynamicNetwork:
    """A convolution, a sum that two paths meet in, a loop, and outputs."""
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(size=(4, 1, 2, 3)), (1, 2), ((1, 0), (0, 1)), (1, 1), groups=2)
    return DynamicNetwork(
        "mixed",
        (SpikeInput("b", (2, 3, 6)), SpikeInput("a", (4, 3, 3))),
        (DynamicPopulation("sum", (4, 3, 3), Relay(bias=0.25)), DynamicPopulation("out", (4, 3, 3), neuron)),
        (
            Projection("b", "sum", (conv,), 2, rng.normal(size=(4, 3, 3))),
            Projection("a", "sum", ()),
            Projection("a", "sum", (), 0, np.asarray(0.5)),
            Projection("sum", "out", ()),
            Projection("out", "out", (OneToOne(np.asarray(-0.5)),), 1),
        ),
        contract,
        (Approximation("out", "rounded", 0.5),),
        (NetworkOutput("spikes", "out"), NetworkOutput("total", "sum")),
    )


def drive(network: DynamicNetwork) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"x": {i.name: (rng.random((20, 2, *i.shape)) < 0.4).astype(float) for i in network.inputs}}


@pytest.mark.parametrize("latency", [0, 1])
@pytest.mark.parametrize("register", ["spikes", "weighted"])
def test_groups_uneven_padding_sums_and_loops_come_back(latency: Any, register: Any) -> None:
    contract = replace(CONTRACT, layer_latency=latency, bias_register=register)
    neuron = LIF(tau=0.002, r=3.0, threshold=1.5, bias=0.1, refractory=0.002, v_min=-0.75, initial=0.5)
    network = mixed(neuron, contract)
    again = through(network)
    assert_same(network, again, drive(network))
    assert again.ledger == network.ledger
    assert {(o.name, o.source) for o in again.outputs} == {("spikes", "out"), ("total", "sum")}


def test_an_output_that_sums_is_read_under_its_own_name() -> None:
    summed = DynamicNetwork(
        "summed",
        (SpikeInput("x", (3,)),),
        (DynamicPopulation("end", (3,), Relay()),),
        (Projection("x", "end", (Dense(np.eye(3)),)), Projection("x", "end", ())),
        CONTRACT,
        (),
        (NetworkOutput("end", "end"),),
    )
    again = through(through(summed))
    assert_same(summed, again, drive(summed))
    assert again.outputs == summed.outputs


def test_what_plain_nir_cannot_say_is_entered_or_refused_when_strict(tmp_path: Path) -> None:
    network = mixed(IF(bias=0.5, refractory=0.003))
    lost = sp.to_nir(network, tmp_path / "n.nir")
    assert {(e.node, e.error) for e in lost if e.node == "out"} == {("out", 0.5), ("out", 0.003)}
    with pytest.raises(NirError, match="no refractory"):
        sp.to_nir(network, tmp_path / "s.nir", strict=True)
    assert not (tmp_path / "s.nir").exists()


def test_what_readers_of_plain_nir_do_not_know_is_a_loss_and_the_step_a_remark(tmp_path: Path) -> None:
    def losses(
        contract: DynamicsContract, neuron: Any = None, own: DynamicsContract | None = None, delay: int = 0
    ) -> list[str]:
        population = DynamicPopulation("n", (1,), neuron or LIF(tau=0.004), own)
        loop = (Projection("n", "n", (), delay),) if delay else ()
        network = DynamicNetwork(
            "net", (SpikeInput("x", (1,)),), (population,), (Projection("x", "n", ()), *loop), contract
        )
        return [str(entry) for entry in sp.to_nir(network, tmp_path / "n.nir") if not entry.is_remark]

    plain = DynamicsContract(dt=1e-3, integrator="forward_euler")
    assert losses(plain) == []
    assert losses(replace(plain, current_order="old", bias_register="weighted", initial="v_reset")) == []
    for change, what in {
        ("reset", "subtract"): "n: plain NIR does not say that a reset subtracts",
        ("compare", ">="): "n: plain NIR does not say that spikes are sent at",
        ("spikes", "multi"): "n: plain NIR does not say that several",
        ("synapse", "delta"): "n: plain NIR does not say that spikes jump",
    }.items():
        other = replace(plain, **dict([change]))
        assert [text[: len(what)] for text in losses(other)] == [what]
        assert [text[: len(what)] for text in losses(plain, own=other)] == [what]
    assert "no latency" in losses(replace(plain, layer_latency=1))[0]
    assert "where a loop keeps its step" in losses(plain, delay=1)[0]
    assert "that input counts by steps" in losses(replace(plain, integrator="accumulate"), IF())[0]
    assert "start at v_leak" in losses(replace(plain, initial="v_leak"), LIF(tau=0.004, v_leak=0.5))[0]


def test_every_reason_for_a_refusal_is_given_at_once(tmp_path: Path) -> None:
    network = DynamicNetwork(
        "refused",
        (SpikeInput("x", (1,)),),
        (DynamicPopulation("a", (1, 1), IF()), DynamicPopulation("b", (2, 2), IF())),
        (
            Projection("x", "a", (Sparse([0, 1], [0], [1.0], post=1),)),
            Projection("x", "b", (Dense(np.ones((4, 1))), Reshape((2, 2)))),
        ),
        CONTRACT,
    )
    with pytest.raises(NirError) as caught:
        sp.to_nir(network, tmp_path / "n.nir")
    assert [p.where for p in caught.value.problems] == ["x -> a", "x -> b"]


def test_a_number_that_another_tool_changed_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "n.nir"
    sp.to_nir(mixed(IF()), path)
    with h5py.File(path, "r+") as file:
        file["node/nodes/out/v_threshold"][0, 0, 0] += 1e-12
    with pytest.raises(NirError, match="another hash"):
        sp.from_nir(path)
    assert isinstance(sp.from_nir(path, contract=CONTRACT), DynamicNetwork)


def test_a_bias_on_another_stage_of_a_chain_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dense layers in a row: the bias belongs behind the second, and the file is read back to see that it is."""
    chain = (Dense(np.array([[1.0, 2.0], [3.0, 4.0]])), Dense(np.array([[0.5, -1.0], [2.0, 1.0]])))
    cells = (DynamicPopulation("n", (2,), IF(threshold=5.0)),)
    projection = Projection("in", "n", chain, bias=np.array([1.0, -2.0]))
    network = DynamicNetwork("net", (SpikeInput("in", (2,)),), cells, (projection,), CONTRACT)
    sp.to_nir(network, tmp_path / "net.nir")
    back = sp.from_nir(tmp_path / "net.nir")
    assert isinstance(back, DynamicNetwork)
    assert np.array_equal(np.asarray(back.projections[0].bias), [1.0, -2.0])
    real = outward.stages.nodes

    def misplaced(stage: Any, bias: Any, dtype: Any) -> Any:
        return real(stage, None if bias is None else 2 * bias, dtype)

    monkeypatch.setattr(outward.stages, "nodes", misplaced)
    with pytest.raises(NirError, match="would be read back as another network"):
        sp.to_nir(network, tmp_path / "net.nir")


@pytest.mark.parametrize("arithmetic", ["float64", "float32", "integer"])
def test_two_synapses_between_one_pair_stay_two_additions(arithmetic: Any) -> None:
    """Numbers whose sum depends on the order: one weight for both, or another order, would show."""
    rng = np.random.default_rng(3)
    sources, targets = np.sort(rng.integers(0, 4, 60)), rng.integers(0, 3, 60)
    weights = rng.integers(-9, 9, 60).astype(float) if arithmetic == "integer" else rng.normal(size=60) ** 5
    sparse = Sparse.from_pairs(sources, targets, weights, pre=4, post=3)
    contract = DynamicsContract(dt=1.0, integrator="accumulate", arithmetic=arithmetic)
    bias = np.array([1.0, 2.0, -3.0])
    network = DynamicNetwork(
        "twice",
        (SpikeInput("x", (4,)),),
        (DynamicPopulation("sum", (3,), Relay()),),
        (
            Projection("x", "sum", (OneToOne(np.ones(4)), Dense(np.ones((3, 4))))),
            Projection("x", "sum", (sparse,), 1, bias),
        ),
        contract,
    )
    again = through(network)
    assert len(again.projections) > 2
    assert_same(network, again, drive(network))


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((2, 3, 2), (1, 2, 3)), ((3, 1, 4), (2, 2, 1))])
def test_sparse_synapses_from_maps_to_maps_come_back(shapes: Any) -> None:
    source, target = shapes
    rng = np.random.default_rng(0)
    pre, post = int(np.prod(source)), int(np.prod(target))
    sparse = Sparse.from_pairs(
        np.repeat(np.arange(pre), 3), rng.integers(0, post, 3 * pre), rng.normal(size=3 * pre), pre=pre, post=post
    )
    network = DynamicNetwork(
        "maps",
        (SpikeInput("x", source),),
        (DynamicPopulation("n", target, IF(threshold=0.5)),),
        (Projection("x", "n", (sparse,)),),
        DynamicsContract(dt=1.0, integrator="accumulate"),
    )
    assert_same(network, through(network), drive(network))


def test_chains_of_grouped_convolutions_keep_their_last_bits() -> None:
    """Groups written out with zeros would be multiplied in another order."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one = Conv(rng.normal(size=(4, 2, 4, 1)), (1, 2), ((1, 1), (0, 0)), (1, 1), groups=2)
        two = Conv(rng.normal(size=(8, 1, 4, 2)), (3, 1), ((2, 2), (1, 1)), (2, 2), groups=4)
        network = DynamicNetwork(
            "chain",
            (SpikeInput("x", (4, 6, 3)),),
            (DynamicPopulation("sum", (8, 1, 2), Relay()),),
            (Projection("x", "sum", (one, two)),),
            CONTRACT,
        )
        assert_same(network, through(network), drive(network))
