"""Runs NIR files with the unmodified importer of one simulator: `nir_worker.py TOOL`, questions as in `protocol.py`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from peers.protocol import serve  # noqa: E402

TOOL = sys.argv[1]
tool: Any = importlib.import_module(f"peers.nir_tools.{TOOL}")


def describe() -> Mapping[str, Any]:
    """Versions of the simulator and of what it reads files with."""
    return {"versions": {name: version(name) for name in tool.PACKAGES}}


def run(graph: str, given: str, into: str, dt: float) -> Mapping[str, Any]:
    """What leaves the graph in each step, shape (time, ...), for an input of shape (time, ...)."""
    with np.load(given) as arrays:
        x = arrays["input"].astype(np.float32)
    y = np.asarray(tool.run(graph, x, dt))
    np.savez(into, output=y)
    return {"shape": list(y.shape)}


def export(case: str, path: str, given: str, into: str) -> Mapping[str, Any]:
    """Write a network of the simulator with its own exporter; its input and its own spikes are saved beside it."""
    rng = np.random.default_rng(11)
    x, y, dt = tool.export(case, path, rng)
    np.savez(given, input=x)
    np.savez(into, output=np.asarray(y))
    return {"dt": dt}


if __name__ == "__main__":
    serve({"describe": describe, "run": run, "export": export})
