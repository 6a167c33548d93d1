"""One step of a NIR file for each of many samples, with the unmodified importer of one simulator: `nir_wave_worker.py TOOL`.

The importer builds the module once, and every sample begins with its fresh state. Questions as in `protocol.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[1]))

import nir  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from peers.protocol import serve  # noqa: E402

TOOL = sys.argv[1]
DT = 1e-4


def built(path: str) -> Any:
    """The tool's own module of a file."""
    graph = nir.read(path)
    if TOOL == "norse":
        import norse.torch

        return norse.torch.from_nir(graph, dt=DT)
    if TOOL == "snntorch":
        from snntorch.import_nir import import_from_nir

        return import_from_nir(graph)
    if TOOL == "spikingjelly":
        from spikingjelly.activation_based import nir_exchange

        return nir_exchange.import_from_nir(graph, dt=DT)
    import sinabs.nir

    return sinabs.nir.from_nir(graph, batch_size=1)


def describe() -> Mapping[str, Any]:
    """Versions of the simulator and of what it reads files with."""
    return {"versions": {name: version(name) for name in (TOOL, "nir", "nirtorch")}}


def run(graph: str, given: str, into: str) -> Mapping[str, Any]:
    """The output of each sample after one step, shape (sample, class)."""
    with np.load(given) as arrays:
        x = arrays["input"].astype(np.float32)
    found = []
    with torch.no_grad():
        for sample in x:
            found.append(_fresh(graph, sample))
    np.savez(into, output=np.array(found))
    return {"shape": list(np.shape(found))}


_MODULES: dict[str, Any] = {}


def _fresh(graph: str, sample: np.ndarray) -> np.ndarray:
    """One sample. State is handed in by the executors; SpikingJelly and sinabs keep it in their layers, and forget when asked."""
    if graph not in _MODULES:
        _MODULES[graph] = built(graph)
    module = _MODULES[graph]
    for layer in module.modules():
        if TOOL == "spikingjelly" and hasattr(layer, "reset"):
            layer.reset()
        elif TOOL == "sinabs" and hasattr(layer, "reset_states"):
            layer.reset_states()
    x = torch.from_numpy(sample[None])
    y = module(x, None) if TOOL != "sinabs" else module(x)
    return np.asarray((y[0] if isinstance(y, tuple) else y).numpy(), dtype=np.float64).reshape(-1)


if __name__ == "__main__":
    serve({"describe": describe, "run": run})
