"""Runs NIR files with the unmodified importer of one simulator: `nir_worker.py TOOL`, questions as in `protocol.py`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from peers.protocol import serve  # noqa: E402

NAME = sys.argv[1]
STEPS = 60


@cache
def tool() -> Any:
    """Imported with the first question: what libraries print while they are imported is no answer then."""
    return importlib.import_module(f"peers.nir_tools.{NAME}")


def describe() -> Mapping[str, Any]:
    """Versions of the simulator and of what it reads files with."""
    return {"versions": {name: version(name) for name in tool().PACKAGES}}


def run(graph: str, given: str, into: str, dt: float) -> Mapping[str, Any]:
    """What leaves the graph and, where it can be had, each layer in each step, shape (time, ...), for an input of shape (time, ...)."""
    with np.load(given) as arrays:
        x = arrays["input"].astype(np.float32)
    values = tool().load(graph, dt)(x)
    np.savez(into, **values)
    return {"layers": list(values)}


def samples(graph: str, given: str, into: str, dt: float) -> Mapping[str, Any]:
    """The output of each sample after one step from fresh state, shape (sample, class)."""
    with np.load(given) as arrays:
        x = arrays["input"].astype(np.float32)
    runner = tool().load(graph, dt)
    found = np.array([np.asarray(runner(sample[None])["output"], dtype=np.float64).reshape(-1) for sample in x])
    np.savez(into, output=found)
    return {"shape": list(found.shape)}


def export(case: str, seed: int, path: str, given: str, into: str) -> Mapping[str, Any]:
    """Write a network of the simulator with its own exporter; its input and its own spikes, from before, are saved beside it."""
    exporter = tool().EXPORTER
    if case not in exporter.cases:
        return {"absent": exporter.absent.get(case, "")}
    rng = np.random.default_rng(seed)
    chosen = exporter.cases[case]
    network = chosen.make(rng)
    x = rng.integers(0, 2, (STEPS, *chosen.shape)).astype(np.float32)
    y = exporter.play(network, x)
    exporter.write(network, chosen.shape, path)
    np.savez(given, input=x)
    np.savez(into, output=np.asarray(y))
    return {"dt": exporter.dt}


if __name__ == "__main__":
    serve({"describe": describe, "run": run, "samples": samples, "export": export})
