"""How long a conversion takes: float model and unlabelled training images in, spiking network out."""

from __future__ import annotations

import argparse
import sys
from statistics import median

import common
from common import Finding

MOST = 60.0
"""Seconds that a conversion may take."""


def measure(options: argparse.Namespace) -> Finding:
    """Convert a few times from scratch."""
    network, model = common.load(options, options.network)
    took = []
    for _ in range(options.rounds):
        _, seconds = common.converted(options, network, model)
        took.append(seconds)
        common.say(f"{len(took)} of {options.rounds}: {seconds:.1f} s")
    seconds = median(took)
    misses = [] if seconds <= options.at_most else [f"{seconds:.1f} s are more than {options.at_most:.1f} s"]
    spread = f"{min(took):.1f} to {max(took):.1f}; at most {options.at_most:.1f}"
    lines = (
        f"network: {network.name}, levels {options.levels}, {options.threads} threads",
        f"conversion from {common.CALIBRATION} unlabelled images: median {seconds:.1f} s of {len(took)} ({spread})",
    )
    values = {
        "network": network.name,
        "levels": options.levels,
        "samples": common.CALIBRATION,
        "seconds": took,
        "at_most": options.at_most,
    }
    return Finding(lines, values, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "")
    parser.add_argument("--rounds", type=common.positive, default=3, help="conversions")
    parser.add_argument("--at-most", type=float, default=MOST, metavar="SECONDS", help="what it may take")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
