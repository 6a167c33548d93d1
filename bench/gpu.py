"""Whether a GPU computes the integers of the CPU: every count of exact evaluation, and of stepping under each exact code.

Figures are kept in a state file after each part, so that an interrupted run goes on where it stopped. Without a CUDA device there is
nothing to show: the command says so and exits with status 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import common
import spikeport as sp
from codes import EXACT, STEPPED_NEURONS, State, fingerprint
from common import Finding
from spikeport.backends.torch import ExactEvaluator, simulate

NOT_SHOWN = 0
"""Exit status without a CUDA device: nothing was missed, and nothing was shown."""
EVALUATED = "exact"
"""What one pass over the integer network is called among the codes."""

Counts = dict[str, NDArray[Any]]


def measure(options: argparse.Namespace) -> Finding:
    """Compare both devices, part by part, until enough counts are compared or the test set is used up."""
    network, model = common.load(options, options.network)
    snn, _ = common.converted(options, network, model)
    test = common.images(options, network, "test")
    size = max(1, STEPPED_NEURONS // snn.network.neurons)
    batches = [x for x, _ in test.batches(size, mean=network.mean, std=network.std)]
    state = State(options.state, f"{options.device} {network.name} {options.levels}", fingerprint(snn))
    lines = [
        f"network: {network.name}, levels {options.levels}, {snn.integer.neurons:,} neurons, {_named(options.device)}"
    ]
    misses = []
    for what in options.what:
        here, there = (_evaluation if what == EVALUATED else _stepping)(snn, what, options.device)
        _compare(what, here, there, batches, state, options.comparisons)
        found = state.of(what)
        lines.append(
            f"{what:<10}  {found['comparisons']:>13,} counts of {found['images']:>6,} images, {found['mismatches']} differ"
        )
        if found["mismatches"]:
            misses.append(f"{what}: {found['mismatches']:,} counts differ, first {found['first']}")
        if found["comparisons"] < options.comparisons:
            misses.append(f"{what}: the test set ended after {found['comparisons']:,} counts")
    return Finding(
        tuple(lines), {"network": network.name, "device": options.device, "codes": state.codes}, tuple(misses)
    )


Counting = Callable[[Tensor], Counts]


def _evaluation(snn: sp.SpikingModel, what: str, device: str) -> tuple[Counting, Counting]:
    """One pass over the integer network, on the CPU and on the device."""

    def on(evaluator: ExactEvaluator, x: Tensor) -> Counts:
        counts: dict[str, list[NDArray[Any]]] = {}
        evaluator(
            x, visit=lambda layer, value: counts.setdefault(layer.name, []).append(value.numpy(force=True).copy())
        )
        return {name: np.concatenate(parts) for name, parts in counts.items()}

    here, there = ExactEvaluator(snn.integer), ExactEvaluator(snn.integer, device=device, explicit=True)
    return (lambda x: on(here, x)), (lambda x: on(there, x))


def _stepping(snn: sp.SpikingModel, code: str, device: str) -> tuple[Counting, Counting]:
    """All that a recording says of each neuron and sample, under a code, on the CPU and on the device."""
    network = snn.with_code(code).network

    def on(place: str, explicit: bool, x: Tensor) -> Counts:
        found = simulate(network, x, device=place, explicit=explicit)
        spikes = {f"spikes of {name}": value for name, value in found.n_spikes.items()}
        steps = {"read-out after each step": np.moveaxis(found.readout, 0, 1), "quiet after": found.quiet_after}
        return {**found.counts, **spikes, **steps}

    return (lambda x: on("cpu", False, x)), (lambda x: on(device, True, x))


def _compare(what: str, here: Counting, there: Counting, batches: list[Tensor], state: State, wanted: int) -> None:
    """Nothing of what was done is lost when the run stops."""
    done, start, seen = state.of(what), time.perf_counter(), 0
    before = done["comparisons"]
    for x in batches:
        seen += len(x)
        if seen <= done["images"]:
            continue
        if done["comparisons"] >= wanted:
            break
        expected, found = here(x), there(x)
        assert list(found) == list(expected)
        for name, values in expected.items():
            same = found[name].shape == values.shape
            wrong = found[name] != values if same else np.ones(values.shape, dtype=np.bool_)
            done["comparisons"] += wrong.size
            done["mismatches"] += int(wrong.sum())
            if wrong.any() and not done["first"]:
                done["first"] = f"{name} {np.argwhere(wrong)[0].tolist()} of the part that ends with image {seen}"
        done["images"] = seen
        state.save()
        rate = (done["comparisons"] - before) / (time.perf_counter() - start)
        left = max(0, wanted - done["comparisons"]) / rate
        common.say(f"{what}: {done['comparisons']:,} counts, {done['mismatches']} differ, about {left:.0f} s left")


def _named(device: str) -> str:
    name = torch.cuda.get_device_name() if device == "cuda" else "this processor, computing as a GPU would"
    return f"CPU against {name}"


def main() -> int:
    parser = common.parser(__doc__ or "", levels=15)
    what = (EVALUATED, *EXACT)
    parser.add_argument("--what", nargs="+", choices=what, default=what, help="one pass, and codes to step")
    parser.add_argument(
        "--comparisons", type=common.positive, default=100_000_000, help="counts to compare for each of them, at least"
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="what is compared with the CPU; cpu runs the arithmetic of a GPU there, which tries this command without one",
    )
    parser.add_argument("--state", type=Path, metavar="FILE", help="where figures are kept, to go on after a stop")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("not shown: no CUDA device")
        return NOT_SHOWN
    return common.run(measure, options)


if __name__ == "__main__":
    sys.exit(main())
