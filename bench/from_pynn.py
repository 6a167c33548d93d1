"""Networks of PyNN's documentation, read by `sp.from_pynn` and run beside their own simulators: NEST and Brian2, in one process each."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PathDistribution, distribution
from pathlib import Path
from typing import Any

import common
from common import Finding, say
from peers.protocol import ENVIRONMENTS, PeerError, python_of
from peers.pynn.examples import EXAMPLES
from spikeport import native

WORKER = Path(__file__).parent / "peers" / "pynn" / "worker.py"
CLOSE = 1e-9
"""Millivolts: potentials are computed by other operations, and rounded at each."""
WEIGHTS = 1e-9
"""Of the weight at the beginning."""


def asked(name: str, simulator: str, on: str, python: Path, listed: Path) -> dict[str, Any]:
    """What the worker says of one example."""
    # the environment has PyNN and no spikeport: it gets this one, and the list of its backends
    environment = {**os.environ, "PYTHONPATH": str(listed), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [python, WORKER, name, simulator, on], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise PeerError(f"{name}, {simulator}: {(done.stderr or done.stdout)[-2000:]}")
    return json.loads(done.stdout.rstrip().rpartition("\n")[2])


def measure(options: argparse.Namespace) -> Finding:
    """All examples on all simulators."""
    python = python_of("pynn", options.environments)
    on = "native" if native.available() else "reference"
    lines, values, misses, versions = [], dict[str, Any](), [], dict[str, str]()
    with tempfile.TemporaryDirectory() as folder:
        found = distribution("spikeport")
        assert isinstance(found, PathDistribution)
        shutil.copytree(found._path, Path(folder) / Path(str(found._path)).name)  # type: ignore[arg-type]  # a folder on disk
        for name, (_, simulators) in EXAMPLES.items():
            for simulator in simulators:
                if options.only and name not in options.only:
                    continue
                say(f"{name} on {simulator}")
                said = asked(name, simulator, on, python, Path(folder))
                values[f"{name}.{simulator}"] = said
                versions |= said["versions"]
                line, miss = judged(name, simulator, said)
                lines.append(line)
                lines += [f"    {entry}" for entry in said["ledger"]] if options.ledger else []
                misses += [miss] if miss else []
    lines.append("versions: " + ", ".join(f"{package} {version}" for package, version in sorted(versions.items())))
    return Finding(tuple(lines), values, tuple(misses))


def judged(name: str, simulator: str, said: dict[str, Any]) -> tuple[str, str]:
    """A line about an example, and what is amiss."""
    line = f"{name}, {simulator}: {said['cells']:,} cells, {said['synapses']:,} synapses, {said['duration']:g} ms: "
    line += f"{said['spikes']:,} spikes, {said['differ']:,} differ"
    if said["differ"]:
        line += f" (ours {said['of_ours']:,}; the first at {said['first']:.1f} ms)"
    if said["potential"]:
        line += f"; potentials within {said['potential']:.1e} mV"
    if "weights" in said:
        line += f"; learned weights within {said['weights']:.1e}, changed by up to {said['changed']:.2f}"
    if not said["same"]:
        line += "; another neuron: conductances are currents here"
    if said["same"] and said["differ"]:
        return line, f"{name}, {simulator}: {said['differ']} spikes differ"
    if said["same"] and said["potential"] > CLOSE:
        return line, f"{name}, {simulator}: a potential differs by {said['potential']:.1e} mV, more than {CLOSE:.0e}"
    if said.get("weights", 0.0) > WEIGHTS:
        return line, f"{name}, {simulator}: a weight differs by {said['weights']:.1e}, more than {WEIGHTS:.0e}"
    return line, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where PyNN, NEST and Brian2 are"
    )
    parser.add_argument("--only", nargs="+", choices=EXAMPLES, help="these examples")
    parser.add_argument("--ledger", action="store_true", help="print what each ledger says")
    parser.add_argument("--threads", type=common.positive, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
