"""NEST's `stdp_synapse`, which the tests and `bench/stdp_window.py` compare ours with: `nest_stdp.py FILE.npz`.

Parrot neurons on both sides of every synapse repeat spikes at given times, so that the synapse learns and drives nothing. The weight is
read at the end; NEST computes it at the last presynaptic spike.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nest
import numpy as np

DT = 1.0
"""Milliseconds; times are whole steps."""
FIRST = 100
"""Step of the first spike of a pair."""
REACH = 80
"""Steps between two spikes of a pair, at most."""
LATE = 1500
"""Steps to the spike that reads the weight: traces are below 1e-18 by then."""
RULES: dict[str, dict[str, float]] = {
    "additive": {"mu_plus": 0.0, "mu_minus": 0.0},
    "multiplicative": {"mu_plus": 1.0, "mu_minus": 1.0},
    "mixed": {"mu_plus": 0.0, "mu_minus": 1.0},
}
COMMON = {"tau_plus": 17.0, "lambda": 0.02, "alpha": 1.1, "Wmax": 2.0}
TAU_MINUS = 34.0


def learned(pre: list[Any], post: list[Any], delays: list[int], weight: float, rule: dict[str, float]) -> list[float]:
    """Weights after trains of spikes, in steps, one pair of neurons each."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = DT
    connections = []
    for sent, fired, delay in zip(pre, post, delays, strict=True):
        source, target = nest.Create("parrot_neuron"), nest.Create("parrot_neuron", 1, {"tau_minus": TAU_MINUS})
        for neuron, train in ((source, sent), (target, fired)):
            # a parrot repeats a spike as late as its connection says
            times = [DT * (step - 1) for step in train]
            generator = nest.Create("spike_generator", 1, {"spike_times": times})
            nest.Connect(generator, neuron, "one_to_one", {"delay": DT})
        synapse = {
            "synapse_model": "stdp_synapse",
            "weight": weight,
            "delay": DT * delay,
            "receptor_type": 1,  # a parrot learns there, and repeats nothing
            **COMMON,
            **rule,
        }
        nest.Connect(source, target, "one_to_one", synapse)
        connections.append((source, target))
    last = max(step for train in (*pre, *post) for step in train)
    nest.Simulate(DT * (last + 100))
    return [float(nest.GetConnections(source, target).get("weight")) for source, target in connections]


def main(path: Path) -> int:
    rng = np.random.default_rng(0)
    # NEST computes a weight when a presynaptic spike comes: a second one, so late that it changes nothing itself
    apart = np.arange(-REACH, REACH + 1)
    late = FIRST + LATE
    window_pre = [[FIRST, late] for _ in apart]
    window_post = [[FIRST + int(d)] for d in apart]
    found: dict[str, Any] = {
        "version": nest.__version__,
        "dt": DT * 1e-3,
        "apart": apart,
        "tau_minus": TAU_MINUS,
        **COMMON,
    }
    found |= {"window_pre": np.array(window_pre), "window_post": np.array(window_post)}
    for name, rule in RULES.items():
        found[f"window_{name}"] = learned(window_pre, window_post, [1] * len(apart), 1.0, rule)
    trains = [[np.flatnonzero(rng.random(600) < rate) + 10 for rate in rng.uniform(0.005, 0.15, 2)] for _ in range(12)]
    pre, post = [t[0] for t in trains], [t[1] for t in trains]
    delays = rng.integers(1, 12, len(trains)).tolist()
    raster = np.zeros((2, 620, len(trains)), np.bool_)
    for k, (sent, fired) in enumerate(trains):
        raster[0, sent, k] = raster[1, fired, k] = True
    found |= {"trains": np.packbits(raster), "trains_shape": raster.shape, "delays": delays}
    for name, rule in RULES.items():
        found[f"trains_{name}"] = learned([p.tolist() for p in pre], [p.tolist() for p in post], delays, 1.0, rule)
        found[f"mu_{name}"] = [int(rule["mu_plus"]), int(rule["mu_minus"])]
    np.savez_compressed(path, **found)
    print(f"{len(apart)} pairs and {len(trains)} trains under {len(RULES)} rules")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
