"""Folders of runs: whole or not there."""

import errno
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spikeport.errors import FileError, OptionError
from spikeport.project import changes, listed, run_folder
from spikeport.project.folder import MOST_BYTES, SUMMARY, environment, one

SETTINGS = {"convert.levels": {"value": 15, "origin": "default"}}


def noon() -> datetime:
    return datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


def finished(runs: Path, summary: dict[str, Any], settings: Any = SETTINGS) -> Path:
    with run_folder(runs, settings, noon) as filling:
        (filling.path / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
    return filling.path


def test_a_run_has_the_time_and_a_hash_of_its_settings_for_a_name(tmp_path: Path) -> None:
    first, second = finished(tmp_path / "a" / "runs", {}), finished(tmp_path / "a" / "runs", {})
    other = finished(tmp_path / "a" / "runs", {}, {"convert.levels": {"value": 7, "origin": "default"}})
    assert first.name.startswith("20260301-120005-")
    assert len(first.name) == len("20260301-120005-") + 8
    assert second.name == f"{first.name}-2"
    assert other.name[:16] == first.name[:16]
    assert other.name != first.name
    assert json.loads((first / "config.json").read_text()) == SETTINGS
    assert json.loads((first / "environment.json").read_text()) == environment()
    assert str(Path.home()) not in (first / "environment.json").read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x")])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def interrupted() -> None:
        with run_folder(tmp_path, {}) as filling:
            (filling.path / "report.html").write_text("half", encoding="utf-8")
            assert listed(tmp_path) == []
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(FileError, match=r"cannot be written: No space left(.|\n)*nothing was left behind"),
        run_folder(tmp_path, {}),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "model.spk"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_project_cannot_read_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), run_folder(tmp_path, {}):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(FileError, match='runs = "FOLDER"'), run_folder(tmp_path / "runs", {}):
        pass


def test_lists_hold_finished_runs_alone(tmp_path: Path) -> None:
    kept = finished(tmp_path, {"kind": "nir", "ok": True})
    (tmp_path / ".partial-x").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / SUMMARY).write_text("{", encoding="utf-8")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / SUMMARY).write_text("[1]", encoding="utf-8")
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / SUMMARY).write_text("{}" + " " * MOST_BYTES, encoding="utf-8")
    assert [run.name for run in listed(tmp_path)] == [kept.name]
    assert listed(tmp_path / "nowhere") == []


def test_runs_are_found_by_name_hash_beginning_and_last(tmp_path: Path) -> None:
    a = finished(tmp_path, {"ok": True})
    b = finished(tmp_path, {"ok": False}, {"convert.levels": {"value": 7, "origin": "x"}})
    assert one(tmp_path, "last").name == b.name
    assert one(tmp_path, a.name).name == a.name
    assert one(tmp_path, b.name.rpartition("-")[2]).name == b.name
    assert one(tmp_path, a.name[16:20]).name == a.name
    with pytest.raises(OptionError, match="fits 2 runs"):
        one(tmp_path, "20260301")
    with pytest.raises(OptionError, match="is no run"):
        one(tmp_path, "nothing")
    with pytest.raises(OptionError, match="spikeport run"):
        one(tmp_path / "empty", "last")


def test_what_differs_is_named(tmp_path: Path) -> None:
    finished(tmp_path, {"ok": True, "on": {"native": {"spikes": 3}}})
    finished(tmp_path, {"ok": True, "on": {"native": {"spikes": 4}}}, {"convert.levels": {"value": 7, "origin": "f:1"}})
    by_level = {run.configuration["convert.levels"]["value"]: run for run in listed(tmp_path)}
    found = changes(by_level[15], by_level[7])
    assert found == [("convert.levels", 15, 7), ("on.native.spikes", 3, 4)]
