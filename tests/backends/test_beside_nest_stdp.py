"""Weights that NEST 3.10's `stdp_synapse` learned: made by `bench/peers/plasticity/nest_stdp.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.primitives import STDP, DynamicPopulation, OneToOne, Projection, SpikeInput, Threshold

FILE = Path(__file__).with_name("nest_stdp.npz")
CLOSE = 1e-12
"""NEST's traces decay over a gap at once, ours step by step."""
RULES = ["additive", "multiplicative", "mixed"]


def rule(golden: Any, name: str, **choices: Any) -> sp.Rule:
    most = float(golden["Wmax"])
    rise = float(golden["lambda"]) * most
    return STDP(
        a_plus=rise,
        a_minus=float(golden["alpha"]) * rise,
        tau_plus=float(golden["tau_plus"]) * 1e-3,
        tau_minus=float(golden["tau_minus"]) * 1e-3,
        mu=tuple(golden[f"mu_{name}"].tolist()),
        w_max=most,
        **{"delays": "dendritic", **choices},
    )


def learned(raster: Any, delay: int, learns: sp.Rule, on: str) -> Any:
    """Weights after the last presynaptic spike of each pair; `raster` is (2, time, pair)."""
    n_steps, pairs = raster.shape[1:]
    network = sp.DynamicNetwork(
        "pairs",
        (SpikeInput("pre", (pairs,)), SpikeInput("drive", (pairs,))),
        (DynamicPopulation("post", (pairs,), Threshold(threshold=50.0)),),
        (
            Projection("drive", "post", (OneToOne(np.array(100.0)),)),
            Projection("pre", "post", (OneToOne(np.array(1.0)),), delay=delay, plasticity=learns),
        ),
        sp.DynamicsContract(dt=1e-3, integrator="accumulate"),
    )
    x = {"pre": raster[0][:, None].astype(float), "drive": raster[1][:, None].astype(float)}
    found = sp.simulate(network, x, record_weights=["pre -> post"], weights_every=1, on=on)
    assert isinstance(found, sp.DynamicRecording)
    last = n_steps - 1 - np.argmax(raster[0][::-1], axis=0)
    return found.weights_over_time["pre -> post"][last, 0, np.arange(pairs)]


def backends() -> list[Any]:
    missing = pytest.mark.skipif(not native.available(), reason=native.why_missing())
    return ["reference", pytest.param("native", marks=missing)]


@pytest.mark.parametrize("on", backends())
@pytest.mark.parametrize("name", RULES)
def test_the_window_is_nests(name: str, on: str) -> None:
    with np.load(FILE) as golden:
        pre, post = golden["window_pre"], golden["window_post"]
        raster = np.zeros((2, int(pre.max()) + 1, len(pre)), np.bool_)
        pair = np.arange(len(pre))
        raster[0, pre, pair[:, None]] = raster[1, post, pair[:, None]] = True
        found = learned(raster, 1, rule(golden, name), on)
        assert np.abs(found - golden[f"window_{name}"]).max() < CLOSE
        assert np.ptp(found) > 0.03


@pytest.mark.parametrize("on", backends())
@pytest.mark.parametrize("name", RULES)
def test_long_trains_with_delays_are_nests(name: str, on: str) -> None:
    with np.load(FILE) as golden:
        shape = tuple(golden["trains_shape"].tolist())
        raster = np.unpackbits(golden["trains"], count=int(np.prod(shape))).reshape(shape).astype(np.bool_)
        for k, delay in enumerate(golden["delays"].tolist()):
            found = learned(raster[:, :, k : k + 1], delay, rule(golden, name), on)
            assert abs(found[0] - golden[f"trains_{name}"][k]) < CLOSE, (k, delay)


def test_other_delays_and_pairings_are_others() -> None:
    with np.load(FILE) as golden:
        shape = tuple(golden["trains_shape"].tolist())
        raster = np.unpackbits(golden["trains"], count=int(np.prod(shape))).reshape(shape).astype(np.bool_)
        k = int(np.argmax(golden["delays"]))
        one, delay = raster[:, :, k : k + 1], int(golden["delays"][k])
        for choices in ({"delays": "axonal"}, {"nearest": True}):
            found = learned(one, delay, rule(golden, "multiplicative", **choices), "reference")
            assert abs(found[0] - golden["trains_multiplicative"][k]) > 1e-3, choices
