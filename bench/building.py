"""How long does a network of many synapses take to build, from recipes to the flat network that is simulated, in how much memory?

Each network is built in a process of its own, whose peak memory counts, imports included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import spikeport as sp
from spikeport.primitives import Sparse

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Case:
    """A balanced network, 80 % excitatory: neurons, mean synapses onto each, and what is required of building it."""

    name: str
    neurons: int
    inputs: int
    drawn: str
    """Either "probability" or "in-degree"."""
    seconds: float
    gib: float | None


CASES = (
    Case("10k-probability", 10_000, 1_000, "probability", 2, None),
    Case("10k-in-degree", 10_000, 1_000, "in-degree", 2, None),
    Case("1m-probability", 1_000_000, 100, "probability", 60, 8),
    Case("1m-in-degree", 1_000_000, 100, "in-degree", 60, 8),
)


def network(case: Case) -> sp.Network:
    """The network as a person writes it."""
    net = sp.Network("balanced")
    excitatory = 4 * case.neurons // 5
    neuron = sp.LIF(tau=0.02, threshold=20.0)
    exc = net.population("exc", excitatory, neuron)
    inh = net.population("inh", case.neurons - excitatory, neuron)
    for source, size, weight in ((exc, excitatory, 0.1), (inh, case.neurons - excitatory, -0.5)):
        for target in (exc, inh):
            recipe: sp.FixedProbability | sp.FixedInDegree
            if case.drawn == "probability":
                recipe = sp.FixedProbability(case.inputs / case.neurons, weight, delay=0.001)
            else:
                recipe = sp.FixedInDegree(case.inputs * size // case.neurons, weight, delay=0.001)
            net.connect(source, target, recipe)
    net.output("out", exc)
    return net


def measure(case: Case, answer: Connection) -> None:
    """Build it once, and send seconds, synapses and peak bytes."""
    begin = time.perf_counter()
    built = network(case).build()
    seconds = time.perf_counter() - begin
    synapses = sum(len(s.targets) for p in built.projections for s in p.synapses if isinstance(s, Sparse))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    answer.send((seconds, synapses, peak))


def main() -> int:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[case.name for case in CASES], help="only this one")
    chosen = parser.parse_args().case
    spawn = multiprocessing.get_context("spawn")
    missed = 0
    for case in CASES:
        if chosen not in (None, case.name):
            continue
        here, there = spawn.Pipe(duplex=False)
        child = spawn.Process(target=measure, args=(case, there))
        child.start()
        there.close()
        try:
            seconds, synapses, peak = here.recv()
        except EOFError:
            child.join()
            print(f"{case.name}: MISSED, ended with status {child.exitcode}", flush=True)
            missed += 1
            continue
        child.join()
        expected = case.neurons * case.inputs
        # six standard deviations of what is drawn by probability
        right = abs(synapses - expected) <= (6 * expected**0.5 if case.drawn == "probability" else 0)
        good = right and seconds < case.seconds and (case.gib is None or peak < case.gib * GIB)
        missed += not good
        limit = f"required: {case.seconds:g} s" + ("" if case.gib is None else f", {case.gib:g} GiB")
        verdict = "ok" if good else "MISSED"
        print(
            f"{case.name}: {synapses:,} synapses in {seconds:.2f} s, peak {peak / GIB:.2f} GiB ({limit}) {verdict}",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
