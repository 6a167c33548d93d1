"""What the oracles of chips share: cases of all classes in turns, a simulator beside backends of ours, and golden vectors."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import chips
import common
from chips import Case, States
from common import Finding
from peers.protocol import ENVIRONMENTS, Worker, python_of
from spikeport.errors import DataError, LowerError

PATIENCE = 300.0
"""Seconds for a case; where a process of Lava fails, the others wait for it without an end."""
STEPS = 300
MOST = 1000
"""Cases, also where most are refused."""
GOLDEN = 2
"""Cases of a class among golden vectors."""
Draw = Callable[[np.random.Generator, int, int], Case]
"""A case of one class, of so many neurons and steps."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """Somebody else's."""

    name: str
    group: str
    """Its environment."""
    worker: Path
    classes: tuple[Draw, ...]

    @contextmanager
    def open(self, environments: Path) -> Iterator[Callable[[Case], States]]:
        """A child process that runs cases."""
        with (
            tempfile.TemporaryDirectory() as folder,
            Worker(python_of(self.group, environments), script=self.worker, threads=1, limit=PATIENCE) as worker,
        ):
            given, found = Path(folder) / "case.npz", Path(folder) / "found.npz"

            def run(case: Case) -> States:
                chips.save(case, given)
                worker.ask("run", case=str(given), into=str(found))
                with np.load(found) as arrays:
                    return chips.theirs(case, arrays)

            yield run

    def versions(self, environments: Path) -> Mapping[str, str]:
        """What is installed."""
        with Worker(python_of(self.group, environments), script=self.worker, threads=1, limit=PATIENCE) as worker:
            found: Mapping[str, str] = worker.ask("describe")["versions"]
            return found

    def cases(self, seed: int, n: int, steps: int) -> Iterator[Case]:
        """Cases of all classes in turns, without an end; each is drawn from its own number."""
        index = 0
        while True:
            yield self.classes[index % len(self.classes)](np.random.default_rng([seed, index]), n, steps)
            index += 1


def parser(about: str | None, *, comparisons: int) -> argparse.ArgumentParser:
    """Options of an oracle."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--comparisons", type=common.positive, default=comparisons, help="values compared at least")
    made.add_argument("--neurons", type=common.positive, default=300, help="neurons of a case")
    made.add_argument("--steps", type=common.positive, help=f"steps of a case, {STEPS} if nothing is said")
    made.add_argument("--seed", type=int, default=0, help="cases are drawn from it")
    made.add_argument(
        "--on", nargs="+", choices=chips.ENGINES, default=["reference", "chip"], help="what of ours is compared"
    )
    made.add_argument(
        "--golden", type=Path, metavar="FILE", help="write small cases and their states instead, for the tests"
    )
    made.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where simulators are installed"
    )
    made.add_argument("--threads", type=common.positive, default=2, help="threads that ours may use")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return made


def measure(simulator: Simulator, options: argparse.Namespace) -> Finding:
    """Cases of all classes, in turns until enough was compared."""
    if options.golden:
        return golden(simulator, options)
    compared: dict[str, dict[str, list[int]]] = {on: {} for on in options.on}
    refused: dict[str, dict[str, list[Any]]] = {on: {} for on in options.on}
    met: dict[str, int] = {}
    totals, rounds = dict.fromkeys(options.on, 0), 0
    with simulator.open(options.environments) as run:
        for case in simulator.cases(options.seed, options.neurons, options.steps or STEPS):
            theirs = run(case)
            chips.add(met, chips.happened(case, theirs))
            differing = []
            for on in options.on:
                try:
                    values, differ = chips.compare(chips.run_ours(case, on), theirs)
                except (DataError, LowerError) as error:
                    refused[on].setdefault(case.name, [0, str(error).splitlines()[0]])[0] += 1
                    differing.append(f"refused by {on}")
                    continue
                entry = compared[on].setdefault(case.name, [0, 0])
                entry[0] += values
                entry[1] += differ
                totals[on] += values
                differing.append(f"{differ} differ on {on}")
            rounds += 1
            least = min(totals.values())
            common.say(f"{least:,} of {options.comparisons:,} values; {case.name}: {', '.join(differing)}")
            if (least >= options.comparisons and rounds >= len(simulator.classes)) or rounds >= MOST:
                break
    return finding(simulator, options, compared, refused, met)


def finding(
    simulator: Simulator,
    options: argparse.Namespace,
    compared: Mapping[str, Mapping[str, Sequence[int]]],
    refused: Mapping[str, Mapping[str, Sequence[Any]]],
    met: Mapping[str, int],
) -> Finding:
    """What was compared, by class of case."""
    versions = simulator.versions(options.environments)
    lines, misses = [], []
    for on, by_name in compared.items():
        lines.append(f"{on} beside {simulator.name}:")
        lines += [f"  {name}: {values:,} compared, {differ} differ" for name, (values, differ) in by_name.items()]
        lines += [f"  {name}: {n} cases refused, such as: {why}" for name, (n, why) in refused[on].items()]
        values, differ = (sum(entry[i] for entry in by_name.values()) for i in (0, 1))
        lines.append(f"  all: {values:,} compared, {differ} differ")
        if differ:
            misses.append(f"{differ} values on {on} differ from those of {simulator.name}")
        if values < options.comparisons:
            misses.append(f"{values:,} values compared on {on}, fewer than {options.comparisons:,}")
    lines.append("boundaries met: " + ", ".join(f"{what} {count:,} times" for what, count in met.items()))
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    values_of: dict[str, Any] = {"compared": compared, "refused": refused, "met": met, "versions": versions}
    return Finding(tuple(lines), values_of, tuple(misses))


def golden(simulator: Simulator, options: argparse.Namespace) -> Finding:
    """Small cases of each class, with what the simulator makes of them."""
    pairs = []
    with simulator.open(options.environments) as run:
        cases = simulator.cases(options.seed, options.neurons, options.steps or STEPS)
        for case in islice(cases, GOLDEN * len(simulator.classes)):
            pairs.append((case, run(case)))
            common.say(case.name)
    versions = simulator.versions(options.environments)
    chips.pack(pairs, options.golden, versions=" ".join(f"{name} {version}" for name, version in versions.items()))
    size = options.golden.stat().st_size
    values = sum(v.size for _, states in pairs for v in chips.by_name(states).values() if v is not None)
    return Finding((f"{options.golden}: {len(pairs)} cases, {values:,} values, {size:,} bytes",), {"values": values})
