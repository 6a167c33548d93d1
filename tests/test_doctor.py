"""What the doctor finds: each kind of trouble, made on purpose, and what it says to do about it."""

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikeport import doctor, native
from spikeport.backends.reference.session import ConvertedSession
from spikeport.cli import main
from spikeport.doctor import Finding, diagnose
from spikeport.errors import BackendError, Problem
from spikeport.quantize.integer import evaluate


def versions(found: dict[str, str]) -> Callable[[str], str | None]:
    return lambda name: found.get(name.replace("-", "_"))


def conflicts(found: dict[str, str], stub: bool = True) -> list[Finding]:
    return list(doctor._conflicts(versions(found), lambda: stub))


def test_the_trial_network_has_the_answers_that_stand_there() -> None:
    integer, x, answers = doctor.trial_network()
    assert evaluate(integer, x).tolist() == answers


@pytest.mark.parametrize(
    ("found", "what", "says"),
    [
        ({"sinabs": "3.1.3", "nir": "1.0.8"}, "sinabs", "written for nir 1.0.4"),
        ({"sinabs": "3.1.3", "nirtorch": "2.6", "nir": "1.0.4"}, "nirtorch", "1.0.6 at least"),
        ({"nir": "1.0.4"}, "nir", "too old"),
        ({"numpy": "1.25.2"}, "numpy", "too old"),
        ({"brian2": "2.9.0", "numpy": "2.4.6"}, "brian2", "cannot be imported"),
        ({"nengo_loihi": "1.1.0", "numpy": "2.0.0"}, "nengo-loihi", "fails with numpy 2.0.0"),
        ({"samna": "0.0.1"}, "samna", "is the stub"),
    ],
)
def test_known_conflicts_are_named_with_a_way_out(found: dict[str, str], what: str, says: str) -> None:
    named = {finding.what: finding for finding in conflicts(found)}
    assert says in named[what].says
    assert named[what].fix


def test_versions_that_go_together_are_no_conflict() -> None:
    good = {"sinabs": "3.1.3", "nir": "1.0.4", "numpy": "2.4.6", "brian2": "2.10.0", "samna": "0.40"}
    assert [f.what for f in conflicts(good, stub=False)] == ["nir"]  # spikeport itself needs a newer one
    assert conflicts({"nir": "1.0.6", "nirtorch": "2.6", "numpy": "1.26"}) == []


def test_a_backend_that_runs_right_is_well() -> None:
    found = doctor._backend("reference")
    assert (found.state, found.facts["code"]) == ("ok", "graded")


def test_a_backend_that_cannot_be_tried_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor._backend("no such backend")
    assert found.state == "broken"
    assert "KeyError" in found.says
    monkeypatch.setattr(doctor, "PATIENCE", 0.001)
    assert "did not end within" in doctor._backend("reference").says


def test_wrong_integers_are_told_from_right_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Callable[..., Any] = ConvertedSession.run

    def wrong(self: ConvertedSession, *args: Any, **more: Any) -> Any:
        found = run(self, *args, **more)
        return SimpleNamespace(output=np.add(found.output, [[0, 0], [0, 0], [0, 1]]))

    monkeypatch.setattr(ConvertedSession, "run", wrong)
    found = doctor.tried("reference")
    assert found.state == "broken"
    assert "gives [[4.0, 0.0], [1.0, 1.0], [3.0, 4.0]]" in found.says


def test_a_backend_whose_package_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise BackendError(Problem("chip", "of chip 1 needs 'chipsim', which is not installed", "pip install chipsim"))

    monkeypatch.setattr("spikeport.plugin.backend", missing)
    found = doctor.tried("reference")
    assert (found.state, found.fix) == ("missing", "pip install chipsim")


def test_a_backend_that_does_not_open_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_given: object, **_more: object) -> None:
        raise BackendError(Problem("chip", "does not answer", "switch it on"))

    monkeypatch.setattr("spikeport.backends.opening.open_program", fails)
    found = doctor.tried("reference")
    assert (found.state, found.fix) == ("broken", "switch it on")


def test_a_library_that_was_not_built_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.loader, "_loaded", lambda: "was not built")
    (found,) = doctor._native()
    assert (found.state, found.says) == ("missing", "was not built")
    assert "compiler" in found.fix


@pytest.mark.parametrize(
    ("out", "state", "says"),
    [
        ((0, '["2.13.0", "12.8", []]', ""), "note", "finds no GPU"),
        ((0, 'noise\n["2.13.0", "12.8", ["H100"]]', ""), "ok", "CUDA 12.8: H100"),
        ((0, '["2.13.0+cpu", null, []]', ""), "ok", "without CUDA"),
        ((1, "", "Traceback\nImportError: libc10.so"), "broken", "ImportError: libc10.so"),
        ((-11, "", ""), "broken", "signal 11"),
    ],
)
def test_torch_is_asked_in_another_process(
    monkeypatch: pytest.MonkeyPatch, out: tuple[int, str, str], state: str, says: str
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _name: "2.13.0")
    monkeypatch.setattr(doctor, "_python_process", lambda _words: out)
    (found,) = doctor._torch()
    assert found.state == state
    assert says in found.says


def test_no_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _name: None)
    (found,) = doctor._torch()
    assert (found.state, found.fix) == ("missing", "pip install 'spikeport[torch]'")


def test_little_room_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=doctor.LITTLE_DISK - 1))
    monkeypatch.setattr(doctor, "_available_memory", lambda: doctor.LITTLE_MEMORY)
    assert [f.state for f in doctor._room()] == ["note", "note", "ok"]
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=doctor.LITTLE_DISK))
    monkeypatch.setattr(doctor, "_available_memory", lambda: doctor.LITTLE_MEMORY - 1)
    assert [f.state for f in doctor._room()] == ["ok", "ok", "note"]
    monkeypatch.setattr(doctor, "_available_memory", lambda: None)
    assert "does not tell" in doctor._room()[-1].says


def test_an_old_python_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    (found,) = doctor._python()
    assert found.state == "broken"
    assert "Python 99.0" in found.fix


def test_every_installed_backend_is_looked_at() -> None:
    points = [EntryPoint("b", "nowhere:B", "spikeport.backends"), EntryPoint("a", "nowhere:A", "spikeport.backends")]
    looked_at = [what for what, _look in diagnose(points)]
    assert looked_at[4:6] == ["backend a", "backend b"]


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    found: list[Finding] = [
        Finding("python", "ok", "3", facts={"version": "3"}),
        Finding("torch", "missing", "no", "do"),
    ]
    monkeypatch.setattr("spikeport.cli.doctor.diagnose", lambda: (("all", lambda: found),))
    return found


def test_the_command_says_it_to_people_and_machines(
    findings: list[Finding], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok       python: 3",
        "missing  torch: no",
        "           do",
        "1 ok, 1 missing",
    ]
    findings.append(Finding("backend x", "broken", "is"))
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["findings"][0] == {
        "what": "python",
        "state": "ok",
        "says": "3",
        "fix": "",
        "facts": {"version": "3"},
    }
