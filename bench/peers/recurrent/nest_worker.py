"""NEST with the balanced random network: `nest_worker.py THREADS`, spoken to as `peers/protocol.py` says.

describe                 -> versions
build     case           -> seconds it took to build the network of `bench/balanced.py`
run       steps          -> seconds that so many steps took, the spikes in them; the simulation goes on where it was
spikes    path           -> steps and neurons of all spikes so far, written to an npz file
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))

# NEST greets on standard output when it is imported, where answers go
answers = os.dup(1)
os.dup2(2, 1)
import nest  # noqa: E402

sys.stdout.flush()
os.dup2(answers, 1)
import numpy as np  # noqa: E402

from balanced import Balanced, load  # noqa: E402
from peers.protocol import serve  # noqa: E402


class Nest:
    """One network, kept between questions."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def describe(self) -> dict[str, Any]:
        return {"versions": {"nest-simulator": nest.__version__}, "dtype": "float64"}

    def build(self, case: str, numbers: dict[str, Any]) -> dict[str, Any]:
        start = time.perf_counter()
        balanced, drawn = Balanced(**numbers), load(Path(case))
        nest.ResetKernel()
        nest.set_verbosity("M_ERROR")
        nest.local_num_threads = self.threads
        nest.resolution = 1000 * balanced.dt
        tau = 1000 * balanced.tau
        # with C_m = tau_m a current of 1 pA is worth 1 mV
        neurons = nest.Create(
            "iaf_psc_delta",
            balanced.neurons,
            {
                "tau_m": tau,
                "C_m": tau,
                "E_L": 0.0,
                "V_th": balanced.threshold,
                "V_reset": 0.0,
                "t_ref": 1000 * balanced.refractory,
                "V_m": drawn.initial,
                "I_e": drawn.current,
            },
        )
        self.first = neurons[0].global_id
        sources = np.repeat(np.arange(balanced.neurons), np.diff(drawn.offsets)) + self.first
        nest.Connect(
            sources,
            drawn.targets.astype(np.int64) + self.first,
            "one_to_one",
            {"weight": drawn.weights, "delay": np.full(len(sources), nest.resolution)},
        )
        self.recorder = nest.Create("spike_recorder")
        nest.Connect(neurons, self.recorder)
        nest.Prepare()
        self.spikes_before = 0
        return {"seconds": time.perf_counter() - start}

    def run(self, steps: int) -> dict[str, Any]:
        start = time.perf_counter()
        nest.Run(steps * nest.resolution)
        seconds = time.perf_counter() - start
        spikes, self.spikes_before = int(self.recorder.n_events) - self.spikes_before, int(self.recorder.n_events)
        return {"seconds": seconds, "spikes": spikes}

    def spikes(self, path: str) -> dict[str, Any]:
        events = self.recorder.events
        # NEST writes the end of the step in which a neuron fires, and counts steps from 1
        steps = np.rint(events["times"] / nest.resolution).astype(np.int64) - 1
        neurons = events["senders"].astype(np.int64) - self.first
        order = np.lexsort((neurons, steps))
        np.savez(path, steps=steps[order], neurons=neurons[order])
        return {"spikes": len(steps)}


if __name__ == "__main__":
    answering = Nest(int(sys.argv[1]))
    serve({name: getattr(answering, name) for name in ("describe", "build", "run", "spikes")})
