"""Brian2 (C++ standalone) with the balanced random network: `brian2_worker.py THREADS`, spoken to as `peers/protocol.py` says.

describe                 -> versions
build     case           -> seconds it took to write, compile and load the network
run       steps          -> seconds of its main loop for so many steps (as often as asked, always from the beginning), the spikes in them
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))

import brian2  # noqa: E402
import numpy as np  # noqa: E402
from brian2 import NeuronGroup, SpikeMonitor, Synapses, defaultclock, device, ms, prefs, second, set_device  # noqa: E402

from balanced import Balanced, load  # noqa: E402
from peers.protocol import serve  # noqa: E402

TIME = "seconds.txt"
BEFORE = "timespec spikeport_begin, spikeport_end;\nclock_gettime(CLOCK_MONOTONIC, &spikeport_begin);"
AFTER = f"""clock_gettime(CLOCK_MONOTONIC, &spikeport_end);
std::ofstream("{TIME}") << (spikeport_end.tv_sec - spikeport_begin.tv_sec)
                           + 1e-9 * (spikeport_end.tv_nsec - spikeport_begin.tv_nsec);"""


class Brian:
    """One program, compiled for a number of steps at `build`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.folder = tempfile.TemporaryDirectory()

    def describe(self) -> dict[str, Any]:
        return {"versions": {"Brian2": brian2.__version__, "numpy": np.__version__}, "dtype": "float64"}

    def build(self, case: str, numbers: dict[str, Any], steps: int) -> dict[str, Any]:
        start = time.perf_counter()
        balanced, drawn = Balanced(**numbers), load(Path(case))
        set_device("cpp_standalone", build_on_run=False, directory=self.folder.name)
        prefs.devices.cpp_standalone.openmp_threads = self.threads if self.threads > 1 else 0
        defaultclock.dt = balanced.dt * second
        names = {"tau": balanced.tau * second, "threshold": balanced.threshold}
        neurons = NeuronGroup(
            balanced.neurons,
            "dv/dt = (current - v) / tau : 1 (unless refractory)\ncurrent : 1",
            threshold="v >= threshold",
            reset="v = 0",
            refractory=balanced.refractory * second,
            method="exact",
            namespace=names,
        )
        neurons.v, neurons.current = drawn.initial, drawn.current
        synapses = Synapses(neurons, neurons, "w : 1", on_pre="v_post += w", delay=1 * ms)
        sources = np.repeat(np.arange(balanced.neurons, dtype=np.int32), np.diff(drawn.offsets))
        synapses.connect(i=sources, j=drawn.targets.astype(np.int32))
        synapses.w = drawn.weights
        self.monitor = SpikeMonitor(neurons)
        network = brian2.Network(neurons, synapses, self.monitor)
        # Brian2's own figure is processor time on one thread and starts at a whole second on several: measure the same wall time
        device.insert_code("before_network_run", BEFORE)
        device.insert_code("after_network_run", AFTER)
        network.run(steps * balanced.dt * second)
        device.build(directory=self.folder.name, compile=True, run=False, debug=False)
        self.network, self.steps = network, steps  # kept alive: results belong to it
        return {"seconds": time.perf_counter() - start}

    def run(self, steps: int) -> dict[str, Any]:
        assert steps == self.steps
        device.run(directory=self.folder.name, with_output=False, run_args=[])
        seconds = float((Path(self.folder.name) / TIME).read_text())
        return {"seconds": seconds, "spikes": int(self.monitor.num_spikes)}


if __name__ == "__main__":
    answering = Brian(int(sys.argv[1]))
    serve({name: getattr(answering, name) for name in ("describe", "build", "run")})
