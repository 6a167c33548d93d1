"""nengo-loihi's emulator of Loihi 1, spoken to as `peers/protocol.py` says.

describe                   -> versions
run       case   into      -> the states and spikes of every step of a case of `bench/chips.py`, written to an npz file

Its blocks, synapses and axons are made as its builder makes them and discretized; then the integers of the case are written in.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from nengo_loihi.block import Axon, LoihiBlock, Synapse  # noqa: E402
from nengo_loihi.builder import Model  # noqa: E402
from nengo_loihi.builder.discretize import discretize_model  # noqa: E402
from nengo_loihi.emulator import EmulatorInterface  # noqa: E402
from nengo_loihi.inputs import SpikeInput  # noqa: E402
from nengo_loihi.probe import LoihiProbe  # noqa: E402

from peers.protocol import serve  # noqa: E402

PROBES = {"current": "current", "potential": "voltage", "spikes": "spiked"}


def stored(weights: np.ndarray, exponent: int) -> np.ndarray:
    """As the emulator holds weights: 64 times 2^exponent each."""
    shift = 6 + exponent
    scaled = weights << shift if shift >= 0 else weights >> -shift
    if shift < 0 and (scaled << -shift != weights).any():
        raise ValueError(f"weights that an exponent of {exponent} rounds one by one")
    return scaled


class Emulator:
    """Answers."""

    def describe(self) -> dict[str, Any]:
        names = ("nengo-loihi", "nengo", "numpy")
        return {"versions": {name: metadata.version(name) for name in names}}

    def run(self, case: str, into: str) -> dict[str, Any]:
        with np.load(case) as found:
            arrays = dict(found)
        spec = json.loads(str(arrays["case"]))
        (size,), steps = spec["shape"], spec["steps"]
        model, block = Model(), LoihiBlock(size)
        block.compartment.configure_relu()
        block.compartment.configure_filter(0.1)
        model.add_block(block)
        written = []
        for i, link in enumerate(spec["connections"]):
            weights = arrays[f"weights {i}"].astype(np.int64).T
            synapse, axon = Synapse(len(weights)), Axon(len(weights))
            synapse.set_weights(np.ones(weights.shape, np.float32))
            block.add_synapse(synapse)
            axon.target = synapse
            written.append((synapse, stored(weights, link["exponent"])))
            if link["source"] == "self":
                block.add_axon(axon)
                continue
            source, x = SpikeInput(len(weights)), arrays[f"x {i}"]
            for step in range(steps):
                source.add_spikes(step + 1, np.nonzero(x[:, step])[0], permanent=True)
            source.add_axon(axon)
            model.add_input(source)
        probes = {name: LoihiProbe(target=block, key=key) for name, key in PROBES.items()}
        for probe in probes.values():
            model.add_probe(probe)
        discretize_model(model)
        numbers = {name[2:]: values for name, values in arrays.items() if name.startswith("n ")}
        compartment = block.compartment
        compartment.decay_u[:], compartment.decay_v[:] = numbers["du"], numbers["dv"]
        compartment.vth[:], compartment.bias[:] = numbers["threshold"], numbers["bias"]
        compartment.refract_delay[:] = numbers["refractory"]
        compartment.vmin, compartment.vmax = numbers["v_min"], numbers["v_max"]
        for synapse, weights in written:
            for line, values in zip(synapse.weights, weights):  # noqa: B905  (as in the other worker)
                line[:] = values
        start = time.perf_counter()
        with EmulatorInterface(model, seed=0) as emulator:
            emulator.run_steps(steps)
            states = {name: np.asarray(emulator.collect_probe_output(probe)) for name, probe in probes.items()}
        np.savez(into, **{name: values.astype(np.int64) for name, values in states.items()})
        return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    answering = Emulator()
    serve({name: getattr(answering, name) for name in ("describe", "run")})
