"""Start, feed, watch and end the processes that read HDF5 files; see `hdf5_child`."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from spikeport.storage.hdf5_frames import Answer, FrameError
from spikeport.storage.hdf5_reader import Bounds

PACKAGE = Path(__file__).parent.parent
FORKS = sys.platform == "linux"
"""Other systems fork too, but promise less of a process that has libraries loaded."""
SECONDS, BYTES_PER_SECOND = 10, 50_000_000
"""Of computing: at least, and what is unpacked in each further one."""
PATIENCE = 4
"""Times as long by the clock, for machines that are busy with other things."""
BOOT = """
import json, sys, types
argument = json.loads(sys.argv[1])
sys.path += argument.pop("folders")
for name, folder in argument.pop("packages").items():
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package
from spikeport.storage.hdf5_child import main
main(argument)
"""
"""Packages without their `__init__`: all of spikeport would take ten times as long to import."""


class ReaderError(Exception):
    """No process can be started here."""


class StoppedError(Exception):
    """The process ended before it had answered; says how."""


def read(path: Path, bounds: Bounds) -> dict[str, Any]:
    """What a file holds, read by another process.

    Raises:
        hdf5_frames.RefusalError: it is refused.
        StoppedError: the library crashed, took too long, or gave no answer.
        ReaderError: no process could be started.
    """
    seconds = SECONDS + bounds.loaded_bytes // BYTES_PER_SECOND
    request = {"path": os.path.abspath(path), "bounds": asdict(bounds), "seconds": seconds}
    if not FORKS:
        return _read_once(request, bounds)
    with _LOCK:
        for last in (False, True):
            try:
                return _read_forked(request, bounds)
            except _GoneError as error:  # it had waited too long for work, and ended
                if last:
                    raise ReaderError("the process that reads HDF5 files ended at once") from error
    raise AssertionError


def _read_once(request: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
    with _started(request, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with _deadline(request, process) as late:
            return _receive(process.stdout, bounds, late, process.wait)


def _read_forked(request: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
    server = _server()
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as answer:
        whole = False
        try:
            try:
                socket.send_fds(server.control, [json.dumps(request).encode()], [theirs])
            except OSError as error:
                raise _GoneError from error
            finally:
                os.close(theirs)
            with _deadline(request, server.process) as late:
                tree = _receive(answer, bounds, late, server.status)
            whole = True
            return tree
        finally:
            # whatever happened, an interrupt included: a process that is not known to be at rest is not used again
            if not (whole or server.rests):
                _end_server()


def _receive(pipe: IO[bytes], bounds: Bounds, late: threading.Event, status: Any) -> dict[str, Any]:
    """The answer, once the process that gave it has ended well."""
    began = False

    def fill(buffer: memoryview) -> None:
        nonlocal began
        at = 0
        while at < len(buffer):
            count = pipe.readinto(buffer[at : at + 2**24])  # type: ignore[attr-defined]
            if not count:
                raise FrameError("breaks off")
            at += count
            began = True

    try:
        tree = Answer(fill, bounds).tree()
        if pipe.read(1):
            raise FrameError("goes on behind its end")
    except FrameError as error:
        if str(error) != "breaks off":
            raise StoppedError(f"gives an answer that {error}") from error
        code = status()
        if code is None and not began and not late.is_set():
            raise _GoneError from error
        raise StoppedError(_how(code, late)) from error
    except Exception:
        status()  # a refusal: the process is at its end
        raise
    code = status()
    if code:
        raise StoppedError(_how(code, late))
    return tree


def _how(code: int | None, late: threading.Event) -> str:
    computing = getattr(signal, "SIGXCPU", None)
    if late.is_set() or (computing is not None and code == -computing):
        return "takes longer to read than a file of its size can"
    if code is None or code >= 0:
        return "cannot be read: the process that reads it ended without an answer"
    return f"cannot be read: the process that reads it was ended by {signal.Signals(-code).name}"


@contextmanager
def _deadline(request: dict[str, Any], process: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
    """End a process that takes too long; the event says that it did."""
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(request["seconds"] * PATIENCE, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


class _GoneError(Exception):
    """The waiting process is not there any more."""


class _Server:
    """The process that waits for files, and the socket to it."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.rests = True
        with theirs:
            try:
                self.process = _start({"socket": theirs.fileno()}, pass_fds=(theirs.fileno(),), start_new_session=True)
            except BaseException:
                self.control.close()
                raise

    def status(self) -> int | None:
        """How the process for the last file ended; None if this one itself is gone."""
        try:
            code = self.control.recv(64)
        except OSError:
            code = b""
        self.rests = bool(code)
        return int(code) if code else None

    def end(self) -> None:
        self.control.close()
        _kill(self.process)
        self.process.wait()


_LOCK = threading.Lock()
_SERVER: list[_Server] = []
"""None, or the one that waits."""


def _server() -> _Server:
    if _SERVER and _SERVER[0].process.poll() is not None:
        _end_server()
    if not _SERVER:
        _SERVER.append(_Server())
    _SERVER[0].rests = False
    return _SERVER[0]


def _end_server() -> None:
    while _SERVER:
        _SERVER.pop().end()


def _forget_server() -> None:
    """In a process that was forked off: the server is its parent's."""
    global _LOCK
    _LOCK = threading.Lock()
    for server in _SERVER:
        server.control.close()
        server.process.returncode = 0  # it is not ours to wait for
    _SERVER.clear()


atexit.register(_end_server)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_server)


@contextmanager
def _started(argument: dict[str, Any], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    process = _start(argument, **options)
    try:
        yield process
    finally:
        _kill(process)
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def _start(argument: dict[str, Any], **options: Any) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):
        raise ReaderError("there is no Python interpreter to read it in a process of its own (`sys.executable`)")
    packages = {"spikeport": str(PACKAGE), "spikeport.storage": str(PACKAGE / "storage")}
    folders = sorted({_folder("numpy"), _folder("h5py")})
    text = json.dumps({**argument, "packages": packages, "folders": folders})
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-I", "-S", "-c", BOOT, text]
    try:
        return subprocess.Popen(command, bufsize=0, env=environment, **{**quiet, **options})
    except OSError as error:
        raise ReaderError(f"no process can be started to read it: {error.strerror or error}") from error


def _folder(package: str) -> str:
    """Where a package is imported from."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ReaderError(f"{package} is not installed")
    return str(Path(found.origin).parent.parent)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """A process and what it forked."""
    if process.returncode is not None:
        return
    with contextlib.suppress(OSError):
        if os.name == "posix" and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
