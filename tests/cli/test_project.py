"""Projects on the command line: the whole road, the list of runs, settings; and everything a user may get wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport.cli import main

NETS = """
import torch
from torch import nn

def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))

torch.manual_seed(1)
x = torch.rand(60, 4)
y = mlp()(x).argmax(1)
train, test = [(x[:40], y[:40])], [(x[40:], y[40:])]
"""
BY_HAND = """
import spikeport as sp

def net():
    net = sp.Network("demo")
    cells = net.population("cells", 5, sp.LIF(tau=0.02, threshold=1.0))
    net.connect(net.input("in", 3), cells, sp.AllToAll(0.4, delay=0.001))
    net.output("out", cells)
    return net

def inputs():
    return {"in": sp.Poisson(200.0, seed=3)}
"""
Write = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)
    for module in ("nets_of_a_project", "hand_made_of_a_project"):
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)

    def write(settings: str, **files: str) -> Path:
        (tmp_path / "spikeport.toml").write_text(settings, encoding="utf-8")
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    return write


def said(captured: Captured, code: int, *words: str) -> tuple[str, str]:
    assert main(list(words)) == code, captured.readouterr()
    found = captured.readouterr()
    return found.out, found.err


CONVERT = """
model = "nets_of_a_project:mlp"
data = "nets_of_a_project:train"
test = "nets_of_a_project:test"
on = ["native", "loihi2"]
[convert]
levels = 15
[validate]
tolerance = 100
[run]
samples = 8
"""


def test_a_conversion_takes_the_whole_road(project: Write, capsys: Captured) -> None:
    pytest.importorskip("torch")
    folder = project(CONVERT, nets_of_a_project=NETS)
    (folder / "below").mkdir()
    out, err = said(capsys, 0, "run")
    (run,) = (folder / "runs").iterdir()
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "environment.json",
        "loihi2.spp",
        "model.cert.json",
        "model.nir",
        "model.spk",
        "native.spp",
        "report.html",
        "report.json",
        "summary.json",
    }
    assert f"open {Path('runs') / run.name / 'report.html'}" in out
    assert "loihi2: equal to the reference on 8 samples" in out
    assert "compiling for loihi2" in err
    summary = json.loads((run / "summary.json").read_text())
    assert summary["samples"] == 20
    assert {name: found["differing"] for name, found in summary["on"].items()} == {"native": 0, "loihi2": 0}
    said(capsys, 0, "run", "--set", "convert.levels=3", "--set", "on=native")
    listing = json.loads(said(capsys, 0, "runs", "list", "--json")[0])["runs"]
    assert [sorted(entry["on"]) for entry in listing] == [["loihi2", "native"], ["native"]]
    out, _ = said(capsys, 0, "runs", "compare", run.name, "last")
    assert "convert.levels: 15 -> 3" in out
    assert "nothing differs" in said(capsys, 0, "runs", "compare", "last", "last")[0]
    assert run.name in said(capsys, 0, "runs", "list")[0]


def test_a_report_that_does_not_hold_is_exit_code_1_and_a_run_all_the_same(project: Write, capsys: Captured) -> None:
    pytest.importorskip("torch")
    folder = project(CONVERT, nets_of_a_project=NETS)
    out, _ = said(capsys, 1, "run", "--set", "convert.levels=1", "--set", "validate.tolerance=0", "--set", "on=[]")
    assert "the gap" in out
    assert len(list((folder / "runs").iterdir())) == 1


def test_what_a_target_refuses_is_in_the_run(project: Write, capsys: Captured) -> None:
    settings = 'kind = "hand-made"\nmodel = "hand_made_of_a_project:net"\non = ["loihi2", "native"]\n'
    folder = project(settings, hand_made_of_a_project=BY_HAND)
    out, _ = said(capsys, 1, "run")
    assert "loihi2: cannot carry it, or cannot be used" in out
    (run,) = (folder / "runs").iterdir()
    found = json.loads((run / "summary.json").read_text())["on"]
    assert found["loihi2"]["refused"]
    assert found["native"]["ok"]


def test_a_network_by_hand_is_run_on_each_backend(project: Write, capsys: Captured) -> None:
    settings = 'kind = "hand-made"\nmodel = "hand_made_of_a_project:net"\ndata = "hand_made_of_a_project:inputs"\non = ["native"]\n'
    folder = project(settings, hand_made_of_a_project=BY_HAND)
    out, _ = said(capsys, 0, "run")
    assert "native: equal to the reference" in out
    assert "cells: " in out
    (run,) = (folder / "runs").iterdir()
    assert {path.name for path in run.iterdir()} >= {"run.svg", "run.nird", "model.nir", "summary.json"}


def test_a_nir_file_is_run_beside_the_reference(project: Write, capsys: Captured) -> None:
    folder = project("", hand_made_of_a_project=BY_HAND)
    import hand_made_of_a_project as made  # type: ignore[import-not-found]

    import spikeport as sp

    sp.to_nir(made.net(), folder / "net.nir")
    rng = np.random.default_rng(0)
    np.savez(folder / "in.npz", x=(rng.random((4, 30, 3)) < 0.3).astype(np.float32))
    project('kind = "nir"\nmodel = "net.nir"\ndata = "in.npz"\non = ["native"]\n')
    out, _ = said(capsys, 0, "run")
    assert "native: equal to the reference on 4 samples" in out
    np.savez(folder / "in.npz", x=np.zeros((4, 3), np.float32))
    assert "(time, *input) a sample" in said(capsys, 2, "run")[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "model: is not set, and a project of kind 'convert' needs it"),
        ('kind = "nir"\nmodel = "no.nir"\ndata = "x.npz"\n', "no.nir"),
        ('model = "nothing:mlp"\ndata = "nothing:x"\n', "there is no module nothing"),
        ('model = "hand_made_of_a_project:nett"\ndata = "nothing:x"\n', "has no nett"),
        ('kind = "hand-made"\nmodel = "hand_made_of_a_project:inputs"\n', "no Network"),
        (
            'kind = "hand-made"\nmodel = "hand_made_of_a_project:net"\ndata = "hand_made_of_a_project:net"\n',
            "a mapping of inputs by name",
        ),
        (
            'kind = "hand-made"\nmodel = "hand_made_of_a_project:net"\non = ["lohi2"]\n',
            "spikeport.toml:3: on: 'lohi2' is no installed backend",
        ),
        ('modle = "x"\n', "did you mean model?"),
        ('kind = "hand-made"\nmodel = "hand_made_of_a_project:net"\nruns = ""\n', "runs: is empty"),
        ('model = "m:n"\ndata = "m:x"\n[run]\nsamples = 0\n', "run.samples: is 0"),
        ("model = [\n", "is no TOML"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(
    project: Write, capsys: Captured, settings: str, message: str
) -> None:
    if 'model = "nothing' in settings or "nett" in settings:
        pytest.importorskip("torch")
    folder = project(settings, hand_made_of_a_project=BY_HAND)
    _, err = said(capsys, 2, "run")
    assert message in err
    assert not list((folder / "runs").glob("*")) if (folder / "runs").exists() else True


def test_runs_that_cannot_be_written_are_said(project: Write, capsys: Captured) -> None:
    settings = 'kind = "hand-made"\nmodel = "hand_made_of_a_project:net"\n'
    folder = project(settings, hand_made_of_a_project=BY_HAND)
    (folder / "runs").write_text("a file", encoding="utf-8")
    assert "cannot be written" in said(capsys, 2, "run")[1]
    said(capsys, 0, "run", "--set", "runs=others")
    assert len(list((folder / "others").iterdir())) == 1


def test_torch_that_is_missing_says_what_to_install(
    project: Write, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_given: Any) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    project('model = "hand_made_of_a_project:net"\ndata = "x.npz"\n', hand_made_of_a_project=BY_HAND)
    monkeypatch.setattr("spikeport.cli.loading.load_model", missing)
    assert "pip install spikeport[torch]" in said(capsys, 2, "run")[1]


def test_outside_of_a_project_there_is_nothing_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spikeport.cli.project.project_file", lambda _start: None)
    assert "spikeport init makes one" in said(capsys, 2, "run")[1]
    assert "convert.levels" in said(capsys, 0, "config", "show")[0]  # defaults hold anywhere


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "x.spk"), "is given, and no data"),
        (("run", "--limit", "3"), "--limit belongs to a model and data"),
        (("run", "x.spk", "x.npz", "--set", "a=1"), "--set: is for projects"),
    ],
)
def test_projects_and_models_are_not_mixed(
    project: Write, capsys: Captured, words: tuple[str, ...], message: str
) -> None:
    project("")
    assert message in said(capsys, 2, *words)[1]


def test_settings_are_shown_with_their_origin(
    project: Write, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(CONVERT)
    monkeypatch.setenv("SPIKEPORT_CONVERT__SEED", "4")
    out, _ = said(capsys, 0, "config", "show", "--set", "convert.steps=9")
    lines = {line.split(" = ")[0].strip(): line.split(" = ")[1] for line in out.splitlines()}
    assert lines["convert.levels"] == "15  # spikeport.toml:7"
    assert lines["convert.seed"] == "4  # SPIKEPORT_CONVERT__SEED"
    assert lines["convert.steps"] == "9  # --set convert.steps"
    assert lines["runs"] == '"runs"  # default'
    document = json.loads(said(capsys, 0, "config", "show", "--json")[0])
    assert document["convert.levels"] == {"value": 15, "origin": "spikeport.toml:7"}
    assert json.loads(said(capsys, 0, "config", "schema")[0])["title"]
