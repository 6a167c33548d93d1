"""Analog populations, several spikes a step, lowest potentials and contracts of single populations, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import GraphError
from spikeport.primitives import (
    IF,
    LI,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    I,
    NetworkOutput,
    OneToOne,
    Projection,
    Relay,
    SpikeInput,
    Threshold,
)

IN = SpikeInput("in", (1,))


def contract(**choices: Any) -> DynamicsContract:
    return DynamicsContract(**{"dt": 1e-3, "integrator": "accumulate", **choices})


def run(network: DynamicNetwork, x: list[float], name: str = "n") -> tuple[list[float], list[float]]:
    """What a population sends as spikes, and its potentials."""
    raster = np.array(x, dtype=float).reshape(-1, 1, 1)
    found = simulate_dynamics(network, raster, potentials=[name])
    spikes = found.spikes[name].train().raster.ravel().tolist() if name in found.spikes else []
    return spikes, found.potentials[name].ravel().tolist()


def chain(*neurons: Any, weight: float = 1.0, **choices: Any) -> DynamicNetwork:
    """Populations "a", "b", ... and "n" at the end, each fed by the one before."""
    names = [*"abcdefg"[: len(neurons) - 1], "n"]
    populations = tuple(
        DynamicPopulation(name, (1,), *(n if isinstance(n, tuple) else (n,)))
        for name, n in zip(names, neurons, strict=True)
    )
    sources = ["in", *names[:-1]]
    synapse = (OneToOne(np.array([weight])),)
    projections = tuple(Projection(s, t, synapse) for s, t in zip(sources, names, strict=True))
    return DynamicNetwork("n", (IN,), populations, projections, contract(**choices))


@pytest.mark.parametrize(
    ("choices", "threshold", "x", "spikes", "potentials"),
    [
        ({"reset": "subtract"}, 2, [7, 0, 1, 2], [3, 0, 0, 2], [1, 1, 2, 0]),  # at 2 it does not fire, and 4 counts two
        ({"reset": "subtract", "compare": ">="}, 2, [7, 0, 1, 2], [3, 0, 1, 1], [1, 1, 0, 0]),
        ({"reset": "to_value"}, 2, [7, 0, 3, -9], [3, 0, 1, 0], [0, 0, 0, -9]),
        ({"reset": "subtract", "reset_when": "next_step"}, 2, [5, 0, 0], [2, 0, 0], [5, 1, 1]),
        ({"reset": "subtract", "reset_when": "after_next_update"}, 2, [5, 4, 0], [2, 2, 0], [5, 5, 1]),
    ],
)
def test_several_spikes_a_step(
    choices: Any, threshold: float, x: list[float], spikes: list[int], potentials: list[float]
) -> None:
    for arithmetic in ("float64", "float32", "integer"):
        network = chain(IF(threshold=threshold), spikes="multi", arithmetic=arithmetic, **choices)
        assert run(network, x) == (spikes, potentials)


def test_counts_are_payloads_of_the_next_population_and_of_the_recording() -> None:
    network = chain(IF(threshold=2), IF(threshold=100), spikes="multi", reset="subtract", compare=">=")
    assert run(network, [7, 1, 0])[1] == [3, 4, 4]
    found = simulate_dynamics(network, np.array([7.0, 1, 0]).reshape(-1, 1, 1))
    assert found.counts["a"].tolist() == [[4]]
    assert found.spikes["a"].values is not None


def test_a_step_ends_at_the_lowest_potential() -> None:
    assert run(chain(IF(threshold=5, v_min=-2)), [-7, 1, 2])[1] == [-2, -1, 1]
    network = chain(IF(threshold=1, v_min=-1), reset="subtract", arithmetic="integer")
    assert run(network, [-1, -1, 3, 0]) == ([0, 0, 1, 0], [-1, -1, 1, 1])


def test_analog_populations_send_their_potential() -> None:
    assert run(chain(I(), Threshold(threshold=2)), [1, 1, 1, -1]) == ([0, 0, 1, 0], [1, 2, 3, 2])
    assert run(chain(I(r=2, initial=1.0), IF(threshold=100), weight=-1), [1, 0, 2])[1] == [1, 2, 7]
    assert run(chain(I(), Relay(), weight=0.5, arithmetic="float64"), [1, 1])[1] == [0.25, 0.5]
    leaky = chain(LI(tau=2e-3), Relay(), integrator="forward_euler")
    assert run(leaky, [1, 1, 0])[1] == [0.5, 0.75, 0.375]
    assert run(chain(I(), integrator="forward_euler"), [1, 1])[1] == [1e-3, 2e-3]


def test_a_relay_sums_within_the_step_and_has_no_latency() -> None:
    populations = (DynamicPopulation("sum", (1,), Relay(bias=0.5)), DynamicPopulation("n", (2,), IF(threshold=99)))
    projections = (
        Projection("in", "sum", ()),
        Projection("in", "sum", (OneToOne(np.array([2.0])),)),
        Projection("sum", "n", (Dense(np.array([[1.0], [-2.0]])),)),
    )
    for latency, expected in ((0, [[3.5, -7], [4, -8]]), (1, [[0.5, -1], [4, -8]])):
        network = DynamicNetwork("n", (IN,), populations, projections, contract(layer_latency=latency))
        found = simulate_dynamics(network, np.array([1.0, 0]).reshape(-1, 1, 1), potentials=["n"])
        assert found.potentials["n"][:, 0].tolist() == expected


def test_a_relay_in_a_loop_without_delay_is_refused() -> None:
    relay = (DynamicPopulation("r", (1,), Relay()),)
    with pytest.raises(GraphError, match="would have an effect on its own step"):
        DynamicNetwork("n", (), relay, (Projection("r", "r", ()),), contract(layer_latency=1))
    DynamicNetwork("n", (), relay, (Projection("r", "r", (), 1),), contract(layer_latency=1))


def test_a_population_may_step_by_its_own_contract() -> None:
    own = contract(reset="subtract", compare=">=", integrator="forward_euler")
    network = chain((IF(threshold=1), own), IF(threshold=1), integrator="forward_euler")
    # 1000 a step at dt = 1 ms is 1: the first fires at its threshold and subtracts it, the second neither
    found = simulate_dynamics(network, np.full((3, 1, 1), 1500.0), potentials=["a", "n"])
    assert found.potentials["a"].ravel().tolist() == [0.5, 1.0, 1.5]
    with pytest.raises(GraphError, match="n: has a contract of its own with another dt, arithmetic"):
        chain((IF(), contract(dt=2e-3, arithmetic="float32")))
    with pytest.raises(GraphError, match="v_reset: has no meaning where the reset subtracts"):
        chain((IF(v_reset=0.5), contract(reset="subtract")))


def test_outputs_name_populations() -> None:
    network = chain(IF())
    for outputs, why in (
        ((NetworkOutput("o", "x"),), "x is no population"),
        ((NetworkOutput("o", "n"), NetworkOutput("o", "n")), "is the name of two outputs"),
    ):
        with pytest.raises(GraphError, match=why):
            DynamicNetwork("n", network.inputs, network.populations, network.projections, network.contract, (), outputs)


def test_counting_needs_positive_thresholds() -> None:
    with pytest.raises(GraphError, match="must be positive where spikes are counted"):
        chain(IF(threshold=0), spikes="multi")


def test_integers_that_analog_populations_may_make_too_large_are_refused() -> None:
    big = chain(I(), IF(), weight=2**30, arithmetic="integer", state_bits=40)
    with pytest.raises(GraphError, match="may leave 64 bits"):
        simulate_dynamics(big, n_steps=1)
    simulate_dynamics(chain(I(), IF(), weight=2**30, arithmetic="integer", state_bits=24), n_steps=1)
