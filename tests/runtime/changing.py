"""A small network with all that events touch, and what a session is compared by."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.plugin.state import NeuronState, PlasticState, SessionState
from spikeport.primitives import Dense, DynamicNetwork, DynamicPopulation, OneToOne, Projection, SpikeInput

BACKENDS = [
    "reference",
    pytest.param("native", marks=pytest.mark.skipif(not native.available(), reason="needs the native library")),
]
CONTRACT = sp.DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta", layer_latency=1)
RULE = sp.STDP(a_plus=0.02, a_minus=0.015, tau_plus=0.01, tau_minus=0.01, w_min=-1.0, w_max=2.0)
DENDRITIC = replace(RULE, delays="dendritic")
X = {"x": sp.Poisson(250.0, seed=3), "y": sp.Poisson(180.0, seed=4)}
RECORD = ("m/a.v", "m/b.v", "c.v", "m/a.spikes", "m/b.spikes", "c.spikes")


def network(**changed: Any) -> DynamicNetwork:
    """Inputs x and y, a module m of a and b, and c outside of it; loops, delays, biases, and three projections that learn."""
    rng = np.random.default_rng(5)

    def dense(post: int, pre: int) -> tuple[Dense]:
        return (Dense(rng.uniform(-0.35, 0.7, (post, pre))),)

    populations = (
        DynamicPopulation(
            "m/a", (5,), sp.LIF(tau=0.01, threshold=np.array([1.0, 0.8, 1.2, 1.0, 0.9]), refractory=0.002)
        ),
        DynamicPopulation("m/b", (4,), sp.AdaptiveLIF(tau=0.02, tau_adapt=0.05, increment=0.1)),
        DynamicPopulation("c", (4,), sp.CubaLIF(tau_syn=0.004, tau_mem=0.01, threshold=0.6)),
    )
    projections = (
        Projection("x", "m/a", (Dense(rng.uniform(-0.1, 0.5, (5, 6))),)),
        Projection("m/a", "m/b", dense(4, 5), delay=2, plasticity=RULE),
        Projection("m/b", "m/a", dense(5, 4), delay=1),
        Projection("m/b", "c", (OneToOne(np.full(4, 0.7)),), delay=3, plasticity=DENDRITIC),
        Projection("c", "m/a", dense(5, 4), delay=4, bias=np.array(0.01)),
        Projection("y", "c", dense(4, 3)),
        Projection("y", "c", dense(4, 3), delay=5, plasticity=RULE),
    )
    made = DynamicNetwork(
        "changing", (SpikeInput("x", (6,)), SpikeInput("y", (3,))), populations, projections, CONTRACT
    )
    return replace(made, **changed)


def with_projection(made: DynamicNetwork, place: int, **changed: Any) -> DynamicNetwork:
    projections = list(made.projections)
    projections[place] = replace(projections[place], **changed)
    return replace(made, projections=tuple(projections))


def with_population(made: DynamicNetwork, name: str, **changed: Any) -> DynamicNetwork:
    return replace(made, populations=tuple(replace(p, **changed) if p.name == name else p for p in made.populations))


def without(made: DynamicNetwork, *places: int) -> DynamicNetwork:
    return replace(made, projections=tuple(p for i, p in enumerate(made.projections) if i not in places))


def flat(state: SessionState) -> dict[str, Any]:
    """All arrays of a state by where they are."""
    found: dict[str, Any] = {"step": np.array(state.step), "batch": np.array(state.batch)}
    kinds = (("populations", NeuronState), ("plastic", PlasticState))
    for kind, cls in kinds:
        for name, held in getattr(state, kind).items():
            for field in fields(cls):
                value = getattr(held, field.name)
                parts = value if isinstance(value, tuple) else (value,)
                found |= {f"{name}: {field.name}[{i}]": part for i, part in enumerate(parts) if part is not None}
    return found | {f"sent {name}": rows for name, rows in state.sent.items()}


def assert_equal_states(one: SessionState, other: SessionState) -> None:
    a, b = flat(one), flat(other)
    assert a.keys() == b.keys()
    for where in a:
        assert a[where].dtype == b[where].dtype, where
        assert np.array_equal(a[where], b[where], equal_nan=True), where


def assert_equal_networks(one: DynamicNetwork, other: DynamicNetwork) -> None:
    from spikeport.storage import codec

    (a, arrays), (b, others) = codec.encode(one), codec.encode(other)
    assert a == b
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)


def assert_equal_runs(one: sp.Run, other: sp.Run) -> None:
    assert one.names == other.names
    for name in one.names:
        a, b = one[name], other[name]
        if isinstance(a, sp.SpikeEvents):
            columns = [(getattr(a, n), getattr(b, n)) for n in ("samples", "steps", "neurons")]
            assert all(np.array_equal(p, q) for p, q in columns), name
            assert (a.values is None) == (b.values is None), name
            assert a.values is None or np.array_equal(a.values, b.values), name
        else:
            assert a.dtype == b.dtype, name
            assert np.array_equal(a, b, equal_nan=True), name
    for kind in ("counts", "weights", "weights_over_time"):
        a, b = getattr(one, kind), getattr(other, kind)
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[n], b[n], equal_nan=True) for n in a), kind
