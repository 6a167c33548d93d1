"""The command `run`: step samples, on one backend or on several that are compared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from spikeport.backends.opening import open_program
from spikeport.backends.stepping import through_the_door
from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.foreign import Foreign, foreign_options
from spikeport.cli.loading import existing, load_data
from spikeport.cli.project import run_project, set_option
from spikeport.errors import DataError, OptionError, Problem
from spikeport.model import load
from spikeport.plugin import BackendSession, load_program
from spikeport.plugin.inputs import with_membrane
from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording, SpikingNetwork
from spikeport.progress import track
from spikeport.validate import parts

Row = dict[str, Any]
Network = SpikingNetwork | DynamicNetwork


@command
@click.argument("file", metavar="[MODEL.spk|MODEL.nir|PROGRAM.spp", required=False)
@click.argument("data", metavar="DATA]", required=False)
@click.option("--limit", type=click.IntRange(min=1), help="Most samples to run.  [default: all]")
@click.option(
    "--on",
    metavar="NAME[,NAME...]",
    help="Installed backends; all must give the same spikes.  [default: the fastest there is, or the program's]",
)
@set_option
@foreign_options
def run_command(
    console: Console,
    file: str | None,
    data: str | None,
    limit: int | None,
    on: str | None,
    settings: tuple[str, ...],
    **foreign: Any,
) -> int:
    """Step samples, or take the whole road of a project.

    Without arguments, in a project: converts, validates, exports and runs it as its settings say, and leaves a folder in runs/ with
    report, model, NIR, certificate, settings and environment. The exit code is 1 if anything does not hold.

    With a model: prints prediction, steps until quiet, and number of spikes of each sample; of a hand-made network the spikes of each
    population. A NIR file that does not say what it means needs --like or --contract. With several backends, or a program and a backend, every spike and read-out is compared with the first,
    and the exit code is 1 if they differ.
    DATA is an .npz file with inputs x and perhaps labels y; or package.module:name of batches or of a function that
    returns them, which executes code: give only one you trust.

    \b
    Example:
      spikeport run --set convert.levels=15
      spikeport run mlp.nir test.npz --limit 10
      spikeport run mlp.spk test.npz --on reference,loihi2
      spikeport run mlp.spp test.npz --on native
      spikeport run theirs.nir test.npz --like snntorch
    """
    if file is None or data is None:
        given = Foreign(**foreign).said() + [n for n, v in (("--limit", limit), ("--on", on)) if v is not None]
        if file is not None or given:
            why = f"{', '.join(given)} belongs to a model and data" if file is None else "is given, and no data"
            hint = "spikeport run MODEL DATA; in a project nothing, or --set KEY=VALUE"
            raise OptionError(Problem(file or "run", why, hint))
        return run_project(console, settings)
    if settings:
        raise OptionError(Problem("--set", "is for projects, and a model is given", "leave one of them out"))
    network, lanes = _lanes(existing(file, (".spk", ".nir", ".spp")), on, Foreign(**foreign), console)
    try:
        kept = []
        compared = len(lanes) > 1
        for row in track(_rows(network, lanes, load_data(data), limit), "run", enabled=compared):
            if not compared:
                console.say(line(row))
            if console.json:
                kept.append(row)
    finally:
        for lane in lanes:
            lane.session.close()
    differ = any(lane.differing for lane in lanes)
    if compared:
        console.say(table(lanes))
    found: dict[str, Any] = {"model": file}
    if isinstance(network, SpikingNetwork):
        found |= {"code": network.contract.code, "max_steps": network.contract.max_steps}
    if compared:
        found |= {"ok": not differ, "on": [lane.values() for lane in lanes]}
    console.document({**found, "samples": kept})
    return 1 if differ else 0


@dataclass
class Lane:
    """One backend, and how it went."""

    name: str
    session: BackendSession
    opened: float
    """Seconds to compile and open."""
    seconds: float = 0.0
    """Wall time of all runs."""
    samples: int = 0
    differing: int = 0
    """Samples of which anything differs from the first lane."""
    first: str = ""
    """Where the first difference is."""
    fields: dict[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "opened_s": self.opened,
            "run_s": self.seconds,
            "samples": self.samples,
            "differing": self.differing,
            "first": self.first,
        }


def _lanes(file: str, on: str | None, foreign: Foreign, console: Console) -> tuple[Network, list[Lane]]:
    """The network, and a session for each backend."""
    names = [] if on is None else [name.strip() for name in on.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise OptionError(Problem("--on", f"{on!r} names a backend twice, or none", "give names with commas between"))
    lanes: list[Lane] = []
    if not file.lower().endswith(".nir"):
        foreign.refuse(file)
    if file.lower().endswith(".spp"):
        program = load_program(file)
        network: Network = program.network if program.whole is None else program.whole
        start = time.perf_counter()
        session = open_program(program)
        lanes.append(Lane(f"{program.backend}:{program.target} (program)", session, time.perf_counter() - start))
    else:
        network = foreign.read(file, console) if file.lower().endswith(".nir") else load(file).network
    wanted: list[str | None] = [*names] if names or lanes else [None]
    shown = with_membrane(network) if isinstance(network, DynamicNetwork) else []
    for name in wanted:
        start = time.perf_counter()
        session = through_the_door(network, name, shown)
        lanes.append(Lane(name or session.program.backend, session, time.perf_counter() - start))
    return network, lanes


def _rows(network: Network, lanes: list[Lane], data: Any, limit: int | None) -> Iterator[Row]:
    """What each sample gives on the first lane, the others compared with it."""
    sample = 0
    for x, y in parts(data, limit):
        if isinstance(network, DynamicNetwork):
            x = _with_time(network, x)
        else:
            _check_shape(network, x)
        count, first = len(x) if isinstance(network, SpikingNetwork) else x.shape[1], None
        for lane in lanes:
            start = time.perf_counter()
            recording = lane.session.run(x, record=None if isinstance(network, DynamicNetwork) else ())
            lane.seconds += time.perf_counter() - start
            lane.samples += count
            if first is None:
                first = recording
                continue
            wrong, place = differences(first, recording, count)
            lane.differing += int(wrong.sum())
            if place and not lane.first:
                lane.first = f"{place} of sample {sample + int(np.flatnonzero(wrong)[0])}"
        assert first is not None
        made = _of_converted(first, y) if isinstance(first, Recording) else _of_hand_made(first, count, y)
        for row in made:
            yield {"sample": sample, **row}
            sample += 1


def _of_converted(recording: Recording, y: NDArray[Any] | None) -> Iterator[Row]:
    spikes = sum(recording.n_spikes.values(), np.zeros(len(recording.output), dtype=np.int64))
    for i, output in enumerate(recording.output):
        row: Row = {"output": output.tolist()}
        if output.ndim == 1 and len(output) > 1 and _class_numbers(y):
            row["class"] = int(output.argmax())
        if y is not None:
            row["label"] = y[i].tolist()
        quiet = int(recording.quiet_after[i])
        yield row | {"steps": quiet if quiet >= 0 else None, "spikes": int(spikes[i])}


def _of_hand_made(recording: DynamicRecording, count: int, y: NDArray[Any] | None) -> Iterator[Row]:
    for i in range(count):
        sent = {name: int(counts[i].sum()) for name, counts in recording.counts.items()}
        label = {} if y is None else {"label": y[i].tolist()}
        yield {**label, "steps": recording.n_steps, "spikes": sum(sent.values()), "populations": sent}


def differences(one: Any, other: Any, samples: int) -> tuple[NDArray[np.bool_], str]:
    """Which samples differ in anything that was recorded, and in what first."""
    wrong = np.zeros(samples, dtype=np.bool_)
    place = ""

    def compare(what: str, a: NDArray[Any], b: NDArray[Any]) -> None:
        nonlocal place
        differs = np.ones(samples, dtype=np.bool_)
        if a.shape == b.shape:
            differs = (a != b).reshape(samples, -1).any(axis=1)
        if differs.any() and not place:
            place = what
        wrong[differs] = True

    for name, counts in one.counts.items():
        compare(f"spikes of {name}", counts, other.counts[name])
    if isinstance(one, Recording):
        compare("steps until quiet", one.quiet_after, other.quiet_after)
        compare("the read-out", one.readout.swapaxes(0, 1), other.readout.swapaxes(0, 1))
    else:
        for name, events in one.spikes.items():
            mine, theirs = (np.moveaxis(e.train().raster, 1, 0) for e in (events, other.spikes[name]))
            compare(f"the raster of {name}", mine, theirs)
        for name, values in one.potentials.items():
            compare(f"potentials of {name}", np.moveaxis(values, 1, 0), np.moveaxis(other.potentials[name], 1, 0))
    return wrong, place


def table(lanes: list[Lane]) -> str:
    """The lanes side by side."""
    head = ("backend", "samples", "open", "run", "a sample", "samples that differ")
    rows = [head]
    for i, lane in enumerate(lanes):
        each = f"{1000 * lane.seconds / max(1, lane.samples):.2f} ms"
        wrong = "-" if i == 0 else f"{lane.differing:,}" + (f" (first: {lane.first})" if lane.first else "")
        rows.append((lane.name, f"{lane.samples:,}", f"{lane.opened:.3f} s", f"{lane.seconds:.3f} s", each, wrong))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def line(row: Row) -> str:
    """A sample as one line.

    >>> line({"sample": 0, "output": [0.5, 1.5], "class": 1, "label": 1, "steps": 12, "spikes": 1034})
    'sample 0: class 1, label 1, quiet after 12 steps, 1034 spikes'
    """
    label = f", label {row['label']}" if "label" in row else ""
    if "populations" in row:
        each = ", ".join(f"{name} {count}" for name, count in row["populations"].items())
        return f"sample {row['sample']}: {row['spikes']} spikes in {row['steps']} steps{label} ({each})"
    what = f"class {row['class']}" if "class" in row else f"output {row['output']}"
    quiet = "not quiet" if row["steps"] is None else f"quiet after {row['steps']} steps"
    return f"sample {row['sample']}: {what}{label}, {quiet}, {row['spikes']} spikes"


def _with_time(network: DynamicNetwork, x: NDArray[Any]) -> NDArray[Any]:
    """Samples of (time, *input) as (time, sample, *input)."""
    if len(network.inputs) != 1 or x.ndim < 2 or x.shape[2:] != network.inputs[0].shape:
        shapes = ", ".join(f"{place.name} (time, {', '.join(map(str, place.shape))})" for place in network.inputs)
        why = f"holds samples of shape {x.shape[1:]}, the network takes {shapes or 'none'}"
        raise DataError(Problem("data", why, "one input, with time as the first axis of a sample"))
    return np.swapaxes(x, 0, 1)


def _check_shape(network: SpikingNetwork, x: NDArray[Any]) -> None:
    shape = network.input.shape
    if x.shape[1:] != shape:
        why = f"holds samples of shape {x.shape[1:]}, the network takes {shape}"
        raise DataError(Problem("data", why, "events are summed over time to one frame a sample"))


def _class_numbers(labels: NDArray[Any] | None) -> bool:
    return labels is None or (labels.ndim == 1 and labels.dtype.kind in "iub")
