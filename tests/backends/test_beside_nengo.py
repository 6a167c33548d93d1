"""Neurons beside Nengo's own, under the same currents; the file is what `bench/from_nengo.py --golden` wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.primitives import (
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    InterpolatedLIF,
    Izhikevich,
    RectifiedIF,
)

GOLDEN = Path(__file__).parent / "nengo_neurons.npz"
CLOSE = 1e-12  # of the largest, a few roundings: numpy's expm1 and log1p are not the C library's
BACKENDS = [
    "reference",
    pytest.param("native", marks=pytest.mark.skipif(bool(native.why_missing()), reason="no library")),
]
NEURONS: dict[str, Any] = {
    "lif": lambda v: InterpolatedLIF(tau=0.02, refractory=0.002, v_min=0.0, initial=v),
    "parts": lambda v: InterpolatedLIF(tau=0.05, refractory=0.00237, v_min=-0.5, initial=v),
    "none": lambda v: InterpolatedLIF(tau=0.02, refractory=0.0, v_min=0.0, initial=v),
    "rectified": lambda v: RectifiedIF(initial=v),
    "izhikevich": lambda v: Izhikevich(substeps=1, recovery="reset", initial=v, initial_u=0.0),
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("kind", NEURONS)
def test_spikes_are_those_of_nengo(golden: dict[str, Any], kind: str, on: str) -> None:
    currents = golden["currents"].astype(float)[:, None] * (150 if kind == "rectified" else 1)
    contract = DynamicsContract(dt=float(golden["dt"]), integrator="exponential")
    if kind == "rectified":
        contract = replace(contract, integrator="forward_euler", spikes="multi", reset="subtract", compare=">=")
    if kind == "izhikevich":
        contract = replace(contract, compare=">=")
    cells = DynamicPopulation("n", currents.shape[2:], NEURONS[kind](golden[f"{kind}_initial"]))
    network = DynamicNetwork(kind, (), (cells,), (), contract)
    made = sp.simulate(network, currents={"n": currents}, max_steps=len(currents), record=["n"], on=on)
    expected = golden[f"{kind}_spikes"]
    train = made.spikes["n"].train().raster
    assert expected.max() >= (2 if kind == "rectified" else 1)
    assert (train.reshape(expected.shape) == expected).all()
    theirs = golden[f"{kind}_voltages"]
    close = CLOSE if kind != "izhikevich" else 1e-9  # each spike multiplies what roundings differ by
    assert np.abs(made.potentials["n"][::10, 0] - theirs).max() <= close * np.abs(theirs).max()
