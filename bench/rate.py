"""Accuracy of the rate code, plain integrate-and-fire units online, with and without fitted thresholds and biases."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import common
import spikeport as sp
from common import Finding
from spikeport import codes


def measure(options: argparse.Namespace) -> Finding:
    """Convert once for each number of steps, and step all test images up to a limit."""
    network, model = common.load(options, options.network)
    images = common.images(options, network, "test").first(options.images)
    test = images.batches(options.batch, mean=network.mean, std=network.std)
    lines = [f"network: {network.name}, levels {options.levels}"]
    values = {}
    misses = []
    for steps in options.steps:
        snn, took = common.converted(options, network, model, code="rate", steps=steps)
        plain = replace(snn, network=codes.encode(snn.integer, "rate", steps=steps))
        fitted, unfitted = (sp.validate(s, test, model=model, stepped=options.stepped) for s in (snn, plain))
        integer = sp.validate(snn.with_code("graded"), test, model=model, stepped=0)
        assert fitted.gap is not None
        assert fitted.gap_interval is not None
        low, high = fitted.gap_interval
        gap = f"gap {fitted.gap:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
        lines.append(f"T = {steps}: {fitted.samples:,} images, conversion {took:.0f} s")
        lines.append(f"  float {fitted.ann_accuracy:.2f} %, integers {integer.snn_accuracy:.2f} %")
        lines.append(f"  rate {fitted.snn_accuracy:.2f} % ({gap}), not fitted {unfitted.snn_accuracy:.2f} %")
        lines.append(f"  {fitted.arrows[2].claim}")
        values[str(steps)] = {
            "float_accuracy": fitted.ann_accuracy,
            "integer_accuracy": integer.snn_accuracy,
            "rate_accuracy": fitted.snn_accuracy,
            "unfitted_accuracy": unfitted.snn_accuracy,
            "gap": fitted.gap,
            "gap_interval": [low, high],
            "samples": fitted.samples,
            "conversion_seconds": took,
        }
        if fitted.gap > options.at_most:
            misses.append(f"T = {steps}: {fitted.gap:.2f} points lost, more than {options.at_most:g}")
    return Finding(tuple(lines), {"network": network.name, "levels": options.levels, **values}, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "")
    parser.add_argument("--steps", type=common.positive, nargs="+", default=[32, 64], help="steps of a presentation")
    parser.add_argument("--images", type=common.positive, default=10_000, help="test images to step")
    parser.add_argument("--batch", type=common.positive, default=100, help="images stepped at once")
    parser.add_argument("--stepped", type=int, default=16, help="images whose rates are compared with the counts")
    parser.add_argument("--at-most", type=float, default=2.0, metavar="POINTS", help="largest acceptable gap")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
