"""Every spike of balanced random networks beside NEST: written by hand, built, and built in NEST synapse by synapse; and the time of both."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import common
import nest_case
import spikeport as sp
from common import Finding
from peers.protocol import ENVIRONMENTS, Worker, python_of
from spikeport.backends.native import DynamicSession
from spikeport.primitives import DynamicNetwork, Sparse, SpikeEvents
from spikeport.runtime.inputs import entering

WORKER = Path(__file__).parent / "peers" / "recurrent" / "nest_network.py"
UNIT = 2.0**-16
"""All weights, currents and potentials are multiples of it, so that no order of adding them rounds."""
THRESHOLD = 20.0
LINES = 1000
"""Of the input that drives a network; each neuron hears a tenth of them."""
Spikes = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Steps and neurons, in order; neurons of all populations count on."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a balanced network is joined and driven: 80 % excitatory, 20 % inhibitory LIF neurons, each with synapses from a tenth of them."""

    name: str
    drive: str = "current"
    """`"current"`: a constant one, of each neuron its own; `"spikes"`: trains on `LINES` lines, Poisson."""
    delay: float | sp.Uniform = 1.5e-3
    inhibitory_delay: float | sp.Uniform = 1.5e-3
    refractory: float | tuple[float, ...] = 2e-3
    """Seconds; several: one neuron after the other takes the next."""
    joined: str = "in-degree"
    """`"in-degree"`, `"probability"`, or `"list"`: synapse by synapse, with weights of their own."""
    dt: float = 1e-4


MIXED = sp.Uniform(1e-4, 4e-3)
KINDS = (
    Kind("current"),
    Kind("spikes", drive="spikes"),
    Kind("current, mixed delays", delay=MIXED, inhibitory_delay=sp.Uniform(1e-4, 1e-3)),
    Kind("spikes, mixed delays", drive="spikes", delay=MIXED, inhibitory_delay=MIXED),
    Kind("two delays, random pairs", delay=3e-3, inhibitory_delay=7e-4, joined="probability"),
    Kind("weights of their own", drive="spikes", delay=MIXED, inhibitory_delay=MIXED, joined="list"),
    Kind("no refractory period", drive="spikes", refractory=0.0),
    Kind("refractory for one step", drive="spikes", refractory=1e-4, delay=MIXED),
    Kind("refractory periods of their own", delay=MIXED, refractory=(0.0, 1e-4, 2e-4, 2e-3, 5e-3)),
    Kind("steps of 1 ms", drive="spikes", dt=1e-3, delay=sp.Uniform(1e-3, 8e-3), inhibitory_delay=2e-3),
)

PLAN: tuple[tuple[int, int, int, tuple[str, ...] | None], ...] = (
    (1000, 3, 1, None),
    (3000, 1, 1, None),
    (10_000, 1, 3, ("current", "spikes", "spikes, mixed delays")),
)
"""Neurons, how many seeds, seconds of the network, and which kinds, all if None; several seconds are timed in turns."""
FEWEST = 5.0
"""Hertz: below that a comparison says little."""


def network(kind: Kind, neurons: int, seed: int) -> sp.Network:
    """A balanced network, written as anybody would."""
    net = sp.Network("balanced", seed=seed)
    rng = np.random.default_rng(seed)
    sizes = {"exc": 4 * neurons // 5, "inh": neurons // 5}
    ports = {}
    for name, size in sizes.items():
        tonic = (24 + rng.integers(0, int(2 / UNIT), size) * UNIT) if kind.drive == "current" else np.zeros(size)
        cells = sp.LIF(
            tau=0.02,
            threshold=THRESHOLD,
            v_reset=10.0,
            bias=tonic,
            initial=rng.integers(0, int(THRESHOLD / UNIT), size) * UNIT,
            refractory=np.resize(kind.refractory, size),
        )
        ports[name] = net.population(name, size, cells)
    weight = np.round(0.1 * np.sqrt(10_000 / neurons) / UNIT) * UNIT
    for source, sign, delay in (("exc", 1.0, kind.delay), ("inh", -5.0, kind.inhibitory_delay)):
        for target in ports:
            net.connect(
                ports[source],
                ports[target],
                _synapses(kind, sizes[source], sizes[target], sign * weight, delay, rng),
            )
    if kind.drive == "spikes":
        lines = net.input("drive", LINES)
        for port in ports.values():
            net.connect(lines, port, sp.FixedInDegree(LINES // 10, 0.5, delay=kind.delay))
    return net


def _synapses(
    kind: Kind, pre: int, post: int, weight: float, delay: float | sp.Uniform, rng: np.random.Generator
) -> Any:
    if kind.joined == "probability":
        return sp.FixedProbability(0.1, weight, delay=delay)
    if kind.joined == "in-degree":
        return sp.FixedInDegree(pre // 10, weight, delay=delay)
    sources, targets = np.nonzero(rng.random((pre, post), dtype=np.float32) < 0.1)
    least, most = sorted((round(0.5 * weight / UNIT), round(1.5 * weight / UNIT)))
    own = rng.integers(least, most, len(sources)) * UNIT
    if isinstance(delay, sp.Uniform):
        return sp.Sparse(sources, targets, own, delay=rng.uniform(delay.low, delay.high, len(sources)).round(4))
    return sp.Sparse(sources, targets, own, delay=delay)


def built(kind: Kind, neurons: int, seed: int) -> DynamicNetwork:
    """It under the contract of NEST's neuron, and of the defaults in everything else."""
    contract = sp.DynamicsContract(dt=kind.dt, integrator="exponential", synapse="delta", layer_latency=1, compare=">=")
    return network(kind, neurons, seed).build(contract=contract)


def driven(made: DynamicNetwork, seconds: int, seed: int) -> dict[str, SpikeEvents]:
    """What enters in so many seconds."""
    steps = round(seconds / made.contract.dt)
    return {
        place.name: entering(place, sp.Poisson(30.0, seed=seed), n_steps=steps, dt=made.contract.dt)
        for place in made.inputs
    }


def part(events: SpikeEvents, begin: int, n_steps: int) -> SpikeEvents:
    """What enters in some of the steps."""
    first, last = np.searchsorted(events.steps, (begin, begin + n_steps))
    values = None if events.values is None else events.values[first:last]
    steps, neurons = events.steps[first:last] - begin, events.neurons[first:last]
    return SpikeEvents(np.zeros_like(steps), steps, neurons, events.shape, n_steps, 1, events.dt, values)


class Ours:
    """This package, asked like NEST."""

    def __init__(self, made: DynamicNetwork, threads: int) -> None:
        self.made = made
        self.session = DynamicSession(made, threads=threads)
        self.steps = 0
        self.found: list[Spikes] = []

    def run(self, given: Mapping[str, SpikeEvents], n_steps: int) -> dict[str, float]:
        """The next steps; the seconds that they took, by the clock and of the processor, with reading what enters."""
        coming = {name: part(events, self.steps, n_steps) for name, events in given.items()}
        start, begin = time.perf_counter(), time.process_time()
        spikes = self.session.run(coming or None, n_steps=n_steps).spikes
        took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - begin}
        self.found.append(in_one([spikes[p.name] for p in self.made.populations], self.steps))
        self.steps += n_steps
        return took

    def spikes(self) -> Spikes:
        steps, neurons = (np.concatenate(parts) for parts in zip(*self.found, strict=True))
        return steps, neurons


def in_one(populations: list[SpikeEvents], begin: int = 0) -> Spikes:
    """Spikes of several populations in one list, their neurons counting on."""
    firsts = np.cumsum([0, *(int(np.prod(events.shape)) for events in populations)])
    steps = np.concatenate([events.steps for events in populations]).astype(np.int64) + begin
    neurons = np.concatenate([events.neurons + k for events, k in zip(populations, firsts[:-1], strict=True)])
    order = np.lexsort((neurons, steps))
    return steps[order], neurons[order].astype(np.int64)


def different(ours: Spikes, theirs: Spikes, neurons: int) -> int:
    """Spikes that only one of the two has."""
    return len(np.setxor1d(*(steps * neurons + which for steps, which in (ours, theirs)), assume_unique=True))


def compare(kind: Kind, neurons: int, seed: int, options: argparse.Namespace, rounds: int) -> dict[str, Any]:
    """Both over `rounds` seconds, in turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        start = time.perf_counter()
        made = built(kind, neurons, seed)
        build_seconds = time.perf_counter() - start
        given = driven(made, rounds, seed)
        nest_case.save(made, given, folder)
        python = python_of("nest", options.environments)
        worker = stack.enter_context(Worker(python, str(options.threads), script=WORKER, threads=options.threads))
        version = worker.ask("describe")["versions"]["nest-simulator"]
        theirs = worker.ask("build", case=str(folder))
        n_steps = round(1 / kind.dt)
        start = time.perf_counter()
        ours = Ours(made, options.threads)
        build_seconds += time.perf_counter() - start
        took: dict[str, list[dict[str, float]]] = {"spikeport": [], "NEST": []}
        for turn in range(rounds):
            for name in ("spikeport", "NEST") if turn % 2 == 0 else ("NEST", "spikeport"):
                took[name].append(ours.run(given, n_steps) if name == "spikeport" else worker.ask("run", steps=n_steps))
        worker.ask("spikes", path=str(folder / "spikes.npz"))
        with np.load(folder / "spikes.npz") as found:
            nest = found["steps"].astype(np.int64), found["neurons"].astype(np.int64)
        ours.session.close()
    mine = ours.spikes()
    return {
        "network": kind.name,
        "neurons": neurons,
        "seed": seed,
        "seconds_simulated": rounds,
        "synapses": sum(
            len(synapse.targets) for p in made.projections for synapse in p.synapses if isinstance(synapse, Sparse)
        ),
        "spikes": len(mine[0]),
        "rate": len(mine[0]) / neurons / rounds,
        "nest_spikes": len(nest[0]),
        "different": different(mine, nest, neurons),
        "seconds": {name: [turn["seconds"] for turn in turns] for name, turns in took.items()},
        "cpu": {name: [turn["cpu"] for turn in turns] for name, turns in took.items()},
        "build_seconds": {"spikeport": build_seconds, "NEST": theirs["seconds"]},
        "version": version,
    }


def measure(options: argparse.Namespace) -> Finding:
    """Every network of the plan that is asked for."""
    lines, values, misses, versions = [], list[dict[str, Any]](), [], set()
    for neurons, seeds, rounds, names in PLAN:
        if neurons not in options.neurons:
            continue
        for kind in KINDS if names is None else [kind for kind in KINDS if kind.name in names]:
            for seed in range(seeds):
                common.say(f"{neurons:,} neurons, seed {seed}: {kind.name}")
                found = compare(kind, neurons, seed, options, rounds)
                values.append(found)
                versions.add(found["version"])
                lines.append(_line(found))
                where = f"{kind.name}, {neurons:,} neurons, seed {seed}"
                if found["different"]:
                    misses.append(f"{where}: {found['different']:,} spikes differ")
                if found["spikes"] < FEWEST * neurons * rounds:
                    misses.append(f"{where}: {found['spikes']:,} spikes are too few to compare anything")
    total, differ = sum(found["spikes"] for found in values), sum(found["different"] for found in values)
    lines.append(f"{len(values)} networks, {total:,} spikes, {differ} differ; NEST {', '.join(sorted(versions))}")
    return Finding(tuple(lines), {"networks": values}, tuple(misses))


def _line(found: Mapping[str, Any]) -> str:
    """One network in words; times where there were several rounds."""
    said = (
        f"{found['neurons']:,} neurons, seed {found['seed']}, {found['network']}: {found['synapses']:,} synapses, "
        f"{found['rate']:.1f} Hz, {found['spikes']:,} spikes, {found['different']} differ"
    )
    if len(found["seconds"]["NEST"]) < 2:
        return said
    for what, name in (("seconds", "by the clock"), ("cpu", "of the processor")):
        mine, nest = found[what]["spikeport"], found[what]["NEST"]
        turns = [theirs / ours for theirs, ours in zip(nest, mine, strict=True)]
        said += (
            f"\n    one second takes {median(mine):.2f} s {name}, NEST {median(nest):.2f} s: "
            f"ratio of medians {median(nest) / median(mine):.1f} (turns {min(turns):.1f} to {max(turns):.1f})"
        )
    built_in = found["build_seconds"]
    return f"{said}\n    built in {built_in['spikeport']:.1f} s, in NEST {built_in['NEST']:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    sizes = [neurons for neurons, *_ in PLAN]
    parser.add_argument("--neurons", type=int, nargs="+", choices=sizes, default=sizes, help="sizes of networks")
    parser.add_argument("--threads", type=common.positive, default=1, help="of both sides")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where NEST is installed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
