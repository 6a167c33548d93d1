"""The command `targets`; it needs neither torch nor a vendor's package."""

import json
from pathlib import Path

import pytest

from spikeport.cli import main
from spikeport.targets import target_names


def test_it_lists_all_chips(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in out for name in target_names())


def test_it_lists_all_chips_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["targets"]
    assert [entry["name"] for entry in listed][:10] == list(target_names())
    assert listed[0].keys() == {"name", "title", "vendor", "backend", "distribution"}


def test_it_says_all_of_one_chip(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "xylo"]) == 0
    out = capsys.readouterr().out
    assert "  hidden_max            1,000 neurons\n                        source: rockpool 3.1.0" in out
    assert main(["targets", "xylo", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert facts["weight_bits"]["value"] == 8
    assert facts["weight_bits"]["unit"] == "bit"
    assert facts["weight_bits"]["enforced"] is True


def test_it_reads_a_chip_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = "Mine"\nvendor = "Me"\n')
    assert main(["targets", str(path)]) == 0
    assert capsys.readouterr().out.startswith("Mine (mine), Me\n")
    path.write_text('name = "mine"\ntitel = "Mine"\nvendor = "Me"\n')
    assert main(["targets", str(path), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "TargetError"
    assert [problem["hint"] for problem in error["problems"]] == ["did you mean 'title'?", ""]


def test_it_says_all_of_the_target_of_a_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "reference"]) == 0
    assert capsys.readouterr().out.startswith("numpy on this machine (host), spikeport\n")


def test_an_unknown_chip_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "xylu"]) == 2
    assert capsys.readouterr().err.startswith("error: target: 'xylu' is not known\n  hint: did you mean 'xylo'?")
