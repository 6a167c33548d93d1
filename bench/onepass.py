"""One exact pass over counts of a ResNet-18, against the best peer stepping T = 16: "one pass against stepped".

Both compute the network with the same weights, thresholds and images, batch 64. They do not compute the same numbers: peers step
plain integrate-and-fire units, whose counts an exact code need not have. What is compared is the time until the counts of a spiking
network are known: one pass that is proved, or as many steps as there are levels. Beside it stands the ratio of the same peer to ours stepping the
very same units.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import common
from common import Finding
from peers import cases, contest, ours
from spikeport.quantize import evaluate

REQUIRED = 25.0
"""Times that the best peer needs at least."""
CHECKED = 2
"""Images whose counts are compared with the reference."""


def measure(options: argparse.Namespace) -> Finding:
    """Both in turns on one batch; the counts of the pass against the reference on the first images."""
    case = cases.resnet18(options.batch, steps=options.steps)
    network = ours.integer_network(case)
    evaluator, backend = ours.exact_evaluator(network, threads=options.threads)
    x = case.input.astype(np.float32)
    found: dict[str, object] = {}
    expected: dict[str, object] = {}
    readout = evaluator(x[:CHECKED], lambda layer, counts: found.setdefault(layer.name, counts))
    reference = evaluate(network, x[:CHECKED], visit=lambda layer, counts: expected.setdefault(layer.name, counts))
    compared = sum(np.size(counts) for counts in expected.values())
    wrong = sum(int((np.asarray(found[name]) != counts).sum()) for name, counts in expected.items())
    wrong += int((readout != reference).sum())
    common.say(f"our counts against the reference: {wrong} of {compared:,} differ")
    result = contest.contest(options, case, lambda: evaluator(x), names=options.peers, turn=options.turn)
    best = result.best
    run, stepping = ours.stepper(ours.spiking_network(case), case.input, threads=options.threads, on="native")
    again = contest.contest(options, case, run, names=(best.name,), turn=options.turn)
    stepped, stepped_low, stepped_high = contest.middle(again.best.ratios)
    ratio, low, high = contest.middle(best.ratios)
    misses = []
    if ratio < options.at_least:
        misses.append(f"one pass against stepped: {ratio:.1f}, required {options.at_least:.1f}")
    if wrong:
        misses.append(f"{wrong} of {compared:,} counts differ from the reference")
    seconds = contest.middle(best.ours)[0]
    rate = case.macs * options.batch / seconds / 1e9
    spread = f"median of {len(best.ratios)} turns, {low:.1f} to {high:.1f}; at least {options.at_least:.1f}"
    lines = (
        f"network: {case.name}, {case.macs / 1e9:.3f} GMAC, {case.neurons:,} neurons, batch {options.batch}, {options.threads} threads",
        f"ours: one exact pass ({backend}), {options.steps} levels: {contest.duration(seconds)}, {rate:.0f} GMAC/s",
        *result.lines(),
        f"ours against the reference: {wrong} of {compared:,} counts differ ({CHECKED} images)",
        f"one pass against stepped ({best.name}, T={options.steps}): {ratio:.1f} ({spread})",
        f"stepped against stepped ({best.name} over ours, {stepping}): {stepped:.2f} ({stepped_low:.2f} to {stepped_high:.2f})",
        result.versions(),
    )
    values = {
        "batch": options.batch,
        "steps": options.steps,
        "backend": backend,
        "compared": compared,
        "differing": wrong,
        "one_pass_against_stepped": [low, ratio, high],
        "stepped_against_stepped": [stepped_low, stepped, stepped_high],
        "at_least": options.at_least,
        **result.values(),
    }
    return Finding(lines, values, tuple(misses))


def main() -> int:
    parser = contest.parser(__doc__ or "", rounds=3)
    parser.add_argument("--batch", type=common.positive, default=64, help="images at once, for everybody")
    parser.add_argument("--steps", type=common.positive, default=16, help="steps of the peers, levels of ours")
    parser.add_argument("--turn", type=float, default=3.0, help="about how many seconds a turn lasts")
    parser.add_argument("--at-least", type=float, default=REQUIRED, metavar="RATIO", help="smallest acceptable ratio")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
