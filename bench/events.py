"""Raw events of a camera through the spiking network, against the float model on the frames they sum to."""

from __future__ import annotations

import argparse
import sys
from statistics import median

import numpy as np
import torch

import common
import data
from common import Finding

NETWORK = "nmnist_cnn_b"
ALLOWED = 1
"""Predictions that may differ from the float model's."""
STEPPED_FRAMES = 50
"""Frames stepped at once: bounds memory."""


def measure(options: argparse.Namespace) -> Finding:
    """Step the time bins of all test frames; compare predictions, and counts with those of the summed frames."""
    network, model = common.load(options, NETWORK)
    frames = data.nmnist(options.data, "test").thirds(options.bins)
    calibration = data.nmnist(options.data, "train").thirds(1).batches(64)
    samples = [x for x, _ in calibration]
    snn, took = common.timed_conversion(
        model, samples, levels=options.levels, input="events", steps=options.bins, code=options.code
    )
    summed = torch.from_numpy(frames.summed)
    with torch.no_grad():
        wanted = model(summed).argmax(1).numpy()
    scores, quiet_after = [], []
    comparisons = mismatches = output_differences = 0
    for begin in range(0, len(summed), STEPPED_FRAMES):
        part = slice(begin, begin + STEPPED_FRAMES)
        recording = snn.simulate(frames.bins[:, part], record=())
        expected = common.integer_counts(snn, summed[part])
        compared = common.differences(common.stepped_counts(recording, snn.network.output), expected)
        comparisons += sum(n for n, _ in compared.values())
        mismatches += sum(wrong for _, wrong in compared.values())
        called = snn(summed[part]).numpy()
        output_differences += int((called != recording.output.astype(np.float32)).sum())
        scores.append(recording.output)
        quiet_after += [int(step) for step in recording.quiet_after]
        common.say(f"{len(quiet_after)} of {len(summed)} frames, {mismatches:,} differences")
    found = np.concatenate(scores).argmax(1)
    disagreements = int((found != wanted).sum())
    float_accuracy = 100 * float((wanted == frames.labels).mean())
    accuracy = 100 * float((found == frames.labels).mean())
    misses = []
    if disagreements > options.allowed:
        misses.append(f"{disagreements} predictions differ from the float model's, {options.allowed} may")
    if mismatches:
        misses.append(f"{mismatches:,} of {comparisons:,} counts differ from those of the summed frames")
    if output_differences:
        misses.append(f"{output_differences:,} outputs differ from those of calling the model on the summed frames")
    if min(quiet_after) < 0:
        misses.append(f"{sum(step < 0 for step in quiet_after)} frames were not quiet within the proved bound")
    bound = snn.network.contract.max_steps
    lines = (
        f"network: {NETWORK}, levels {options.levels}, code {options.code}, {options.bins} time bins a frame",
        f"conversion: {took:.1f} s from {common.CALIBRATION} unlabelled training frames",
        f"test frames: {len(found)}, events: {int(frames.bins.sum()):,}",
        f"float accuracy: {float_accuracy:.2f} % on summed frames (published: {network.accuracy:.2f} %)",
        f"spiking accuracy: {accuracy:.2f} % on raw events",
        f"different predictions: {disagreements} (at most {options.allowed})",
        f"counts against summed frames: {comparisons:,} compared, {mismatches:,} differ",
        f"quiet after: median {median(quiet_after):.0f} steps, maximum {max(quiet_after)}, proved bound {bound}",
    )
    values = {
        "network": NETWORK,
        "levels": options.levels,
        "code": options.code,
        "bins": options.bins,
        "conversion_seconds": took,
        "frames": len(found),
        "float_accuracy": float_accuracy,
        "spiking_accuracy": accuracy,
        "disagreements": disagreements,
        "comparisons": comparisons,
        "mismatches": mismatches,
        "output_differences": output_differences,
        "quiet_after_median": median(quiet_after),
        "quiet_after_maximum": max(quiet_after),
        "max_steps": bound,
    }
    return Finding(lines, values, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "", names=(NETWORK,))
    parser.add_argument("--bins", type=common.positive, default=16, help="time bins of a frame, one a step")
    parser.add_argument(
        "--allowed", type=int, default=ALLOWED, help="predictions that may differ from the float model's"
    )
    parser.add_argument("--code", choices=("signed", "graded"), default="signed", help="how spikes carry counts")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
