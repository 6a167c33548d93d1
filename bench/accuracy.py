"""Accuracy of a converted network on a full test set, beside its float model."""

from __future__ import annotations

import argparse
import sys

import common
import spikeport as sp
from common import Finding

REQUIRED = {("c10_resnet20", 31): 91.43, ("c10_resnet20", 15): 90.7}
"""Accuracies of the spiking network that we hold ourselves to, in percent, by network and levels."""
OTHERWISE = 0.2
"""Percentage points that any other network may lose."""


def measure(options: argparse.Namespace) -> Finding:
    """Convert, validate on all test images, compare with what is required."""
    network, model = common.load(options, options.network)
    test = common.images(options, network, "test").batches(options.batch, mean=network.mean, std=network.std)
    snn, took = common.converted(options, network, model)
    report = sp.validate(snn, test, model=model, stepped=options.stepped)
    assert report.ann_accuracy is not None
    assert report.snn_accuracy is not None
    assert report.gap is not None
    assert report.gap_interval is not None
    required = options.at_least
    if required is None:
        required = REQUIRED.get((network.name, options.levels), report.ann_accuracy - OTHERWISE)
    low, high = report.gap_interval
    misses = []
    if round(report.snn_accuracy, 6) < round(required, 6):
        misses.append(f"accuracy {report.snn_accuracy:.2f} % is below {required:.2f} %")
    if report.mismatches:
        misses.append(f"{report.mismatches:,} counts differ from the integer network; first {report.divergence}")
    lines = (
        f"network: {network.name}, levels {options.levels}, {snn.integer.weight_bits}-bit weights",
        f"conversion: {took:.1f} s from {common.CALIBRATION} unlabelled training images",
        f"test images: {report.samples:,}",
        f"float accuracy: {report.ann_accuracy:.2f} % (published: {network.accuracy:.2f} %)",
        f"spiking accuracy: {report.snn_accuracy:.2f} % (required: {required:.2f} %)",
        f"gap: {report.gap:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}",
        f"different predictions: {report.disagreements:,}",
        f"stepped: {report.stepped_samples} images, {report.mismatches:,} of {report.comparisons:,} counts differ",
    )
    values = {
        "network": network.name,
        "levels": options.levels,
        "conversion_seconds": took,
        "samples": report.samples,
        "float_accuracy": report.ann_accuracy,
        "published_accuracy": network.accuracy,
        "spiking_accuracy": report.snn_accuracy,
        "required_accuracy": required,
        "gap": report.gap,
        "gap_interval": [low, high],
        "disagreements": report.disagreements,
        "stepped": report.stepped_samples,
        "comparisons": report.comparisons,
        "mismatches": report.mismatches,
    }
    return Finding(lines, values, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "")
    parser.add_argument(
        "--at-least", type=float, metavar="PERCENT", help="accuracy to reach, in place of that in bench/README.md"
    )
    parser.add_argument("--batch", type=common.positive, default=250, help="images evaluated at once")
    parser.add_argument("--stepped", type=int, default=8, help="images stepped spike by spike as well")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
