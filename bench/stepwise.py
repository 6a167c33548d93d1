"""Stepping plain integrate-and-fire networks: ours against the best peer, the same units, weights and spikes.

Ours is compared with a plain float64 stepper, count by count; not one may differ.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
from common import Finding
from peers import cases, contest, ours, plain
from peers.case import Case

CHECKED = 4
"""Samples of a batch that the plain stepper runs."""


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the table."""

    network: str
    batch: int
    at_least: float | None
    """Times that the best peer needs at least; None where nothing is required."""
    spyx: bool = False
    """Spyx alone, everybody on one thread."""


QUESTIONS = {
    "resnet18-1": Question("resnet18", 1, 8.0),
    "nmnist-1": Question("nmnist", 1, 5.0),
    "nmnist-64": Question("nmnist", 64, 4.0),
    "resnet18-64": Question("resnet18", 64, None),
    "spyx-1": Question("nmnist", 1, None, spyx=True),
    "spyx-64": Question("nmnist", 64, None, spyx=True),
}
DEFAULT = ("resnet18-1", "nmnist-1", "nmnist-64", "spyx-1", "spyx-64")


def measure(options: argparse.Namespace) -> Finding:
    """Every question in turn."""
    lines: list[str] = []
    values: dict[str, Any] = {}
    misses: list[str] = []
    for name in options.questions:
        found = _answer(options, name, QUESTIONS[name])
        common.say("\n".join(found.lines))
        lines += (*found.lines, "")
        values[name] = found.values
        misses += (f"{name}: {miss}" for miss in found.misses)
    return Finding(tuple(lines), values, tuple(misses))


def _answer(options: argparse.Namespace, name: str, question: Question) -> Finding:
    case, source = _case(options, question)
    threads = 1 if question.spyx else options.threads
    network = ours.spiking_network(case)
    run, backend = ours.stepper(network, case.input, threads=threads, on=options.on)
    few = case.first(min(CHECKED, case.batch))
    expected = plain.step(few)
    compared, wrong = expected.differing(ours.counts(run(), few.batch))
    common.say(f"{name}: ours against the plain stepper: {wrong} of {compared:,} counts differ")
    names: Sequence[str] = ("spyx",) if question.spyx else options.peers
    cpus = frozenset(sorted(os.sched_getaffinity(0))[:1]) if question.spyx else None
    result = contest.contest(
        options, case, run, names=names, expected=expected, turn=options.turn, threads=threads, cpus=cpus
    )
    best = result.best
    ratio, low, high = contest.middle(best.ratios)
    misses = []
    if question.at_least is not None and ratio < question.at_least:
        misses.append(f"ratio {ratio:.2f}, required {question.at_least:.1f}")
    if wrong:
        misses.append(f"{wrong:,} of {compared:,} counts differ from the plain stepper")
    required = "nothing required" if question.at_least is None else f"at least {question.at_least:.1f}"
    lines = (
        f"{name}: {case.name}, batch {case.batch}, {threads} {'thread' if threads == 1 else 'threads'}; {source}",
        f"activity: {100 * expected.activity(few):.1f} % of {case.neurons:,} units fire in a step",
        f"ours ({backend}): {contest.duration(contest.middle(best.ours)[0])}",
        *result.lines(),
        f"ours against the plain stepper: {wrong:,} of {compared:,} counts differ ({few.batch} samples)",
        f"best peer ({best.name}) over ours: {ratio:.2f} ({low:.2f} to {high:.2f}; {required}), median of {len(best.ratios)} turns",
        result.versions(),
    )
    values = {
        "batch": case.batch,
        "threads": threads,
        "input": source,
        "activity": expected.activity(few),
        "backend": backend,
        "compared": compared,
        "differing": wrong,
        "ratio": [low, ratio, high],
        "at_least": question.at_least,
        **result.values(),
    }
    return Finding(lines, values, tuple(misses))


def _case(options: argparse.Namespace, question: Question) -> tuple[Case, str]:
    if question.network == "resnet18":
        return cases.resnet18(question.batch), "seeded random images, a constant current"
    return contest.nmnist_case(options, question.batch)


def main() -> int:
    parser = contest.parser(__doc__ or "", rounds=7)
    parser.add_argument("--questions", nargs="+", choices=tuple(QUESTIONS), default=DEFAULT, help="rows to measure")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with N-MNIST; without it events are random")
    parser.add_argument("--on", choices=("native", "reference"), default="native", help="which of our backends steps")
    parser.add_argument("--turn", type=float, default=1.0, help="about how many seconds a turn lasts")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
