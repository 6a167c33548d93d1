"""HDF5 files are read by another process: what happens to it is an error of this one, and nothing else."""

import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.errors import FileError, NirError
from spikeport.nir.storage import NIR
from spikeport.storage import hdf5_frames, hdf5_process
from spikeport.storage.hdf5 import read_tree
from spikeport.storage.hdf5_reader import Bounds, Stored

BOUNDS = Bounds(loaded_bytes=1000, objects=10, depth=2, rank=3, name=20, text=50, rows=3, one_text=False)
POSIX = pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")


@pytest.fixture(params=[True, False], ids=["forked", "started"])
def way(request, monkeypatch):
    if request.param and not hdf5_process.FORKS:
        pytest.skip("processes are not forked on this system")
    monkeypatch.setattr(hdf5_process, "FORKS", request.param)


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["text"] = "läuft"
        file["pairs"] = np.array([["a", "b"], ["c", ""]], dtype=object)
        file.create_dataset("packed", data=np.arange(1000, dtype="i8").reshape(10, 100), compression="gzip")
        file["group/one"] = np.float16(0.1)
        file["group/none"] = np.zeros((0, 3), "u2")
        file["group/true"] = np.array([True, False])
        file["group/big"] = np.arange(5, dtype=">f8")
    return tmp_path / "a.h5"


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Run the reading process with other code in the place of its reader."""

    def with_code(code):
        package = tmp_path / "spikeport"
        shutil.copytree(Path(hdf5_process.PACKAGE) / "storage", package / "storage")
        reader = package / "storage" / "hdf5_reader.py"
        reader.write_text(reader.read_text() + "\n\ndef opened(path, bounds):\n" + code)
        hdf5_process._end_server()
        monkeypatch.setattr(hdf5_process, "PACKAGE", package)

    yield with_code
    hdf5_process._end_server()


def test_everything_comes_over_as_it_is_stored(path, way):
    tree = read_tree(path, NIR)
    assert set(tree) == {"text", "pairs", "packed", "group"}
    assert tree["text"] == "läuft"
    assert tree["pairs"] == [["a", "b"], ["c", ""]]
    with h5py.File(path) as file:
        for name, array in {"packed": tree["packed"], **{f"group/{n}": a for n, a in tree["group"].items()}}.items():
            assert array.dtype == file[name].dtype
            assert array.shape == file[name].shape
            assert array.tobytes() == np.asarray(file[name][()]).tobytes()
            assert array.flags.writeable


@pytest.mark.parametrize("shape", [(3, 2**20), (2**21 + 3,), (2**23 + 1, 1)])
def test_long_arrays_come_in_pieces_and_whole(shape, tmp_path, way):
    array = np.arange(np.prod(shape), dtype="i4").reshape(shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = array
    assert np.array_equal(read_tree(tmp_path / "a.h5", NIR)["a"], array)


def test_a_path_is_relative_to_where_the_caller_is(path, way, monkeypatch):
    read_tree(path, NIR)  # the process that waits was started elsewhere
    monkeypatch.chdir(path.parent)
    assert read_tree(Path(path.name), NIR)["text"] == "läuft"


@POSIX
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_is_the_errors_of_the_kind_and_the_next_file_is_read(name, broken, path, way):
    broken(f"    import os, signal\n    os.kill(os.getpid(), signal.{name})\n")
    for _ in range(2):
        with pytest.raises(NirError, match=f"a.h5.* ended by {name}"):
            read_tree(path, NIR)


def test_a_process_that_dies_on_its_start_is_named_so(monkeypatch, path, way):
    hdf5_process._end_server()
    monkeypatch.setattr(hdf5_process, "BOOT", "raise SystemExit")
    with pytest.raises((NirError, FileError), match="ended"):
        read_tree(path, NIR)
    hdf5_process._end_server()


@pytest.mark.parametrize(
    "hang",
    [
        "    import time\n    time.sleep(1000)\n",
        pytest.param("    while True:\n        pass\n", marks=POSIX),
    ],
    ids=["asleep", "busy"],
)
def test_a_hang_is_ended(hang, broken, path, way, monkeypatch):
    broken(hang)
    monkeypatch.setattr(hdf5_process, "SECONDS", 1)
    monkeypatch.setattr(hdf5_process, "BYTES_PER_SECOND", 2**60)
    monkeypatch.setattr(hdf5_process, "PATIENCE", 1.0 if "sleep" in hang else 1000)
    with pytest.raises(NirError, match="longer to read"):
        read_tree(path, NIR)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the address space")
def test_memory_is_bounded(broken, path, way):
    broken("    raise RefusalError('', str(len(np.ones(2**28))))\n")  # 2 GiB
    with pytest.raises(NirError, match="ended without an answer"):
        read_tree(path, replace(NIR, max_loaded_bytes=2**20))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_process_writes_no_files(broken, path, way, tmp_path):
    target = tmp_path / "written"
    broken(f"    open({str(target)!r}, 'wb', 0).write(b'x')\n")
    with pytest.raises(NirError, match="cannot be read"):
        read_tree(path, NIR)
    assert not target.exists() or target.stat().st_size == 0


@POSIX
def test_ctrl_c_ends_the_reading_at_once(broken, path, way):
    broken("    import time\n    time.sleep(1000)\n")
    processes = []
    start = hdf5_process._start
    hdf5_process._start = lambda *a, **k: processes.append(start(*a, **k)) or processes[-1]
    timer = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            read_tree(path, NIR)
    finally:
        hdf5_process._start = start
        timer.cancel()
    assert processes
    assert all(process.poll() is not None for process in processes)


@pytest.mark.skipif(not hdf5_process.FORKS, reason="processes are not forked on this system")
def test_a_waiting_process_that_ended_is_replaced(path):
    read_tree(path, NIR)
    first = hdf5_process._SERVER[0].process
    first.kill()
    first.wait()
    assert read_tree(path, NIR)["text"] == "läuft"
    second = hdf5_process._SERVER[0].process
    os.kill(second.pid, signal.SIGKILL)  # found out only when it is asked
    assert read_tree(path, NIR)["text"] == "läuft"
    assert hdf5_process._SERVER[0].process is not second


@pytest.mark.skipif(not hdf5_process.FORKS, reason="processes are not forked on this system")
def test_files_in_a_row_are_read_by_one_waiting_process(path):
    read_tree(path, NIR)
    first = hdf5_process._SERVER[0].process
    path.with_name("bad.h5").write_bytes(path.read_bytes()[:3000])
    with pytest.raises(NirError):
        read_tree(path.with_name("bad.h5"), NIR)
    read_tree(path, NIR)
    assert hdf5_process._SERVER[0].process is first


def test_threads_read_at_once(path, way):
    found = []
    threads = [threading.Thread(target=lambda: found.append(read_tree(path, NIR)["packed"].sum())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [999 * 500] * 4


@pytest.mark.parametrize("executable", ["", None, "/nowhere/python"])
def test_without_an_interpreter_the_reason_is_named(executable, path, way, monkeypatch):
    hdf5_process._end_server()
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(FileError, match=r"interpreter|no process can be started") as caught:
        read_tree(path, NIR)
    assert "sys.executable" in str(caught.value)


def test_nothing_is_left_when_the_program_ends(path):
    code = f"""
import os, sys
from pathlib import Path
from spikeport.nir.storage import read_tree
from spikeport.storage import hdf5_process
read_tree(Path({str(path)!r}))
print(hdf5_process._SERVER[0].process.pid if hdf5_process._SERVER else 0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    pid = int(done.stdout)
    if pid:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def number(n):
    return struct.pack("<Q", n)


def text(value):
    return number(len(value)) + value


def answer(content, bounds=BOUNDS):
    source = io.BytesIO(hdf5_frames.MAGIC + content)

    def fill(buffer):
        if source.readinto(buffer) != len(buffer):
            raise hdf5_frames.FrameError("breaks off")

    return hdf5_frames.Answer(fill, bounds).tree()


GROUP = b"G" + number(1) + text(b"a")


def test_an_answer_within_the_bounds_is_taken():
    found = answer(GROUP + b"A" + text(b"<f8") + number(1) + number(125) + bytes(1000))
    assert np.array_equal(found["a"], np.zeros(125))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "breaks off"),
        (b"X", "unknown kind"),
        (b"T" + text(b"a"), "no group"),
        (b"G" + number(11), "larger than"),
        (b"G" + number(2**63), "larger than"),
        (b"G" + number(1) + text(b"a" * 81), "larger than"),
        (GROUP * 3 + b"G" + number(0), "nested too deeply"),
        (GROUP + b"G" + number(10), "larger than"),
        (GROUP + b"T" + text(b"a" * 51), "larger than"),
        (GROUP + b"T" + text(b"\xff"), "not UTF-8"),
        (GROUP + b"S" + number(4), "larger than"),
        (GROUP + b"S" + number(1) + text(b"a" * 21), "larger than"),
        (GROUP + b"A" + text(b"|O8"), "unknown type"),
        (GROUP + b"A" + text(b"<f80"), "larger than"),
        (GROUP + b"A" + text(b"<f8") + number(4), "larger than"),
        (GROUP + b"A" + text(b"<f8") + number(1) + number(126), "longer than"),
        (GROUP + b"A" + text(b"<f8") + number(2) + number(2**40) + number(0), "longer than"),
        (GROUP + b"A" + text(b"<f8") + number(1) + number(1) + bytes(7), "breaks off"),
        (b"G" + number(2) + (text(b"a") + b"A" + text(b"|u1") + number(1) + number(501) + bytes(501)) * 2, "longer"),
    ],
)
def test_an_answer_beyond_the_bounds_is_none(content, why):
    with pytest.raises(hdf5_frames.FrameError, match=why):
        answer(content)


def test_numbers_with_a_type_of_their_own_width_come_over(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.arange(3, dtype=">i2")
        stored = Stored(file["a"])
        assert [block.tolist() for block in stored.blocks()] == [[0, 1, 2]]
        assert stored.dtype == np.dtype(">i2")
