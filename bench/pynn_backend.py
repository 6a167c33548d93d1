"""Networks of LIF and CubaLIF neurons, written as PyNN by the backend `pynn` and run by NEST and Brian2, beside our reference."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import common
import spikeport as sp
from common import Finding, say
from peers.protocol import ENVIRONMENTS, python_of
from peers.pynn.networks import network, spikes
from spikeport.backends.pynn import PYNN, PyNNOptions

CASES = {"nest": (("LIF", "CubaLIF"), 10, 40), "brian2": (("CubaLIF",), 2, 6)}
"""Kinds, networks of each, and neurons of a population; pyNN.brian2 sets synapses one by one."""
CLOSE = 1e-12
"""Of potentials, whose threshold is 1."""


def measure(options: argparse.Namespace) -> Finding:
    """All networks."""
    python = str(python_of("pynn", options.environments))
    lines, values, misses = [], dict[str, Any](), []
    kept: dict[str, Any] = {}
    for simulator in options.simulators:
        kinds, seeds, size = CASES[simulator]
        for kind in kinds:
            total = differ = 0
            worst = 0.0
            for seed in range(seeds):
                say(f"{simulator}: {kind} {seed}")
                made = network(kind, seed, compare=">=" if simulator == "nest" else ">", size=size)
                program = PYNN.compile(made, PYNN.target, PyNNOptions(simulator=simulator, python=python))
                names, x = list(made.by_name), spikes(seed)
                with PYNN.open(program, record=names, potentials=names) as session:
                    found = session.run(x)
                with sp.open(sp.compile(made, "reference"), record=names, potentials=names) as session:
                    ours = session.run(x)
                assert isinstance(found, sp.DynamicRecording)
                assert isinstance(ours, sp.DynamicRecording)
                for i, name in enumerate(names):
                    a, b = (places(recording.spikes[name]) for recording in (found, ours))
                    total, differ = total + len(a), differ + len(a ^ b)
                    worst = max(worst, float(np.abs(found.potentials[name] - ours.potentials[name]).max()))
                    if seed == 0:
                        kept[f"{simulator}.{kind}.{i}"] = np.array(sorted(a), dtype=np.int32).reshape(-1, 3)
            values[f"{simulator}.{kind}"] = {"spikes": total, "differ": differ, "potential": worst}
            lines.append(
                f"{simulator}, {kind}: {seeds} networks of 2 x {size}: {total:,} spikes, {differ:,} differ; potentials within {worst:.1e}"
            )
            if differ or worst > CLOSE:
                misses.append(f"{simulator}, {kind}: {differ:,} spikes differ, potentials by {worst:.1e}")
    if options.golden is not None:
        np.savez_compressed(options.golden, **kept)
    return Finding(tuple(lines), values, tuple(misses))


def places(events: sp.SpikeEvents) -> set[tuple[int, int, int]]:
    """Sample, step and neuron of each spike."""
    return set(zip(events.samples.tolist(), events.steps.tolist(), events.neurons.tolist(), strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where PyNN, NEST and Brian2 are"
    )
    parser.add_argument("--simulators", nargs="+", choices=CASES, default=list(CASES), help="these")
    parser.add_argument("--golden", type=Path, metavar="FILE", help="where to keep spikes of the first networks")
    parser.add_argument("--threads", type=common.positive, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
