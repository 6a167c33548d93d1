"""NEST's spikes and potentials of `izhikevich`, in both of its integrations, which the tests compare ours with: `nest_golden.py FILE.npz`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nest
import numpy as np

EVERY = 10
LATE = 2
"""Steps from the moment that a generator is told to the first step in which a neuron integrates its current."""
CELLS = {
    "a": [0.02, 0.02, 0.02, 0.1, 0.02],
    "b": [0.2, 0.2, 0.2, 0.2, 0.25],
    "c": [-65, -55, -50, -65, -65],
    "d": [8, 4, 2, 2, 2],
}
CASES = {"consistent": (True, 0.125, 1200), "published": (False, 0.25, 320)}


def simulate(consistent: bool, dt: float, current: Any) -> tuple[Any, Any, Any]:
    """Steps and neurons of spikes, and potentials after each step, counted from 0."""
    nest.ResetKernel()
    nest.resolution = dt
    steps, neurons = current.shape
    cells = nest.Create("izhikevich", neurons, {"consistent_integration": consistent, "V_th": 30.0})
    for k, cell in enumerate(cells):
        cell.set(
            {name: float(values[k]) for name, values in CELLS.items()} | {"V_m": -65.0, "U_m": -65 * CELLS["b"][k]}
        )
        moments = [round(dt * (t + 1), 6) for t in range(steps)]
        fed = {"amplitude_times": moments, "amplitude_values": current[:, k].tolist()}
        nest.Connect(nest.Create("step_current_generator", 1, fed), cell, "one_to_one", {"delay": dt})
    meter, recorder = (
        nest.Create("multimeter", 1, {"record_from": ["V_m"], "interval": dt}),
        nest.Create("spike_recorder"),
    )
    nest.Connect(meter, cells)
    nest.Connect(cells, recorder)
    nest.Simulate(dt * (steps + 1))
    first, seen, fired = cells[0].global_id, meter.get("events"), recorder.get("events")
    potentials = np.full((steps + 2, neurons), np.nan)
    potentials[np.rint(np.array(seen["times"]) / dt).astype(int), np.array(seen["senders"]) - first] = seen["V_m"]
    when = np.rint(np.array(fired["times"]) / dt).astype(int) - 1
    kept = when < steps
    return when[kept], (np.array(fired["senders"]) - first)[kept], potentials[1 : steps + 1]


def main(path: Path) -> int:
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"every": EVERY, "late": LATE, "version": nest.__version__, **CELLS}
    for name, (consistent, dt, steps) in CASES.items():
        current = np.round(rng.normal(9, 4, (steps, len(CELLS["a"]))) * 32) / 32
        when, who, potentials = simulate(consistent, dt, current)
        found |= {
            f"{name}_dt": dt * 1e-3,
            f"{name}_current": current.astype(np.float16),
            f"{name}_steps": when.astype(np.uint16),
            f"{name}_neurons": who.astype(np.uint8),
            f"{name}_v": potentials[EVERY - 1 : steps - 1 : EVERY],
        }
        print(name, len(when), "spikes")
    np.savez_compressed(path, **found)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
