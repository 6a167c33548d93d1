"""The commands `fpga ...`: the register-transfer code of a program exported, simulated and synthesized."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.loading import existing, load_data
from spikeport.errors import BackendError, Problem
from spikeport.plugin import Program, load_program
from spikeport.plugin.presenting import as_array


@command
@click.argument("file", metavar="PROGRAM.spp")
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder to create.")
@click.option("--data", metavar="DATA", help="Samples for the testbench.  [default: none]")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Most samples.")
def export_command(console: Console, file: str, output: str, data: str | None, limit: int) -> None:
    """Write SystemVerilog, memories and a testbench.

    PROGRAM.spp comes from `spikeport compile MODEL --target fpga`. With --data the testbench checks itself: every beat that has to come out is in a
    file, from the model of the core. DATA is an .npz file with inputs x; or package.module:name of batches or of a function that
    returns them, which executes code: give only one you trust.

    \b
    Example:
      spikeport compile mlp.spk --target fpga -o mlp.spp
      spikeport fpga export mlp.spp -o mlp-rtl --data test.npz
    """
    from spikeport.backends.fpga import export

    program = _program(file)
    x = None if data is None else _samples(load_data(data), limit)
    written = export(program, Path(output), x)
    console.say("\n".join(written))
    console.document({"program": file, "folder": output, "files": written})
    console.wrote(output)


@command
@click.argument("folder", metavar="DIR")
@click.option(
    "--simulator",
    type=click.Choice(["icarus", "verilator"]),
    default="icarus",
    show_default=True,
    help="Which one runs it.",
)
@click.option(
    "--throttle", type=click.IntRange(0, 15), default=0, show_default=True, help="Of 16 cycles, in which streams wait."
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=600.0, show_default=True, help="Seconds."
)
def simulate_command(console: Console, folder: str, simulator: Any, throttle: int, timeout: float) -> None:
    """Run the testbench of an exported folder.

    Every beat is compared; the first one that differs is an error. Needs Icarus Verilog or Verilator.

    \b
    Example:
      spikeport fpga simulate mlp-rtl --simulator verilator
    """
    from spikeport.backends.fpga.simulators import check

    verdict = check(Path(folder), simulator, seconds=timeout, throttle=throttle)
    console.say(verdict)
    console.document({"folder": folder, "simulator": simulator, "ok": True, "said": verdict})


@command
@click.argument("file", metavar="PROGRAM.spp")
@click.option(
    "--family",
    type=click.Choice(["ice40", "ecp5", "xc7"]),
    default="ice40",
    show_default=True,
    help="xc7 is estimated.",
)
@click.option("--size", metavar="NAME", help="hx1k or hx8k; 25k, 45k or 85k.  [default: hx8k, 25k]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of placement.")
def synthesize_command(console: Console, file: str, family: Any, size: str | None, seed: int) -> None:
    """Area and clock of a program on an FPGA.

    Needs Yosys, and nextpnr for the family, which places and routes.

    \b
    Example:
      spikeport fpga synthesize mlp.spp --family ecp5
    """
    from spikeport.backends.fpga import synthesize
    from spikeport.backends.fpga.document import read

    found = synthesize(read(_program(file)), family, size, seed=seed)
    console.say(str(found))
    values = {name: getattr(found, name) for name in type(found).__slots__}
    console.document({"program": file, **values, "used": {k: list(v) for k, v in found.used.items()}})


def _program(file: str) -> Program:
    program = load_program(existing(file, (".spp",)))
    if program.backend != "fpga":
        why = f"was compiled by {program.backend}"
        raise BackendError(Problem(file, why, "spikeport compile MODEL --target fpga -o PROGRAM.spp"))
    return program


def _samples(batches: Any, limit: int) -> Any:
    """The first samples of all batches."""
    parts, missing = [], limit
    for batch in islice(batches, limit):
        x = as_array(batch[0] if isinstance(batch, tuple | list) else batch)[:missing]
        parts.append(x)
        missing -= len(x)
        if not missing:
            break
    return np.concatenate(parts)


@click.group(name="fpga", commands=(export_command, simulate_command, synthesize_command))
def fpga_command() -> None:
    """Register-transfer code of a program.

    \b
    Example:
      spikeport fpga export mlp.spp -o mlp-rtl
    """
