"""Spikes and potentials of Nengo's own neurons under given currents, which the tests compare ours with: `golden.py FILE.npz`."""

from __future__ import annotations

import sys

import nengo
import numpy as np

STEPS, CELLS, DT = 250, 12, 1e-3
KINDS = {
    "lif": nengo.LIF(),
    "parts": nengo.LIF(tau_rc=0.05, tau_ref=0.00237, min_voltage=-0.5),
    "none": nengo.LIF(tau_ref=0.0),
    "rectified": nengo.SpikingRectifiedLinear(),
    "izhikevich": nengo.Izhikevich(),
}


def main() -> None:
    rng = np.random.RandomState(6)
    # from below the threshold to several spikes in a few steps, constant in the first cells
    currents = np.cumsum(rng.randn(STEPS, CELLS), axis=0) / 4 + np.linspace(0.5, 12, CELLS)
    currents[:, :4] = [1.0, 1.0625, 2.0, 40.0]
    currents = np.round(currents * 1024) / 1024
    found = {"currents": currents.astype(np.float32), "dt": DT, "version": nengo.__version__}
    for name, kind in KINDS.items():
        state = kind.make_state(CELLS, rng=rng)
        state["voltage"] = np.round(np.array(state["voltage"]) * 1024) / 1024
        found[f"{name}_initial"] = state["voltage"].copy()
        scale = 150 if name == "rectified" else 1
        spikes, voltages = [], []
        for row in currents:
            output = np.zeros(CELLS)
            kind.step(DT, row * scale, output, **state)
            spikes.append(np.rint(output * DT).astype(np.int8))
            voltages.append(state["voltage"].copy())
        found[f"{name}_spikes"], found[f"{name}_voltages"] = np.array(spikes), np.array(voltages)[::10]
    np.savez_compressed(sys.argv[1], **found)


if __name__ == "__main__":
    main()
