"""Files are replaced whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from spikeport.errors import FileError
from spikeport.files import replacing, write_whole

OLD = b"the old content"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "model.spk"
    path.write_bytes(OLD)
    return path


def alone(path: Path, content: bytes = OLD) -> bool:
    """Whether the folder holds this file with this content, and nothing else."""
    return [p.name for p in path.parent.iterdir()] == [path.name] and path.read_bytes() == content


def test_a_block_that_ends_well_replaces_the_file(target: Path) -> None:
    with replacing(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert target.read_bytes() == OLD  # a reader sees the old file until the end
    assert alone(target, b"new")


def test_a_new_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    with replacing(str(path)) as temporary:
        temporary.write_bytes(b"{")
        assert not path.exists()
        temporary.write_bytes(b"{}")
    assert alone(path, b"{}")
    assert write_whole(path, b"[]") == path
    assert alone(path, b"[]")


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(1), FileError(())])
def test_an_exception_in_the_block_leaves_the_old_file_and_nothing_else(target: Path, error: BaseException) -> None:
    def interrupted() -> None:
        with replacing(target) as temporary:
            temporary.write_bytes(b"half of th")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert alone(target)


def full(*args: object, **kwargs: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "chmod", "replace"])
def test_a_failure_of_the_system_leaves_the_old_file(target: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(os, call, full)
    with pytest.raises(FileError, match="No space left") as caught:
        write_whole(target, b"new")
    monkeypatch.undo()
    (problem,) = caught.value.problems
    assert problem.where == str(target)
    assert "nothing was changed" in problem.hint
    assert alone(target)


def test_a_full_disk_while_the_block_writes_leaves_the_old_file(target: Path) -> None:
    def write() -> None:
        with replacing(target) as temporary:
            temporary.write_bytes(b"half")
            full()

    with pytest.raises(FileError, match="No space left"):
        write()
    assert alone(target)


def test_data_reaches_the_disk_before_the_name_does(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1])
    write_whole(target, b"new")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_permissions_are_kept(target: Path, mode: int) -> None:
    target.chmod(mode)
    write_whole(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_permissions_that_the_process_gives(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new", b"")
        assert os.umask(umask) == umask  # and the process keeps its mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode


def test_a_missing_folder_a_file_as_folder_and_a_folder_as_file_are_named(target: Path) -> None:
    folder = target.parent / "folder"
    folder.mkdir()
    for path, why in (
        (target.parent / "nowhere" / "a.spk", "No such file or directory"),
        (target / "a.spk", "Not a directory"),
        (folder, "Is a directory"),
    ):
        with pytest.raises(FileError) as caught:
            write_whole(path, b"new")
        (problem,) = caught.value.problems
        assert problem.where == str(path)
        assert why in problem.why
        assert problem.hint
    folder.rmdir()
    assert alone(target)


@pytest.mark.parametrize("name", ["x" * 240, "é" * 60, "."])
def test_long_names_have_room_for_the_temporary_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / (name + ".spk")
    write_whole(path, b"new")
    assert alone(path, b"new")


def test_long_names_beyond_ascii_have_room_too(tmp_path: Path) -> None:
    path = tmp_path / ("😀" * 61 + ".spk")  # 248 bytes: a legal name
    write_whole(path, b"new")
    assert alone(path, b"new")
