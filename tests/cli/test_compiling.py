"""`compile` and `run` end to end: a program made, kept, run, and compared with other backends."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.backends import reference
from spikeport.cli import main
from spikeport.cli.running import differences
from spikeport.plugin import Backend
from tests.chips import tiny  # noqa: F401  (a fixture)
from tests.plugin.test_sessions import chip_network
from tests.test_compile import X, model  # noqa: F401  (a fixture)


@pytest.fixture
def here(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A folder with a model and data."""
    monkeypatch.chdir(tmp_path)
    model.save("net.spk")
    sp.to_nir(model, "net.nir")
    np.savez("data.npz", x=X, y=np.asarray(model(X)).argmax(1))
    return tmp_path


def test_a_program_is_described_saved_and_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "net.spk", "--target", "loihi2", "-o", "net.spp"]) == 0
    said = capsys.readouterr()
    assert "for loihi2, by backend loihi2" in said.out
    assert re.search(r"cores +1 +of 128", said.out)
    assert "ledger: " in said.out
    assert "wrote net.spp" in said.err
    assert main(["run", "net.spp", "data.npz", "--limit", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["run", "net.spk", "data.npz", "--limit", "5"]) == 0
    theirs = capsys.readouterr().out.splitlines()
    assert [text.split(",")[0] for text in lines] == [text.split(",")[0] for text in theirs]
    assert len(lines) == 5


def test_json_says_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "net.nir", "--target", "loihi2:loihi2", "-o", "net.spp", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["target"], found["code"], found["program"]) == ("loihi2", "signed", "net.spp")
    assert found["bill"][0]["resource"] == "cores"
    assert found["host"] is None
    assert found["offsets"]["output"] == 4
    assert sp.load_program("net.spp").offsets["output"] == 4


def test_a_narrow_target_is_compiled_for_on_data(here: Path, tiny: Backend, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert main(["compile", "net.spk", "--target", "tiny"]) == 2
    said = capsys.readouterr().err
    assert "its weights take" in said
    assert "note: Tiny is narrower than the model: give `data`" in said
    assert main(["compile", "net.spk", "--target", "tiny", "--data", "data.npz", "--option", "cores=3"]) == 0
    assert "quantized again: gap " in capsys.readouterr().out
    assert main(["compile", "net.spk", "--target", "tiny:few", "--code", "signed", "--allow-host", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["net.spk", "--target", "loihi"], "did you mean"),
        (["net.spk", "--target", "xylo"], "no installed backend compiles for 'xylo'"),
        (["none.spk", "--target", "loihi2"], "does not exist"),
        (["net.npz", "--target", "loihi2"], "does not end in"),
        (["net.spk", "--target", "loihi2", "-o", "net.bin"], "does not end in .spp"),
        (["net.spk", "--target", "loihi2", "--option", "neuron"], "is no key and value"),
        (["net.spk", "--target", "loihi2", "--option", "nuron=x"], "did you mean 'neuron'"),
        (["net.spk", "--target", "loihi2", "--option", "neuron=x", "--option", "neuron=y"], "names one key twice"),
        (["net.spk", "--target", "loihi2", "--option", "levels=7"], "--option levels: is none of the backend's"),
        (["net.spk", "--target", "loihi2", "--option", "data=x.npz"], "--option data: is none of the backend's"),
        (["net.spk", "--target", "loihi2", "--option", "placement=[1]"], "placement: is a list"),
        (["net.spk", "--target", "loihi2", "--steps", "-4"], "steps: is -4"),
        (["net.spk", "--target", "loihi2", "--weight-bits", "4"], "mean quantizing again"),
        (["net.nir", "--target", "loihi2", "--levels", "4"], "needs the integers"),
    ],
)
def test_what_is_wrong_is_said(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str) -> None:
    assert main(["compile", *words]) == 2
    assert why in capsys.readouterr().err


def test_several_backends_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["reference", "loihi2", *(["native"] if native.available() else [])]
    assert main(["run", "net.spk", "data.npz", "--on", ",".join(names), "--limit", "9"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "backend"
    assert [row.split()[0] for row in rows] == names
    assert all(row.split()[1] == "9" for row in rows)
    assert [row.split()[-1] for row in rows] == ["-", *["0"] * (len(names) - 1)]


def test_a_difference_is_named_and_the_exit_code_is_1(
    here: Path,
    tiny: Backend,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = tiny.compile

    def altered(network: Any, target: Any, options: Any) -> Any:
        populations = list(network.populations)
        neuron = populations[1].neuron
        populations[1] = replace(populations[1], neuron=replace(neuron, threshold=neuron.threshold + 40))
        return real(replace(network, populations=tuple(populations)), target, options)

    monkeypatch.setattr("tests.chips.TINY.compile", altered, raising=False)
    assert main(["run", "net.spk", "data.npz", "--on", "reference,tiny:wide", "--limit", "20", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert found["on"][0]["differing"] == 0
    assert found["on"][1]["differing"] > 0
    assert found["on"][1]["first"].startswith("spikes of relu1 of sample")
    assert len(found["samples"]) == 20


def test_a_program_is_compared_with_a_backend(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "net.spk", "--target", "loihi2", "-o", "net.spp"]) == 0
    assert main(["run", "net.spp", "data.npz", "--on", "reference", "--limit", "4"]) == 0
    said = capsys.readouterr().out
    assert "loihi2:loihi2 (program)" in said
    for words, why in (
        (["net.spk", "--on", "reference,reference"], "names a backend twice"),
        (["net.spk", "--on", "reference,"], "names a backend twice, or none"),
        (["net.spk", "--on", "referense"], "is no backend"),
        (["none.spp"], "does not exist"),
    ):
        file, *rest = words
        assert main(["run", file, "data.npz", *rest]) == 2
        assert why in capsys.readouterr().err


def test_a_hand_made_network_runs_from_its_program(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = chip_network()
    sp.compile(network, "loihi2").save("chip.spp")
    x = np.random.default_rng(1).integers(0, 5, (3, 30, 3))
    np.savez("steps.npz", x=x)
    assert main(["run", "chip.spp", "steps.npz", "--on", "reference", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = reference.simulate_dynamics(network, x.swapaxes(0, 1))
    for i, row in enumerate(found["samples"]):
        assert row["populations"] == {name: int(counts[i].sum()) for name, counts in expected.counts.items()}
    assert main(["run", "chip.spp", "steps.npz"]) == 0
    assert "spikes in 30 steps (lif " in capsys.readouterr().out
    assert main(["run", "chip.spp", "data.npz"]) == 2
    assert "with time as the first axis" in capsys.readouterr().err


def test_differences_see_every_field(model: Any) -> None:  # noqa: F811
    one = model.simulate(X[:4])
    assert not differences(one, one, 4)[0].any()
    readout = one.readout.copy()
    readout[1, 2, 0] += 1
    wrong, place = differences(one, replace(one, readout=readout), 4)
    assert (wrong.tolist(), place) == ([False, False, True, False], "the read-out")
    later = one.quiet_after + np.array([0, 1, 0, 0])
    assert differences(one, replace(one, quiet_after=later), 4)[1] == "steps until quiet"
