"""Ours beside the peers: who is fastest, and by how much, measured in turns."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import common
import data
from peers import cases, plain
from peers.case import Case, save
from peers.protocol import ENVIRONMENTS, Worker, python_of

GROUPS: Mapping[str, str] = {
    "snntorch": "torch",
    "spikingjelly": "torch",
    "sinabs": "torch",
    "norse": "torch",
    "neurocuda": "torch",
    "spyx": "jax",
}
"""Environment of each library."""
TORCH_PEERS = tuple(name for name, group in GROUPS.items() if group == "torch")
CONTENDERS = 1.5
"""Libraries that need more than this times the fastest one's time, when they are built, are not timed in turns."""
EVENTS = 64
"""Frames of the N-MNIST case, and the largest batch."""


@dataclass
class Standing:
    """One library: how it was run, and its times beside ours."""

    name: str
    versions: Mapping[str, str]
    way: str
    first_look: float
    """Seconds of one run when it was built."""
    seconds: list[float] = field(default_factory=list)
    """Median of each turn."""
    ours: list[float] = field(default_factory=list)
    """Median of our turn right before or after."""

    @property
    def ratios(self) -> list[float]:
        """Its time over ours, turn by turn."""
        return [theirs / ours for theirs, ours in zip(self.seconds, self.ours, strict=True)]

    def described(self) -> str:
        if not self.seconds:
            return f"{self.name} ({self.way}): {duration(self.first_look)}, not a contender"
        return (
            f"{self.name} ({self.way}): {duration(median(self.seconds))}, {median(self.ratios):.2f} times ours "
            f"({min(self.ratios):.2f} to {max(self.ratios):.2f})"
        )

    def values(self) -> dict[str, Any]:
        return {
            "versions": dict(self.versions),
            "way": self.way,
            "first_look": self.first_look,
            "seconds": self.seconds,
            "ours": self.ours,
            "ratios": self.ratios,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """All libraries on one case."""

    standings: tuple[Standing, ...]
    differing: Mapping[str, tuple[int, int]]
    """Counts compared with the plain stepper, and how many differ, by library."""

    @property
    def best(self) -> Standing:
        """The library that comes nearest to us: by ratio, since that is what is required of."""
        return min((s for s in self.standings if s.seconds), key=lambda s: median(s.ratios))

    def lines(self) -> list[str]:
        found = [standing.described() for standing in self.standings]
        for name, (compared, wrong) in self.differing.items():
            found.append(f"{name} against the plain stepper: {wrong:,} of {compared:,} counts differ")
        return found

    def versions(self) -> str:
        """What was installed, each package once."""
        found = {package: number for standing in self.standings for package, number in standing.versions.items()}
        return "peers: " + ", ".join(f"{package} {number}" for package, number in found.items())

    def values(self) -> dict[str, Any]:
        return {
            "peers": {standing.name: standing.values() for standing in self.standings},
            "best": self.best.name,
            "peers_differing": {name: list(numbers) for name, numbers in self.differing.items()},
        }


def parser(about: str, *, rounds: int) -> argparse.ArgumentParser:
    """Options of the commands that run peers."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--peers", nargs="+", choices=TORCH_PEERS, default=TORCH_PEERS, help="libraries to run")
    made.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="see bench/peers/environments.py"
    )
    made.add_argument("--rounds", type=common.positive, default=rounds, help="turns of each")
    made.add_argument("--threads", type=common.positive, default=2, help="threads of everybody")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return made


def contest(
    options: argparse.Namespace,
    case: Case,
    ours: Callable[[], object],
    *,
    names: Sequence[str],
    expected: plain.Counts | None = None,
    turn: float = 1.0,
    threads: int | None = None,
    cpus: frozenset[int] | None = None,
) -> Result:
    """Build everybody, then alternate: ours, a peer, ours, the next peer, and the other way round in the next round.

    Args:
        ours: one run of ours.
        expected: what a plain stepper counted, of as many samples as it was given.
        turn: about how many seconds a turn lasts; at least one run.
        threads: other than `--threads`.
        cpus: the processors that peers may use.
    """
    threads = options.threads if threads is None else threads
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        save(case, folder / "case.npz")
        workers: dict[str, Worker] = {}
        standings: dict[str, Standing] = {}
        differing: dict[str, tuple[int, int]] = {}
        for name in names:
            python = python_of(GROUPS[name], options.environments)
            worker = stack.enter_context(Worker(python, name, threads=threads, cpus=cpus))
            versions = worker.ask("describe")["versions"]
            built = worker.ask("build", case=str(folder / "case.npz"))
            standings[name] = Standing(name, versions, built["way"], built["seconds"])
            workers[name] = worker
            common.say(f"{name}: {built['way']}, {duration(standings[name].first_look)}")
            if expected is not None:
                worker.ask("count", path=str(folder / "counts.npz"))
                differing[name] = _compare(folder / "counts.npz", expected)
        fastest = min(standing.first_look for standing in standings.values())
        contenders = [name for name in names if standings[name].first_look <= CONTENDERS * fastest]
        for name in set(names) - set(contenders):
            workers[name].close()
        for done in range(options.rounds):
            for name in contenders:
                runs = max(1, round(turn / standings[name].first_look))

                def theirs(worker: Worker = workers[name], runs: int = runs) -> float:
                    return median(worker.ask("time", times=runs)["seconds"])

                def mine() -> float:
                    return median(timed(ours, turn))

                order = (mine, theirs) if done % 2 == 0 else (theirs, mine)
                took = {work: work() for work in order}
                standings[name].ours.append(took[mine])
                standings[name].seconds.append(took[theirs])
            common.say(f"round {done + 1} of {options.rounds}")
    return Result(tuple(standings.values()), differing)


def timed(work: Callable[[], object], turn: float) -> list[float]:
    """Seconds of each run during about `turn` seconds, after one that is not counted; at least one."""
    work()
    found: list[float] = []
    begin = time.perf_counter()
    while not found or time.perf_counter() - begin < turn:
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def middle(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest and largest."""
    return median(numbers), min(numbers), max(numbers)


def nmnist_case(options: argparse.Namespace, batch: int, steps: int = 32) -> tuple[Case, str]:
    """The N-MNIST CNN on thirds of test recordings, or on seeded random events without `--data`; and what its input is."""
    if options.data is None:
        events = cases.random_events(EVENTS, steps=steps)
        source = "seeded random events"
    else:
        events = data.nmnist(options.data, "test").thirds(steps).bins[:, :EVENTS].astype(np.int64)
        source = "events of N-MNIST test recordings"
    active = float((events > 0).mean())
    return cases.nmnist_cnn(events).first(batch), f"{source}, {100 * active:.1f} % active a step"


def _compare(path: Path, expected: plain.Counts) -> tuple[int, int]:
    with np.load(path) as file:
        layers = {name.removeprefix("layer "): file[name] for name in file.files if name != "readout"}
        readout = file["readout"]
    samples = len(expected.readout)
    return expected.differing(plain.Counts({k: v[:samples] for k, v in layers.items()}, readout[:samples]))


def duration(seconds: float) -> str:
    """Seconds or milliseconds, for a person."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
