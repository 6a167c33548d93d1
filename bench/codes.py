"""Which codes equal the integers: final counts of every neuron, stepped under each exact code, compared exactly.

Every figure is kept in a state file after each part, so that an interrupted run goes on where it stopped; a state of another
conversion is never mixed in.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import common
import data
import spikeport as sp
from common import Finding
from networks import NETWORKS
from spikeport import codes
from spikeport.backends.stepping import BUILT_IN
from spikeport.files import write_whole

EXACT = ("graded", "phased", "population", "radix", "signed")
STEPPED_NEURONS = 2_000_000
"""Neurons times images stepped at once: bounds memory."""


def measure(options: argparse.Namespace) -> Finding:
    """Step test images under each code until enough counts are compared, or the test set is used up."""
    network, model = common.load(options, options.network)
    if network.data == "nmnist":  # frames, whose events each code spreads over its own presentation
        calibration = [x for x, _ in data.nmnist(options.data, "train").thirds(1).batches(64)]
        snn, _ = common.timed_conversion(model, calibration, levels=options.levels, input="events")
        size = max(1, STEPPED_NEURONS // snn.network.neurons)
        batches = data.nmnist(options.data, "test").thirds(1).batches(size)
    else:
        snn, _ = common.converted(options, network, model)
        test = common.images(options, network, "test")
        batches = test.batches(max(1, STEPPED_NEURONS // snn.network.neurons), mean=network.mean, std=network.std)
    state = State(options.state, f"{network.name} {options.levels}", fingerprint(snn))
    for code in options.codes:
        _step_code(snn.with_code(code), [x for x, _ in batches], state, options.comparisons, options.on)
    lines, misses = [f"network: {network.name}, levels {options.levels}, {snn.integer.neurons:,} neurons"], []
    for code in options.codes:
        found = state.of(code)
        median = sorted(found["quiet_after"])[len(found["quiet_after"]) // 2]
        lines.append(
            f"{code:<10}  {found['comparisons']:>13,} counts of {found['images']:>6,} images, {found['mismatches']} differ; "
            f"quiet after {median} steps (median), {max(found['quiet_after'])} at most; "
            f"{found['spikes'] / found['images']:,.0f} spikes an image"
        )
        if found["mismatches"]:
            misses.append(f"{code}: {found['mismatches']:,} counts differ, first {found['first']}")
    return Finding(
        tuple(lines), {"network": network.name, "levels": options.levels, "codes": state.codes}, tuple(misses)
    )


def _step_code(snn: sp.SpikingModel, batches: list[Tensor], state: State, wanted: int, on: str) -> None:
    """Compare part by part; nothing of what was done is lost when the run stops."""
    code = snn.network.contract.code
    done, start = state.of(code), time.perf_counter()
    before, seen = done["comparisons"], 0
    for x in batches:
        seen += len(x)
        if seen <= done["images"]:
            continue
        if done["comparisons"] >= wanted:
            break
        recording = snn.simulate(x, record=(), on=on)
        expected = common.integer_counts(snn, x)
        for name, counts in expected.items():
            if name not in recording.counts and name != snn.network.output:
                continue  # the host computes a maximum over the input
            last = name == snn.network.output
            stepped = recording.readout[-1] if last else codes.of_layer(recording.counts, name)
            wrong = stepped != counts
            done["comparisons"] += wrong.size
            done["mismatches"] += int(wrong.sum())
            if wrong.any() and not done["first"]:
                done["first"] = f"{name} {np.argwhere(wrong)[0].tolist()} of the part that ends with image {seen}"
        done["images"] = seen
        done["quiet_after"] += [int(step) for step in recording.quiet_after]
        done["spikes"] += sum(int(n.sum()) for n in recording.n_spikes.values())
        state.save()
        rate = (done["comparisons"] - before) / (time.perf_counter() - start)
        left = max(0, wanted - done["comparisons"]) / rate
        common.say(f"{code}: {done['comparisons']:,} counts, {done['mismatches']} differ, about {left:.0f} s left")


def fingerprint(snn: sp.SpikingModel) -> str:
    """SHA-256 of all integers of a conversion."""
    digest = hashlib.sha256()
    for layer in snn.integer.layers:
        for name in ("threshold", "bias", "offset"):
            if hasattr(layer, name):
                digest.update(np.ascontiguousarray(getattr(layer, name), dtype="<i8").tobytes())
    for connection in snn.integer.connections:
        if connection.weighted is not None:
            digest.update(np.ascontiguousarray(connection.weighted.weight, dtype="<i8").tobytes())
    return digest.hexdigest()


class State:
    """Figures by code, kept in a file."""

    def __init__(self, path: Path | None, network: str, conversion: str) -> None:
        self.path, self.key, self.conversion = path, network, conversion
        self.all: dict[str, Any] = {}
        if path is not None and path.exists():
            self.all = json.loads(path.read_text("utf-8"))
        kept = self.all.get(network, {})
        self.codes: dict[str, Any] = kept.get("codes", {}) if kept.get("conversion") == conversion else {}

    def of(self, code: str) -> dict[str, Any]:
        empty = {"images": 0, "comparisons": 0, "mismatches": 0, "first": "", "quiet_after": [], "spikes": 0}
        found: dict[str, Any] = self.codes.setdefault(code, empty)
        return found

    def save(self) -> None:
        if self.path is not None:
            self.all[self.key] = {"conversion": self.conversion, "codes": self.codes}
            write_whole(self.path, json.dumps(self.all).encode())


def main() -> int:
    parser = common.parser(__doc__ or "", names=tuple(NETWORKS), levels=15)
    parser.add_argument("--codes", nargs="+", choices=EXACT, default=EXACT, help="codes to step")
    parser.add_argument(
        "--comparisons", type=common.positive, default=1_000_000, help="counts to compare under each code, at least"
    )
    parser.add_argument("--on", choices=BUILT_IN, default="native", help="backend that steps")
    parser.add_argument("--state", type=Path, metavar="FILE", help="where figures are kept, to go on after a stop")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
