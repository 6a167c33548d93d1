"""Time of a balanced random network of 10,000 neurons and 10 million synapses, beside NEST and Brian2; spikes beside NEST's."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import common
from balanced import Balanced, Drawn, draw, save
from common import Finding
from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of
from spikeport.backends.native import DynamicSession
from spikeport.primitives import LIF, DynamicNetwork, DynamicPopulation, DynamicsContract, Projection, Sparse

LEAST = 3.0
"""Time of the best peer over ours that is required."""
NETWORK = Balanced()
STEPS = 1000
"""Steps of one timed run: 1 s."""
FAR = 4.0
"""How many times longer than with another number of threads a peer may take to be timed: threads that wait for each other."""
WORKERS = Path(__file__).parent / "peers" / "recurrent"
PEERS = {"nest": "NEST", "brian2": "Brian2"}
"""Groups of environments, and who is in them. GeNN is not in the package index (it has to be built from its repository)."""


def network(balanced: Balanced, drawn: Drawn, arithmetic: Any) -> DynamicNetwork:
    """The balanced network as we write it."""
    neuron = LIF(
        tau=balanced.tau,
        threshold=balanced.threshold,
        bias=drawn.current,
        initial=drawn.initial,
        refractory=balanced.refractory,
    )
    contract = DynamicsContract(
        dt=balanced.dt, integrator="exponential", synapse="delta", compare=">=", arithmetic=arithmetic
    )
    sparse = Sparse(drawn.offsets, drawn.targets, drawn.weights, balanced.neurons)
    population = DynamicPopulation("neurons", (balanced.neurons,), neuron)
    projection = Projection("neurons", "neurons", (sparse,), delay=1)
    return DynamicNetwork("balanced", (), (population,), (projection,), contract)


class Ours:
    """This package, asked like a peer."""

    def __init__(self, threads: int, arithmetic: str) -> None:
        self.threads, self.arithmetic = threads, arithmetic
        self.steps: list[np.ndarray] = []
        self.neurons: list[np.ndarray] = []

    def build(self, balanced: Balanced, drawn: Drawn) -> float:
        start = time.perf_counter()
        self.session = DynamicSession(network(balanced, drawn, self.arithmetic), threads=self.threads)
        return time.perf_counter() - start

    def run(self) -> dict[str, Any]:
        start = time.perf_counter()
        found = self.session.run(n_steps=STEPS).spikes["neurons"]
        seconds = time.perf_counter() - start
        self.steps.append(found.steps + STEPS * len(self.steps))
        self.neurons.append(found.neurons)
        return {"seconds": seconds, "spikes": len(found)}


def _fast_ways(seconds: dict[str, list[float]], lines: list[str]) -> list[str]:
    """Everybody, but of a peer's numbers of threads none that takes far longer than the other."""
    kept = []
    for name, (took, *_) in seconds.items():
        peer = name.split(",")[0]
        least = min(others[0] for other, others in seconds.items() if other.split(",")[0] == peer)
        if took > FAR * least:
            lines.append(f"{name}: left out after a run of {took:.2f} s, where its other way takes {least:.2f} s")
        else:
            kept.append(name)
    return kept


def different(ours: Ours, theirs: Path) -> tuple[int, int]:
    """(spikes of NEST, spikes that only one of the two has)."""
    with np.load(theirs) as found:
        nest = set(zip(found["steps"].tolist(), found["neurons"].tolist(), strict=True))
    steps, neurons = np.concatenate(ours.steps), np.concatenate(ours.neurons)
    return len(nest), len(nest ^ set(zip(steps.tolist(), neurons.tolist(), strict=True)))


def measure(options: argparse.Namespace) -> Finding:
    """Everybody in turns, one second of the network each; the order turns as well."""
    balanced = replace(NETWORK, neurons=options.neurons, current=options.current)
    drawn = draw(balanced)
    synapses = len(drawn.targets)
    lines = [
        f"network: {balanced.neurons:,} neurons, {synapses:,} synapses with weights of their own, 1 s at 1 ms, float64"
    ]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        save(drawn, folder)
        ours = Ours(options.threads, "float64")
        took = {"spikeport": ours.build(balanced, drawn)}
        workers, versions = {}, {}
        for group in options.peers:
            for threads in sorted({1, options.threads}):
                name = f"{PEERS[group]}, {threads} thread{'s' * (threads > 1)}"
                common.say(f"building {name}")
                python, script = python_of(group, options.environments), WORKERS / f"{group}_worker.py"
                worker = stack.enter_context(Worker(python, str(threads), script=script, threads=threads))
                versions |= worker.ask("describe")["versions"]
                fixed = {"steps": STEPS} if group == "brian2" else {}
                took[name] = worker.ask("build", case=str(folder), numbers=asdict(balanced), **fixed)["seconds"]
                workers[name] = worker
        everybody = ["spikeport", *workers]
        seconds: dict[str, list[float]] = {name: [] for name in everybody}
        spikes: dict[str, list[int]] = {name: [] for name in everybody}
        for turn in range(-1, options.rounds):
            for name in everybody if turn % 2 == 0 else reversed(everybody):
                found = ours.run() if name == "spikeport" else workers[name].ask("run", steps=STEPS)
                spikes[name].append(found["spikes"])
                seconds[name].append(found["seconds"])
            if turn < 0:  # one run each is not counted
                everybody = _fast_ways(seconds, lines)
                seconds = {name: [] for name in everybody}
            common.say(f"{turn + 1} of {options.rounds} rounds")
        compared = {}
        for name, worker in workers.items():
            if name in everybody and name.startswith("NEST"):
                worker.ask("spikes", path=str(folder / "nest.npz"))
                compared[name] = different(ours, folder / "nest.npz")
        ours.session.close()
    rate = sum(spikes["spikeport"]) / len(spikes["spikeport"]) / balanced.neurons
    mine = seconds["spikeport"]
    speed = rate * synapses / median(mine)
    lines.append(
        f"spikeport: median {median(mine):.3f} s ({min(mine):.3f} to {max(mine):.3f}), {options.threads} threads, {rate:.1f} Hz, "
        f"{speed / 1e9:.2f} G synapses/s, built in {took['spikeport']:.1f} s"
    )
    ratios = {}
    for name in everybody[1:]:
        pairs = [theirs / own for theirs, own in zip(seconds[name], mine, strict=True)]
        ratios[name] = {"median": median(pairs), "lowest": min(pairs), "highest": max(pairs)}
        theirs = sum(spikes[name]) / len(spikes[name]) / balanced.neurons
        lines.append(
            f"{name}: median {median(seconds[name]):.3f} s, {median(pairs):.2f} times ours (lowest {min(pairs):.2f}, "
            f"highest {max(pairs):.2f}), {theirs:.1f} Hz, built in {took[name]:.1f} s"
        )
    misses = []
    best = min(ratios, key=lambda name: median(seconds[name]))
    if ratios[best]["median"] < options.at_least:
        misses.append(f"{best} takes {ratios[best]['median']:.2f} times ours, less than {options.at_least:.2f}")
    lines.append(f"best peer: {best}, {ratios[best]['median']:.2f} times our time (at least {options.at_least:.2f})")
    for name, (total, differ) in compared.items():
        lines.append(f"spikes beside {name}: {total:,} compared over {options.rounds + 1} s, {differ} different")
        if differ:
            misses.append(f"{differ} spikes differ from {name}")
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    values = {
        "network": asdict(balanced),
        "synapses": synapses,
        "dtype": "float64",
        "seconds": seconds,
        "build_seconds": took,
        "spikes": spikes,
        "ratios": ratios,
        "best": best,
        "different": {name: differ for name, (_, differ) in compared.items()},
        "versions": versions,
    }
    return Finding(tuple(lines), values, tuple(misses))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--neurons", type=common.positive, default=NETWORK.neurons, help="neurons of the network")
    parser.add_argument("--current", type=float, default=NETWORK.current, help="mean drive in mV; sets the rate")
    parser.add_argument("--rounds", type=common.positive, default=5, help="timed runs of each simulator, in turns")
    parser.add_argument("--threads", type=common.positive, default=2, help="most threads; peers also run on one")
    parser.add_argument("--peers", nargs="+", choices=sorted(PEERS), default=sorted(PEERS), help="who else runs")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where peers are installed"
    )
    parser.add_argument("--at-least", type=float, default=LEAST, metavar="RATIO", help="least acceptable ratio")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    try:
        return common.run(measure, parser.parse_args())
    except PeerError as error:
        print(error, file=sys.stderr)
        return common.UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
