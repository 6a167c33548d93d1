"""Brian2's spikes and potentials of neurons with a second state, which the tests compare ours with: `brian2_golden.py FILE.npz`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2 import Network, NeuronGroup, SpikeMonitor, StateMonitor, TimedArray, defaultclock, ms, prefs

DT, STEPS, NEURONS, EVERY = 0.25, 800, 5, 10
MEMBRANE = "dv/dt = ((0.1 - v) + {drive}) / tau : 1\n"
ADAPTS = "dw/dt = (a * (v - 0.1) - w) / tau_adapt : 1"
CASES = {
    "threshold": (MEMBRANE.format(drive="fed(t, i)") + "dw/dt = -w / tau_adapt : 1", "v > 1 + w", "exponential_euler"),
    "current": (MEMBRANE.format(drive="(fed(t, i) - w)") + ADAPTS, "v > 1", "exponential_euler"),
    "euler": (MEMBRANE.format(drive="(fed(t, i) - w)") + ADAPTS, "v > 1", "euler"),
    "izhikevich": (
        "dv/dt = (0.04 * v**2 + 5 * v + 140 - w + 8 * fed(t, i)) / ms : 1\ndw/dt = 0.02 * (0.2 * v - w) / ms : 1",
        "v > 30",
        "euler",
    ),
}


def main(path: Path) -> int:
    prefs.codegen.target = "numpy"
    defaultclock.dt = DT * ms
    rng = np.random.default_rng(0)
    # exact in half precision, so that the file is small
    current = np.round((rng.normal(0, 0.4, (STEPS, NEURONS)) + np.linspace(1.1, 2.0, NEURONS)) * 64) / 64
    names = {"fed": TimedArray(current, dt=DT * ms), "tau": 20 * ms, "tau_adapt": 80 * ms, "a": 0.2}
    found: dict[str, Any] = {"current": current.astype(np.float16), "every": EVERY, "version": brian2.__version__}
    for name, (equations, threshold, method) in CASES.items():
        izhikevich = name == "izhikevich"
        reset = "v = -65; w += 8" if izhikevich else "v = 0; w += 0.3"
        group = NeuronGroup(NEURONS, equations, threshold=threshold, reset=reset, method=method, namespace=names)
        if izhikevich:
            group.v, group.w = -65, -13
        spikes = SpikeMonitor(group)
        states = StateMonitor(group, ["v", "w"], record=True, when="end")
        Network(group, spikes, states).run(STEPS * DT * ms)
        found[f"{name}_steps"] = np.rint(np.asarray(spikes.t / ms) / DT).astype(np.uint16)
        found[f"{name}_neurons"] = np.asarray(spikes.i, dtype=np.uint8)
        found[f"{name}_v"] = np.asarray(states.v).T[EVERY - 1 :: EVERY]
        print(name, len(spikes.t), "spikes")
    np.savez_compressed(path, **found)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
