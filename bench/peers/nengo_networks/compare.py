"""One network of Nengo in Nengo's simulator and imported: `compare.py NAME`, an answer as JSON. Needs Nengo, and the sources of spikeport, whose
fastest backend steps it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import nengo
import numpy as np

import spikeport as sp
from examples import EXAMPLES

SILENT = 1e-9
"""A decoded value that never leaves this is compared as it is."""


def compared(name: str) -> dict[str, Any]:
    seconds, describe = EXAMPLES[name]
    with nengo.Network(seed=1, label=name) as network:
        describe()
        for ensemble in network.all_ensembles:
            nengo.Probe(ensemble.neurons)
            nengo.Probe(ensemble, synapse=0.01)
    nengo.rc.set("decoder_cache", "enabled", "False")
    with nengo.Simulator(network, progress_bar=False) as simulator:
        begin = time.perf_counter()
        simulator.run(seconds)
        theirs = time.perf_counter()
        model = sp.from_nengo(simulator)
        imported = time.perf_counter()
        run = model.run(seconds)
        ours = time.perf_counter()
        differ, spikes, first, decoded = 0, 0, None, 0.0
        for probe in network.all_probes:
            a, b = simulator.data[probe], run[probe]
            if probe.attr == "decoded_output":
                decoded = max(decoded, float(np.abs(a - b).max() / max(np.abs(a).max(), SILENT)))
                continue
            other = (a != b).any(axis=1)
            differ += int((a != b).sum())
            spikes += int(np.rint(a.sum() * simulator.dt))
            if other.any():
                first = min(int(other.argmax()) + 1, first or len(a))
    return {
        "seconds": seconds,
        "neurons": sum(e.n_neurons for e in network.all_ensembles),
        "spikes": spikes,
        "differ": differ,
        "first": first,
        "decoded": decoded,
        "nengo_seconds": theirs - begin,
        "import_seconds": imported - theirs,
        "our_seconds": ours - imported,
        "ledger": [str(entry) for entry in model.ledger if not entry.is_remark],
    }


if __name__ == "__main__":
    json.dump(compared(sys.argv[1]), sys.stdout)
