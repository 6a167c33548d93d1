"""The commands end to end, on a tiny model in a package of the current directory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import spikeport as sp  # noqa: E402
from spikeport import primitives  # noqa: E402
from spikeport.backends.reference import simulate  # noqa: E402
from spikeport.cli import main  # noqa: E402
from spikeport.cli.running import line  # noqa: E402
from spikeport.model import load  # noqa: E402
from spikeport.validate import parts  # noqa: E402

NETS = """
import torch
from torch import nn

print("nets is imported")

def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))

def other():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))

def value():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1))

def wide():
    return nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 3))

def softsign():
    return nn.Sequential(nn.Linear(6, 12), nn.Softsign(), nn.Linear(12, 3))

def batches():
    print("a batch")
    yield torch.ones(4, 6), torch.zeros(4, dtype=torch.int64)
    yield torch.zeros(3, 6), torch.ones(3, dtype=torch.int64)

def words():
    return ["one", "two"]
"""
N = 80
BLOCK = "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"
START = "from spikeport.cli import main\nsys.exit(main())"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a package, data, weights, and the spiking models that the command line made of them."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny").mkdir()
    (folder / "tiny" / "__init__.py").touch()
    (folder / "tiny" / "nets.py").write_text(NETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        nets: Any = __import__("tiny.nets").nets
        x = np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)
        with torch.no_grad():
            y = nets.mlp()(torch.tensor(x)).argmax(1).numpy()
        np.savez(folder / "data.npz", x=x, y=y)
        np.savez(folder / "wide.npz", x=np.ones((3, 9)))
        np.savez(folder / "nan.npz", x=np.full((3, 6), np.nan))
        torch.save({"model_state_dict": nets.other().state_dict()}, folder / "other.pt")
        torch.save(nets.wide().state_dict(), folder / "wide.pt")
        assert main(["convert", "tiny.nets:mlp", "data.npz", "-o", "mlp.spk"]) == 0
        assert main(["convert", "tiny.nets:value", "data.npz", "-o", "value.spk"]) == 0
        assert main(["export", "mlp.spk", "-o", "mlp.nir"]) == 0
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
        del sys.modules[name]


@pytest.fixture
def here(made: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder, with nothing said yet."""
    capsys.readouterr()
    return made


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


class TestConvert:
    def test_summary_and_report_go_to_stdout_and_the_rest_to_stderr(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sys.modules.pop("tiny.nets", None)
        words = ["convert", "tiny.nets:mlp", "tiny.nets:batches", "-o", "again.spk", "--report", "again.html"]
        assert main(words) == 0
        said = capsys.readouterr()
        assert "spiking neurons" in said.out
        assert "road" in said.out
        assert "nets is imported" not in said.out
        assert "a batch" not in said.out
        assert "nets is imported\n" in said.err
        assert "wrote again.spk\nwrote again.html\n" in said.err
        assert load(here / "again.spk").integer.neurons == 12
        assert "<html" in (here / "again.html").read_text("utf-8")

    def test_json_is_one_document(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["convert", "tiny.nets:mlp", "tiny.nets:batches", "-o", "again.spk", "--json", "--report", "again.json"]
        assert main(words) == 0
        found = document(capsys)
        assert found["model"] == "again.spk"
        assert found["ok"] is True
        assert found["report"] == json.loads((here / "again.json").read_text("utf-8"))

    def test_options_arrive(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["convert", "tiny.nets:mlp", "data.npz", "-o", "options.spk", "--weights", "other.pt", "--levels", "7"]
        more = ["--weight-bits", "6", "--state-bits", "20", "--code", "signed", "--steps", "9", "--max-samples", "40"]
        assert main([*words, *more, "--input-bits", "5", "--seed", "3"]) == 0
        model = load(here / "options.spk")
        assert model.integer.layers[0].high == 7  # type: ignore[union-attr]
        assert model.integer.weight_bits == 6
        assert model.network.input.high < 2**5
        contract = model.network.contract
        assert (contract.code, contract.presentation, contract.state_bits) == ("signed", 9, 20)
        mlp = load(here / "mlp.spk")
        x = np.ones((1, 6), dtype=np.float32)
        assert not np.allclose(model(x), mlp(x), atol=0.1)  # the weights are those of the file
        assert main(["convert", "tiny.nets:mlp", "data.npz", "-o", "options.spk", "--code", "graded"]) == 0
        assert load(here / "options.spk").network.contract.code == "graded"

    @pytest.mark.parametrize(
        ("model", "data", "more", "kind", "why"),
        [
            ("nowhere:mlp", "data.npz", [], "OptionError", "there is no module nowhere"),
            ("tiny.nets:rnn", "data.npz", [], "OptionError", "tiny.nets has no rnn"),
            ("tiny.nets:words", "data.npz", [], "OptionError", "not a torch.nn.Module"),
            ("tiny.nets:softsign", "data.npz", [], "CaptureError", "Softsign"),
            ("mlp.pth", "data.npz", [], "OptionError", "does not end in .pt2"),
            ("mlp.pt2", "data.npz", [], "FileError", "does not exist"),
            ("tiny.nets:mlp", "data.csv", [], "OptionError", "does not end in .npz"),
            ("tiny.nets:mlp", "missing.npz", [], "FileError", "does not exist"),
            ("tiny.nets:mlp", "nan.npz", [], "DataError", "NaN"),
            ("tiny.nets:mlp", "wide.npz", [], "DataError", "fails on a batch"),
            ("tiny.nets:mlp", "tiny.nets:words", [], "DataError", "is a str"),
            ("tiny.nets:mlp", "tiny.nets:torch", [], "OptionError", "is of type module"),
            ("tiny.nets:mlp", "data.npz", ["--weights", "wide.pt"], "OptionError", "has shape (12, 9)"),
            ("tiny.nets:mlp", "data.npz", ["--weights", "missing.pt"], "FileError", "does not exist"),
            ("tiny.nets:mlp", "data.npz", ["--weights", "w.txt"], "OptionError", "does not end in .pt"),
            ("tiny.nets:mlp", "data.npz", ["--levels", "0"], "OptionError", "levels"),
            ("tiny.nets:mlp", "data.npz", ["--weight-bits", "0"], "OptionError", "weight_bits"),
            ("tiny.nets:mlp", "data.npz", ["--input-bits", "0"], "OptionError", "input_bits"),
            ("tiny.nets:mlp", "data.npz", ["--state-bits", "0"], "OptionError", "state_bits"),
            ("tiny.nets:mlp", "data.npz", ["--steps", "0"], "OptionError", "steps"),
            ("tiny.nets:mlp", "data.npz", ["--max-samples", "0"], "OptionError", "max_samples"),
            ("tiny.nets:mlp", "data.npz", ["--seed", "-1"], "UsageError", "--seed"),
            ("tiny.nets:mlp", "data.npz", ["--input", "events"], "DataError", "event counts"),
            ("tiny.nets:mlp", "data.npz", ["--report", "page.pdf"], "FileError", "does not end in .html"),
            ("tiny.nets:mlp", "data.npz", ["--report", "no/page.html"], "FileError", "cannot be written"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_is_written(
        self,
        here: Path,
        capsys: pytest.CaptureFixture[str],
        model: str,
        data: str,
        more: list[str],
        kind: str,
        why: str,
    ) -> None:
        before = sorted(here.iterdir())
        assert main(["convert", model, data, "-o", "wrong.spk", *more, "--json"]) == 2
        said = capsys.readouterr()
        error = json.loads(said.out)["error"]
        assert error["kind"] == kind
        assert why in said.err
        assert any(why in f"{p['where']}: {p['why']}" for p in error["problems"])
        assert "Traceback" not in said.err
        assert sorted(here.iterdir()) == before

    @pytest.mark.parametrize("output", ["model.txt", "no/model.spk", "tiny"])
    def test_outputs_are_checked_before_anything_is_imported(
        self, here: Path, capsys: pytest.CaptureFixture[str], output: str
    ) -> None:
        assert main(["convert", "nowhere:mlp", "missing.npz", "-o", output, "--report", "no/page.html"]) == 2
        said = capsys.readouterr()
        assert f"error: {output}" in said.err
        assert "error: no/page.html" in said.err
        assert "nowhere" not in said.err


class TestValidate:
    @pytest.mark.parametrize("more", [[], ["--model", "tiny.nets:mlp"]])
    def test_a_report_that_holds(self, here: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
        words = ["validate", "mlp.spk", "data.npz", "--tolerance", "20", "--stepped", "5", *more]
        assert main(words) == 0
        assert "stepping" in capsys.readouterr().out
        assert main([*words, "--json", "--report", "page.html"]) == 0
        found = document(capsys)
        assert found["ok"] is True
        assert found["report"]["samples"] == N
        assert found["report"]["stepped_samples"] == 5
        assert (here / "page.html").is_file()

    def test_a_report_that_does_not_is_exit_code_1(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["validate", "mlp.spk", "data.npz", "--tolerance", "0", "--stepped", "2"]
        assert main(words) == 1
        assert "missed" in capsys.readouterr().out
        assert main([*words, "--json"]) == 1
        found = document(capsys)
        assert found["ok"] is False
        assert "error" not in found

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (["missing.spk", "data.npz"], "does not exist"),
            (["data.npz", "data.npz"], "does not end in .spk"),
            (["torn.spk", "data.npz"], "torn.spk"),
            (["mlp.spk", "missing.npz"], "does not exist"),
            (["mlp.spk", "wide.npz"], "the model takes (batch, 6)"),
            (["mlp.spk", "data.npz", "--model", "tiny.nets:rnn"], "has no rnn"),
            (["mlp.spk", "data.npz", "--model", "tiny.nets:wide"], "fails on a batch"),
            (["mlp.spk", "data.npz", "--model", "tiny.nets:mlp", "--weights", "wide.pt"], "has shape (12, 9)"),
            (["mlp.spk", "data.npz", "--tolerance", "-1"], "tolerance"),
            (["mlp.spk", "data.npz", "--tolerance", "nan"], "tolerance"),
            (["mlp.spk", "data.npz", "--stepped", "-1"], "stepped"),
            (["mlp.spk", "data.npz", "--report", "no/page.html"], "cannot be written"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, here: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
    ) -> None:
        (here / "torn.spk").write_bytes((here / "mlp.spk").read_bytes()[:-200])
        assert main(["validate", *words]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ") or "\nerror: " in said.err
        assert why in said.err
        assert not said.out


class TestExport:
    def test_the_ledger_is_printed(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", "mlp.spk", "-o", "again.nir"]) == 0
        said = capsys.readouterr()
        assert said.out.strip()
        assert said.err == "wrote again.nir\n"
        assert main(["export", "mlp.spk", "-o", "again.nir", "--json"]) == 0
        found = document(capsys)
        assert found["path"] == "again.nir"
        assert [str(entry["node"]) for entry in found["ledger"]] == [
            text.partition(": ")[0] for text in said.out.splitlines()
        ]

    def test_what_is_wrong_is_said(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for words, why in (
            (["mlp.spk", "-o", "no/mlp.nir"], "cannot be written"),
            (["data.npz", "-o", "again.nir"], "does not end in .spk"),
            (["mlp.spk", "-o", "again.nir", "--strict"], "leave strict out"),
            (["missing.spk", "-o", "again.nir"], "does not exist"),
            (["mlp.spk", "-o", "again.nir", "--dialect", "torch"], "dialect: is 'torch'"),
        ):
            assert main(["export", *words]) == 2
            assert why in capsys.readouterr().err

    def test_a_dialect_is_written_in_population_code(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", "mlp.spk", "-o", "again.nir", "--dialect", "norse"]) == 0
        assert "takes integers" in capsys.readouterr().out
        found = sp.from_nir("again.nir")
        assert isinstance(found, sp.DynamicNetwork)
        assert found.outputs[0].name == "output"
        assert main(["export", "mlp.spk", "-o", "again.nir", "--dialect", "norse", "--strict"]) == 0

    def test_the_network_of_a_nir_file_is_written_for_a_tool(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        network = primitives.DynamicNetwork(
            "net",
            (primitives.SpikeInput("x", (1,)),),
            (primitives.DynamicPopulation("n", (1,), primitives.LIF(tau=0.004, r=2.0)),),
            (primitives.Projection("x", "n", (primitives.Dense(np.ones((1, 1))),)),),
            primitives.DynamicsContract(dt=1e-3, integrator="forward_euler"),
            outputs=(primitives.NetworkOutput("y", "n"),),
        )
        sp.to_nir(network, here / "net.nir")
        assert main(["export", "net.nir", "-o", "norse.nir", "--dialect", "norse", "--strict"]) == 0
        assert "are the same in our model of norse" in capsys.readouterr().out
        found = sp.from_nir("norse.nir", like="norse")
        assert isinstance(found, sp.DynamicNetwork)
        assert float(np.asarray(found["n"].neuron.threshold).item()) == 0.5  # Norse reads no r


class TestRun:
    @pytest.mark.parametrize("file", ["mlp.spk", "mlp.nir"])
    def test_one_line_a_sample(self, here: Path, capsys: pytest.CaptureFixture[str], file: str) -> None:
        assert main(["run", file, "data.npz", "--limit", "70"]) == 0
        lines = capsys.readouterr().out.splitlines()
        with np.load("data.npz") as data:
            x = data["x"][:70]
        recording = simulate(load("mlp.spk").network, x)
        assert len(lines) == 70
        for i, text in enumerate(lines):
            spikes = sum(n[i] for n in recording.n_spikes.values())
            assert text.startswith(f"sample {i}: class {recording.output[i].argmax()}, label ")
            assert text.endswith(f"quiet after {recording.quiet_after[i]} steps, {spikes} spikes")

    def test_every_backend_prints_the_same(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        said = []
        for on in ([], ["--on", "reference"], ["--on", "torch"]):
            assert main(["run", "mlp.spk", "data.npz", "--limit", "9", *on]) == 0
            said.append(capsys.readouterr().out)
        assert said[0] == said[1] == said[2]
        assert main(["run", "mlp.spk", "data.npz", "--on", "paper"]) == 2

    def test_json_holds_the_outputs(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "mlp.spk", "tiny.nets:batches", "--json"]) == 0
        found = document(capsys)
        assert found["code"] == "signed"
        assert [sample["sample"] for sample in found["samples"]] == list(range(7))
        assert [sample["label"] for sample in found["samples"]] == [0] * 4 + [1] * 3
        assert np.argmax(found["samples"][0]["output"]) == found["samples"][0]["class"]

    def test_a_single_output_is_no_class(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "value.spk", "data.npz", "--limit", "1"]) == 0
        assert capsys.readouterr().out.startswith("sample 0: output [")

    @pytest.mark.parametrize("file", ["mlp.spk", "mlp.nir"])
    def test_it_needs_no_torch(self, here: Path, capsys: pytest.CaptureFixture[str], file: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", BLOCK + START, "run", file, "data.npz", "--limit", "3"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert main(["run", file, "data.npz", "--limit", "3"]) == 0
        assert done.stdout == capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (["missing.nir", "data.npz"], "does not exist"),
            (["torn.nir", "data.npz"], "torn.nir"),
            (["mlp.nir", "wide.npz"], "the network takes (6,)"),
            (["mlp.nir", "data.npy"], "does not end in .npz"),
            (["mlp.nir", "tiny.nets:numbers"], "has no numbers"),
            (["mlp.nir", "data.npz", "--limit", "x"], "not a valid integer"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, here: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
    ) -> None:
        (here / "torn.nir").write_bytes((here / "mlp.nir").read_bytes()[:300])
        assert main(["run", *words]) == 2
        assert why in capsys.readouterr().err


def test_parts_are_bounded_and_limited() -> None:
    data = [np.ones((100, 2)), np.ones((100, 2))]
    assert [len(x) for x, _ in parts(data, None)] == [64, 36, 64, 36]
    assert [len(x) for x, _ in parts(data, 120)] == [64, 36, 20]
    assert [len(x) for x, _ in parts(data, 100)] == [64, 36]


def test_a_sample_that_is_not_quiet_says_so() -> None:
    row = {"sample": 2, "output": [0.25], "steps": None, "spikes": 3}
    assert line(row) == "sample 2: output [0.25], not quiet, 3 spikes"
