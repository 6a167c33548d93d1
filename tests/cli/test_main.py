"""The frame around the commands: exit codes, errors, the two streams. Nothing here needs torch."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from spikeport.cli import main
from spikeport.cli.console import Console, printable
from spikeport.cli.main import explained
from spikeport.errors import OptionError, Problem
from spikeport.version import __version__

COMMANDS = ("certify", "check", "check-certificate", "compile", "convert", "export", "run", "validate", "version")
BLOCK = "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"
START = "import sys\nfrom spikeport.cli import main\nsys.exit(main())"


def without_torch(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCK + START, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
    )


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr()
    assert all(f"\n  {name}" in said.out for name in COMMANDS)
    assert not said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"Example:\n    spikeport {name}" in said
    assert "--json" in said


@pytest.mark.parametrize("name", ["check", "convert", "validate", "run"])
def test_the_help_says_what_executes_code(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([name, "--help"]) == 0
    assert "code: give only" in " ".join(capsys.readouterr().out.split())


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert f"spikeport {__version__}\npython 3." in capsys.readouterr().out
    assert main(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"spikeport", "python", "numpy", "torch", "nir"}
    assert found["numpy"] == np.__version__
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spikeport {__version__}\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "error: spikeport: Missing command"),
        (["simulate"], "error: spikeport: No such command 'simulate'"),
        (["convert"], "error: spikeport convert: Missing argument 'MODEL'"),
        (["convert", "a:b", "c.npz"], "error: spikeport convert: Missing option '-o'"),
        (["convert", "a:b", "c.npz", "-o", "m.spk", "--code", "burst"], "'burst' is not one of"),
        (["convert", "a:b", "c.npz", "-o", "m.spk", "--input", "video"], "'video' is not one of"),
        (["convert", "a:b", "c.npz", "-o", "m.spk", "--levels", "many"], "'many' is not a valid integer"),
        (["convert", "a:b", "c.npz", "-o", "m.spk", "--level", "31"], "No such option"),
        (["run", "m.spk", "c.npz", "--limit", "0"], "0 is not in the range"),
        (["validate", "m.spk", "c.npz", "--weights", "w.pt"], "--weights: needs a model"),
        (["export", "m.txt", "-o", "m.nir"], r"m.txt: does not end in .spk"),
        (["export", "m.spk", "-o", "m.onnx"], "m.onnx: does not end in .nir"),
        (["run", "m.spk", "c.npz"], "m.spk: does not exist"),
        (["run", "m.pt", "c.npz"], "m.pt: does not end in .spk or .nir"),
    ],
)
def test_misuse_is_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert why in said.err
    assert "Traceback" not in said.err
    assert not said.out
    assert main([*words, "--json"]) == 2
    found = json.loads(capsys.readouterr().out)["error"]
    assert found["kind"] in ("UsageError", "OptionError", "FileError")
    assert all(problem.keys() == {"where", "why", "hint"} for problem in found["problems"])


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "nowhere.spk", "c.npz"]
    main([*words, "--debug"])
    assert "Traceback" in capsys.readouterr().err
    main(["--debug", *words])
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SPIKEPORT_DEBUG", "1")
    main(words)
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SPIKEPORT_DEBUG", "0")
    main(words)
    assert "Traceback" not in capsys.readouterr().err


def test_all_problems_and_notes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    error = OptionError([Problem("a", "is wrong", "turn it"), Problem("b", "is too")])
    error.add_note("while testing")
    console = Console(json=True, debug=False, out=sys.stdout, err=sys.stderr)
    console.fail(*explained(error), error)
    said = capsys.readouterr()
    assert said.err == "error: a: is wrong\n  hint: turn it\nerror: b: is too\n  note: while testing\n"
    assert json.loads(said.out) == {
        "error": {
            "kind": "OptionError",
            "problems": [
                {"where": "a", "why": "is wrong", "hint": "turn it"},
                {"where": "b", "why": "is too", "hint": ""},
            ],
        }
    }


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (click.ClickException("no"), "spikeport: no"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "pip install spikeport[torch]"),
        (OSError(28, "No space left on device", "m.spk"), "m.spk: No space left on device"),
        (MemoryError(), "memory: there is not enough"),
        (ZeroDivisionError("division by zero"), "stopped with ZeroDivisionError: division by zero"),
    ],
)
def test_other_errors_are_explained(error: Exception, why: str) -> None:
    _, problems = explained(error)
    assert why in str(problems[0])


def test_names_do_not_steer_the_terminal() -> None:
    assert printable("fc\x1b[2J\x07é\n") == "fc\\x1b[2J\\x07é\n"


def test_python_m_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spikeport", "version"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


def test_without_torch_a_command_that_needs_it_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((2, 2)))
    (tmp_path / "nets.py").write_text("import torch\n")
    (tmp_path / "plain.py").write_text("def net():\n    return 1\n")
    for reference in ("nets:net", "plain:net"):
        done = without_torch("convert", reference, "d.npz", "-o", "m.spk", cwd=tmp_path)
        assert done.returncode == 2
        assert "error: torch: is not installed\n  hint: pip install spikeport[torch]\n" in done.stderr


def test_without_torch_help_and_version_work(tmp_path: Path) -> None:
    for name in COMMANDS:
        assert without_torch(name, "--help", cwd=tmp_path).returncode == 0
    assert "torch (not installed)" in without_torch("version", cwd=tmp_path).stdout


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals and devices there")
class TestProcess:
    def test_ctrl_c_ends_it_quietly(self, tmp_path: Path) -> None:
        (tmp_path / "slow.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
        command = [sys.executable, "-m", "spikeport", "convert", "nets:mlp", "slow:loader", "-o", "m.spk"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"  # what foreign code prints is no result
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert not out
        assert err.strip() == "error: spikeport: was interrupted"

    def test_a_reader_that_leaves_is_no_error(self) -> None:
        read, write = os.pipe()
        os.close(read)
        process = subprocess.run(
            [sys.executable, "-m", "spikeport", "version"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(write)
        assert process.returncode == 141
        assert not process.stderr

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_output_that_cannot_be_written_is_an_error(self) -> None:
        with open("/dev/full", "w") as full:
            process = subprocess.run(
                [sys.executable, "-m", "spikeport", "version", "--json"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        assert process.returncode == 2
        assert process.stderr == "error: output: cannot be written: No space left on device\n"
