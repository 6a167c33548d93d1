"""Area and clock of a design, from Yosys and nextpnr: real placement and routing, for chips that are not there."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from spikeport.backends import programs
from spikeport.backends.fpga.design import SOURCES, top_name, write
from spikeport.backends.fpga.machine import Machine
from spikeport.errors import BackendError, OptionError, Problem

Family = Literal["ice40", "ecp5", "xc7"]
SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Device:
    """A chip of a family, in the words of nextpnr."""

    title: str
    arguments: tuple[str, ...]


DEVICES: Mapping[tuple[str, str], Device] = {
    ("ice40", "hx1k"): Device("iCE40 HX1K", ("--hx1k", "--package", "tq144")),
    ("ice40", "hx8k"): Device("iCE40 HX8K", ("--hx8k", "--package", "ct256")),
    ("ecp5", "25k"): Device("ECP5 LFE5U-25F", ("--25k", "--package", "CABGA381")),
    ("ecp5", "45k"): Device("ECP5 LFE5U-45F", ("--45k", "--package", "CABGA381")),
    ("ecp5", "85k"): Device("ECP5 LFE5U-85F", ("--85k", "--package", "CABGA381")),
}
"""What is placed and routed; xc7 is estimated by Yosys alone."""
DEFAULTS: Mapping[str, str] = {"ice40": "hx8k", "ecp5": "25k", "xc7": ""}
COMMANDS: Mapping[str, str] = {"ice40": "synth_ice40", "ecp5": "synth_ecp5", "xc7": "synth_xilinx -family xc7"}
CELLS: Mapping[str, Mapping[str, str]] = {
    "ice40": {"luts": r"SB_LUT4", "registers": r"SB_DFF\w*", "memories": r"SB_RAM40_4K", "multipliers": r"SB_MAC16"},
    "ecp5": {"luts": r"LUT4", "registers": r"TRELLIS_FF", "memories": r"DP16KD", "multipliers": r"MULT18X18D"},
    "xc7": {
        "luts": r"LUT[1-6]",
        "registers": r"FD[CPRS]E",
        "memories": r"RAMB(18|36)E1",
        "multipliers": r"DSP48E1",
    },
}
"""Cells of each family, as regular expressions over their names."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What a design takes of a chip."""

    family: str
    device: str
    luts: int
    registers: int
    memories: int
    """Blocks of memory, in the size of the family."""
    multipliers: int
    used: Mapping[str, tuple[int, int]]
    """After placement: cells used and there, by nextpnr's name; empty where nothing was placed."""
    fmax_mhz: float | None
    """Largest clock after routing; None where nothing was routed."""

    def __str__(self) -> str:
        clock = "not placed" if self.fmax_mhz is None else f"{self.fmax_mhz:.1f} MHz"
        placed = ", ".join(f"{name} {used:,} of {there:,}" for name, (used, there) in self.used.items() if used)
        found = (
            f"{self.device}: {self.luts:,} LUTs, {self.registers:,} registers, {self.memories} block memories, "
            f"{self.multipliers} multipliers, {clock}"
        )
        return f"{found} ({placed})" if placed else found


def synthesize(
    machine: Machine, family: Family = "ice40", size: str | None = None, *, seed: int = 1, seconds: float = SECONDS
) -> Synthesis:
    """Synthesize, place and route a design.

    Args:
        machine: what the core holds.
        family: ice40 and ecp5 are placed and routed, xc7 is estimated.
        size: of the chip, by `DEVICES`; None takes hx8k or 25k.
        seed: of placement; another one gives another clock.
        seconds: after which a tool is ended.

    Raises:
        OptionError: no such family or size.
        BackendError: a tool is not installed, or ends with an error: the design does not fit, for example.
    """
    if family not in get_args(Family):
        raise OptionError(Problem("family", f"is {family!r}", " or ".join(map(repr, get_args(Family)))))
    size = DEFAULTS[family] if size is None else size
    device = DEVICES.get((family, size))
    if device is None and (family != "xc7" or size):
        sizes = [s for f, s in DEVICES if f == family]
        raise OptionError(Problem("size", f"is {size!r}", " or ".join(map(repr, sizes)) or "leave it out"))
    yosys = programs.required("yosys")
    placer = programs.required(f"nextpnr-{family}") if device is not None else ""
    with tempfile.TemporaryDirectory(prefix="spikeport-fpga-") as room:
        folder = Path(room)
        write(machine, folder)
        script = (
            f"read_verilog -sv {' '.join(SOURCES)}; {COMMANDS[family]} -top {top_name(machine)}; "
            "write_json design.json; tee -o cells.txt stat"
        )
        what = f"synthesizing {machine.name!r} for {family}"
        programs.run([yosys, "-q", "-p", script], folder, seconds=seconds, what=what)
        cells = _cells((folder / "cells.txt").read_text("utf-8"))
        counts = {
            name: sum(count for cell, count in cells.items() if re.fullmatch(pattern, cell))
            for name, pattern in CELLS[family].items()
        }
        if device is None:
            return Synthesis(family, "7 series (estimate)", **counts, used={}, fmax_mhz=None)
        what = f"placing {machine.name!r} on {device.title}"
        free = "--pcf-allow-unconstrained" if family == "ice40" else "--lpf-allow-unconstrained"
        command = [
            placer,
            *device.arguments,
            "--json",
            "design.json",
            "--report",
            "report.json",
            "--seed",
            str(seed),
            free,
            "-q",
        ]
        programs.run(command, folder, seconds=seconds, what=what)
        used, fmax = _report((folder / "report.json").read_text("utf-8"), what)
    return Synthesis(family, device.title, **counts, used=used, fmax_mhz=fmax)


def _cells(text: str) -> dict[str, int]:
    """Cells by name, of the last table that `stat` printed: the whole design.

    >>> _cells("  Number of cells: 3\\n     SB_LUT4      2\\n     SB_DFF       1\\n")
    {'SB_LUT4': 2, 'SB_DFF': 1}
    """
    table = text.rpartition("Number of cells:")[2]
    return {name: int(count) for name, count in re.findall(r"^\s+(\$?\w+)\s+(\d+)\s*$", table, re.MULTILINE)}


def _report(text: str, what: str) -> tuple[dict[str, tuple[int, int]], float]:
    """Utilization, and the clock that was achieved.

    >>> _report('{"fmax": {"clk": {"achieved": 50.5}}, "utilization": {"LC": {"used": 3, "available": 9}}}', "")
    ({'LC': (3, 9)}, 50.5)
    """
    try:
        report = json.loads(text)
        used = {name: (int(u["used"]), int(u["available"])) for name, u in report["utilization"].items()}
        return used, min(float(clock["achieved"]) for clock in report["fmax"].values())
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(Problem(what, f"the report of nextpnr cannot be read: {error!r}")) from None
