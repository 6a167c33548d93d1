"""Refractory periods that are no number of steps, worked out by hand and beside the formula; currents that are rectified."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import GraphError
from spikeport.primitives import (
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    InterpolatedLIF,
    OneToOne,
    Projection,
    RectifiedIF,
    SpikeInput,
)

DT = 1e-3
ROUNDING = 1e-12  # of some operations in float64, on values around 1
BACKENDS = [
    "reference",
    pytest.param("native", marks=pytest.mark.skipif(bool(native.why_missing()), reason="no library")),
]


def network(neuron: Any, size: int = 1, **choices: Any) -> DynamicNetwork:
    contract = DynamicsContract(**{"dt": DT, "integrator": "exponential", **choices})
    cell = DynamicPopulation("n", (size,), neuron)
    return DynamicNetwork(
        "one", (SpikeInput("in", (size,)),), (cell,), (Projection("in", "n", (OneToOne(np.ones(size)),)),), contract
    )


def run(neuron: Any, x: list[float], **choices: Any) -> tuple[list[float], list[float]]:
    """What it sends and its potentials."""
    found = simulate_dynamics(network(neuron, **choices), np.array(x, float).reshape(-1, 1, 1), potentials=["n"])
    return found.spikes["n"].train().raster.ravel().tolist(), found.potentials["n"].ravel().tolist()


def test_a_period_begins_where_the_threshold_was_crossed_and_ends_within_a_step() -> None:
    """tau = dt / ln 2: a whole step goes half of the way to i. From 0 with i = 4, v is 1 after log2(4/3) of a step."""
    tau = DT / math.log(2)
    crossed = math.log2(4 / 3)
    neuron = InterpolatedLIF(tau=tau, refractory=1.25 * DT)
    spikes, potentials = run(neuron, [4, 4, 4, 4])
    assert spikes == [1, 0, 1, 1]
    # deaf until crossed + 1.25 steps, which lies within the step of index 1
    integrates = 2 - (crossed + 1.25)
    after = 4 - 4 * 0.5**integrates
    assert potentials[1] == pytest.approx(after, rel=ROUNDING)
    assert after < 1  # no spike there
    assert potentials[0] == potentials[2] == 0


def test_without_a_period_only_the_rest_of_the_step_is_lost() -> None:
    assert run(InterpolatedLIF(tau=1.0, refractory=0.0), [1100] * 3)[0] == [1, 1, 1]


def test_a_unit_that_is_deaf_for_the_whole_step_takes_nothing_and_does_not_fire() -> None:
    neuron = InterpolatedLIF(tau=0.02, threshold=0.25, initial=0.5, initial_w=3 * DT)
    spikes, potentials = run(neuron, [0, 0, 0, 0])
    # initial_w = 3 steps: deaf in the first two, whole in the third
    assert spikes == [0, 0, 1, 0]
    assert potentials[:2] == [0.5, 0.5]


def test_equal_to_the_threshold_fires_under_at_least_alone() -> None:
    neuron = InterpolatedLIF(tau=DT / math.log(2), threshold=0.5)
    for compare, fires in ((">", 0), (">=", 1)):
        contract = {"compare": compare}
        v = simulate_dynamics(network(neuron, **contract), np.ones((1, 1, 1)), potentials=["n"])
        # exp(-ln 2) is a half in float64 too
        assert v.counts["n"].ravel().tolist() == [fires]


def test_a_jump_fires_at_the_end_of_its_step() -> None:
    """No current explains the crossing: the period of two steps begins with the next one."""
    neuron = InterpolatedLIF(tau=0.02, refractory=2 * DT)
    spikes, potentials = run(neuron, [2, 2, 2, 2, 0], synapse="delta")
    assert spikes == [1, 0, 0, 1, 0]
    assert potentials[1:3] == [0, 0]  # what jumps while it is deaf is lost


def test_potentials_are_kept_from_below() -> None:
    assert min(run(InterpolatedLIF(tau=0.02, v_min=-0.25), [-100, -100])[1]) == -0.25


@pytest.mark.parametrize("on", BACKENDS)
def test_the_rate_is_that_of_the_formula_whatever_the_step(on: str) -> None:
    """1 / (refractory + tau log(1 + 1 / (i - 1))) for each constant current; over 2 s one spike more or less."""
    drive = np.linspace(1.05, 30, 64)
    rate = 1 / (0.00225 + 0.02 * np.log1p(1 / (drive - 1)))
    for dt in (1e-3, 5e-4):
        cells = InterpolatedLIF(tau=0.02, refractory=0.00225, bias=drive)
        net = sp.Network("rates")
        net.population("cells", 64, cells)
        contract = DynamicsContract(dt=dt, integrator="exponential", layer_latency=1)
        made = sp.run(net, duration=2.0, contract=contract, record=["cells.spikes"], on=on)
        assert (np.abs(made.counts["cells"][0] - 2 * rate) <= 1).all()


@pytest.mark.parametrize(
    ("choices", "what"),
    [
        ({"integrator": "forward_euler"}, "integrator='forward_euler'"),
        ({"integrator": "accumulate"}, "integrator='accumulate'"),
        ({"reset": "subtract"}, "reset='subtract'"),
        ({"reset_when": "next_step"}, "reset_when='next_step'"),
        ({"reset_when": "after_next_update"}, "reset_when='after_next_update'"),
        ({"arithmetic": "integer"}, "integer arithmetic"),
        ({"spikes": "multi"}, "fires once a step"),
    ],
)
def test_a_contract_without_moments_is_refused(choices: dict[str, Any], what: str) -> None:
    with pytest.raises(GraphError, match="n: ") as caught:
        network(InterpolatedLIF(tau=0.02), **choices)
    assert what in str(caught.value)


def test_a_rectified_unit_is_not_discharged() -> None:
    choices = {"integrator": "forward_euler", "spikes": "multi", "reset": "subtract", "compare": ">="}
    neuron = RectifiedIF(r=1 / DT, initial=0.5)
    spikes, potentials = run(neuron, [-3, 0.25, 0.25, 2.5, -1, 0], **choices)
    assert spikes == [0, 0, 1, 2, 0, 0]
    assert potentials == [0.5, 0.75, 0, 0.5, 0.5, 0.5]
    assert run(RectifiedIF(threshold=3, bias=-1), [2, 2, 0, 2], integrator="accumulate", arithmetic="integer")[1] == [
        1, 2, 2, 3,
    ]  # fmt: skip


def test_jumps_are_not_rectified() -> None:
    assert run(RectifiedIF(threshold=5), [2, -1], integrator="accumulate", synapse="delta")[1] == [2, 1]
