"""The commands of docs/first-hour.md, one after the other, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "first-hour.md"
LEFT_OUT = ("python3 -m venv", "pip install", "spikeport doctor", "xdg-open")
"""What installs, opens a window, or tries every backend, which has tests of its own."""
MAY_FAIL = ("spikeport run --set convert.levels=3",)
"""By the report, within rounding of the training."""


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_they_are_ten_at_most() -> None:
    assert len([c for c in commands() if not c.startswith("cd ")]) <= 10


def test_they_do_what_the_page_says(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    folder = tmp_path
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    first = ""
    for command in commands():
        if command.startswith(LEFT_OUT):
            continue
        if command.startswith("cd "):
            folder /= command[3:]
            continue
        words = command.replace("9c89afa1", first)
        if words.startswith("spikeport "):
            words = f"{sys.executable} -m {words}"
        done = subprocess.run(
            words.split(), cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
        )
        assert done.returncode in ((0, 1) if command in MAY_FAIL else (0,)), done.stdout + done.stderr
        if command == "spikeport run":
            assert "native: equal to the reference" in done.stdout
            (run,) = (folder / "runs").iterdir()
            first = run.name.rpartition("-")[2]
    assert "convert.levels: 15 -> 3" in done.stdout
    assert len(list((folder / "runs").iterdir())) == 2
