"""A built network of leaky integrate-and-fire neurons as files that `peers/recurrent/nest_network.py` builds in NEST, synapse by synapse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import Plan, make_plan
from spikeport.primitives import LIF, DynamicNetwork, SpikeEvents

CONTRACT = {
    "integrator": "exponential",
    "synapse": "delta",
    "compare": ">=",
    "spikes": "single",
    "reset": "to_value",
    "reset_when": "same_step",
    "arithmetic": "float64",
}
"""What `iaf_psc_delta` does in a step."""
ARRAYS = ("threshold", "v_reset", "refractory", "initial", "bias")
"""Of a population, one value a neuron; `refractory` counts steps."""


class NotInNestError(ValueError):
    """A network that `iaf_psc_delta` has no words for."""


def unlike(network: DynamicNetwork) -> Iterator[str]:
    """Why NEST cannot be asked for the spikes of a network."""
    for name, needed in CONTRACT.items():
        if getattr(network.contract, name) != needed:
            yield f"{name} is {getattr(network.contract, name)!r}, and NEST's is {needed!r}"
    for population in network.populations:
        neuron: Any = population.neuron
        if population.contract is not None or not isinstance(neuron, LIF):
            yield f"{population.name} is no LIF under the network's contract"
        elif neuron.v_min is not None or np.any(neuron.v_leak) or np.any(np.asarray(neuron.r) != 1):
            yield f"{population.name} has v_min, v_leak or r"
    for p in network.projections:
        if p.bias is not None or p.plasticity is not None:
            yield f"{p.name} has a bias or learns"
        if p.delay + network.latency_from(p.source) < 1:
            yield f"{p.name} takes no time, and NEST's shortest delay is a step"


def save(network: DynamicNetwork, entering: Mapping[str, SpikeEvents], folder: Path) -> None:
    """Write neurons, synapses and what enters.

    Raises:
        NotInNestError: NEST's neuron would do something else, for all the reasons there are.
    """
    if reasons := list(unlike(network)):
        raise NotInNestError("\n".join(reasons))
    plan = make_plan(network)
    described = {
        "dt": network.contract.dt,
        "inputs": list(plan.input_sizes),
        "populations": [{"size": p.size, "arrays": ["tau", *ARRAYS]} for p in plan.populations],
        "projections": [(p.source, p.target) for p in plan.projections],
    }
    (folder / "case.json").write_text(json.dumps(described), encoding="utf-8")
    for name, values in _arrays(network, plan, entering):
        np.save(folder / f"{name}.npy", values)


def _arrays(
    network: DynamicNetwork, plan: Plan, entering: Mapping[str, SpikeEvents]
) -> Iterator[tuple[str, NDArray[Any]]]:
    for k, place in enumerate(network.inputs):
        events = entering[place.name]
        order = np.argsort(events.neurons, kind="stable")  # by line, and within it by step
        counts = np.ones(len(events), np.int64) if events.values is None else events.values.astype(np.int64)
        if events.values is not None and ((counts != events.values) | (counts < 1)).any():
            raise NotInNestError(f"{place.name} takes values that count no spikes")
        yield f"input{k}.offsets", np.searchsorted(events.neurons[order], np.arange(place.size + 1))
        yield f"input{k}.steps", events.steps[order].astype(np.int64)
        yield f"input{k}.counts", counts[order]
    for k, (population, planned) in enumerate(zip(network.populations, plan.populations, strict=True)):
        neuron: Any = population.neuron
        yield f"population{k}.tau", np.broadcast_to(neuron.tau, population.shape).ravel()
        for name in ARRAYS:
            yield f"population{k}.{name}", getattr(planned, name)
    for k, p in enumerate(plan.projections):
        each = np.repeat(p.rows.weights[:, 0], np.diff(p.rows.offsets)) if p.rows.weights.ndim == 2 else p.rows.weights
        yield f"projection{k}.offsets", p.rows.offsets
        yield f"projection{k}.targets", p.rows.targets
        yield f"projection{k}.weights", np.broadcast_to(each, p.rows.targets.shape)
        yield f"projection{k}.delay", np.array(p.delay)
