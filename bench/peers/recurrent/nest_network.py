"""NEST with a network of leaky integrate-and-fire neurons: `nest_network.py THREADS`, spoken to as `peers/protocol.py` says.

describe          -> versions
build     case    -> seconds it took to build what `bench/nest_case.py` wrote into the folder `case`
run       steps   -> seconds that so many steps took, by the clock and of the processor, the spikes in them; the simulation goes on where it was
spikes    path    -> steps and neurons of all spikes so far, written to an npz file
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise
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

from peers.protocol import serve  # noqa: E402


class Nest:
    """One network, kept between questions."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def describe(self) -> dict[str, Any]:
        return {"versions": {"nest-simulator": nest.__version__}}

    def build(self, case: str) -> dict[str, Any]:
        folder = Path(case)
        described = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        start = time.perf_counter()
        nest.ResetKernel()
        nest.set_verbosity("M_ERROR")
        nest.local_num_threads = self.threads
        # steps are counted in whole numbers, and told to NEST in milliseconds
        self.dt = 1000 * described["dt"]
        nest.resolution = self.dt
        first = []
        for k, lines in enumerate(described["inputs"]):
            generators = nest.Create("spike_generator", lines)
            first.append(generators[0].global_id)
            offsets, steps, counts = (
                np.load(folder / f"input{k}.{name}.npy") for name in ("offsets", "steps", "counts")
            )
            # what enters in step s is sent at its end, like the spike of a neuron
            times = self.dt * (steps + 1)
            each = [slice(a, b) for a, b in pairwise(offsets)]
            generators.set(
                [{"spike_times": times[line], "spike_multiplicities": counts[line]} for line in each],
            )
        recorder = nest.Create("spike_recorder")
        self.neurons: dict[int, int] = {}
        begin = 0
        for k, population in enumerate(described["populations"]):
            given = {name: np.load(folder / f"population{k}.{name}.npy") for name in population["arrays"]}
            # with C_m = tau_m a current of 1 pA is worth 1 mV
            tau = 1000 * given["tau"]
            numbers = {
                "tau_m": tau,
                "C_m": tau,
                "E_L": np.zeros_like(tau),
                "V_th": given["threshold"],
                "V_reset": given["v_reset"],
                "t_ref": self.dt * given["refractory"],
                "V_m": given["initial"],
                "I_e": given["bias"],
            }
            neurons = nest.Create("iaf_psc_delta", population["size"], numbers)
            nest.Connect(neurons, recorder)
            first.append(neurons[0].global_id)
            self.neurons[begin] = first[-1]
            begin += population["size"]
        for k, (source, target) in enumerate(described["projections"]):
            offsets, targets, weights, delay = (
                np.load(folder / f"projection{k}.{name}.npy") for name in ("offsets", "targets", "weights", "delay")
            )
            if not len(targets):
                continue
            sources = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            nest.Connect(
                sources + first[source],
                targets.astype(np.int64) + first[target],
                "one_to_one",
                {"weight": weights, "delay": np.full(len(targets), self.dt * int(delay))},
            )
        self.recorder = recorder
        nest.Prepare()
        self.spikes_before = 0
        return {"seconds": time.perf_counter() - start, "synapses": int(nest.num_connections)}

    def run(self, steps: int) -> dict[str, Any]:
        start, begin = time.perf_counter(), time.process_time()
        nest.Run(steps * self.dt)
        seconds, cpu = time.perf_counter() - start, time.process_time() - begin
        total = int(self.recorder.n_events)
        spikes, self.spikes_before = total - self.spikes_before, total
        return {"seconds": seconds, "cpu": cpu, "spikes": spikes}

    def spikes(self, path: str) -> dict[str, Any]:
        events = self.recorder.events
        # NEST writes the end of the step in which a neuron fires, and counts steps from 1
        steps = np.rint(events["times"] / self.dt).astype(np.int64) - 1
        senders = events["senders"].astype(np.int64)
        neurons = np.zeros_like(senders)
        for begin, first in self.neurons.items():
            neurons = np.where(senders >= first, senders - first + begin, neurons)
        order = np.lexsort((neurons, steps))
        np.savez(path, steps=steps[order], neurons=neurons[order])
        return {"spikes": len(steps)}


if __name__ == "__main__":
    answering = Nest(int(sys.argv[1]))
    serve({name: getattr(answering, name) for name in ("describe", "build", "run", "spikes")})
