"""Time of a convolutional network of leaky neurons, of the size of N-MNIST: torch beside the compiled kernels, spikes compared."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import torch

import common
from common import Finding
from spikeport.backends.native import DynamicSession
from spikeport.backends.torch import simulate_dynamics
from spikeport.primitives import (
    IF,
    LIF,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    Projection,
    Reshape,
    SpikeInput,
)

STEPS, BATCH = 100, 32
ARITHMETIC = ("float64", "float32", "integer")
EVENTS = 0.02
"""Share of the 2 x 34 x 34 lines that have an event in a step."""
GAINS = (1.6, 2.0, 2.0, 2.0)
"""Of the weights of each layer, by which a few in a hundred neurons fire in a step."""


def network(arithmetic: Any) -> DynamicNetwork:
    """Convolutions of 3 x 3 with 16, 32 (stride 2) and 64 (stride 2) channels, and 10 neurons that hear all of the last."""
    rng = np.random.default_rng(0)
    shapes = [(2, 34, 34), (16, 34, 34), (32, 17, 17), (64, 9, 9), (10,)]
    names = ["in", "conv1", "conv2", "conv3", "out"]
    whole = arithmetic == "integer"
    populations, projections = [], []
    for i, (pre, post) in enumerate(pairwise(shapes)):
        fan = pre[0] * 9 if len(post) == 3 else int(np.prod(pre))
        shape = (post[0], pre[0], 3, 3) if len(post) == 3 else (post[0], fan)
        weight = rng.normal(0.05, 1, shape) * GAINS[i] / fan**0.5
        weight = np.rint(32 * weight) if whole else weight
        stride = 1 if i == 0 else 2
        conv = Conv(weight, (stride, stride), ((1, 1), (1, 1)), (1, 1)) if len(post) == 3 else None
        neuron = IF(threshold=32) if whole else LIF(tau=10e-3, threshold=1.0)
        populations.append(DynamicPopulation(names[i + 1], post, neuron))
        synapses = (conv,) if conv is not None else (Reshape((fan,)), Dense(weight))
        projections.append(Projection(names[i], names[i + 1], synapses))
    contract = DynamicsContract(
        dt=1e-3,
        integrator="accumulate" if whole else "exponential",
        synapse="delta",
        reset="subtract",
        layer_latency=1,
        arithmetic=arithmetic,
    )
    return DynamicNetwork("cnn", (SpikeInput("in", shapes[0]),), tuple(populations), tuple(projections), contract)


def differing(found: DynamicRecording, expected: DynamicRecording) -> tuple[int, int]:
    """(spikes expected, spikes that only one of the two has)."""
    total = wrong = 0
    for name, events in expected.spikes.items():
        theirs, mine = (
            np.ravel_multi_index((e.samples, e.steps, e.neurons), (e.batch, e.n_steps, np.prod(e.shape)))
            for e in (events, found.spikes[name])
        )
        total, wrong = total + len(theirs), wrong + len(np.setxor1d(theirs, mine, assume_unique=True))
    return total, wrong


def measure(options: argparse.Namespace) -> Finding:
    """Both in turns."""
    torch.set_num_threads(options.threads)
    x = (np.random.default_rng(1).random((STEPS, BATCH, 2, 34, 34)) < EVENTS).astype(np.float64)
    lines = [
        f"network: 2 x 34 x 34 events, convolutions of 16, 32 and 64 channels, 10 neurons; {STEPS} steps, batch {BATCH}, {options.threads} threads"
    ]
    values: dict[str, Any] = {"steps": STEPS, "batch": BATCH, "threads": options.threads}
    misses = []
    for arithmetic in options.arithmetic:
        made = network(arithmetic)
        start = time.perf_counter()
        session = DynamicSession(made, batch=BATCH, threads=options.threads)
        build = time.perf_counter() - start
        ways: dict[str, Callable[[], DynamicRecording]] = {
            "native": lambda session=session: session.run(x),
            "torch": lambda made=made: simulate_dynamics(made, x, device=options.device),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        found = {}
        for _ in range(options.rounds):
            session.reset()
            for name, run in ways.items():
                start = time.perf_counter()
                found[name] = run()
                took[name].append(time.perf_counter() - start)
        session.close()
        total, wrong = differing(found["torch"], found["native"])
        native, other = median(took["native"]), median(took["torch"])
        ratios = [theirs / ours for ours, theirs in zip(took["native"], took["torch"], strict=True)]
        share = total / (STEPS * BATCH * made.neurons)
        lines.append(
            f"{arithmetic}: native {native:.2f} s (and {build:.2f} s to open it), torch {other:.2f} s in all: {median(ratios):.2f} times "
            f"({min(ratios):.2f} to {max(ratios):.2f}); {total:,} spikes "
            f"({100 * share:.1f} % of the neurons in a step), {wrong:,} differ"
        )
        values[arithmetic] = {
            "native_s": native,
            "open_s": build,
            "torch_s": other,
            "ratios": ratios,
            "spikes": total,
            "differing": wrong,
        }
        if arithmetic == "integer" and wrong:
            misses.append(f"{wrong:,} spikes of integers differ")
    return Finding(tuple(lines), values, tuple(misses))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--threads", type=common.positive, default=2, help="threads of both")
    parser.add_argument("--rounds", type=common.positive, default=5, help="runs of each")
    parser.add_argument("--arithmetic", nargs="+", choices=ARITHMETIC, default=ARITHMETIC, help="which to time")
    parser.add_argument("--device", default="cpu", help="where torch computes")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
