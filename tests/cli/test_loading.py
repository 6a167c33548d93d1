"""Models, weights and data named on the command line."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from spikeport.cli.loading import (  # noqa: E402
    check_outputs,
    is_reference,
    load_data,
    load_model,
    read_weights,
    resolve,
)
from spikeport.errors import DataError, FileError, OptionError, SpikeportError  # noqa: E402

NETS = """
import torch
from torch import nn

def mlp():
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))

ready = mlp()
Net = nn.Identity
number = 7

def numbers():
    return 7

def wants(size):
    return mlp()

def fails():
    raise ValueError("no such checkpoint")

def leaves():
    raise SystemExit(3)

class Zoo:
    mlp = staticmethod(mlp)

batches = [(torch.ones(2, 4), torch.zeros(2, dtype=torch.int64))]

def loader():
    yield torch.ones(2, 4)

def broken():
    yield torch.ones(2, 4)
    raise KeyError("labels")

whole = torch.ones(6, 4)
words = "words"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory with a package `zoo`; what was imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    (tmp_path / "zoo" / "nets.py").write_text(NETS)
    (tmp_path / "zoo" / "raises.py").write_text("print('working')\n\nraise RuntimeError('no weights here')\n")
    (tmp_path / "zoo" / "typo.py").write_text("def f(:\n    pass\n")
    (tmp_path / "zoo" / "needs.py").write_text("import a_package_that_is_not_there\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo"]:
        del sys.modules[name]


def problems(error: pytest.ExceptionInfo[SpikeportError]) -> str:
    return "\n".join(map(str, error.value.problems))


class TestReferences:
    def test_a_colon_makes_a_reference(self) -> None:
        assert is_reference("zoo.nets:mlp")
        assert not is_reference("mlp.pt2")
        assert not is_reference(r"C:\data\x.npz")
        assert not is_reference("D:/data/x.npz")

    @pytest.mark.skipif(os.name == "nt", reason="a file name there has no colon")
    def test_a_file_that_exists_wins(self, here: Path) -> None:
        np.savez(here / "a:b.npz", x=np.ones((2, 4)))
        assert not is_reference("a:b.npz")
        assert len(list(load_data("a:b.npz"))) == 1

    @pytest.mark.parametrize(
        "reference", ["zoo.nets:", ":mlp", "zoo nets:mlp", "zoo.nets:mlp()", "zoo/nets.py:mlp", "a:b:c"]
    )
    def test_other_text_is_refused(self, reference: str) -> None:
        with pytest.raises(OptionError, match=r"is neither a file nor package.module:name"):
            resolve(reference)

    @pytest.mark.parametrize(
        ("reference", "why"),
        [
            ("nowhere.nets:mlp", "there is no module nowhere"),
            ("zoo.nowhere:mlp", "there is no module zoo.nowhere"),
            ("zoo.nets:cnn", "zoo.nets has no cnn"),
            ("zoo.nets:Zoo.cnn", "zoo.nets has no Zoo.cnn"),
            ("zoo.raises:mlp", r"importing zoo.raises raised RuntimeError: no weights here \(.*raises.py, line 3\)"),
            ("zoo.typo:mlp", r"importing zoo.typo raised SyntaxError: .* \(.*typo.py, line 1\)"),
            ("zoo.needs:mlp", "raised ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ],
    )
    def test_what_cannot_be_imported_is_explained(self, reference: str, why: str) -> None:
        with pytest.raises(OptionError, match=why):
            resolve(reference)

    def test_a_name_that_is_missing_comes_with_those_that_are_there(self) -> None:
        with pytest.raises(OptionError, match=r"it has .*mlp"):
            resolve("zoo.nets:cnn")


class TestModels:
    @pytest.mark.parametrize("name", ["mlp", "ready", "Net", "Zoo.mlp"])
    def test_a_model_or_what_gives_one(self, name: str) -> None:
        assert isinstance(load_model(f"zoo.nets:{name}"), nn.Module)

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("number", "is of type int, which can neither be used nor called"),
            ("numbers", r"gives an object of type int, not a torch.nn.Module"),
            ("wants", "calling it raised TypeError: .* missing 1 required positional argument"),
            ("fails", "calling it raised ValueError: no such checkpoint"),
            ("leaves", "calling it raised SystemExit: 3"),
        ],
    )
    def test_anything_else_is_explained(self, name: str, why: str) -> None:
        with pytest.raises(OptionError, match=why):
            load_model(f"zoo.nets:{name}")

    def test_an_exported_archive(self, here: Path) -> None:
        model = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
        batch = torch.export.Dim("batch")
        program = torch.export.export(model, (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
        torch.export.save(program, here / "m.pt2")
        x = torch.randn(3, 4)
        torch.testing.assert_close(load_model("m.pt2")(x), model(x))
        with pytest.raises(OptionError, match="has its own weights"):
            load_model("m.pt2", "w.pt")

    def test_other_archives_are_refused(self, here: Path) -> None:
        (here / "text.pt2").write_text("no archive")
        np.savez(here / "data.npz", x=np.ones(2))
        (here / "data.npz").rename(here / "data.pt2")
        for name in ("text.pt2", "data.pt2"):
            with pytest.raises(FileError, match=r"is no torch.export archive"):
                load_model(name)

    def test_other_files_are_refused_with_a_way_out(self, here: Path) -> None:
        torch.save(nn.Linear(2, 2), here / "whole.pt")
        with pytest.raises(OptionError, match=r"does not end in \.pt2\n  hint: name a model as package.module:factory"):
            load_model("whole.pt")
        with pytest.raises(FileError, match=r"m\.pt2: does not exist"):
            load_model("m.pt2")


class TestWeights:
    @pytest.fixture
    def state(self) -> dict[str, Any]:
        return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).state_dict()

    @pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict"])
    def test_a_state_dict_alone_or_in_a_checkpoint(self, here: Path, state: dict[str, Any], key: str | None) -> None:
        torch.save({key: state, "epoch": 3} if key else state, here / "w.pt")
        model = load_model("zoo.nets:mlp", "w.pt")
        torch.testing.assert_close(dict(model.state_dict()), dict(state))

    def test_safetensors(self, here: Path, state: dict[str, Any]) -> None:
        save_file = pytest.importorskip("safetensors.torch").save_file
        save_file(state, here / "w.safetensors")
        model = load_model("zoo.nets:mlp", "w.safetensors")
        torch.testing.assert_close(dict(model.state_dict()), dict(state))
        (here / "w.safetensors").write_bytes(b"\xff" * 20)
        with pytest.raises(FileError, match="cannot be read"):
            load_model("zoo.nets:mlp", "w.safetensors")

    def test_everything_that_does_not_fit_is_one_error(self, here: Path, state: dict[str, Any]) -> None:
        state["3.weight"] = state.pop("2.weight")
        state["0.bias"] = torch.zeros(7)
        torch.save(state, here / "w.pt")
        with pytest.raises(OptionError) as caught:
            load_model("zoo.nets:mlp", "w.pt")
        assert [problem.where for problem in caught.value.problems] == [
            "w.pt: 0.bias",
            "w.pt: 2.weight",
            "w.pt: 3.weight",
        ]
        assert "has shape (7,), the model takes (5,)" in problems(caught)
        assert "is missing" in problems(caught)
        assert "is not in the model" in problems(caught)

    def test_missing_and_unexpected_keys_are_all_listed(self, here: Path, state: dict[str, Any]) -> None:
        torch.save({f"module.{key}": value for key, value in state.items()}, here / "w.pt")
        with pytest.raises(OptionError, match=r"save model.module.state_dict") as caught:
            load_model("zoo.nets:mlp", "w.pt")
        assert len(caught.value.problems) == 8

    def test_pickled_code_is_refused_and_not_run(self, here: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (Path("sprung"),)

        torch.save({"weight": Trap()}, here / "trap.pt")
        torch.save(nn.Linear(2, 2), here / "whole.pt")
        for name in ("trap.pt", "whole.pt"):
            with pytest.raises(FileError, match="it could execute code"):
                load_model("zoo.nets:mlp", name)
        assert not (here / "sprung").exists()

    @pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {}}, {}, 7, torch.ones(3)])
    def test_other_content_is_refused(self, here: Path, content: Any) -> None:
        torch.save(content, here / "w.pt")
        with pytest.raises(FileError, match="no state dict"):
            read_weights(here / "w.pt")

    @pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
    def test_other_files_are_refused(self, here: Path, content: bytes) -> None:
        (here / "w.pt").write_bytes(content)
        with pytest.raises(FileError):
            read_weights(here / "w.pt")

    def test_missing_files_and_other_suffixes_are_refused(self, here: Path) -> None:
        with pytest.raises(FileError, match="does not exist"):
            load_model("zoo.nets:mlp", "w.pt")
        with pytest.raises(OptionError, match=r"does not end in \.pt or"):
            load_model("zoo.nets:mlp", "w.h5")


class TestData:
    @pytest.mark.parametrize("name", ["batches", "loader", "whole"])
    def test_batches_or_what_gives_them(self, name: str) -> None:
        assert list(load_data(f"zoo.nets:{name}"))

    def test_a_loader_of_known_length_keeps_it(self) -> None:
        assert len(load_data("zoo.nets:batches")) == 1  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            len(load_data("zoo.nets:loader"))  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("number", "is of type int"),
            ("words", "is of type str"),
            ("numbers", "gives an object of type int, no iterable"),
            ("fails", "raised ValueError"),
        ],
    )
    def test_anything_else_is_explained(self, name: str, why: str) -> None:
        with pytest.raises(OptionError, match=why):
            load_data(f"zoo.nets:{name}")

    def test_what_a_loader_raises_names_the_loader_and_the_batch(self) -> None:
        with pytest.raises(
            DataError, match=r"zoo.nets:broken: batch 1: reading it raised KeyError: 'labels' \(.*nets.py"
        ):
            list(load_data("zoo.nets:broken"))

    def test_files(self, here: Path) -> None:
        np.savez(here / "d.npz", x=np.ones((2, 4)))
        assert len(list(load_data("d.npz"))) == 1
        with pytest.raises(OptionError, match=r"does not end in \.npz"):
            load_data("d.csv")
        with pytest.raises(FileError, match="does not exist"):
            load_data("e.npz")


class TestOutputs:
    def test_all_problems_are_found_at_once(self, here: Path) -> None:
        (here / "folder.spk").mkdir()
        with pytest.raises(FileError) as caught:
            check_outputs(
                ("model.txt", (".spk",)),
                ("folder.spk", (".spk",)),
                ("missing/model.spk", (".spk",)),
                ("page.html", (".html", ".json")),
                (None, (".html",)),
            )
        assert [problem.where for problem in caught.value.problems] == ["model.txt", "folder.spk", "missing/model.spk"]
        assert "write model.spk" in problems(caught)

    def test_the_check_leaves_nothing_behind(self, here: Path) -> None:
        before = sorted(here.iterdir())
        check_outputs(("model.spk", (".spk",)))
        assert sorted(here.iterdir()) == before
