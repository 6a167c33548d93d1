"""The skeleton of a backend: written whole or not at all, and it passes its own tests as written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikeport.cli import main
from spikeport.cli.new_backend import skeleton

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "plugins" / "spikeport-example"


def test_the_example_is_what_is_written() -> None:
    for path, text in skeleton("example").items():
        assert (EXAMPLE / path).read_text("utf-8") == text, path


def test_the_example_is_short() -> None:
    assert (
        sum(
            len(file.read_text("utf-8").splitlines())
            for file in (EXAMPLE / path for path in skeleton("example") if path.endswith(".py"))
        )
        < 200
    )


def test_a_written_backend_is_installed_and_passes_its_tests(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", reason="needs the build backend")
    assert main(["new-backend", "my-chip", "--into", str(tmp_path)]) == 0
    folder, site = tmp_path / "spikeport-my-chip", tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run([*install, "--target", str(site), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    environment = os.environ | {"PYTHONPATH": str(site), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    tests = [sys.executable, "-m", "pytest", "-q", "tests"]
    done = subprocess.run(tests, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spikeport-mine").mkdir()
    assert main(["new-backend", "mine", "--into", str(tmp_path)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert list((tmp_path / "spikeport-mine").iterdir()) == []


@pytest.mark.parametrize("name", ["My", "8bit", "a b", "a--b", "../a", "a" * 41, "native"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-backend", name, "--into", str(tmp_path)]) == 2
    assert name in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
