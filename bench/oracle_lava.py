"""Are our fixed-point neurons of Loihi 2 those of Lava? Random and boundary cases, every state of every step."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

import chips
import common
import oracle
from chips import Case, Link
from common import Finding
from lava_cases import CLASSES, binary, lif, signed
from lava_converted import converted
from oracle import Simulator
from peers.protocol import PeerError, Worker, python_of
from spikeport.backends.loihi.backend import LOIHI2

LEAST = 10_000_000
"""Values that are compared at least."""
FASTER = 20.0
"""Lava's time over ours that is required."""
LAVA = Simulator(
    name="Lava",
    group="lava",
    worker=Path(__file__).parent / "peers" / "chips" / "lava_worker.py",
    classes=(*CLASSES, converted),
)


def dense(size: int, steps: int) -> Case:
    """LIF neurons behind dense synapses from as many lines, of which a tenth is active in each step."""
    rng = np.random.default_rng(0)
    link = Link(signed(rng, (size, size)), binary(rng, size, steps, 0.1))
    return Case("dense", "lif", (size,), steps, (link,), lif(size, du=1000, dv=200, vth=4000))


def speed(options: argparse.Namespace) -> Finding:
    """Both step the same network in turns, start-up left out; ours hands over all spikes, Lava none. Then spikes are compared."""
    case = dense(options.size, options.steps)
    net, x = chips.network(case)
    program = LOIHI2.compile(net, LOIHI2.targets[0])
    with tempfile.TemporaryDirectory() as folder:
        given, found = str(Path(folder) / "case.npz"), str(Path(folder) / "found.npz")
        chips.save(case, Path(given))
        python = python_of(LAVA.group, options.environments)
        with Worker(python, script=LAVA.worker, threads=1, limit=oracle.PATIENCE) as lava:
            seconds: dict[str, list[float]] = {"Lava": [], "ours": []}
            for turn in range(options.rounds):
                seconds["Lava"].append(lava.ask("time", case=given)["seconds"])
                with LOIHI2.open(program, record=["neurons"], potentials=()) as session:
                    start = time.perf_counter()
                    sent = session.advance(case.steps, x).spikes["neurons"][:, 0]
                    seconds["ours"].append(time.perf_counter() - start)
                common.say(
                    f"{turn + 1} of {options.rounds} rounds: {seconds['Lava'][-1]:.2f} s, {seconds['ours'][-1]:.4f} s"
                )
            lava.ask("run", case=given, into=found, probe=False)
            versions = lava.ask("describe")["versions"]
        with np.load(found) as arrays:
            theirs = arrays["spikes"]
    differ = int((sent != theirs).sum())
    ratios = [theirs / ours for theirs, ours in zip(seconds["Lava"], seconds["ours"], strict=True)]
    lines = [
        f"{options.size:,} LIF neurons, {options.size**2:,} synapses, {case.steps:,} steps, {np.count_nonzero(sent):,} spikes",
        f"Lava: median {median(seconds['Lava']):.3f} s; loihi2: median {median(seconds['ours']):.4f} s",
        f"Lava's time over ours: {median(ratios):.1f} (lowest {min(ratios):.1f}, highest {max(ratios):.1f}; at least {options.at_least:.0f})",
        f"spikes: {theirs.size:,} compared, {differ} differ",
        "versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    misses = [f"{differ} spikes differ"] if differ else []
    if median(ratios) < options.at_least:
        misses.append(f"Lava takes {median(ratios):.1f} times our time, less than {options.at_least:.0f}")
    return Finding(tuple(lines), {"seconds": seconds, "ratios": ratios, "differ": differ}, tuple(misses))


def main() -> int:
    parser = oracle.parser(__doc__, comparisons=LEAST)
    parser.add_argument("--speed", action="store_true", help="time a dense network beside Lava instead")
    parser.add_argument("--size", type=common.positive, default=1000, help="neurons, and lines, of the timed network")
    parser.add_argument("--rounds", type=common.positive, default=7, help="timed runs of each, in turns")
    parser.add_argument("--at-least", type=float, default=FASTER, metavar="RATIO", help="least acceptable ratio")
    options = parser.parse_args()
    if options.steps is None:
        options.steps = 1000 if options.speed else oracle.STEPS
    try:
        return common.run(speed if options.speed else lambda chosen: oracle.measure(LAVA, chosen), options)
    except PeerError as error:
        print(error, file=sys.stderr)
        return common.UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
