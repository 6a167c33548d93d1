"""A folder for people who have tools of their own: the design, and a testbench that checks itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spikeport.backends.fpga.answer import Answer, written
from spikeport.backends.fpga.beats import Beats, Frame, stimulus, text
from spikeport.backends.fpga.design import CORE, TESTBENCH, TOP, design, top_name
from spikeport.backends.fpga.document import read
from spikeport.backends.fpga.machine import Machine
from spikeport.backends.fpga.model import Model
from spikeport.backends.fpga.session import FpgaSession
from spikeport.backends.fpga.simulators import EXPECTED, STIMULUS
from spikeport.errors import FileError, Problem
from spikeport.plugin import Program
from spikeport.plugin.inputs import spiking
from spikeport.primitives import SpikingNetwork

README = """# {title}

Register-transfer code, written by spikeport. `{top}` in {top_file} is the module to instantiate; the core is {core}, and
the memories (*.mem) are read from the folder in which tools are started.

    iverilog -g2012 -o simulation.vvp -s testbench {core} {top_file} {testbench}
    vvp -N simulation.vvp +stimulus={stimulus} +expected={expected}

    verilator --binary --timing -Wno-fatal --top-module testbench {core} {top_file} {testbench}
    obj_dir/Vtestbench +stimulus={stimulus} +expected={expected}

    yosys -p "read_verilog -sv {core} {top_file}; synth_ice40 -top {top} -json design.json"

{stimulus} and {expected} are there if data was given: beats in, and every beat that has to come out, in order.
"""


class Recorder:
    """The model, and all beats in and out; one sample at a time, as a core on a board has them."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.model = machine, Model(machine)
        self.taken: list[Beats] = []
        self.told: list[Beats] = []

    def reset(self, batch: int) -> None:
        self.model.reset(batch)

    def advance(self, frame: Frame) -> Answer:
        p, first = self.machine.parameters, self.model.step
        beats = stimulus(frame, first_step=first, slots=p["SLOTS"], largest_step=2 ** p["TW"] - 1, kept=False)
        answer = self.model.advance(frame)
        self.taken.append(beats)
        self.told.append(written(answer, begins=first == 0))
        return answer

    def close(self) -> None:
        """There is nothing to free."""


def export(program: Program, folder: Path, x: Any = None) -> list[str]:
    """Write a design into a new folder.

    Args:
        program: of this backend.
        folder: is created; nothing is overwritten.
        x: samples for the testbench, batch first, as `run` takes them; None writes no stimulus.

    Returns:
        Names of the files.

    Raises:
        FileError: the folder is there already, or cannot be written.
    """
    machine = read(program)
    found = dict(design(machine))
    if x is not None:
        found |= golden(program, machine, x)
    title = machine.name.encode("ascii", "backslashreplace").decode("ascii")
    found["README.md"] = README.format(
        title="".join(c if c.isprintable() else "?" for c in title),
        top=top_name(machine),
        top_file=TOP,
        core=CORE,
        testbench=TESTBENCH,
        stimulus=STIMULUS,
        expected=EXPECTED,
    )
    try:
        folder.mkdir()
        for name, content in found.items():
            (folder / name).write_text(content, "utf-8", newline="\n")
    except FileExistsError as error:
        raise FileError(Problem(str(folder), "is there already, and nothing is overwritten", "another name")) from error
    except OSError as error:
        raise FileError(Problem(str(folder), f"cannot be written: {error.strerror or error}")) from error
    return sorted(found)


def golden(program: Program, machine: Machine, x: Any) -> dict[str, str]:
    """Beats in and beats out, by the model: sample after sample, potentials that are read among them."""
    network = program.network
    recorder = Recorder(machine)
    read_out = [network.output] if isinstance(network, SpikingNetwork) else []
    session = FpgaSession(
        program, machine, recorder, record=spiking(network), potentials=read_out, largest_current=2**31 - 1
    )
    with session:
        values = np.asarray(x)
        time_first = isinstance(network, SpikingNetwork) and values.ndim == len(network.input.shape) + 2
        for sample in range(values.shape[1] if time_first else len(values)):
            one = values[:, sample : sample + 1] if time_first else values[sample : sample + 1]
            if isinstance(network, SpikingNetwork):
                session.run(one)
            else:  # (batch, time, line) of its one input
                session.run({network.inputs[0].name: np.moveaxis(one, 1, 0)})
    return {STIMULUS: text(np.concatenate(recorder.taken)), EXPECTED: text(np.concatenate(recorder.told))}
