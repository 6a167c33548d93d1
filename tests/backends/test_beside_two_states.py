"""Spikes and potentials of Brian2 2.9 and NEST 3.10, made by `bench/peers/two_states`: the same neurons, written by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport import native
from spikeport.backends.native import simulate_dynamics as by_native
from spikeport.backends.reference import simulate_dynamics as by_reference
from spikeport.primitives import AdaptiveLIF, DynamicNetwork, DynamicPopulation, DynamicsContract, Izhikevich

FOLDER = Path(__file__).parent
ROUNDED = 1e-6  # they add in another order, and every spike makes the difference larger; potentials are up to 100
STEPPERS = [
    pytest.param(by_reference, id="reference"),
    pytest.param(
        by_native, id="native", marks=pytest.mark.skipif(not native.available(), reason=str(native.why_missing()))
    ),
]
ADAPTIVE: dict[str, Any] = {"tau": 0.02, "tau_adapt": 0.08, "increment": 0.3, "v_leak": 0.1, "initial": 0.0}
BRIAN: dict[str, tuple[Any, Any, float]] = {
    "threshold": (AdaptiveLIF(**ADAPTIVE), "exponential", 1.0),
    "current": (AdaptiveLIF(**ADAPTIVE, adapts="current", coupling=0.2), "exponential", 1.0),
    "euler": (AdaptiveLIF(**ADAPTIVE, adapts="current", coupling=0.2), "forward_euler", 1.0),
    "izhikevich": (Izhikevich(substeps=1, recovery="old", initial_u=-13.0), "forward_euler", 8.0),
}


def check(stepper: Any, neuron: Any, contract: DynamicsContract, fed: Any, golden: Any, name: str) -> None:
    cells = DynamicPopulation("n", (fed.shape[1],), neuron)
    network = DynamicNetwork("n", (), (cells,), (), contract)
    found = stepper(network, n_steps=len(fed), currents={"n": fed[:, None]}, potentials=["n"])
    order = np.lexsort((golden[f"{name}_neurons"], golden[f"{name}_steps"]))
    assert len(order) >= 25
    assert found.spikes["n"].steps.tolist() == golden[f"{name}_steps"][order].tolist()
    assert found.spikes["n"].neurons.tolist() == golden[f"{name}_neurons"][order].tolist()
    theirs = golden[f"{name}_v"]
    ours = found.potentials["n"][int(golden["every"]) - 1 :: int(golden["every"]), 0][: len(theirs)]
    assert len(theirs) >= 19
    assert np.abs(ours - theirs).max() < ROUNDED


@pytest.mark.parametrize("stepper", STEPPERS)
@pytest.mark.parametrize("name", BRIAN)
def test_neurons_are_those_of_brian2(name: str, stepper: Any) -> None:
    neuron, integrator, factor = BRIAN[name]
    with np.load(FOLDER / "brian2_two_states.npz") as golden:
        fed = factor * golden["current"].astype(float)
        check(stepper, neuron, DynamicsContract(dt=0.25e-3, integrator=integrator), fed, golden, name)


@pytest.mark.parametrize("stepper", STEPPERS)
@pytest.mark.parametrize(("name", "substeps", "recovery"), [("consistent", 1, "old"), ("published", 2, "new")])
def test_izhikevich_is_that_of_nest(name: str, substeps: int, recovery: Any, stepper: Any) -> None:
    with np.load(FOLDER / "nest_izhikevich.npz") as golden:
        told, late = golden[f"{name}_current"].astype(float), int(golden["late"])
        fed = np.concatenate([np.zeros((late, told.shape[1])), told[:-late]])
        cells = Izhikevich(**{k: golden[k] for k in "abcd"}, substeps=substeps, recovery=recovery, initial=-65.0)
        contract = DynamicsContract(dt=float(golden[f"{name}_dt"]), integrator="forward_euler", compare=">=")
        check(stepper, cells, contract, fed, golden, name)
