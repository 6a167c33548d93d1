"""Trained networks as register-transfer code: every spike under two simulators against the reference; area, clock and cycles on two families."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

import common
import data
import spikeport as sp
from common import Finding
from spikeport.backends import reference
from spikeport.backends.fpga import FPGA, FpgaOptions, synthesize
from spikeport.backends.fpga.document import read
from spikeport.plugin import Program
from spikeport.plugin.inputs import spiking, with_membrane

Row = tuple[list[str], dict[str, Any], list[str]]
EXECUTORS = ("icarus", "verilator")
HIDDEN = (32, 24)


@dataclass(frozen=True, slots=True)
class Compared:
    """One program on one simulator, beside the reference."""

    values: int
    mismatches: int
    spikes: int
    seconds: float
    """Of the run, for all samples; the simulator is built before."""


def compare(program: Program, x: NDArray[Any], expected: Any) -> Compared:
    """Spikes and potentials of every population and step."""
    network: Any = program.network
    with FPGA.open(program, record=spiking(network), potentials=with_membrane(network)) as session:
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
    return Compared(values, mismatches, sum(int(n.sum()) for n in expected.n_spikes.values()), seconds)


def cycles(program: Program, x: NDArray[Any]) -> float:
    """Cycles of the clock for one sample, where only the read-out is told besides spikes."""
    network: Any = program.network
    with FPGA.open(program, record=spiking(network), potentials=[network.output]) as session:
        session.run(x, record=())
        taken: int = session.cycles  # type: ignore[attr-defined]  # of simulators alone
    return taken / (x.shape[1] if network.input.kind == "events" else len(x))


def row(name: str, network: Any, samples: dict[str, NDArray[Any]], places: list[tuple[Any, str]]) -> Row:
    """One network.

    Args:
        name: of the row.
        network: to be compiled.
        samples: what each simulator runs.
        places: families and sizes to synthesize for.
    """
    lines, values, misses = [name], dict[str, Any](name=name), list[str]()
    start = time.perf_counter()
    made = {e: FPGA.compile(network, FPGA.targets[0], FpgaOptions(executor=e, timeout_s=7200)) for e in samples}  # type: ignore[arg-type]  # names of executors
    took = (time.perf_counter() - start) / len(made)
    machine = read(next(iter(made.values())))
    p = machine.parameters
    lines.append(
        f"  {sum(machine.populations.values()):,} neurons, {machine.synapses:,} synapses, {machine.memory_bits:,} bits of memory, "
        f"potentials {p['VW']} bits, what arrives {p['AW']}; compiled in {took:.1f} s"
    )
    for executor, x in samples.items():
        expected = reference.simulate(network, x, record=None)
        found = compare(made[executor], x, expected)
        n = x.shape[1] if network.input.kind == "events" else len(x)
        lines.append(
            f"  {executor}: {n} samples, {found.values:,} values compared, {found.mismatches:,} mismatches, {found.spikes:,} spikes, "
            f"{found.seconds / n:.3f} s a sample"
        )
        values[executor] = {
            "samples": n,
            "values": found.values,
            "mismatches": found.mismatches,
            "spikes": found.spikes,
        }
        if found.mismatches:
            misses.append(f"{name}, {executor}: {found.mismatches:,} mismatches")
    executor = list(samples)[-1]
    each = values["cycles"] = cycles(made[executor], samples[executor])
    lines.append(f"  {each:,.0f} cycles a sample, with the read-out told")
    for family, size in places:
        try:
            found_area = synthesize(machine, family, size or None)
        except sp.BackendError as error:
            told = [line for line in str(error).splitlines() if "ERROR" in line]
            lines.append(f"  {family} {size}: {(told or [str(error)])[0]}")
            values[family] = None
            continue
        lines.append(f"  {found_area}")
        if found_area.fmax_mhz is not None:
            rate = found_area.fmax_mhz * 1e6 / each
            lines.append(f"    {rate:,.0f} samples a second at that clock (estimate: cycles and clock, one core)")
        values[family] = {"luts": found_area.luts, "memories": found_area.memories, "fmax_mhz": found_area.fmax_mhz}
    return lines, values, misses


def digits(options: argparse.Namespace) -> Iterator[Row]:
    """A perceptron of handwritten digits, under three codes."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    found = load_digits()
    x = torch.tensor(found.images / 16, dtype=torch.float32).flatten(1)
    y = torch.tensor(found.target)
    sizes = (64, *HIDDEN, 10)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[:1297]), y[:1297]).backward()
        optimizer.step()
    snn = sp.convert(model, [(x[:1297], y[:1297])], levels=options.levels, progress=False)
    test = x[1297 : 1297 + options.images].numpy()
    for code in options.codes:
        network = snn.with_code(code).network if code != snn.network.contract.code else snn.network
        places = [("ice40", "hx8k"), ("ecp5", "25k")] if code in ("graded", "signed") else []
        yield row(f"digits {'-'.join(map(str, sizes))}, {code}", network, dict.fromkeys(EXECUTORS, test), places)


def nmnist(options: argparse.Namespace) -> Iterator[Row]:
    """The convolutional network of N-MNIST on raw events."""
    _, model = common.load(options, "nmnist_cnn_b")
    calibration = data.nmnist(options.data, "train").thirds(1).batches(64)
    samples = [x for x, _ in calibration]
    bins = data.nmnist(options.data, "test").thirds(options.bins).bins
    for code in options.nmnist_codes:
        steps = {} if code == "population" else {"steps": options.bins}
        snn, _ = common.timed_conversion(model, samples, levels=options.levels, input="events", code=code, **steps)
        x = bins if steps else bins.sum(axis=0, keepdims=True)
        parts = {"icarus": x[:, : options.icarus_frames], "verilator": x[:, : options.frames]}
        places = [("ecp5", "85k"), ("xc7", "")] if code == options.nmnist_codes[0] else []
        yield row(f"nmnist_cnn_b, {code}, {len(x)} time bins", snn.network, parts, places)


def measure(options: argparse.Namespace) -> Finding:
    """Every network in turn."""
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    misses: list[str] = []
    for part in (digits, nmnist):
        if options.part not in ("all", part.__name__):
            continue
        for text, values, missed in part(options):
            common.say("\n".join(text))
            lines += (*text, "")
            rows.append(values)
            misses += missed
    sums = [sum(r[e][what] for r in rows for e in EXECUTORS) for what in ("values", "mismatches")]
    lines.append(f"in all: {sums[0]:,} values compared, {sums[1]:,} mismatches")
    return Finding(tuple(lines), {"programs": rows, "compared": sums[0], "mismatches": sums[1]}, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "", names=("nmnist_cnn_b",), levels=15)
    parser.add_argument("--part", choices=("all", "digits", "nmnist"), default="all")
    parser.add_argument("--images", type=common.positive, default=500, help="test images of digits, all of them: 500")
    parser.add_argument("--codes", nargs="+", default=["graded", "signed", "population"], help="of digits")
    parser.add_argument("--nmnist-codes", nargs="+", default=["graded", "signed"], help="of N-MNIST")
    parser.add_argument("--frames", type=common.positive, default=10, help="frames of N-MNIST under Verilator")
    parser.add_argument("--icarus-frames", type=common.positive, default=1, help="the same under Icarus Verilog")
    parser.add_argument("--bins", type=common.positive, default=3, help="time bins of a frame")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
