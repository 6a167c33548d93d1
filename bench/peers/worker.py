"""A library in its own environment: `worker.py LIBRARY`, spoken to as `protocol.py` says.

describe                    -> versions of what is installed
build     case              -> read a case, build it in every way that the library's documentation has, keep the fastest
time      times             -> seconds of each of that many runs, after one that is not counted
count     path              -> spikes of every unit over all steps and the read-out, written to an npz file
"""

from __future__ import annotations

import importlib
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from peers.case import load  # noqa: E402
from peers.protocol import serve  # noqa: E402

LOOK = 4
"""Samples on which ways are compared."""
LONG = 2.0
"""Seconds of a run that is believed the first time."""


class Library:
    """Answers for one library; its adapter gives `PACKAGES`, `WAYS` and `build(case, way)`."""

    def __init__(self, name: str) -> None:
        self.adapter = importlib.import_module(f"peers.libraries.{name}")
        self.network: Any = None

    def describe(self) -> dict[str, Any]:
        return {"versions": {name: metadata.version(name) for name in self.adapter.PACKAGES}}

    def build(self, case: str) -> dict[str, Any]:
        self.network = None
        network = load(Path(case))
        few = network.first(LOOK)
        ways = {}
        for way in self.adapter.WAYS:
            candidate = self.adapter.build(few, way)
            candidate.run()
            ways[way] = min(_seconds(candidate.run) for _ in range(3))
        best = min(ways, key=ways.__getitem__)
        self.network = self.adapter.build(network, best)
        seconds = _seconds(self.network.run)
        if seconds < LONG:  # short ones are dominated by what happens once
            seconds = min(_seconds(self.network.run) for _ in range(3))
        return {"way": best, "ways": ways, "seconds": seconds}

    def time(self, times: int) -> dict[str, Any]:
        self.network.run()
        return {"seconds": [_seconds(self.network.run) for _ in range(times)]}

    def count(self, path: str) -> dict[str, Any]:
        counts, readout = self.network.count()
        np.savez(path, **{f"layer {name}": value for name, value in counts.items()}, readout=readout)
        return {"layers": len(counts)}


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    answering = Library(sys.argv[1])
    serve({name: getattr(answering, name) for name in ("describe", "build", "time", "count")})
