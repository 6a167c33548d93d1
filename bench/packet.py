"""One packet of camera events through the N-MNIST CNN, the network kept open: how long until the answer is there.

A packet is a time bin of a recording, 32 to a third of it (about 3 ms). Each call takes one packet and gives the read-out after it;
state stays in between and is reset for a new frame. Counts of the first frames are compared with a plain float64 stepper.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import common
import data
from common import Finding
from peers import cases, ours, plain
from spikeport.backends.native import open_stepper

MOST_P50, MOST_P99 = 0.2, 1.0
"""Milliseconds that half of the packets, and all but one in a hundred, may take."""
BINS = 32
CHECKED = 8
"""Frames compared with the plain stepper."""
WARM = 10
"""Frames run before the clock starts."""


def measure(options: argparse.Namespace) -> Finding:
    """Every packet of every frame, timed one by one."""
    frames, source = _frames(options)
    case = cases.nmnist_cnn(frames)
    few = case.first(CHECKED)
    expected = plain.step(few)
    packets = np.ascontiguousarray(frames.swapaxes(0, 1).astype(np.uint8))  # (frame, time, 2, 34, 34)
    took: list[float] = []
    computing: list[float] = []
    """Processor time of the same calls: what is left when other programs take no turns."""
    resets: list[float] = []
    compared = wrong = 0
    with open_stepper(ours.spiking_network(case), threads=options.threads) as session:
        for number, frame in enumerate(packets[:CHECKED]):
            session.reset()
            session.run(frame)
            for name, counts in session.counts.items():
                compared += counts.size
                wrong += int((counts != expected.layers[name][number]).sum())
        for frame in packets[:WARM]:
            session.reset()
            session.run(frame)
        gc.collect()
        while len(took) < options.packets:
            for frame in packets:
                start = time.perf_counter()
                session.reset()
                resets.append(time.perf_counter() - start)
                for packet in frame:
                    start, worked = time.perf_counter(), time.thread_time()
                    session.step(packet)
                    took.append(time.perf_counter() - start)
                    computing.append(time.thread_time() - worked)
            common.say(f"{len(took):,} packets")
    p50, p99, p999 = (1000 * float(value) for value in np.percentile(took, (50, 99, 99.9)))
    longest, reset = 1000 * max(took), 1000 * float(np.median(resets))
    tail = f"p99.9 {p999:.3f} ms, longest {longest:.3f} ms; reset {reset:.3f} ms"
    alone = [1000 * float(value) for value in np.percentile(computing, (50, 99))]
    misses = []
    if p50 > options.p50:
        misses.append(f"half of the packets take more than {p50:.3f} ms, at most {options.p50:.3f} may be")
    if p99 > options.p99:
        misses.append(f"one packet in a hundred takes more than {p99:.3f} ms, at most {options.p99:.3f} may be")
    if wrong:
        misses.append(f"{wrong:,} of {compared:,} counts differ from the plain stepper")
    lines = (
        f"network: {case.name}, {case.macs / 1e6:.1f} MMAC, {case.neurons:,} units, kept open on {options.threads} thread(s)",
        f"packets: {len(took):,}, {source}; {frames.sum() / (len(frames) * frames.shape[1]):.0f} events each",
        f"p50 {p50:.3f} ms (at most {options.p50:.2f}), p99 {p99:.3f} ms (at most {options.p99:.2f}), {tail}",
        f"processor time alone: p50 {alone[0]:.3f} ms, p99 {alone[1]:.3f} ms",
        f"against the plain stepper: {wrong:,} of {compared:,} counts differ ({CHECKED} frames)",
    )
    values = {
        "packets": len(took),
        "input": source,
        "p50_ms": p50,
        "p99_ms": p99,
        "p999_ms": p999,
        "longest_ms": longest,
        "processor_ms": alone,
        "reset_ms": reset,
        "compared": compared,
        "differing": wrong,
        "at_most_ms": [options.p50, options.p99],
    }
    return Finding(lines, values, tuple(misses))


def _frames(options: argparse.Namespace) -> tuple[NDArray[np.int64], str]:
    """Counts (time, frame, 2, 34, 34), and what they are."""
    if options.data is None:
        return cases.random_events(100, steps=BINS), "seeded random events"
    return data.nmnist(options.data, "test").thirds(BINS).bins.astype(np.int64), "events of N-MNIST test recordings"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with N-MNIST; without it events are random")
    parser.add_argument("--packets", type=common.positive, default=9_600, help="packets to time, at least")
    parser.add_argument("--p50", type=float, default=MOST_P50, metavar="MS", help="what half of the packets may take")
    parser.add_argument("--p99", type=float, default=MOST_P99, metavar="MS", help="what 99 of 100 packets may take")
    parser.add_argument("--threads", type=common.positive, default=1, help="threads of the session")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
