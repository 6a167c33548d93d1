"""The torch stepper of hand-made networks: the reference's integers bit for bit, its floats as close as another order of sums allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

torch = pytest.importorskip("torch")

import spikeport as sp  # noqa: E402
from spikeport.backends import reference  # noqa: E402
from spikeport.backends.torch import dynamics  # noqa: E402
from spikeport.backends.torch.dynamics import CLOSE, make_torch_plan, simulate_dynamics  # noqa: E402
from spikeport.backends.torch.routes import Following, Operators  # noqa: E402
from spikeport.errors import DataError, GraphError, LowerError  # noqa: E402
from spikeport.primitives import (  # noqa: E402
    IF,
    LIF,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    I,
    OneToOne,
    Projection,
    Relay,
    Reshape,
    Sparse,
    SpikeInput,
    SumPool,
    Threshold,
)
from tests.dynamic_networks import simulations  # noqa: E402

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def integers(**choices: Any) -> DynamicsContract:
    return DynamicsContract(**{"dt": 1e-3, "integrator": "accumulate", "arithmetic": "integer", **choices})


def allowed(network: DynamicNetwork, expected: DynamicRecording) -> float:
    """How far potentials may be, by `CLOSE`: a reset takes off as many thresholds as there were spikes."""
    largest = 0.0
    for population in network.populations:
        before = np.abs(expected.potentials[population.name]).max() if population.name in expected.potentials else 0.0
        if population.name in expected.spikes:
            most = np.abs(expected.spikes[population.name].train().raster.astype(float)).max()
            before += most * np.abs(population.neuron.threshold).max()  # type: ignore[union-attr]
        largest = max(largest, float(before))
    return CLOSE[network.contract.arithmetic] * largest


def assert_close(found: DynamicRecording, expected: DynamicRecording, network: DynamicNetwork) -> None:
    """All equal; in floats, potentials up to `CLOSE`."""
    assert found.n_steps == expected.n_steps
    assert found.counts.keys() == expected.counts.keys()
    for name, values in expected.potentials.items():
        mine = found.potentials[name]
        assert (mine.dtype, mine.shape) == (values.dtype, values.shape)
        assert np.abs(mine - values).max() <= allowed(network, expected), name
    for name, events in expected.spikes.items():
        other = found.spikes[name]
        for field in ("samples", "steps", "neurons"):
            assert np.array_equal(getattr(other, field), getattr(events, field)), (name, field)
        if events.values is not None and events.values.dtype.kind == "f":  # differences of sums
            assert np.abs(other.values - events.values).max() <= allowed(network, expected), name
            continue
        assert (other.values is None) == (events.values is None)
        assert events.values is None or np.array_equal(other.values, events.values), name
    for name, counts in expected.counts.items():
        assert np.array_equal(found.counts[name], counts), name


@settings(max_examples=120, deadline=None)
@given(simulations())
def test_torch_equals_the_reference_under_every_contract(case: tuple[DynamicNetwork, dict[str, Any]]) -> None:
    network, given_ = case
    arithmetic = network.contract.arithmetic
    everything = [p.name for p in network.populations]
    expected = reference.simulate_dynamics(network, **given_, potentials=everything)
    found = simulate_dynamics(network, **given_, potentials=everything)
    if arithmetic != "float32":
        assert_close(found, expected, network)
        return
    # one in a thousand of these networks comes within rounding of a threshold: compared up to there
    rasters = [(found.spikes[n].train().raster, e.train().raster) for n, e in expected.spikes.items()]
    differ = [np.flatnonzero((a != b).reshape(len(a), -1).any(axis=1)) for a, b in rasters]
    until = min([int(steps[0]) for steps in differ if len(steps)], default=expected.n_steps)
    for name, values in expected.potentials.items():
        off = np.abs(found.potentials[name][:until] - values[:until]).max(initial=0)
        assert off <= allowed(network, expected), name


@pytest.mark.parametrize("longest", [1, 2, 5])
@settings(max_examples=40, deadline=None)
@given(case=simulations())
def test_windows_of_any_length_give_the_same(longest: int, case: tuple[DynamicNetwork, dict[str, Any]]) -> None:
    network, given_ = case
    everything = [p.name for p in network.populations]
    whole = simulate_dynamics(network, **given_, potentials=everything)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics, "WINDOW", longest)
        parts = simulate_dynamics(network, **given_, potentials=everything)
    if network.contract.arithmetic != "float32":
        assert_close(parts, whole, network)


def maps(contract: DynamicsContract, *, weights: int = 3, scale: Any = 1.0) -> DynamicNetwork:
    """An image with a convolution, pooling, a dense layer, and sparse synapses that lead back."""
    rng = np.random.default_rng(0)
    whole = contract.arithmetic == "integer"

    def drawn(*shape: int) -> np.ndarray:
        return rng.integers(-weights, weights + 1, shape).astype(float) if whole else rng.normal(0, 0.5, shape)

    conv = Conv(drawn(4, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    pooled = (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))), OneToOne(np.array(scale)), Reshape((36,)), Dense(drawn(5, 36)))
    back = Sparse.from_pairs(rng.integers(0, 5, 40), rng.integers(0, 144, 40), drawn(40), pre=5, post=144)
    neuron: Any = IF(threshold=4) if contract.integrator == "accumulate" else LIF(tau=5e-3, threshold=0.4)
    populations = (DynamicPopulation("maps", (4, 6, 6), neuron), DynamicPopulation("out", (5,), neuron))
    projections = (
        Projection("in", "maps", (conv,)),
        Projection("maps", "out", pooled, 2),
        Projection("out", "maps", (back,), 3),
    )
    return DynamicNetwork("maps", (SpikeInput("in", (2, 6, 6)),), populations, projections, contract)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "contract",
    [
        integers(reset="subtract", spikes="multi"),
        DynamicsContract(dt=1e-3, integrator="exponential", layer_latency=1),
        DynamicsContract(dt=1e-3, integrator="forward_euler", synapse="delta", reset="subtract"),
    ],
    ids=["integers", "exponential", "euler"],
)
def test_operators_stay_operators_and_give_the_same(contract: DynamicsContract, seed: int) -> None:
    network = maps(contract)
    kinds = [type(r.through) for r in make_torch_plan(network, torch.device("cpu")).routes]
    assert kinds == [Operators, Operators, Following]
    x = (np.random.default_rng(seed).random((20, 3, 2, 6, 6)) < 0.3).astype(np.int64)
    expected = reference.simulate_dynamics(network, x, potentials=["maps", "out"])
    assert expected.counts["out"].sum() > 20
    assert_close(simulate_dynamics(network, x, potentials=["maps", "out"]), expected, network)


def test_integers_beyond_what_floats_count_to_are_followed_in_64_bits() -> None:
    """The sum is odd and above 2^53, so that a product of floats would lose its last bit; the weights are halves before they are folded."""
    contract = integers(state_bits=30)
    ones = np.ones((1, 1))
    populations = (
        DynamicPopulation("a", (1,), I(initial=2**29 - 1)),
        DynamicPopulation("b", (1,), Relay()),
        DynamicPopulation("n", (1,), Relay()),
    )
    big = Projection("a", "b", (Dense(ones * (2**31 - 1)),))
    network = DynamicNetwork("big", (), populations, (big, Projection("b", "n", (Dense(-ones),))), contract)
    expected = reference.simulate_dynamics(network, n_steps=2, potentials=["b", "n"])
    assert type(make_torch_plan(network, torch.device("cpu")).routes[0].through) is Following
    assert_close(simulate_dynamics(network, n_steps=2, potentials=["b", "n"]), expected, network)
    x = np.ones((4, 1, 2, 6, 6), dtype=np.int64)
    halves = maps(integers(reset="subtract"), weights=2, scale=2.0)
    halves = DynamicNetwork(
        "halves",
        halves.inputs,
        halves.populations,
        (halves.projections[0], Projection("maps", "out", (Reshape((144,)), Dense(np.full((9, 144), 0.5)), Dense(np.full((5, 9), 2.0))))),
        halves.contract,
    )  # fmt: skip
    assert type(make_torch_plan(halves, torch.device("cpu")).routes[1].through) is Following
    assert_close(
        simulate_dynamics(halves, x, potentials=["out"]),
        reference.simulate_dynamics(halves, x, potentials=["out"]),
        halves,
    )


def test_what_the_reference_refuses_is_refused_in_its_words() -> None:
    analog = DynamicPopulation("a", (1,), I())
    network = DynamicNetwork(
        "n",
        (SpikeInput("in", (1,)),),
        (analog, DynamicPopulation("n", (1,), IF(bias=0.5))),
        (Projection("in", "a", (Dense(np.ones((2, 1))),)), Projection("a", "n", (Dense(np.full((1, 1), 0.25)),))),
        integers(),
    )
    with pytest.raises(GraphError) as expected:
        reference.simulate_dynamics(network, n_steps=1)
    with pytest.raises(GraphError) as found:
        simulate_dynamics(network, n_steps=1)
    assert str(found.value) == str(expected.value)
    assert len(found.value.problems) == 3
    large = DynamicNetwork(
        "n", (), (analog, DynamicPopulation("b", (1,), IF())), (Projection("a", "b", (Dense(np.full((1, 1), 2**30)),)),),
        integers(state_bits=40),
    )  # fmt: skip
    with pytest.raises(GraphError, match="may leave 64 bits"):
        simulate_dynamics(large, n_steps=1)


def test_bounds_of_single_operators_do_not_decide_what_is_refused() -> None:
    """One after the other they might reach 2^62; folded, everything cancels."""
    first, second = np.array([[1.0], [1.0]]) * 2**25, np.array([[1.0, -1.0]]) * 2**25
    network = DynamicNetwork(
        "cancels",
        (SpikeInput("in", (1,)),),
        (DynamicPopulation("n", (1,), Relay(bias=3)),),
        (Projection("in", "n", (Dense(first), Dense(second))),),
        integers(),
    )
    x = np.ones((2, 1, 1), dtype=np.int64)
    expected = reference.simulate_dynamics(network, x, potentials=["n"])
    assert_close(simulate_dynamics(network, x, potentials=["n"]), expected, network)


def test_potentials_that_leave_their_range_are_an_error() -> None:
    grows = DynamicNetwork(
        "grows",
        (),
        (DynamicPopulation("n", (1,), I(initial=1.0)),),
        (Projection("n", "n", (OneToOne(np.array(1e200)),), 1),),
        DynamicsContract(dt=1e-3, integrator="accumulate"),
    )
    with pytest.raises(DataError, match="n: its potential has left the range"):
        simulate_dynamics(grows, n_steps=9)


def test_many_spikes_are_followed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    network = maps(integers(reset="subtract"))
    x = np.ones((6, 2, 2, 6, 6), dtype=np.int64)
    expected = reference.simulate_dynamics(network, x, potentials=["maps"])
    monkeypatch.setattr("spikeport.backends.torch.routes.ENTRIES", 3)
    assert_close(simulate_dynamics(network, x, potentials=["maps"]), expected, network)


def test_sessions_step_as_whole_runs_do() -> None:
    network = maps(DynamicsContract(dt=1e-3, integrator="exponential", layer_latency=1))
    x = (np.random.default_rng(1).random((9, 2, 2, 6, 6)) < 0.3).astype(float)
    whole = sp.simulate(network, x, record=["out"], on="torch")
    names = ["out"]
    with sp.open(sp.compile(network, "torch"), record=names, potentials=names) as session:
        session.reset(2)
        pieces = [session.step({"in": x[0]}), session.advance(5, {"in": x[1:6]}), session.advance(3, {"in": x[6:]})]
        steps = [pieces[0].spikes["out"][None], *(p.spikes["out"] for p in pieces[1:])]
        assert np.array_equal(np.concatenate(steps), whole.spikes["out"].train().raster)
        session.reset(2)
        again = session.advance(9, {"in": x}).potentials["out"]
        assert np.allclose(again, whole.potentials["out"], rtol=0, atol=CLOSE["float64"])


def test_fixed_point_neurons_are_refused_by_name() -> None:
    from spikeport.primitives import FixedCubaLIF

    cell = DynamicPopulation("cell", (1,), FixedCubaLIF(threshold=64, du=0, dv=0))
    network = DynamicNetwork("n", (), (cell,), (), DynamicsContract.loihi("loihi2"))
    with pytest.raises(LowerError, match="cell: FixedCubaLIF neurons are not stepped by 'torch'"):
        sp.simulate(network, max_steps=1, on="torch")


@CUDA
@pytest.mark.parametrize("arithmetic", ["integer", "float64", "float32"])
def test_a_gpu_gives_the_same(arithmetic: str) -> None:
    choices: Any = {"integrator": "accumulate", "reset": "subtract", "compare": ">=", "arithmetic": arithmetic}
    network = maps(DynamicsContract(dt=1e-3, **choices))
    x = (np.random.default_rng(2).random((30, 4, 2, 6, 6)) < 0.3).astype(np.int64)
    expected = reference.simulate_dynamics(network, x, potentials=["maps", "out"])
    assert_close(simulate_dynamics(network, x, potentials=["maps", "out"], device="cuda"), expected, network)


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_counts_of_thresholds_at_the_ends_of_numbers(arithmetic: str) -> None:
    """Exact multiples, one below, quotients that round up to a whole number, the largest count, and infinity."""
    v = np.array([3.0, np.nextafter(np.float32(3.0), np.float32(0)), 1.0, 0.3, 1e30, 3e38, 2.0**53, 0.0])
    threshold = np.array([1.0, 1.0, 0.1, 0.1, 1e-8, 1e-30, 1.0, 1.0])
    contract = DynamicsContract(
        dt=1e-3,
        integrator="accumulate",
        compare=">=",
        spikes="multi",
        reset="subtract",
        reset_when="next_step",
        arithmetic=arithmetic,  # type: ignore[arg-type]
    )
    population = DynamicPopulation("n", (8,), IF(threshold=threshold, initial=v))
    network = DynamicNetwork("ends", (), (population,), (), contract)
    expected = reference.simulate_dynamics(network, n_steps=3, potentials=["n"])
    assert expected.spikes["n"].train().raster[0, 0].tolist()[4:] == [2**53, 2**53, 2**53, 0]
    assert expected.spikes["n"].train().raster[0, 0].tolist()[:3] == [3, 2, 10]
    assert_close(simulate_dynamics(network, n_steps=3, potentials=["n"]), expected, network)


def test_units_without_memory_pass_on_within_the_step() -> None:
    populations = (
        DynamicPopulation("r", (2,), Relay(bias=0.5)),
        DynamicPopulation("t", (2,), Threshold(threshold=1.5)),
    )
    projections = (Projection("in", "r", ()), Projection("r", "t", (), 1))
    contract = DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta", layer_latency=1)
    network = DynamicNetwork("n", (SpikeInput("in", (2,)),), populations, projections, contract)
    x = np.array([[2.0, 0], [0, 1], [1, 1]]).reshape(3, 1, 2)
    expected = reference.simulate_dynamics(network, x, potentials=["r", "t"])
    found = simulate_dynamics(network, x, potentials=["r", "t"])
    assert_close(found, expected, network)
    assert found.counts["t"].tolist() == [[1, 0]]
