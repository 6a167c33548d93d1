"""Icarus Verilog and Verilator: a design built, and run with beats."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from spikeport.backends import programs
from spikeport.backends.fpga.answer import Answer, read
from spikeport.backends.fpga.beats import Beats, Frame, parsed, stimulus, text
from spikeport.backends.fpga.design import CORE, TESTBENCH, TOP, design
from spikeport.backends.fpga.machine import Machine
from spikeport.errors import BackendError, Problem

Simulator = Literal["icarus", "verilator"]
BUILD_SECONDS = 600.0
STIMULUS, EXPECTED = "stimulus.mem", "expected.mem"
"""Of an exported folder: what its testbench gives, and what the core has to answer."""
SILENT = ("WIDTH", "UNUSED", "DECLFILENAME", "TIMESCALEMOD", "INITIALDLY", "BLKSEQ", "UNSIGNED", "CMPCONST", "STMTDLY")
"""Remarks of Verilator that are no errors here: numbers are extended and cut by assignment throughout."""

_BUILT: dict[str, Path] = {}
"""Programs of Verilator, by what they were made of: a build takes many seconds, and weights are no part of it."""


def build(name: str, folder: Path, simulator: Simulator, *, seconds: float = BUILD_SECONDS) -> Sequence[str]:
    """The command that runs the design whose files are in a folder.

    Raises:
        BackendError: the simulator is not installed, or refuses the design.
    """
    way_out = "use executor='model', which runs the memories without a simulator"
    what = f"building {name!r} with {simulator}"
    if simulator == "icarus":
        compiler, runtime = programs.required("iverilog", way_out), programs.required("vvp", way_out)
        command = [compiler, "-g2012", "-o", "simulation.vvp", "-s", "testbench", CORE, TOP, TESTBENCH]
        programs.run(command, folder, seconds=seconds, what=what)
        return [runtime, "-N", str(folder / "simulation.vvp")]
    compiler = programs.required("verilator", way_out)
    sources = {file: (folder / file).read_text("utf-8") for file in (CORE, TOP, TESTBENCH)}
    key = sha256("\0".join([compiler, *sources.values()]).encode()).hexdigest()
    if key not in _BUILT:
        room = Path(tempfile.mkdtemp(prefix="spikeport-verilator-"))
        atexit.register(shutil.rmtree, room, ignore_errors=True)
        for file, source in sources.items():
            (room / file).write_text(source, "utf-8")
        flags = ["--binary", "--timing", "-O3", "-Wno-fatal", *(f"-Wno-{remark}" for remark in SILENT)]
        command = [
            compiler,
            *flags,
            "-CFLAGS",
            "-O2",
            "--top-module",
            "testbench",
            "-o",
            "simulation",
            CORE,
            TOP,
            TESTBENCH,
        ]
        programs.run(command, room, seconds=seconds, what=what)
        _BUILT[key] = room / "obj_dir" / "simulation"
    return [str(_BUILT[key])]


def exchange(
    command: Sequence[str], folder: Path, beats: Beats, *, seconds: float, name: str, options: Sequence[str] = ()
) -> Beats:
    """What the core answers to beats.

    Raises:
        BackendError: the simulation ended with an error, took too long, or found a number beyond its width.
    """
    (folder / "stimulus.mem").write_text(text(beats), "ascii")
    arguments = [*command, "+stimulus=stimulus.mem", "+response=response.mem", *options]
    what = f"simulating {name!r}"
    said = programs.run(arguments, folder, seconds=seconds, what=what)
    if "PASS:" not in said:
        raise BackendError(Problem(what, f"the simulation did not come to its end; it said:\n{said or '(nothing)'}"))
    try:
        return parsed((folder / "response.mem").read_text("ascii"))
    except (OSError, ValueError) as error:
        raise BackendError(Problem(what, f"its answer cannot be read: {error}")) from error


def check(folder: Path, simulator: Simulator, *, seconds: float, throttle: int = 0) -> str:
    """Run the testbench of a folder that was exported; it compares every beat with what is expected.

    Returns:
        What it said: `PASS: ...`.

    Raises:
        BackendError: the simulator is not installed or refuses the design, or a beat differs.
    """
    missing = [name for name in (CORE, TOP, TESTBENCH, STIMULUS, EXPECTED) if not (folder / name).is_file()]
    if missing:
        why = f"has no {', '.join(missing)}"
        raise BackendError(Problem(str(folder), why, "export a program with data: spikeport fpga export"))
    what = f"simulating {folder.name!r} with {simulator}"
    with tempfile.TemporaryDirectory(prefix="spikeport-fpga-") as room:
        inside = Path(room)
        for path in sorted(folder.iterdir()):
            if path.suffix in (".sv", ".mem"):
                (inside / path.name).write_bytes(path.read_bytes())
        command = build(folder.name, inside, simulator)
        arguments = [*command, f"+stimulus={STIMULUS}", f"+expected={EXPECTED}", f"+throttle={throttle}"]
        said = programs.run(arguments, inside, seconds=seconds, what=what)
    verdict = next((line for line in said.splitlines() if line.startswith("PASS:")), None)
    if verdict is None:
        raise BackendError(Problem(what, f"it does not answer as expected; it said:\n{said or '(nothing)'}"))
    return verdict


class Simulation:
    """A design on a simulator; the state of samples lies in files between calls."""

    def __init__(self, machine: Machine, simulator: Simulator, *, seconds: float, options: Sequence[str] = ()) -> None:
        self.machine, self.seconds, self.options = machine, seconds, options
        self._room = tempfile.TemporaryDirectory(prefix="spikeport-fpga-")
        self._folder = Path(self._room.name)
        try:
            for name, source in design(machine).items():
                (self._folder / name).write_text(source, "utf-8", newline="\n")
            self._command = build(machine.name, self._folder, simulator)
        except BaseException:
            self.close()
            raise
        self.step = 0

    def reset(self, batch: int) -> None:
        """Samples begin anew."""
        self.step = 0

    def advance(self, frame: Frame) -> Answer:
        """Some steps of all samples."""
        p = self.machine.parameters
        beats = stimulus(frame, first_step=self.step, slots=p["SLOTS"], largest_step=2 ** p["TW"] - 1)
        answered = exchange(
            self._command,
            self._folder,
            beats,
            seconds=self.seconds,
            name=self.machine.name,
            options=self.options,
        )
        self.step += frame.steps
        return read(self.machine, answered, frame.steps, frame.batch, frame.report)

    def close(self) -> None:
        self._room.cleanup()
