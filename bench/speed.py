"""Time to run the CIFAR-10 test images through the converted model, against its float model."""

from __future__ import annotations

import argparse
import sys

import torch

import common
import timing
from common import Finding
from networks import NETWORKS

MOST = 1.5
"""Time of the spiking model over that of the float model that we accept."""
NAMES = tuple(name for name in common.STATIC if NETWORKS[name].data == "cifar10")


def measure(options: argparse.Namespace) -> Finding:
    """Both models on the same batches, block by block in turns."""
    network, model = common.load(options, options.network)
    snn, _ = common.converted(options, network, model)
    test = common.images(options, network, "test").first(options.images)
    batches = [x for x, _ in test.batches(options.batch, mean=network.mean, std=network.std)]
    blocks = [batches[i : i + options.block] for i in range(0, len(batches), options.block)]

    def run_float(block: int) -> None:
        with torch.no_grad():
            for x in blocks[block]:
                model(x)

    def run_spiking(block: int) -> None:
        for x in blocks[block]:
            snn(x)

    order = list(range(len(blocks))) * options.rounds
    total = len(order)
    pairs = timing.interleaved(run_float, run_spiking, order, done=lambda n: common.say(f"{n} of {total} blocks"))
    ratio, low, high = pairs.ratio, min(pairs.ratios), max(pairs.ratios)
    # rounds, not blocks, are what a user waits for; the last block of a round may be shorter
    rounds = [
        tuple(sum(times[i : i + len(blocks)]) for i in range(0, total, len(blocks)))
        for times in (pairs.first, pairs.second)
    ]
    float_seconds, spiking_seconds = timing.Pairs(*rounds).medians
    misses = [] if ratio <= options.at_most else [f"ratio {ratio:.2f} is above {options.at_most:.2f}"]
    lines = (
        f"network: {network.name}, levels {options.levels}, batches of {options.batch}, {options.threads} threads",
        f"images: {len(test):,}, {options.rounds} rounds of {len(blocks)} blocks in turns",
        f"float model: median {float_seconds:.3f} s a round, {len(test) / float_seconds:,.0f} images/s",
        f"spiking model: median {spiking_seconds:.3f} s a round, {len(test) / spiking_seconds:,.0f} images/s",
        f"ratio: {ratio:.2f}, median over {total} blocks (lowest {low:.2f}, highest {high:.2f}; at most {options.at_most:.2f})",
    )
    values = {
        "network": network.name,
        "levels": options.levels,
        "batch": options.batch,
        "images": len(test),
        "rounds": options.rounds,
        "float_seconds": float_seconds,
        "spiking_seconds": spiking_seconds,
        "ratio": ratio,
        "ratio_lowest": low,
        "ratio_highest": high,
        "at_most": options.at_most,
        "float_block_seconds": pairs.first,
        "spiking_block_seconds": pairs.second,
    }
    return Finding(lines, values, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "", names=NAMES)
    parser.add_argument("--images", type=common.positive, default=10_000, help="test images, the first ones")
    parser.add_argument("--batch", type=common.positive, default=100, help="images in one call, for both models")
    parser.add_argument(
        "--block", type=common.positive, default=10, help="batches timed at once before it is the other's turn"
    )
    parser.add_argument("--rounds", type=common.positive, default=3, help="times that all images are run")
    parser.add_argument("--at-most", type=float, default=MOST, metavar="RATIO", help="largest acceptable ratio")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
