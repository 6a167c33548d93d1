"""The command `check`: verdicts, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import spikeport as sp  # noqa: E402
from spikeport.cli import main  # noqa: E402

NETS = """
import torch
from torch import nn

def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checknets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_model_that_fits_and_one_that_does_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "checknets:mlp", "--example", "6", "--no-suggestions"]
    assert main([*words, "--target", "loihi2"]) == 0
    assert capsys.readouterr().out.startswith("loihi2: network fits, exactly")
    assert main([*words, "--target", "loihi2", "--target", "xylo"]) == 1
    assert "xylo: network does not fit" in capsys.readouterr().out
    assert main([*words, "--target", "xylo", "--json"]) == 1
    [verdict] = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["outcome"], verdict["reasons"][0]["fact"]) == ("impossible", "state_bits")


def test_a_saved_model_and_a_chip_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3))
    sp.convert(model, [torch.randn(16, 6)], progress=False).save(folder / "mlp.spk")
    chip = 'name = "mine"\ntitle = "Mine"\nvendor = "me"\n'
    chip += 'neurons_max = { value = 15, source = "my notes", confidence = "document", enforced = true }\n'
    (folder / "mine.toml").write_text(chip)
    assert main(["check", "mlp.spk", "--target", "mine.toml"]) == 0
    capsys.readouterr()
    assert main(["check", "mlp.spk", "--target", "mine.toml", "--levels", "7", "--input", "events"]) == 2
    said = capsys.readouterr().err
    assert "levels: is of the conversion, and this is converted already" in said
    assert "input: is of the conversion" in said
    capsys.readouterr()
    (folder / "mine.toml").write_text(chip.replace("15", "14"))
    assert main(["check", "mlp.spk", "--target", "mine.toml", "--no-suggestions"]) == 1
    assert "network: takes 15 neurons, and Mine has 14" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["checknets:mlp", "--target", "loihi2"], "--example: is missing"),
        (["checknets:mlp", "--target", "loihi2", "--example", "6,x"], "--example: is '6,x'"),
        (["checknets:mlp", "--target", "loihi3", "--example", "6"], "'loihi3' is not known"),
        (["none.spk", "--target", "loihi2"], "does not exist"),
        (["none.spk", "--target", "loihi2", "--example", "6"], "--example: is for models that are not converted yet"),
    ],
)
def test_misuse(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["check", *words]) == 2
    assert said in capsys.readouterr().err
