"""How long, and in how much memory, does `check` say that a network of 100 M weights does not fit a chip? Needs no data."""

from __future__ import annotations

import argparse
import resource
import sys
import time

import torch
from torch import nn

import common
import spikeport as sp
from common import Finding

SECONDS = 15.0
"""Most time for a verdict."""
COPIES = 4.0
"""Most memory that it takes besides, in sizes of the model."""
MIB = 2**20


def measure(options: argparse.Namespace) -> Finding:
    """One verdict, from a module with random weights: the first one of a process, libraries loaded."""
    wide = options.width
    model = nn.Sequential(nn.Linear(wide // 2, wide), nn.ReLU(), nn.Linear(wide, wide // 2), nn.ReLU())
    model.append(nn.Linear(wide // 2, 10))
    size = sum(p.nbytes for p in model.parameters())
    before = _peak()
    start = time.perf_counter()
    verdict = sp.check(model, options.target, example=(wide // 2,), progress=False)
    seconds, memory = time.perf_counter() - start, _peak() - before
    lines = (
        f"{size // 4:,} weights ({size / MIB:,.0f} MiB) on {options.target}: {verdict.outcome} in {seconds:.1f} s, {memory / MIB:,.0f} MiB more at the peak",
        str(verdict),
    )
    misses = [] if not verdict.fits else [f"{options.target} carries it"]
    if seconds > SECONDS:
        misses.append(f"{seconds:.1f} s, more than {SECONDS:.0f}")
    if memory > COPIES * size:
        misses.append(f"{memory / size:.1f} sizes of the model, more than {COPIES:g}")
    values = {"seconds": seconds, "memory": memory, "weights": size // 4, "verdict": verdict.values()}
    return Finding(lines, values, tuple(misses))


def _peak() -> int:
    """Bytes of the resident set at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--width", type=common.positive, default=10_000, help="neurons of the widest layer")
    parser.add_argument("--target", default="loihi1", metavar="NAME", help="chip that it does not fit")
    parser.add_argument("--threads", type=common.positive, default=2, help="threads that torch may use")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return common.run(measure, options)


if __name__ == "__main__":
    sys.exit(main())
