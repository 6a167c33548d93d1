"""Every neuron of a stepped spiking network against the integer network: final counts, compared exactly."""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import torch

import common
from common import Finding

STEPPED_NEURONS = 2_000_000
"""Neurons times images stepped at once: bounds memory."""


def measure(options: argparse.Namespace) -> Finding:
    """Step test images until quiet and compare all counts with numpy's evaluation, and that with torch's."""
    network, model = common.load(options, options.network)
    snn, _ = common.converted(options, network, model, code=options.code)
    test = common.images(options, network, "test").first(options.images)
    x = test.batches(len(test), mean=network.mean, std=network.std)[0][0].numpy()
    compared: dict[str, int] = {}
    differing: dict[str, int] = {}
    between_evaluators = 0
    quiet_after: list[int] = []
    spikes = 0
    start = time.perf_counter()
    size = max(1, STEPPED_NEURONS // snn.network.neurons)
    for begin in range(0, len(x), size):
        part = x[begin : begin + size]
        recording = snn.simulate(part, record=())
        expected = common.integer_counts(snn, part)
        fast = common.integer_counts(snn, torch.from_numpy(part))
        for name, (n, wrong) in common.differences(
            common.stepped_counts(recording, snn.network.output), expected
        ).items():
            compared[name] = compared.get(name, 0) + n
            differing[name] = differing.get(name, 0) + wrong
        between_evaluators += sum(wrong for _, wrong in common.differences(fast, expected).values())
        quiet_after += [int(step) for step in recording.quiet_after]
        spikes += sum(int(n.sum()) for n in recording.n_spikes.values())
        elapsed = time.perf_counter() - start
        common.say(f"{len(quiet_after)} of {len(x)} images, {sum(differing.values()):,} differences, {elapsed:.0f} s")
    comparisons, mismatches = sum(compared.values()), sum(differing.values())
    restless = sum(step < 0 for step in quiet_after)
    misses = [f"{name}: {n:,} of {compared[name]:,} counts differ" for name, n in differing.items() if n]
    if between_evaluators:
        misses.append(f"{between_evaluators:,} counts differ between the evaluators in numpy and torch")
    if restless:
        misses.append(f"{restless} images were not quiet within the proved bound")
    bound = snn.network.contract.max_steps
    lines = (
        f"network: {network.name}, levels {options.levels}, code {options.code}",
        f"images: {len(x)}, spiking neurons: {snn.integer.neurons:,}, layers: {len(compared)}",
        f"comparisons: {comparisons:,}, mismatches: {mismatches:,}",
        f"quiet after: median {median(quiet_after):.0f} steps, maximum {max(quiet_after)}, proved bound {bound}",
        f"spikes: {spikes / len(x):,.0f} an image, {spikes / len(x) / snn.integer.neurons:.2f} a neuron",
        f"stepping and comparing took {time.perf_counter() - start:.0f} s",
    )
    values = {
        "network": network.name,
        "levels": options.levels,
        "code": options.code,
        "images": len(x),
        "neurons": snn.integer.neurons,
        "comparisons": comparisons,
        "mismatches": mismatches,
        "mismatches_by_layer": differing,
        "evaluator_mismatches": between_evaluators,
        "quiet_after_median": median(quiet_after),
        "quiet_after_maximum": max(quiet_after),
        "max_steps": bound,
        "spikes_per_image": spikes / len(x),
    }
    return Finding(lines, values, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "", levels=15)
    parser.add_argument("--images", type=common.positive, default=200, help="test images to step, the first ones")
    parser.add_argument("--code", choices=("signed", "graded"), default="signed", help="how spikes carry counts")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
