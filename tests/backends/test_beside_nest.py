"""Spikes of a network that NEST 3.10 simulated (`iaf_psc_delta`, exact integration): made by `bench/golden.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.primitives import LIF, DynamicPopulation, Projection, Sparse

FILE = Path(__file__).with_name("nest_spikes.npz")


def network(golden: Any, **choices: Any) -> sp.DynamicNetwork:
    neurons = len(golden["current"])
    changed = {"refractory": 2e-3} | {name: choices.pop(name) for name in ("refractory",) if name in choices}
    neuron = LIF(tau=0.02, threshold=20.0, bias=golden["current"], initial=golden["initial"], **changed)
    sparse = Sparse(golden["offsets"], golden["targets"], golden["weights"].astype(np.float64), neurons)
    settled = {"integrator": "exponential", "synapse": "delta", "compare": ">="} | choices
    return sp.DynamicNetwork(
        "nest",
        (),
        (DynamicPopulation("n", (neurons,), neuron),),
        (Projection("n", "n", (sparse,), delay=1),),
        sp.DynamicsContract(dt=1e-3, **settled),
    )


def spikes(golden: Any, on: Any, **choices: Any) -> tuple[list[int], list[int]]:
    found = sp.simulate(network(golden, **choices), max_steps=int(golden["n_steps"]), record=["n"], on=on).spikes["n"]
    return found.steps.tolist(), found.neurons.tolist()


@pytest.mark.parametrize("on", ["reference", "native"])
def test_every_spike_is_nests(on: str) -> None:
    if on == "native" and not native.available():
        pytest.skip(native.why_missing())
    with np.load(FILE) as golden:
        assert len(golden["steps"]) > 500
        assert spikes(golden, on) == (golden["steps"].tolist(), golden["neurons"].tolist())


@pytest.mark.parametrize(
    "choices", [{"integrator": "forward_euler"}, {"refractory": 1e-3}, {"layer_latency": 1}, {"reset": "subtract"}]
)
def test_another_contract_gives_other_spikes(choices: dict[str, Any]) -> None:
    with np.load(FILE) as golden:
        assert spikes(golden, "reference", **choices) != (golden["steps"].tolist(), golden["neurons"].tolist())
