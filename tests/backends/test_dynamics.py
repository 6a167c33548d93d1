"""The reference stepper of hand-made networks: tables worked out by hand, at the boundaries, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import DataError, GraphError, OptionError
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    OneToOne,
    Projection,
    Sparse,
    SpikeEvents,
    SpikeInput,
    Threshold,
)

IN = SpikeInput("in", (1,))
ONE = (Dense(np.array([[1.0]])),)


def contract(**choices: Any) -> DynamicsContract:
    return DynamicsContract(**{"dt": 1e-3, "integrator": "accumulate", **choices})


def alone(neuron: Any, **choices: Any) -> DynamicNetwork:
    """One neuron behind one input."""
    return DynamicNetwork(
        "n", (IN,), (DynamicPopulation("n", (1,), neuron),), (Projection("in", "n", ONE),), contract(**choices)
    )


def run(network: DynamicNetwork, x: list[float], **options: Any) -> tuple[list[int], list[float]]:
    """Spikes and potentials of population `n`."""
    spiking = hasattr(network["n"].neuron, "threshold")
    raster = np.array(x, dtype=float).reshape(-1, 1, 1)
    found = simulate_dynamics(network, raster, potentials=["n"], **options)
    spikes = found.spikes["n"].train().raster.ravel().tolist() if spiking else []
    return spikes, found.potentials["n"].ravel().tolist()


@pytest.mark.parametrize(
    ("choices", "x", "spikes", "potentials"),
    [
        ({"compare": ">"}, [2, 1, 1, 1], [0, 1, 0, 0], [2, 0, 1, 2]),
        ({"compare": ">="}, [2, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]),
        ({"compare": ">=", "reset": "subtract"}, [3, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 0]),
        ({"compare": ">", "reset": "subtract"}, [3, 1, 1, 1], [1, 0, 1, 0], [1, 2, 1, 2]),
    ],
)
def test_at_the_threshold_and_beyond_it(
    choices: dict[str, Any], x: list[float], spikes: list[int], potentials: list[float]
) -> None:
    assert run(alone(IF(threshold=2), **choices), x) == (spikes, potentials)


def test_equal_to_the_threshold_fires_only_where_the_contract_says_so() -> None:
    assert run(alone(IF(threshold=3), compare=">"), [3, 0])[0] == [0, 0]
    assert run(alone(IF(threshold=3), compare=">="), [3, 0])[0] == [1, 0]
    assert run(alone(Threshold(threshold=3), compare=">"), [3, 4, 0])[0] == [0, 1, 0]
    assert run(alone(Threshold(threshold=3), compare=">="), [3, 4, 0])[0] == [1, 1, 0]


@pytest.mark.parametrize(
    ("when", "reset", "spikes", "potentials"),
    [
        # input 5, 1, 1, 1 at threshold 2
        ("same_step", "to_value", [1, 0, 0, 1], [0, 1, 2, 0]),
        ("next_step", "to_value", [1, 0, 0, 1], [5, 1, 2, 3]),
        ("after_next_update", "to_value", [1, 0, 0, 0], [5, 0, 1, 2]),
        ("same_step", "subtract", [1, 1, 1, 0], [3, 2, 1, 2]),
        ("next_step", "subtract", [1, 1, 1, 0], [5, 4, 3, 2]),
        ("after_next_update", "subtract", [1, 1, 1, 0], [5, 4, 3, 2]),
    ],
)
def test_where_resets_happen(when: Any, reset: Any, spikes: list[int], potentials: list[float]) -> None:
    assert run(alone(IF(threshold=2), reset_when=when, reset=reset), [5, 1, 1, 1]) == (spikes, potentials)


def test_a_late_subtraction_meets_the_leak_before_or_after_it() -> None:
    half = LIF(tau=2e-3, threshold=2)  # k = 1/2
    before = alone(half, integrator="forward_euler", synapse="delta", reset="subtract", reset_when="next_step")
    after = alone(half, integrator="forward_euler", synapse="delta", reset="subtract", reset_when="after_next_update")
    assert run(before, [6, 0])[1] == [6, 2]
    assert run(after, [6, 0])[1] == [6, 1]


def test_a_refractory_unit_keeps_its_potential_and_is_deaf() -> None:
    for steps, spikes in ((0, [1, 1, 1, 1, 1]), (1, [1, 0, 1, 0, 1]), (2, [1, 0, 0, 1, 0])):
        found = run(alone(IF(threshold=1, v_reset=-1, refractory=steps * 1e-3)), [4, 4, 4, 4, 4])
        assert found[0] == spikes
        assert found[1] == [-1] * 5
    assert run(alone(IF(threshold=3, refractory=1e-3), reset="subtract"), [8, 4, 0])[1] == [5, 5, 2]


def test_leak_and_gain_of_both_integrators() -> None:
    neuron = LI(tau=4e-3, v_leak=0.5, r=2.0, bias=0.25)
    v, expected = 0.0, []
    for x in (1.0, 0.0, -3.0):
        v = v + 0.25 * ((0.5 - v) + 2.0 * (0.25 + x))
        expected.append(v)
    assert run(alone(neuron, integrator="forward_euler"), [1, 0, -3])[1] == expected
    d, k, v, expected = math.exp(-0.25), -math.expm1(-0.25), 0.0, []
    for x in (1.0, 0.0, -3.0):
        v = d * v + k * (0.5 + 2.0 * (0.25 + x))
        expected.append(v)
    assert run(alone(neuron, integrator="exponential"), [1, 0, -3])[1] == expected
    v, expected = 0.0, []
    for x in (1.0, 0.0, -3.0):
        v = (d * v + k * (0.5 + 2.0 * 0.25)) + x
        expected.append(v)
    assert run(alone(neuron, integrator="exponential", synapse="delta"), [1, 0, -3])[1] == expected


def test_an_if_neuron_takes_the_time_step_unless_it_accumulates() -> None:
    assert run(alone(IF(threshold=9, r=2.0), integrator="accumulate"), [3])[1] == [6]
    for integrator in ("forward_euler", "exponential"):
        assert run(alone(IF(threshold=9, r=2.0), integrator=integrator, dt=0.25), [3])[1] == [1.5]


@pytest.mark.parametrize(("order", "potentials"), [("new", [0.25, 0.25, 0.1875]), ("old", [0.0, 0.25, 0.25])])
def test_the_membrane_takes_the_new_current_or_the_old_one(order: Any, potentials: list[float]) -> None:
    neuron = CubaLI(tau_syn=2e-3, tau_mem=2e-3)  # k = 1/2 both: the current is 1/2, 1/4, 1/8
    assert run(alone(neuron, integrator="forward_euler", current_order=order), [1, 0, 0])[1] == potentials


def test_currents_of_cuba_neurons() -> None:
    neuron = CubaLIF(tau_syn=4e-3, tau_mem=2e-3, w_in=3.0, threshold=100)
    a, da = math.exp(-0.25), -math.expm1(-0.25)
    k, d = -math.expm1(-0.5), math.exp(-0.5)
    for synapse, share in (("current", da), ("delta", 1.0)):
        s = v = 0.0
        expected = []
        for x in (2.0, 0.0, 1.0):
            s = a * s + share * (3.0 * x)
            v = d * v + k * (0.0 + 1.0 * s)
            expected.append(v)
        assert run(alone(neuron, integrator="exponential", synapse=synapse), [2, 0, 1])[1] == expected


@pytest.mark.parametrize(("latency", "delay", "arrives"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (0, 3, 3), (1, 2, 3)])
def test_latency_and_delay_add_up(latency: Any, delay: int, arrives: int) -> None:
    network = DynamicNetwork(
        "n",
        (IN,),
        (DynamicPopulation("first", (1,), IF(threshold=0.5)), DynamicPopulation("n", (1,), IF(threshold=99))),
        (Projection("in", "first", ONE), Projection("first", "n", ONE, delay)),
        contract(layer_latency=latency),
    )
    potentials = run(network, [1, 0, 0, 0, 0, 0])[1]
    assert potentials.index(1) == arrives + latency  # the input comes a latency late as well


def test_a_loop_comes_back_after_its_delay() -> None:
    for delay in (1, 2, 4):
        loop = Projection("n", "n", ONE, delay)
        network = DynamicNetwork(
            "n",
            (IN,),
            (DynamicPopulation("n", (1,), IF(threshold=0.5)),),
            (Projection("in", "n", ONE), loop),
            contract(),
        )
        assert run(network, [1] + [0] * 8)[0] == [int(t % delay == 0) for t in range(9)]


def test_a_bias_of_a_projection_is_late_where_the_register_is_behind_the_weights() -> None:
    for register, expected in (("spikes", [7, 14, 22, 30]), ("weighted", [0, 0, 8, 16])):
        projection = Projection("in", "n", ONE, delay=2, bias=np.array([7.0]))
        network = DynamicNetwork(
            "n",
            (IN,),
            (DynamicPopulation("n", (1,), IF(threshold=99)),),
            (projection,),
            contract(bias_register=register),
        )
        assert run(network, [1, 1, 0, 0])[1] == expected


def test_initial_potentials() -> None:
    neuron = LIF(tau=1e-3, v_leak=3.0, v_reset=-2.0, threshold=9)
    for initial, value in (("zero", 0.0), ("v_leak", 3.0), ("v_reset", -2.0)):
        found = run(alone(neuron, integrator="exponential", synapse="delta", initial=initial), [0])[1][0]
        assert found == math.exp(-1) * value + -math.expm1(-1) * 3.0
    stated = run(alone(IF(threshold=9, initial=5.0), initial="v_reset"), [0])[1]
    assert stated == [5.0]


def test_integers_saturate_or_wrap_at_their_width() -> None:
    def integer(overflow: Any, x: list[float], **neuron: Any) -> list[float]:
        network = alone(IF(threshold=100, **neuron), arithmetic="integer", state_bits=4, overflow=overflow)
        return run(network, x)[1]

    assert integer("saturate", [7, 1, -9, -9]) == [7, 7, -2, -8]
    assert integer("wrap", [7, 1, -1, 17]) == [7, -8, 7, -8]
    assert integer("wrap", [0], initial=-8, bias=-1) == [7]
    found = run(alone(IF(threshold=-8), arithmetic="integer", state_bits=4, reset="subtract", overflow="saturate"), [7])
    assert found == ([1], [7])


@pytest.mark.parametrize("part", ["bias", "projection", "weight"])
def test_integers_that_might_leave_64_bits_are_refused(part: str) -> None:
    """Where they could, saturation would come after a wrap: gain 2**30 times four times 2**30, or 2**15 times 2**17."""
    large = 2**31 - 1
    neuron = IF(threshold=1, bias=large if part == "bias" else 0, r=2**30)
    weight = 2**17 if part == "weight" else 1
    bias = np.array([large]) if part == "projection" else None
    ends = Projection("in", "n", (Dense(np.array([[weight]])),), bias=bias)
    made = DynamicNetwork("n", (IN,), (DynamicPopulation("n", (1,), neuron),), (ends,), contract(arithmetic="integer"))
    with pytest.raises(GraphError, match="n: what arrives in a step, times r, may leave 64 bits"):
        run(made, [1])


def test_refractory_periods_that_float32_cannot_count_are_refused() -> None:
    def counting(steps: int, arithmetic: str) -> DynamicNetwork:
        return alone(IF(refractory=np.array([float(steps)])), dt=1.0, arithmetic=arithmetic)

    assert run(counting(2**24, "float32"), [2, 2, 2])[0] == [1, 0, 0]
    assert run(counting(2**24 + 1, "float64"), [2, 2, 2])[0] == [1, 0, 0]
    with pytest.raises(GraphError, match=r"n\.refractory: is 16,777,217 steps, and float32 counts to 16,777,216"):
        run(counting(2**24 + 1, "float32"), [2])


def test_a_spike_listed_more_often_than_integers_hold_is_refused() -> None:
    often = np.zeros(2**15 + 1, dtype=np.int64)
    with pytest.raises(DataError, match="in: has values beyond 32,768"):
        simulate_dynamics(
            alone(IF(threshold=2), arithmetic="integer"), SpikeEvents(often, often, often, (1,), 1, 1, dt=1e-3)
        )


def test_sums_are_added_in_the_order_of_sending() -> None:
    big = 2.0**53
    # by sending (2**53 - 2**53) + 1 is 1; in the order of the list (1 + 2**53) - 2**53 is 0
    projections = (
        Projection("a", "n", (Dense(np.array([[1.0]])),), delay=0),
        Projection("b", "n", (Dense(np.array([[big]])),), delay=2),
        Projection("c", "n", (Dense(np.array([[-big]])),), delay=1),
    )
    inputs = tuple(SpikeInput(name, (1,)) for name in "abc")
    network = DynamicNetwork("n", inputs, (DynamicPopulation("n", (1,), IF(threshold=1e300)),), projections, contract())
    x = {name: np.eye(3)[at].reshape(3, 1, 1) for name, at in {"a": 2, "b": 0, "c": 1}.items()}
    assert simulate_dynamics(network, x, potentials=["n"]).potentials["n"].ravel().tolist() == [0, 0, 1]


@pytest.mark.parametrize(("weights", "total"), [((1.0, 2.0**53, -(2.0**53)), 0), ((2.0**53, -(2.0**53), 1.0), 1)])
def test_within_a_step_sums_are_added_by_index_of_the_source(weights: tuple[float, ...], total: float) -> None:
    dense = Projection("in", "n", (Dense(np.array([weights])),))
    sparse = Projection("in", "n", (Sparse([0, 1, 2, 3], [0, 0, 0], weights, 1),))
    repeated = Projection("one", "n", (Sparse([0, 3], [0, 0, 0], weights, 1),))
    population = DynamicPopulation("n", (1,), IF(threshold=1e300))
    for projection in (dense, sparse, repeated):
        inputs = (SpikeInput("in", (3,)), SpikeInput("one", (1,)))
        network = DynamicNetwork("n", inputs, (population,), (projection,), contract())
        x = {"in": np.ones((1, 1, 3)), "one": np.ones((1, 1, 1))}
        assert simulate_dynamics(network, x, potentials=["n"]).potentials["n"].item() == total


def test_float32_rounds_every_operation() -> None:
    found = run(alone(IF(threshold=1e9), arithmetic="float32"), [2.0**24, 1.0, 1.0])[1]
    assert found == [2.0**24, 2.0**24, 2.0**24]
    assert run(alone(IF(threshold=1e9)), [2.0**24, 1.0, 1.0])[1][-1] == 2.0**24 + 2


def test_spikes_as_a_list_are_the_raster() -> None:
    rng = np.random.default_rng(0)
    raster = (rng.random((20, 2, 3)) < 0.3).astype(int)
    samples, steps, lines = np.nonzero(raster.transpose(1, 0, 2))
    order = rng.permutation(len(samples))
    listed = SpikeEvents(samples[order], steps[order], lines[order], (3,), 20, 2, 1e-3)
    population = DynamicPopulation("n", (2,), LIF(tau=5e-3, threshold=0.3))
    network = DynamicNetwork(
        "n",
        (SpikeInput("in", (3,)),),
        (population,),
        (Projection("in", "n", (Dense(rng.normal(0.5, 1, (2, 3))),)),),
        contract(integrator="exponential"),
    )
    one, two = (simulate_dynamics(network, x, potentials=["n"]) for x in (raster, listed))
    assert one.counts["n"].sum() > 0
    assert np.array_equal(one.potentials["n"], two.potentials["n"])
    twice = SpikeEvents([0, 0], [1, 1], [0, 0], (3,), 3, 1, 1e-3)
    doubled = np.zeros((3, 1, 3))
    doubled[1, 0, 0] = 2
    one, two = (simulate_dynamics(network, x, potentials=["n"]) for x in (doubled, twice))
    assert np.array_equal(one.potentials["n"], two.potentials["n"])


def network_of(*projections: Projection, **choices: Any) -> DynamicNetwork:
    populations = (DynamicPopulation("a", (3,), IF()), DynamicPopulation("b", (2,), IF()))
    return DynamicNetwork("net", (SpikeInput("in", (3,)),), populations, projections, contract(**choices))


def test_wrong_parameters_are_refused_by_name_all_at_once() -> None:
    with pytest.raises(GraphError) as error:
        DynamicPopulation("cell", (3,), LIF(tau=[0.0, 1, 1], threshold=np.nan, r=[1, 2], refractory=-1, v_leak="x"))
    text = str(error.value)
    for part in ("cell.tau: must be positive", "cell.threshold: is not finite", "cell.r: has shape (2,)"):
        assert part in text
    assert "cell.refractory: is negative" in text
    assert "cell.v_leak: is of type" in text
    with pytest.raises(GraphError, match=r"cell\.tau_mem: must be positive"):
        DynamicPopulation("cell", (3,), CubaLIF(tau_syn=1, tau_mem=-1))
    with pytest.raises(GraphError, match="its shape is"):
        DynamicPopulation("cell", (0,), IF())


def test_wrong_synapses_are_refused() -> None:
    for offsets, targets, weights, why in (
        ([0, 1], [2], [1.0], "targets run from 2 to 2, and there are 2"),
        ([0, 1], [-1], [1.0], "targets run from -1 to -1"),
        ([0, 2], [1], [1.0], "offsets do not rise from 0"),
        ([1, 1], [1], [1.0], "offsets do not rise from 0"),
        ([0, 2, 1, 2], [0, 1], [1.0, 1.0], "offsets do not rise from 0"),
        ([0, 1], [1], [np.inf], "weights are not all finite"),
        ([0, 1], [1], [1.0, 2.0], r"weights have shape \(2,\)"),
        ([0.0, 1.0], [1], [1.0], "offsets are float64"),
        ([0, 1], [0.5], [1.0], "targets are float64"),
        ([0, 1], [1], ["a"], "weights are <U1"),
    ):
        with pytest.raises(GraphError, match=why):
            Sparse(offsets, targets, weights, 2)
    with pytest.raises(GraphError, match="sources run from 0 to 5, and there are 3"):
        Sparse.from_pairs([0, 5], [0, 0], 1.0, pre=3, post=1)


def test_wrong_projections_are_refused_all_at_once() -> None:
    with pytest.raises(GraphError, match="its delay is -1"):
        Projection("a", "b", (), delay=-1)
    with pytest.raises(GraphError, match=r"its delay is 1\.5"):
        Projection("a", "b", (), delay=1.5)  # type: ignore[arg-type]
    with pytest.raises(GraphError) as error:
        network_of(
            Projection("a", "a", ()), Projection("b", "a", ()), Projection("x", "b", ()), Projection("a", "in", ())
        )
    text = str(error.value)
    assert "a -> a: would have an effect on its own step" in text
    assert "b -> a: would have an effect on its own step" in text
    assert "x -> b: x is no input" in text
    assert "a -> in: in is no population" in text
    network_of(Projection("a", "a", ()), Projection("b", "b", ()), layer_latency=1)
    wrong = network_of(Projection("a", "b", (OneToOne(np.ones(3)),)), Projection("in", "b", (Dense(np.ones((2, 4))),)))
    with pytest.raises(GraphError, match=r"(?s)a -> b: its synapses lead to shape \(3,\).*in -> b: "):
        simulate_dynamics(wrong, n_steps=1)


def test_a_contract_that_a_population_has_no_meaning_under_is_refused() -> None:
    for neuron, choices, why in (
        (LIF(tau=1), {}, "accumulation has no leak"),
        (LIF(tau=1), {"arithmetic": "integer", "integrator": "exponential"}, "integer arithmetic does not have"),
        (IF(), {"arithmetic": "integer", "integrator": "exponential"}, "knows no dt"),
        (IF(v_reset=1.0), {"reset": "subtract"}, "has no meaning where the reset subtracts"),
        (IF(refractory=1.5e-3), {}, "not a whole number of steps"),
        (IF(threshold=0.5), {"arithmetic": "integer"}, "not all whole numbers"),
        (IF(threshold=2**31), {"arithmetic": "integer"}, "reach 2,147,483,648 or more"),
        (IF(initial=9), {"arithmetic": "integer", "state_bits": 4}, "outside of 4 bits"),
        (IF(threshold=1e300), {"arithmetic": "float32"}, "beyond the range of float32"),
    ):
        with pytest.raises(GraphError, match=why):
            simulate_dynamics(alone(neuron, **choices), n_steps=1)
    with pytest.raises(OptionError) as error:
        DynamicsContract(dt=0.0, integrator="rk4", reset="never", state_bits=1)  # type: ignore[arg-type]
    for name in ("dt", "integrator", "reset", "state_bits"):
        assert f"contract.{name}:" in str(error.value)


def test_input_that_does_not_fit_is_refused_by_name() -> None:
    network = network_of(Projection("in", "a", ()))
    for x, options, why in (
        (np.zeros((4, 2)), {}, r"in: has shape \(4, 2\)"),
        (np.full((4, 1, 3), np.nan), {}, "in: is not finite"),
        ({"other": np.zeros((4, 1, 3))}, {}, "other: is not an input"),
        (np.zeros((4, 1, 3)), {"n_steps": 3}, "in: has 4 steps, and 3 are simulated"),
        (np.zeros((4, 1, 3)), {"currents": {"c": 1}}, "is not a population"),
        (np.zeros((4, 1, 3)), {"currents": {"a": np.inf}}, "is not finite"),
        (np.zeros((4, 1, 3)), {"currents": {"a": np.zeros(4)}}, "has shape"),
        (np.zeros((4, 1, 3)), {"currents": {"a": np.zeros((2, 1, 3))}}, "has 2 steps, and 4 are simulated"),
        (np.zeros((4, 1, 3)), {"currents": {"a": np.zeros((5, 3))}}, "samples of different numbers"),
        (SpikeEvents([0], [0], [3], (3,), 4, 1, 1e-3), {}, "neurons of its spikes run from 3 to 3, not below 3"),
        (SpikeEvents([0], [-1], [0], (3,), 4, 1, 1e-3), {}, "steps of its spikes run from -1"),
    ):
        with pytest.raises(DataError, match=why):
            simulate_dynamics(network, x, **options)
    for options, why in (
        ({}, "nothing says how many steps"),
        ({"n_steps": 0}, "at least one step"),
        ({"n_steps": 1, "record": ["z"]}, "z: is not a population"),
        ({"n_steps": 1, "potentials": ["z"]}, "z: is not a population"),
    ):
        with pytest.raises(OptionError, match=why):
            simulate_dynamics(network, **options)
    integer = network_of(Projection("in", "a", ()), arithmetic="integer")
    with pytest.raises(DataError, match="not whole numbers"):
        simulate_dynamics(integer, np.full((1, 1, 3), 0.5))
    with pytest.raises(DataError, match="beyond 32,768"):
        simulate_dynamics(integer, np.full((1, 1, 3), 2.0**20))
