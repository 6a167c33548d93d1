"""One example of PyNN's documentation in one process: built, read by `sp.from_pynn`, run by both, compared; JSON on standard output."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[3] / "src")]

import spikeport as sp  # noqa: E402
from examples import EXAMPLES  # noqa: E402


def compared(name: str, simulator: str, on: str) -> dict[str, Any]:
    """What both sides say."""
    sim = importlib.import_module(f"pyNN.{simulator}")
    example = EXAMPLES[name][0](sim)
    imported = sp.from_pynn(example.parts, **example.options)
    dt = imported.contract.dt * 1e3
    seconds = example.duration * 1e-3
    if example.learns is None:
        ours = imported.run(seconds, on=on)
    else:
        network = imported.build()
        fed = {"inputs": imported.inputs(seconds), "currents": imported.currents(seconds)}
        record = [probe.name for probe in imported.network.probes]
        ours = sp.run(network, duration=seconds, record=record, weights_every=1, on=on, **fed)
    sim.run(example.duration)
    found: dict[str, Any] = {
        "cells": 0,
        "synapses": sum(p.size() for p in example.parts if hasattr(p, "synapse_type")),
        "spikes": 0,
        "of_ours": 0,
        "differ": 0,
        "first": None,
        "potential": 0.0,
        "same": example.same,
        "ledger": [str(entry) for entry in imported.ledger],
        "duration": example.duration,
    }
    for population in example.watched:
        label = imported.name_of(population)
        segment = population.get_data().segments[0]
        found["cells"] += population.size
        theirs = {(i, round(t / dt)) for i, train in enumerate(segment.spiketrains) for t in train.magnitude.tolist()}
        mine = {(i, round(t / dt)) for i, times in enumerate(imported.spike_times(ours, label)) for t in times.tolist()}
        found["spikes"] += len(theirs)
        found["of_ours"] += len(mine)
        found["differ"] += len(theirs ^ mine)
        apart = [step for _, step in theirs ^ mine]
        if apart:
            found["first"] = min([found["first"] or np.inf, min(apart) * dt])
        signals = [s for s in segment.analogsignals if s.name == "v"]
        if signals:
            v = np.asarray(signals[0].magnitude)[1:]
            mine_v = ours[f"{label}.v"][:, 0]
            n = min(len(v), len(mine_v))
            found["potential"] = max(found["potential"], float(np.abs(v[:n] - mine_v[:n]).max()))
    if example.learns is not None:
        found |= weights_compared(example, imported, ours, simulator)
    sim.end()
    versions = {"nest": "nest", "brian2": "brian2"}
    found["versions"] = {"PyNN": importlib.import_module("pyNN").__version__}
    found["versions"][simulator] = importlib.import_module(versions[simulator]).__version__
    return found


def weights_compared(example: Any, imported: Any, ours: Any, simulator: str) -> dict[str, float]:
    """Largest difference of a weight, and largest change of one, over the weight at the beginning."""
    rows = sorted(tuple(row) for row in example.learns.get(["weight"], format="list"))
    weights = np.array([weight for *_, weight in rows])
    (over_time,) = ours.weights_over_time.values()
    learned = over_time[-1, 0]
    if simulator == "nest":  # it computes a weight when a presynaptic spike comes
        spikes = imported.sources[imported.name_of(example.learns.pre)]
        within = spikes.steps < len(over_time)
        last = np.zeros(example.learns.pre.size, dtype=np.int64)
        np.maximum.at(last, spikes.lines[within], spikes.steps[within])
        learned = over_time[last, 0, np.arange(len(last))]
    scale = 60.0  # millivolts from -60 to the reversal potential of 0: conductances are currents here
    begin = example.learns.synapse_type.weight
    return {
        "weights": float(np.abs(learned / scale - weights).max() / begin),
        "changed": float(np.abs(weights / begin - 1).max()),
    }


def golden(path: str, names: tuple[str, ...]) -> None:
    """What NEST gives for examples, by name: steps and cells of spikes, and every 50th potential."""
    sim = importlib.import_module("pyNN.nest")
    kept: dict[str, Any] = {}
    for name in names:
        example = EXAMPLES[name][0](sim)
        sim.run(example.duration)
        (population,) = example.watched
        segment = population.get_data().segments[0]
        dt = sim.get_time_step()
        spikes = [(round(t / dt), i) for i, train in enumerate(segment.spiketrains) for t in train.magnitude.tolist()]
        (signal,) = (s for s in segment.analogsignals if s.name == "v")
        kept[f"{name}.spikes"] = np.array(sorted(spikes), dtype=np.int64).reshape(-1, 2)
        kept[f"{name}.v"] = np.asarray(signal.magnitude)[50::50]
        sim.end()
    np.savez_compressed(path, **kept)


if __name__ == "__main__" and sys.argv[1] == "--golden":
    golden(sys.argv[2], ("IF_curr_exp", "IF_curr_exp2", "current_injection", "Izhikevich"))
elif __name__ == "__main__":
    print("\n" + json.dumps(compared(*sys.argv[1:])))
