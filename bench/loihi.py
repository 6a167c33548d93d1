"""Trained networks on the Loihi simulator: every spike against the reference, the gap at the chip's widths, and what the chip needs for it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

import common
import spikeport as sp
from common import Finding
from spikeport.backends import reference
from spikeport.backends.loihi.backend import LOIHI1, LOIHI2, LoihiBackend, LoihiOptions
from spikeport.plugin import Program
from spikeport.plugin.inputs import spiking, with_membrane

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

WIDTHS = ((15, 8), (15, 6), (7, 6), (7, 5), (3, 5), (3, 4), (2, 5), (2, 4), (1, 5), (1, 4))
"""Levels and bits of weights to try, widest first, until the population code fits: synapses of all units, and sums in the registers of CUBA-LIF."""
CODES = ("signed", "graded", "phased", "radix", "staircase")


@dataclass(frozen=True, slots=True)
class Compared:
    """One program beside the reference."""

    values: int
    mismatches: int
    spikes: int
    seconds: float
    """Of the simulator, for all samples."""


def compare(backend: LoihiBackend, program: Program, x: NDArray[Any]) -> Compared:
    """Spikes and potentials of every population and step."""
    network: Any = program.network
    expected = reference.simulate(network, x, record=None)
    with backend.open(program, record=spiking(network), potentials=with_membrane(network)) as session:
        start = time.perf_counter()
        found: Any = session.run(x)
        seconds = time.perf_counter() - start
    values = mismatches = 0
    for name, train in expected.spikes.items():
        values += train.raster.size
        mismatches += int((found.spikes[name].raster != train.raster).sum())
    for name, potentials in {**expected.potentials, "read-out": expected.readout}.items():
        mine = found.readout if name == "read-out" else found.potentials[name]
        values += potentials.size
        mismatches += int((mine != potentials).sum())
    spikes = sum(int(n.sum()) for n in expected.n_spikes.values())
    return Compared(values, mismatches, spikes, seconds)


def digits(options: argparse.Namespace) -> Iterator[tuple[list[str], dict[str, Any], list[str]]]:
    """The network of examples/digits.py: every code on loihi2, the population code on CUBA-LIF units of both chips."""
    import digits as example

    torch.manual_seed(0)
    train, test = example.loaders()
    model = example.network()
    example.train(model, train, epochs=options.epochs)
    x = torch.cat([images for images, _ in test]).numpy()[: options.images]
    snn = sp.convert(model, train, levels=15)
    gap = _gap(snn, test, model)
    for code in CODES:
        network = snn.network if code == snn.network.contract.code else snn.with_code(code).network
        yield _row(f"digits, loihi2, {code}", LOIHI2, network, None, x, gap)
    for backend, neuron in ((LOIHI2, "programmable"), (LOIHI2, "cuba_lif"), (LOIHI1, "cuba_lif")):
        choice = LoihiOptions(neuron=neuron)
        for levels, bits in WIDTHS:
            narrow = sp.convert(model, train, levels=levels, weight_bits=bits, code="population")
            try:
                backend.compile(narrow.network, backend.targets[0], choice)
            except sp.SpikeportError as error:
                common.say(f"{backend.name}, {levels} levels, {bits} bits: {len(error.problems)} reasons")
                continue
            found = _gap(narrow, test, model)
            name = f"digits, {backend.name}, population, {neuron} units, {levels} levels, {bits} bits"
            yield _row(name, backend, narrow.network, choice, x, found)
            break


def resnet(options: argparse.Namespace) -> Iterator[tuple[list[str], dict[str, Any], list[str]]]:
    """c10_resnet20 at 8 bits on loihi2, under two codes."""
    network, model = common.load(options, "c10_resnet20")
    snn, _ = common.converted(options, network, model)
    test = common.images(options, network, "test")
    batches = test.first(options.test_images).batches(100, mean=network.mean, std=network.std)
    gap = _gap(snn, batches, model)
    x = (
        test.first(options.resnet_images)
        .batches(options.resnet_images, mean=network.mean, std=network.std)[0][0]
        .numpy()
    )
    for code in ("signed", "graded"):
        carried = snn.network if code == snn.network.contract.code else snn.with_code(code).network
        yield _row(f"c10_resnet20, loihi2, {code}, {options.levels} levels", LOIHI2, carried, None, x, gap)


def _gap(snn: sp.SpikingModel, test: Any, model: nn.Module) -> str:
    report = sp.validate(snn, test, model=model)
    return f"accuracy: model {report.ann_accuracy:.2f} %, at the chip's widths {report.snn_accuracy:.2f} %"


def _row(
    name: str, backend: LoihiBackend, network: Any, options: LoihiOptions | None, x: NDArray[Any], gap: str
) -> tuple[list[str], dict[str, Any], list[str]]:
    program = backend.compile(network, backend.targets[0], options)
    found = compare(backend, program, x)
    bill = {use.resource: use.used for use in program.bill.uses}
    lines = [
        name,
        f"  {len(x)} samples: {found.values:,} values compared, {found.mismatches:,} mismatches, {found.spikes:,} spikes",
        f"  {gap}",
        "  " + ", ".join(f"{resource} {used:,}" for resource, used in bill.items()),
        f"  simulated in {found.seconds / len(x):.3f} s a sample",
        *(f"  {entry}" for entry in program.ledger[len(network.ledger) :]),
    ]
    values = {"name": name, "values": found.values, "mismatches": found.mismatches, "gap": gap, "bill": bill}
    return lines, values, [f"{name}: {found.mismatches:,} mismatches"] if found.mismatches else []


def measure(options: argparse.Namespace) -> Finding:
    """Every program in turn."""
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    misses: list[str] = []
    for part in (digits, resnet):
        if options.part not in ("all", part.__name__):
            continue
        for text, values, missed in part(options):
            common.say("\n".join(text))
            lines += (*text, "")
            rows.append(values)
            misses += missed
    compared, wrong = sum(r["values"] for r in rows), sum(r["mismatches"] for r in rows)
    lines.append(f"in all: {compared:,} values compared, {wrong:,} mismatches")
    return Finding(tuple(lines), {"programs": rows, "compared": compared, "mismatches": wrong}, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "", names=("c10_resnet20",), levels=15)
    parser.add_argument("--part", choices=("all", "digits", "resnet"), default="all")
    parser.add_argument(
        "--images", type=common.positive, default=50, help="test images of the digits network that are stepped"
    )
    parser.add_argument("--epochs", type=common.positive, default=10, help="epochs that the digits network is trained")
    parser.add_argument(
        "--resnet-images", type=common.positive, default=2, help="test images of c10_resnet20 that are stepped"
    )
    parser.add_argument("--test-images", type=common.positive, default=10_000, help="test images of the accuracies")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
