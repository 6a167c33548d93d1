"""A network in PyNN's words: cells, and synapses one by one; what PyNN's standard cells cannot say is refused, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import Plan, PopulationPlan, make_plan
from spikeport.errors import Problem
from spikeport.primitives import LIF, CubaLIF, DynamicNetwork

Simulator = Literal["nest", "brian2"]
COMPARES = {"nest": ">=", "brian2": ">"}
"""What fires."""
MS = 1e-3
CELLS = {LIF: "IF_curr_delta", CubaLIF: "IF_curr_exp"}
SETTLED: dict[str, Any] = {
    "integrator": "exponential",
    "synapse": "delta",
    "spikes": "single",
    "reset": "to_value",
    "reset_when": "same_step",
    "layer_latency": 1,
    "arithmetic": "float64",
}
"""What these simulators do, whatever a script says."""


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """What the script is told of a network."""

    document: dict[str, Any]
    """JSON values."""
    arrays: dict[str, NDArray[Any]]


def problems_of(network: DynamicNetwork, simulator: Simulator) -> Iterator[Problem]:
    """What is in the way, by node."""
    compare = COMPARES[simulator]
    for name, settled in {**SETTLED, "compare": compare}.items():
        value = getattr(network.contract, name)
        if value != settled:
            why = f"is {value!r}, and {simulator} steps {settled!r}"
            yield Problem(f"contract.{name}", why, f"build the network with {name}={settled!r}")
    for p in network.populations:
        if p.contract is not None:
            yield Problem(
                p.name, "has a contract of its own, and a simulator has one for all", "one contract for the network"
            )
        if type(p.neuron) not in CELLS:
            why = f"{type(p.neuron).__name__} is no standard cell of PyNN that steps as ours does"
            yield Problem(p.name, why, "LIF or CubaLIF; or on='reference'")
            continue
        assert isinstance(p.neuron, LIF | CubaLIF)
        if p.neuron.v_min is not None:
            yield Problem(
                f"{p.name}.v_min", "is a floor of the potential, which standard cells do not have", "leave it out"
            )
        if isinstance(p.neuron, CubaLIF) and network.contract.current_order != "old":
            why = f"is 'new', and in {simulator} a current acts on the potential of the next step"
            yield Problem("contract.current_order", why, "build the network with current_order='old'")
        if simulator == "brian2":
            yield from _brian2_problems(p)
    for link in network.projections:
        if link.bias is not None and np.any(link.bias):
            yield Problem(link.name, "has a bias, which synapses of PyNN do not have", "give it to the neurons")
        if link.plasticity is not None:
            yield Problem(
                link.name, f"learns by {link.plasticity.name}, which is not written as PyNN yet", "plasticity=None"
            )


def _brian2_problems(p: Any) -> Iterator[Problem]:
    if isinstance(p.neuron, LIF):
        why = "is a LIF, whose jumps come after the comparison of their step in Brian2"
        yield Problem(p.name, why, "CubaLIF, or simulator='nest'")
    refractory = np.asarray(p.neuron.refractory)
    if (refractory != refractory.flat[0]).any():
        yield Problem(
            f"{p.name}.refractory", "differs from neuron to neuron, and pyNN.brian2 has one", "one refractory period"
        )


def written(network: DynamicNetwork, simulator: Simulator) -> Script:
    """The network as the script reads it."""
    plan = make_plan(network)
    dt_ms = network.contract.dt / MS
    arrays: dict[str, NDArray[Any]] = {}
    populations: list[dict[str, Any]] = []
    projections: list[dict[str, Any]] = []
    factors = []
    for i, (place, p) in enumerate(zip(network.populations, plan.populations, strict=True)):
        parameters, factor = _parameters(place.neuron, p, dt_ms, simulator)
        factors.append(np.broadcast_to(factor, (p.size,)))
        arrays |= {f"{name}.{i}": value for name, value in parameters.items()}
        arrays[f"initial.{i}"] = np.array(np.broadcast_to(p.initial, (p.size,)))
        cells = CELLS[type(place.neuron)]
        populations.append({"cells": cells, "size": p.size, "label": p.name, "parameters": sorted(parameters)})
    n_inputs = len(plan.input_sizes)
    for link in plan.projections:
        rows = _rows(plan, link)
        weight = rows[2] * factors[link.target - n_inputs][rows[1]]
        for receptor, chosen in (("excitatory", weight >= 0), ("inhibitory", weight < 0)):
            if chosen.any():
                number = len(projections)
                values = {
                    "pre": rows[0],
                    "post": rows[1],
                    "weight": weight,
                    "delay": np.full(len(weight), link.delay * dt_ms),
                }
                arrays |= {f"{name}.{number}": value[chosen] for name, value in values.items()}
                ends = {"source": link.source, "target": link.target}
                projections.append({**ends, "receptor": receptor, "longest": int(link.delay)})
    inputs = [{"size": place.size, "label": place.name} for place in network.inputs]
    document = {"dt_ms": dt_ms, "inputs": inputs, "populations": populations, "projections": projections}
    return Script(document, arrays)


def _parameters(neuron: Any, p: PopulationPlan, dt: float, simulator: Simulator) -> tuple[dict[str, NDArray[Any]], Any]:
    """Of a cell, in PyNN's units with a resistance of megaohms, and what a weight is multiplied with."""
    cuba = isinstance(neuron, CubaLIF)
    tau_m = np.asarray(neuron.tau_mem if cuba else neuron.tau, dtype=np.float64) / MS
    deaf = np.asarray(p.refractory) + (1 if simulator == "brian2" else 0)  # the step of the spike is one of them there
    values: dict[str, Any] = {
        "v_rest": neuron.v_leak,
        "v_reset": neuron.v_reset,
        "v_thresh": neuron.threshold,
        "tau_m": tau_m,
        "cm": tau_m / np.asarray(neuron.r, dtype=np.float64),
        "i_offset": neuron.bias,
        "tau_refrac": deaf * dt,
    }
    factor: Any = 1.0
    if cuba:
        tau_s = np.asarray(neuron.tau_syn, dtype=np.float64) / MS
        values |= {"tau_syn_E": tau_s, "tau_syn_I": tau_s}
        # a decaying current over a constant one, in what they move the potential by in a step
        x = np.asarray(dt / tau_s - dt / tau_m)
        near = x == 0
        phi = np.where(near, 1.0, -np.expm1(-x) / np.where(near, 1.0, x))
        factor = np.asarray(neuron.w_in) * -np.expm1(-dt / tau_m) / (dt / tau_m * np.exp(-dt / tau_m) * phi)
    shaped = {}
    for name, value in values.items():
        array = np.asarray(value, dtype=np.float64).ravel()
        same = array.size and (array == array.flat[0]).all()
        shaped[name] = np.asarray(array.flat[0]) if same else np.array(np.broadcast_to(array, (p.size,)))
    return shaped, np.asarray(factor).ravel() if np.ndim(factor) else factor


def _rows(plan: Plan, link: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Source, target and weight of each synapse."""
    rows = link.rows
    offsets = np.asarray(rows.offsets)
    pre = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    targets, weights = np.asarray(rows.targets, dtype=np.int64), np.asarray(rows.weights, dtype=np.float64)
    if weights.ndim == 2:  # one for each source
        weights = weights[pre, 0]
    return pre, targets, np.array(np.broadcast_to(weights, targets.shape))
