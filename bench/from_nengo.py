"""Networks of Nengo's documentation, imported by `sp.from_nengo`, beside Nengo's simulator: every spike and every decoded value."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import common
from common import Finding
from peers.protocol import ENVIRONMENTS, ROOT, PeerError, python_of

FOLDER = Path(__file__).parent / "peers" / "nengo_networks"
CLOSE = 1e-12
"""Largest difference of a decoded value that is accepted, as a share of the largest value: the terms of a product are added in another order."""
NAMES = (
    "single neuron",
    "two neurons",
    "many neurons",
    "communication channel",
    "addition",
    "squaring",
    "multiplication",
    "integrator",
    "controlled integrator",
    "oscillator",
    "controlled oscillator",
    "Lorenz attractor",
    "learning a communication channel",
    "product",
    "basal ganglia",
    "adaptive and rectified neurons",
    "neurons of Izhikevich",
)


def asked(python: Path, script: str, *arguments: str) -> str:
    """What a script prints in the environment of Nengo, with the sources of spikeport in reach.

    Raises:
        PeerError: it failed.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"}
    command = [python, FOLDER / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise PeerError(f"Nengo: {done.stderr[-2000:]}")
    return done.stdout


def measure(options: argparse.Namespace) -> Finding:
    """Run each network on both sides."""
    python = python_of("nengo", options.environments)
    if options.golden is not None:
        asked(python, "golden.py", str(options.golden))
        return Finding((f"wrote {options.golden}",), {})
    lines, values, misses = [], dict[str, Any](), []
    total = 0
    for name in options.networks or NAMES:
        found = values[name] = json.loads(asked(python, "compare.py", name))
        total += found["spikes"]
        lines.append(
            f"{name}: {found['seconds']:g} s, {found['neurons']:,} neurons, {found['spikes']:,} spikes, {found['differ']} differ; decoded values "
            f"within {found['decoded']:.1e}; {found['our_seconds']:.2f} s, Nengo {found['nengo_seconds']:.2f} s"
        )
        lines += [f"  ledger: {entry}" for entry in found["ledger"]]
        if found["differ"] or not found["spikes"]:
            misses.append(
                f"{name}: {found['differ']} of {found['spikes']:,} spikes differ, first in step {found['first']}"
            )
        if found["decoded"] > CLOSE:
            misses.append(
                f"{name}: decoded values differ by {found['decoded']:.1e} of the largest, more than {CLOSE:.0e}"
            )
    lines.append(f"{len(values)} networks, {total:,} spikes, {sum(v['differ'] for v in values.values())} differ")
    return Finding(tuple(lines), values, tuple(misses))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where Nengo is installed"
    )
    parser.add_argument("--networks", nargs="+", choices=NAMES, metavar="NAME", help="which of them; default: all")
    parser.add_argument(
        "--golden", type=Path, metavar="FILE", help="write what the tests compare with, and nothing else"
    )
    parser.add_argument("--threads", type=common.positive, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
