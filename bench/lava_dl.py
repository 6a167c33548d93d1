"""Do networks of lava-dl, read by us, spike as in Lava's fixed-point simulation? Every layer, spikes and states, every step."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import common
import spikeport as sp
from common import Finding
from peers.protocol import ENVIRONMENTS, Worker, python_of
from spikeport.primitives import FixedCubaLIF

WORKER = Path(__file__).parent / "peers" / "chips" / "lava_dl_worker.py"
PATIENCE = 300.0
"""Seconds for a network; where a process of Lava fails, the others wait for it without an end."""
LEAST = 5_000_000
"""Values that are compared with Lava at least."""
UNLIKE_LAVA = frozenset({"delayed_maps"})
"""What Lava's reader leaves out, delays of convolutions: beside lava-dl's training code alone."""
GOLDEN = {"edges": 6}
"""How many networks of a class are written for the tests, where it is not one."""
LAST_STATES = 8
SIGMA_SCALE = 2**18
"""What 1.0 is in the sums of sigma-delta neurons; in what they send it is 2^12."""


@dataclass(slots=True)
class Tally:
    """Values compared and values that differ."""

    values: int = 0
    differ: int = 0
    nonzero: int = 0

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        if ours.shape != theirs.shape:
            raise ValueError(f"ours has shape {ours.shape}, theirs {theirs.shape}")
        self.values += ours.size
        self.differ += int(np.count_nonzero(ours != theirs))
        self.nonzero += int(np.count_nonzero(theirs))

    def __str__(self) -> str:
        return f"{self.values:,} compared ({self.nonzero:,} not 0), {self.differ:,} differ"


@dataclass(slots=True)
class Tallies:
    """By class of network: spikes and states beside Lava, spikes beside lava-dl's training code and on other backends of ours."""

    lava: dict[str, Tally] = field(default_factory=dict)
    training: dict[str, Tally] = field(default_factory=dict)
    compiled: dict[str, Tally] = field(default_factory=dict)
    sent: dict[str, Tally] = field(default_factory=dict)
    """What neurons of ours send in all steps, for how much of it is not 0."""
    networks: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Ours:
    """A file read and simulated: arrays (time, *population)."""

    def __init__(self, path: Path, x: np.ndarray) -> None:
        self.network = sp.read_lava_dl(path)
        self.x = x[:, None]
        found = sp.simulate(self.network, self.x, record=None, on="reference")
        self.spikes = {name: events.train().raster[:, 0] for name, events in found.spikes.items()}
        self.potentials = {name: values[:, 0] for name, values in found.potentials.items()}
        self.currents = {name: values[:, 0] for name, values in found.currents.items()}

    def compare(self, found: Any, kinds: list[str], tally: Tally) -> None:
        """Beside Lava: what is sent and every state that it shows."""
        if len(kinds) != len(self.network.populations):
            raise ValueError(f"Lava has {len(kinds)} layers, and we have {len(self.network.populations)}")
        for i, (population, kind) in enumerate(zip(self.network.populations, kinds, strict=True)):
            name = population.name
            tally.add(self.potentials[name] if kind == "Sigma" else self.spikes[name], found[f"spikes {i}"])
            match kind:
                case "LIF":
                    tally.add(self.potentials[name], found[f"v {i}"])
                    if not self.integrates(name):
                        tally.add(self.currents[name], found[f"u {i}"])
                case "Delta":
                    tally.add(self.potentials[name], found[f"act {i}"])
                case _:
                    tally.add(self.potentials[name], found[f"sigma {i}"])

    def integrates(self, name: str) -> bool:
        """Whether the layer has no neurons in the file: Lava sums in the current what we sum in the potential."""
        return any(entry.node == name and entry.what.startswith("has no neurons") for entry in self.network.ledger)

    def compare_training(self, given: Any, tally: Tally) -> None:
        """Beside lava-dl's training code, up to the first layer with a bias: there its steps begin together, those of a chip do not."""
        for depth, population in enumerate(self.network.populations):
            name, neuron = population.name, population.neuron
            if np.any(np.asarray(neuron.bias)) or self.integrates(name):
                return
            theirs = given[f"slayer {name.removeprefix('layer')}"].astype(np.float64)
            if isinstance(neuron, FixedCubaLIF):
                if np.any(np.asarray(neuron.threshold) < 2**23):  # what only integrates gives a potential there
                    tally.add(self.spikes[name], theirs)
            else:
                late = depth + 1  # training lets sigma-delta layers pass in no time
                sums = any(entry.node == name and "sends the sum" in entry.what for entry in self.network.ledger)
                ours = self.potentials[name] if sums else self.spikes[name]
                tally.add(ours[late:], theirs[:-late] * (SIGMA_SCALE if sums else SIGMA_SCALE >> 6))

    def compare_compiled(self, tally: Tally) -> None:
        """Beside our simulator of the chip.

        Raises:
            LowerError: the chip does not hold it.
        """
        with sp.open(sp.compile(self.network, target="loihi2", progress=False), record=None) as session:
            found = session.run(self.x)
        for name, ours in self.spikes.items():
            tally.add(found.spikes[name].train().raster[:, 0], ours)


def draws(
    options: argparse.Namespace, about: dict[str, Any], wanted: dict[str, int]
) -> Iterator[tuple[str, str, int, int]]:
    """Question, class, seed and steps: all classes that are wanted in turns, and files that come with lava-dl in between."""
    seed = options.seed
    while any(wanted.values()):
        yield from (("make", name, seed, options.steps) for name in about["classes"] if wanted[name])
        if seed == options.seed and not options.golden:
            yield from (("shipped", name, seed, min(options.steps, 100)) for name in about["shipped"])
        seed += 1


def measure(options: argparse.Namespace) -> Finding:
    """Networks of all classes, in turns until enough was compared."""
    tallies = Tallies()
    packed: dict[str, Any] = {}
    wanted: dict[str, int] = {}
    with ExitStack() as stack:
        python = python_of("lava_dl", options.environments)
        maker, runner = (
            stack.enter_context(Worker(python, script=WORKER, threads=1, limit=PATIENCE)) for _ in range(2)
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        about = runner.ask("describe")
        classes = len(about["classes"]) + len(about["shipped"])
        wanted |= {name: GOLDEN.get(name, 1) for name in about["classes"]}
        for question, name, seed, steps in draws(options, about, wanted):
            place = folder / f"{name}_{seed}"  # Lava keeps files open, so that none is written twice
            maker.ask(question, name=name, seed=seed, steps=steps, into=str(place))
            with np.load(f"{place}.npz") as stored:
                given = dict(stored)
            ours = Ours(place.with_suffix(".net"), given["x"])
            recorded = compare(ours, given, name, place, runner, tallies, compiled=not options.golden)
            tallies.networks[name] = tallies.networks.get(name, 0) + 1
            for sent in ours.spikes.values():
                tallies.sent.setdefault(name, Tally()).add(sent, sent)
            if options.golden and recorded is not None:
                wanted[name] -= 1
                packed |= {f"{place.name} file": np.frombuffer(place.with_suffix(".net").read_bytes(), np.uint8)}
                packed |= {f"{place.name} x": narrow(given["x"])}
                packed |= {f"{place.name} {what}": narrow(values) for what, values in kept(recorded)}
            total = sum(tally.values for tally in tallies.lava.values())
            common.say(f"{total:,} of {options.comparisons:,} values; {name}: {tallies.lava.get(name, 'not in Lava')}")
            if not options.golden and len(tallies.networks) == classes and total >= options.comparisons:
                break
    versions = " ".join(f"{name} {version}" for name, version in about["versions"].items())
    if options.golden:
        np.savez_compressed(options.golden, versions=versions, **packed)
    return finding(options, tallies, versions)


def compare(
    ours: Ours, given: Any, name: str, place: Path, runner: Worker, tallies: Tallies, *, compiled: bool
) -> dict[str, np.ndarray] | None:
    """One network beside everything there is for it; what Lava found, or training code if Lava leaves something out; None if neither."""
    if any(key.startswith("slayer") for key in given):
        ours.compare_training(given, tallies.training.setdefault(name, Tally()))
    if compiled:
        try:
            ours.compare_compiled(tallies.compiled.setdefault(name, Tally()))
        except sp.LowerError as error:
            tallies.refused[name] = str(error).splitlines()[0]
    if name in UNLIKE_LAVA:
        return {key: value for key, value in given.items() if key.startswith("slayer")}
    into = f"{place}.found.npz"
    padded = any(
        "Conv" in type(s).__name__ and any(a != b for a, b in s.padding)
        for p in ours.network.projections
        for s in p.synapses
    )
    if padded:  # lava-dl's pooling pads on one side, which Lava's convolutions do not
        return None
    kinds = runner.ask("run", path=f"{place}.net", case=f"{place}.npz", into=into)["kinds"]
    with np.load(into) as stored:
        found = dict(stored)
    ours.compare(found, kinds, tallies.lava.setdefault(name, Tally()))
    return {**found, "kinds": np.array(kinds)}


def kept(recorded: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """What is sent in all steps, and states of the last ones: they are large, and come from all before."""
    for what, values in recorded.items():
        yield what, values if what.split()[0] in ("spikes", "slayer", "kinds") else values[-LAST_STATES:]


def narrow(values: np.ndarray) -> np.ndarray:
    """Integers in the smallest type that holds them."""
    if values.dtype.kind not in "if" or (values != np.rint(values)).any():
        return values
    values = values.astype(np.int64)
    return values.astype(np.result_type(np.min_scalar_type(values.min()), np.min_scalar_type(values.max())))


def finding(options: argparse.Namespace, tallies: Tallies, versions: str) -> Finding:
    lines, misses = [], []
    titles = {
        "lava": "reference beside Lava, every layer: spikes, currents, potentials",
        "training": "reference beside lava-dl's training code, layers before the first bias: spikes",
        "compiled": "our simulator of Loihi 2 beside the reference: spikes",
    }
    for which, title in titles.items():
        by_name: dict[str, Tally] = getattr(tallies, which)
        lines.append(f"{title}:")
        lines += [f"  {name} ({tallies.networks[name]} networks): {tally}" for name, tally in by_name.items()]
        values = sum(tally.values for tally in by_name.values())
        differ = sum(tally.differ for tally in by_name.values())
        lines.append(f"  all: {values:,} compared, {differ:,} differ")
        if differ:
            misses.append(f"{differ:,} values differ: {title}")
        if which == "lava" and values < options.comparisons and not options.golden:
            misses.append(f"{values:,} values compared with Lava, fewer than {options.comparisons:,}")
    lines.append("neurons and steps in which something is sent:")
    lines += [f"  {name}: {100 * sent.nonzero / sent.values:.1f} %" for name, sent in tallies.sent.items()]
    lines += [f"refused by the chip, {name}: {why}" for name, why in tallies.refused.items()]
    lines.append(f"versions: {versions}")
    values_of = {which: {name: [t.values, t.differ] for name, t in getattr(tallies, which).items()} for which in titles}
    return Finding(tuple(lines), {**values_of, "refused": tallies.refused, "versions": versions}, tuple(misses))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--comparisons", type=common.positive, default=LEAST, help="values compared with Lava at least")
    parser.add_argument("--steps", type=common.positive, default=200, help="steps of a network")
    parser.add_argument("--seed", type=int, default=0, help="networks are drawn from it")
    parser.add_argument(
        "--golden", type=Path, metavar="FILE", help="write a file of each class and Lava's spikes instead"
    )
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where lava_dl is installed"
    )
    parser.add_argument("--threads", type=common.positive, default=2, help="threads that ours may use")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
