"""Programs: kept in files that are equal for equal programs, and opened by nobody but the backend that made them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import spikeport as sp
from spikeport import codes
from spikeport.backends import reference
from spikeport.backends.hosts import REFERENCE
from spikeport.errors import ArchiveError, BackendError, FileError, OptionError
from spikeport.lower import Bill, Use
from spikeport.plugin import Program
from spikeport.primitives import Approximation, DynamicNetwork
from spikeport.storage import archive
from tests.dynamic_networks import simulations
from tests.integer_networks import random_input, random_network
from tests.plugin.test_sessions import assert_equal, chip_network
from tests.recordings import assert_equal_recordings


def program(network: Any, **more: Any) -> Program:
    made = REFERENCE.compile(network, REFERENCE.targets[0], None)
    return replace(made, distribution="spikeport", **more)


def full(network: Any) -> Program:
    names = list(network.by_name)
    return program(
        network,
        offsets=dict.fromkeys(names, 0),
        bill=Bill((Use("cores", 2, 128, True, "data sheet"), Use("neurons", 7, None, False))),
        ledger=(Approximation("a", "rounded", 0.5, "of a step"),),
        document={"cores": [1, 2, {"name": "α"}], "scale": 0.5, "none": None},
        arrays={"weights": np.arange(6, dtype=np.int8).reshape(2, 3), "core": np.zeros(2, dtype=np.int32)},
        report='{"ok": true}',
    )


@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", sorted(codes.CODES))
def test_a_saved_program_runs_as_before(code: str, kind: str, tmp_path: Path) -> None:
    for seed in range(3):
        base = random_network(seed, kind=kind, digits=True, curved=seed == 2)
        try:
            network = codes.encode(base, code)
        except OptionError:
            continue
        x = random_input(base, seed)
        path = full(network).save(tmp_path / "p.spp")
        found = sp.load_program(path)
        assert found.save(tmp_path / "q.spp").read_bytes() == path.read_bytes()
        for source in (path, str(path), found):
            with sp.open(source) as session:
                assert_equal_recordings(session.run(x), reference.simulate(network, x, record=None))


@settings(max_examples=25, deadline=None)
@given(case=simulations())
def test_networks_with_dynamics_come_back_as_they_were(case: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    network, given_ = case
    path = program(network).save(tmp_path_factory.mktemp("p") / "p.spp")
    expected = reference.simulate_dynamics(network, **given_, potentials=list(network.by_name))
    with sp.open(path) as session:
        assert_equal(session.run(given_["x"], max_steps=given_["n_steps"], currents=given_["currents"]), expected)


def test_all_that_is_in_a_program_comes_back(tmp_path: Path) -> None:
    before = full(chip_network())
    after = sp.load_program(before.save(tmp_path / "p.spp"))
    for name in ("backend", "backend_version", "target", "distribution", "plugin_version", "bill", "ledger", "report"):
        assert getattr(after, name) == getattr(before, name), name
    assert dict(after.offsets) == dict(before.offsets)
    assert dict(after.document) == dict(before.document)
    assert list(after.arrays) == ["core", "weights"]
    for name, array in before.arrays.items():
        assert after.arrays[name].dtype == array.dtype
        assert np.array_equal(after.arrays[name], array)
    assert isinstance(after.network, DynamicNetwork)
    x = np.random.default_rng(0).integers(0, 5, (20, 2, 3))
    with sp.open(after) as session:
        names = list(before.network.by_name)
        assert_equal(session.run(x), reference.simulate_dynamics(chip_network(), x, potentials=names))


def test_equal_programs_give_equal_files_in_every_process(tmp_path: Path) -> None:
    code = """
import sys
from tests.plugin.test_programs import full
from tests.plugin.test_sessions import chip_network
from tests.integer_networks import random_network
from spikeport import codes
full(codes.encode(random_network(3, digits=True), "graded")).save(sys.argv[1] + "/converted.spp")
full(chip_network()).save(sys.argv[1] + "/chip.spp")
"""
    folders = []
    for seed in ("1", "2"):
        folders.append(tmp_path / seed)
        folders[-1].mkdir()
        subprocess.run(
            [sys.executable, "-c", code, str(folders[-1])],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
        )
    for name in ("converted.spp", "chip.spp"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_a_program_is_opened_by_the_backend_that_made_it_and_no_other() -> None:
    good = program(chip_network())
    sp.open(good).close()
    for change, why in (
        (
            {"backend": "nobodys", "distribution": "nobodys-chip"},
            r"made by backend 'nobodys' .*not installed\n.*pip install nobodys-chip",
        ),
        ({"backend": "referense", "distribution": ""}, r"which is not installed\n.*did you mean 'reference'"),
        ({"backend_version": "0.0.7"}, r"made by backend 'reference' 0\.0\.7, and .* is installed"),
        ({"target": "hots"}, r"is for target 'hots', which backend 'reference' does not have"),
        ({"plugin_version": 9}, r"made for version 9 of the plug-in contract, and this is 1"),
    ):
        with pytest.raises(BackendError, match=why):
            sp.open(replace(good, **change))
    with pytest.raises(OptionError, match="nobody: is not a population"):
        sp.open(good, record=["nobody"])


def test_offsets_are_steps_of_populations() -> None:
    for offsets, why in (({"nobody": 1}, "nobody: has an offset"), ({"lif": -1}, "lif: its offset is -1")):
        with pytest.raises(BackendError, match=why):
            program(chip_network(), offsets=offsets)


def test_what_no_file_holds_is_refused(tmp_path: Path) -> None:
    for document in ({"x": {1, 2}}, {"x": float("nan")}):
        with pytest.raises(FileError, match="its document of backend 'reference' is no JSON"):
            program(chip_network(), document=document).save(tmp_path / "p.spp")
    assert not (tmp_path / "p.spp").exists()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = full(chip_network()).save(tmp_path / "p.spp")
    whole = path.read_bytes()
    broken = tmp_path / "broken.spp"
    rng = np.random.default_rng(0)
    for place in [0, len(whole) // 2, len(whole) - 1, *rng.integers(0, len(whole), 60)]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        broken.write_bytes(bytes(flipped))
        with pytest.raises(ArchiveError):
            sp.load_program(broken)
    for length in [0, 1, 100, len(whole) // 2, len(whole) - 1]:
        broken.write_bytes(whole[:length])
        with pytest.raises(ArchiveError):
            sp.open(broken)
    with pytest.raises(FileError):
        sp.load_program(tmp_path / "none.spp")


def rewritten(path: Path, change: Any) -> Path:
    """The file with another document, and hashes that fit it."""
    documents, arrays = archive.read_archive(path)
    found = json.loads(documents["program.json"])
    change(found)
    target = path.parent / "hostile.spp"
    return archive.write_archive(target, {**documents, "program.json": json.dumps(found).encode()}, arrays)


def _far(found: Any) -> None:
    """Each number within its bound, and rings beyond any memory."""
    network = found["content"][0]["DynamicNetwork"]
    network["populations"][2]["DynamicPopulation"]["shape"] = [10**6]
    network["projections"][2]["Projection"]["delay"] = 60_000


def _deep(found: Any) -> None:
    value: Any = 0
    for _ in range(70):
        value = [value]
    found["content"] = value


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.update(format="spikeport.program/7"),
        lambda f: f.pop("target"),
        lambda f: f.update(more=1),
        lambda f: f.update(backend=5),
        lambda f: f.update(plugin_version="1"),
        lambda f: f.update(offsets={"lif": -1}),
        lambda f: f.update(offsets={"lif": 2**40}),
        lambda f: f.update(offsets={"nobody": 1}),
        lambda f: f.update(offsets=[]),
        lambda f: f.update(bill={}),
        lambda f: f.update(bill=[{"resource": "cores"}]),
        lambda f: f.update(bill=[{"resource": "cores", "used": "many", "limit": 1, "enforced": True}]),
        lambda f: f.update(cut={"before": [], "on_chip": [], "after": [], "entering": "", "leaving": ""}),
        lambda f: f.update(document=[]),
        lambda f: f.update(content=[1, 2, 3]),
        lambda f: f["content"].__setitem__(2, [1]),
        lambda f: f["content"].__setitem__(3, [["x", 1]]),
        lambda f: f["content"].__setitem__(0, {"Popen": {}}),
        lambda f: f["content"][0]["DynamicNetwork"]["populations"][0]["DynamicPopulation"].update(shape=[10**12]),
        lambda f: f["content"][0]["DynamicNetwork"]["projections"][1]["Projection"].update(delay=10**9),
        _far,
        _deep,
    ],
)
def test_hostile_documents_are_refused(change: Any, tmp_path: Path) -> None:
    path = full(chip_network()).save(tmp_path / "p.spp")
    sp.load_program(rewritten(path, lambda found: None))
    with pytest.raises(ArchiveError):
        sp.load_program(rewritten(path, change))


def test_a_program_of_another_contract_says_both_numbers(tmp_path: Path) -> None:
    path = full(chip_network()).save(tmp_path / "p.spp")
    with pytest.raises(BackendError, match="version 3 of the plug-in contract, and this is 1"):
        sp.load_program(rewritten(path, lambda found: found.update(plugin_version=3)))


def test_a_model_is_no_program_and_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    other = archive.write_archive(tmp_path / "m.spk", {"model.json": b"{}"}, {})
    with pytest.raises(ArchiveError, match="holds a model, not a program"):
        sp.load_program(other)
    other = archive.write_archive(tmp_path / "x.spk", {"other.json": b"{}"}, {})
    with pytest.raises(ArchiveError, match=r"program\.json: is missing"):
        sp.load_program(other)
    bomb = tmp_path / "bomb.spp"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("program.json", b" " * 2**26)
    with pytest.raises(ArchiveError):
        sp.load_program(bomb)
