"""NIR files that say nothing of what they mean, or are defective, in the commands that read them."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.cli import main
from spikeport.cli.foreign import contract_text, read_contract
from spikeport.errors import FileError, NirError, OptionError
from spikeport.nir.nirdata import Gridded, NirData
from spikeport.primitives import DynamicsContract, NirContract

CONTRACT = NirContract(
    dynamics=DynamicsContract(dt=1e-3, integrator="forward_euler"), nodes={"n": {"v_initial": [0.5]}}
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file that has no contract, one that is defective too, data, and contracts."""
    monkeypatch.chdir(tmp_path)
    one = np.ones(1)
    for name, shape in (("net.nir", [1]), ("batch.nir", [1, 1])):
        nodes = {
            "i": nir.Input({"input": np.array([1])}),
            "n": nir.LIF(tau=2e-3 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one),
            "o": nir.Output({"output": np.array(shape)}),
        }
        nir.write(name, nir.NIRGraph(nodes, [("i", "n"), ("n", "o")], type_check=False))
    np.savez("data.npz", x=np.array([[1.0], [1.5], [0], [9]]).reshape(1, 4, 1))
    np.savez("pair.npz", input=np.array([[1.0], [1.5], [0], [9]]), expected=np.array([[0], [1], [0], [1]]), dt=1e-3)
    Path("own.json").write_bytes(contract_text(CONTRACT))
    Path("plain.json").write_bytes(contract_text(NirContract(dynamics=CONTRACT.dynamics)))
    return tmp_path


def spikes(words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    assert main(["run", *words, "--json"]) == 0
    [sample] = json.loads(capsys.readouterr().out)["samples"]
    return int(sample["spikes"])


def test_run_takes_whose_file_it_is_or_a_contract(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "net.nir", "data.npz"]) == 2
    assert "like= (--like) one of 'snntorch'" in capsys.readouterr().err
    assert spikes(["net.nir", "data.npz", "--contract", "plain.json"], capsys) == 1  # 0.5, 1, 0.5, then above
    assert spikes(["net.nir", "data.npz", "--contract", "own.json"], capsys) == 2
    assert spikes(["net.nir", "data.npz", "--like", "spikingjelly", "--dt", "1e-3"], capsys) == 2  # fires at 1 as well
    assert spikes(["net.nir", "data.npz", "--contract", "plain.json", "--dt", "2e-3"], capsys) == 2
    assert main(["run", "net.nir", "data.npz", "--dt", "1e-3"]) == 2
    assert "dt: is given without `like`" in capsys.readouterr().err
    assert main(["run", "net.nir", "data.npz", "--like", "norse", "--contract", "own.json"]) == 2
    assert "like: is given beside a contract" in capsys.readouterr().err


def test_repairs_are_made_when_asked_and_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["batch.nir", "data.npz", "--contract", "own.json"]
    assert main(["run", *words]) == 2
    assert "hint: repair=True (--repair) does it" in capsys.readouterr().err
    assert main(["run", *words, "--repair"]) == 0
    said = capsys.readouterr()
    assert "2 spikes in 4 steps" in said.out
    assert "ledger: o: repaired: its shape (1, 1), with axes of a batch or of time, became (1,)" in said.err
    assert main(["nir", "show", "batch.nir", "--repair"]) == 0
    shown = capsys.readouterr().out
    assert "o: repaired: its shape (1, 1)" in shown
    assert "problem" not in shown
    assert main(["nir", "show", "batch.nir"]) == 0
    assert "hint: repair=True (--repair)" in capsys.readouterr().out
    assert main(["nir", "lint", "batch.nir"]) == 1
    assert "try: repair=True (--repair)" in capsys.readouterr().out
    assert main(["nir", "lint", "batch.nir", "--repair"]) == 0
    assert "warning: o: repaired" in capsys.readouterr().out


def test_discover_repairs_and_writes_a_contract_that_run_takes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "nir",
        "discover",
        "batch.nir",
        "pair.npz",
        "--given",
        "synapse=current",
        "--given",
        "integrator=forward_euler",
    ]
    assert main(words) == 2
    assert "repair=True (--repair)" in capsys.readouterr().err
    assert main([*words, "--repair", "--write", "found.json"]) == 0
    assert "o: repaired: its shape (1, 1)" in capsys.readouterr().out
    assert spikes(["batch.nir", "data.npz", "--contract", "found.json", "--repair"], capsys) == 2
    assert main([*words, "--repair", "--write", "found.nir"]) == 0
    capsys.readouterr()
    assert main(["run", "found.nir", "data.npz"]) == 2  # the copy has the defect still
    capsys.readouterr()
    assert spikes(["found.nir", "data.npz", "--repair"], capsys) == 2


def test_discover_takes_nirdata(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = np.load("pair.npz")
    data = {"i": Gridded(pair["input"][None], 1e-3), "n": Gridded(pair["expected"][None] > 0, 1e-3)}
    sp.write_nirdata(NirData({name: {"x": seen} for name, seen in data.items()}), "pair.nird")
    words = [
        "nir",
        "discover",
        "net.nir",
        "pair.nird",
        "--given",
        "synapse=current",
        "--given",
        "integrator=forward_euler",
    ]
    assert main(words) == 0
    assert "contracts give all 4 recorded values exactly" in capsys.readouterr().out
    Path("pair.h5").write_bytes(Path("pair.nird").read_bytes()[:500])
    assert main([*words[:3], "pair.h5"]) == 2
    assert "pair.h5: is not a readable HDF5 file" in capsys.readouterr().err


def test_compile_check_and_export_take_them_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--contract", "own.json", "--repair"]
    assert main(["compile", "batch.nir", "--target", "reference", *given]) == 0
    assert "by backend reference" in capsys.readouterr().out
    assert main(["check", "batch.nir", "--target", "reference", *given]) == 0
    assert "batch fits" in capsys.readouterr().out
    assert main(["export", "batch.nir", "-o", "said.nir", *given]) == 0
    capsys.readouterr()
    assert spikes(["said.nir", "data.npz"], capsys) == 2  # what was said, and mended, stands in the copy
    reference = ["--target", "reference"]
    for command in (
        ["compile", "batch.nir", *reference],
        ["check", "batch.nir", *reference],
        ["export", "batch.nir", "-o", "x.nir"],
    ):
        assert main(command) == 2
        assert "(--like)" in capsys.readouterr().err
    Path("net.spk").touch()
    for command in (["compile", "net.spk", "--target", "reference"], ["check", "net.spk", "--target", "reference"],
                    ["run", "net.spk", "data.npz"]):  # fmt: skip
        assert main([*command, "--like", "norse", "--repair"]) == 2
        said = capsys.readouterr().err
        assert "--like: is for NIR files, and net.spk is none" in said
        assert "--repair: is for NIR files" in said


def test_a_contract_of_its_own_file_is_read_as_strictly_as_one_inside(here: Path) -> None:
    back = read_contract("own.json")
    assert back.dynamics == CONTRACT.dynamics
    assert np.asarray(back.nodes["n"]["v_initial"]).tolist() == [0.5]
    Path("bad.json").write_text(Path("own.json").read_text().replace('"forward_euler"', '"euler"'))
    with pytest.raises(NirError, match=r"bad\.json: contract\.dynamics\.integrator: is not one of"):
        read_contract("bad.json")
    Path("bytes.json").write_bytes(b"\xff")
    with pytest.raises(FileError, match="no text in UTF-8"):
        read_contract("bytes.json")
    with pytest.raises(FileError, match="does not exist"):
        read_contract("none.json")
    with pytest.raises(OptionError, match=r"does not end in \.json"):
        read_contract("net.nir")


def test_the_pair_of_a_defective_graph_is_found_from_python_too(here: Path) -> None:
    found = sp.discover("batch.nir", "pair.npz", given={"synapse": "current"}, repair=True)
    assert [entry.node for entry in found.repairs] == ["o"]
    with pytest.raises(NirError, match="repair=True"):
        sp.discover("batch.nir", "pair.npz")
