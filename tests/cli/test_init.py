"""Projects as `init` writes them: each kind is created, prepared, run and tested as its README says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import click
import pytest

from spikeport.cli import init, main
from spikeport.cli.init import KINDS, PREPARE, SETTINGS, project_texts
from spikeport.config import configuration
from spikeport.config.options import Kind

Captured = pytest.CaptureFixture[str]


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_runs_as_it_is_written(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("sklearn")
    if kind == "convert":
        pytest.importorskip("torch")
        pytest.importorskip("safetensors")
    folder = tmp_path / f"my-{kind}"
    made = command(tmp_path, "-m", "spikeport", "init", folder.name, "--kind", kind, "--yes")
    assert made.returncode == 0, made.stderr
    pytest.importorskip("setuptools", reason="builds the project")
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    installed = subprocess.run(
        [*pip, "--target", str(tmp_path / "site"), str(folder)], capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stderr
    if kind in PREPARE:  # type: ignore[comparison-overlap]
        prepared = command(folder, PREPARE[kind])  # type: ignore[index]
        assert prepared.returncode == 0, prepared.stderr
    tests = command(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert tests.returncode == 0, tests.stdout + tests.stderr
    (run,) = (folder / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["ok"]
    assert all(found["ok"] for found in summary["on"].values())
    if kind == "convert":
        assert summary["spiking_accuracy"] > 85
        assert (run / "report.html").exists()
        assert (run / "model.nir").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_valid_and_nothing_is_left_to_fill(tmp_path: Path, kind: Kind) -> None:
    texts = project_texts("my-project", kind, ("native", "loihi2"))
    for path, text in texts.items():
        assert not re.search(r"@\w+@", text), path
    tables = tomllib.loads(texts["pyproject.toml"])
    assert tables["project"]["name"] == "my-project"
    (tmp_path / "pyproject.toml").write_text(texts["pyproject.toml"], encoding="utf-8")
    found = configuration(tmp_path / "pyproject.toml", {})
    assert found.options.kind == kind
    assert found.options.on == ("native", "loihi2")
    assert {"README.md", ".gitignore", ".github/workflows/test.yml", "tests/test_project.py"} <= set(texts)
    assert set(KINDS) == set(SETTINGS) == set(get_args(Kind))


def test_data_of_ones_own_is_named_in_the_settings_as_it_is(tmp_path: Path) -> None:
    texts = project_texts("p", "convert", (), 'C:\\mine "x".npz')
    (tmp_path / "pyproject.toml").write_text(texts["pyproject.toml"], encoding="utf-8")
    found = configuration(tmp_path / "pyproject.toml", {}).options
    assert (found.data, found.test, found.on) == ('C:\\mine "x".npz', 'C:\\mine "x".npz', ())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x y",), "'x y' cannot be the name of a project"),
        (("-x",), "No such option"),
        (("p", "--on", "lohi2"), "'lohi2' is no installed backend"),
        (("p", "--kind", "train"), "is not one of"),
        (("there",), "is there already, and nothing is overwritten"),
        (("no/such/p",), "cannot be written"),
        ((), "Missing argument"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert main(["init", *words]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_at_a_terminal_it_asks_for_what_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(init.sys, "stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)})())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    answers = iter(["hand-made", "reference", "mine:inputs"])
    asked = []

    def prompt(text: str, **_more: object) -> str:
        asked.append(text)
        return next(answers)

    monkeypatch.setattr(click, "prompt", prompt)
    assert main(["init", "p"]) == 0
    assert len(asked) == 3
    found = configuration(tmp_path / "p" / "pyproject.toml", {}).options
    assert (found.kind, found.on, found.data) == ("hand-made", ("reference",), "mine:inputs")
    assert "begin with its README.md" in capsys.readouterr().out
    asked.clear()
    assert main(["init", "q", "--yes"]) == 0
    assert asked == []


def test_the_command_answers_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "p", "--kind", "nir", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "nir"
    assert sorted(found["files"]) == found["files"]
    assert all((tmp_path / "p" / path).is_file() for path in found["files"])
