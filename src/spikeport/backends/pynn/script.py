"""The PyNN script that runs a network: `python script.py SIMULATOR NETWORK.npz ANSWER.npz`, in an environment with PyNN and a simulator.

It needs PyNN and numpy alone, and is the same for every simulator. Everything that a network is stands in the file: names are numbers
here, and labels are never used for anything but being labels.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np

FAR = 1e4
"""Millivolts below everything: where potentials are before the first step, so that nothing fires there."""


def main(simulator: str, network: str, answer: str) -> None:
    sim = importlib.import_module("pyNN." + simulator)
    found: dict[str, Any] = {}
    with np.load(network, allow_pickle=False) as data:
        document = json.loads(str(data["document"]))
        for sample in range(document["batch"]):
            run(sim, simulator, document, data, sample, found)
    np.savez(answer, **found)


def run(sim: Any, simulator: str, document: Any, data: Any, sample: int, found: dict[str, Any]) -> None:
    """One sample from its initial state."""
    dt, n_steps = document["dt_ms"], document["n_steps"]
    nest = simulator == "nest"
    # pyNN.nest sets sources off before the kernel's first step, where nothing can spike: potentials are set when it has passed
    lead = 1 if nest else 0
    longest = max([1, *(int(p["longest"]) for p in document["projections"])])
    choices = {"spike_precision": "on_grid"} if nest else {}
    sim.setup(timestep=dt, min_delay=dt, max_delay=longest * dt, **choices)
    # a spike of step n is one at the end of the step for NEST, and at its beginning for Brian2
    first = lead + 2 if nest else 0
    if nest:  # pyNN.nest 0.13 forgot to say what the potential of these is called
        sim.IF_curr_delta.variable_map, sim.IF_curr_delta.scale_factors = {"v": "V_m"}, {"v": 1}
    populations = []
    for i, place in enumerate(document["inputs"]):
        steps, lines = data[f"steps.{i}.{sample}"], data[f"lines.{i}.{sample}"]
        times = [((steps[lines == line] + first) * dt).tolist() for line in range(place["size"])]
        populations.append(sim.Population(place["size"], sim.SpikeSourceArray(spike_times=times), label=place["label"]))
    neurons = []
    for i, place in enumerate(document["populations"]):
        values = {name: data[f"{name}.{i}"] for name in place["parameters"]}
        cells = getattr(sim, place["cells"])(**{n: float(v) if v.ndim == 0 else v for n, v in values.items()})
        begin = data[f"initial.{i}"]
        low = float(min(np.min(values["v_reset"]), np.min(values["v_thresh"]), np.min(begin))) - FAR
        population = sim.Population(
            place["size"], cells, label=place["label"], initial_values={"v": low if lead else begin}
        )
        population.record("spikes")
        if place["potentials"]:
            population.record("v")
        populations.append(population)
        neurons.append(population)
    for i, place in enumerate(document["projections"]):
        rows = np.stack([data[f"{name}.{i}"] for name in ("pre", "post", "weight", "delay")], axis=1)
        if not len(rows):
            continue
        connector = sim.FromListConnector([(int(a), int(b), float(w), float(d)) for a, b, w, d in rows])
        synapse = sim.StaticSynapse(weight=0.0, delay=dt)
        ends = populations[place["source"]], populations[place["target"]]
        sim.Projection(*ends, connector, synapse, receptor_type=place["receptor"])
    if lead:
        sim.run(lead * dt)
        for i, population in enumerate(neurons):
            population.initialize(v=data[f"initial.{i}"])
    sim.run((n_steps + 2) * dt)  # what is beyond the last step is left out
    early = 2 if nest else 0  # the kernel is a least delay ahead
    for i, population in enumerate(neurons):
        segment = population.get_data().segments[0]
        steps, cells = [], []
        for cell, train in enumerate(segment.spiketrains):
            mine = np.rint(np.asarray(train.magnitude) / dt).astype(np.int64) - early - (1 if nest else 0)
            mine = mine[(mine >= 0) & (mine < n_steps)]
            steps.append(mine)
            cells.append(np.full(len(mine), cell))
        found[f"steps.{i}.{sample}"] = np.concatenate([*steps, np.zeros(0, np.int64)])
        found[f"cells.{i}.{sample}"] = np.concatenate([*cells, np.zeros(0, np.int64)])
        if segment.analogsignals:
            v = np.asarray(segment.analogsignals[0].magnitude)
            found[f"v.{i}.{sample}"] = v[early + 1 : early + 1 + n_steps]
    sim.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
