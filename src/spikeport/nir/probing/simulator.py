"""A simulator in a process of its own, which is bounded in time, memory and what it says, and ended with all that it has started."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, FileError, OptionError, Problem

DRIVERS = Path(__file__).parents[1] / "drivers"
SCRIPT = DRIVERS / "answering.py"
HELPERS = ("__init__", "answering", "stepping")
PATIENCE = 120.0
"""Seconds that an answer may take, by default; the first one imports the simulator."""
MEMORY = 8 * 2**30
"""Bytes that the process may hold."""
MAX_SAID, MAX_LINE, SHOWN = 2**26, 2**16, 15
"""Bytes of output that are kept, bytes of an answer, lines that are shown."""
LOOK = 0.05
"""Seconds between looks at a process that is waited for."""


class RefusedError(Exception):
    """The simulator does not do what it was asked, and says why."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a driver says of its simulator."""

    name: str
    versions: dict[str, str]
    dt: float
    """Of a step that it is probed with, seconds."""
    step: str
    """Where it takes that number from."""


def names() -> tuple[str, ...]:
    """Simulators that there are drivers for."""
    return tuple(sorted(p.stem for p in DRIVERS.glob("*.py") if p.stem not in HELPERS))


def driver_of(name: str) -> Path:
    """The script of a simulator, or a script that is given by its path.

    Raises:
        OptionError: there is none.
    """
    if name in names():
        return DRIVERS / f"{name}.py"
    if name.endswith(".py") and Path(name).is_file():
        return Path(name).resolve()
    hint = f"one of {', '.join(names())}, or the path of a driver, DRIVER.py"
    raise OptionError(Problem("simulator", f"is {name!r}, which there is no driver for", hint))


class Simulator:
    """Use it in a `with` statement: the process ends with it, however that ends."""

    def __init__(self, name: str, python: str | Path | None = None, patience: float = PATIENCE) -> None:
        """Start the process.

        Raises:
            OptionError: no such simulator, no such Python, no such time.
        """
        self.python = str(python or sys.executable)
        driver = driver_of(name)
        self.name = driver.stem
        if not patience > 0:
            raise OptionError(Problem("patience", f"is {patience!r}", "seconds, more than 0"))
        self._patience = patience
        self._folder = tempfile.TemporaryDirectory(prefix="spikeport-probe-")
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            self._process = subprocess.Popen(
                [self.python, str(SCRIPT), str(driver)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._noise,
                cwd=self._folder.name,
                # nirtorch goes through sets, of names and of objects: the order of names at least is the same each time
                env={**os.environ, **threads, "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"},
                start_new_session=True,  # what it starts is ended with it, and Ctrl-C is ours
            )
        except OSError as error:
            self._close_files()
            why = f"is {self.python!r}, which cannot be run: {error.strerror or error}"
            raise OptionError(Problem("python", why, "the path of a Python interpreter")) from error
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def folder(self) -> Path:
        """Where files for it may be put; gone with it."""
        return Path(self._folder.name)

    def describe(self) -> Description:
        """Versions and time step.

        Raises:
            BackendError: it is not installed there, or the process fails.
        """
        try:
            found = self._ask("describe")
            missing = [str(name) for name in found["missing"]]
            versions = {str(name): str(number) for name, number in found["versions"].items()}
            dt, step = float(found["dt"]), str(found["step"])
        except (RefusedError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._failed(f"does not say what it is: {error}") from error
        if missing:
            hint = f"pip install {' '.join(missing)}, or name the Python of an environment that has it: --python PATH"
            why = f"is not installed for {self.python}"
            raise BackendError([Problem(package, why, hint) for package in missing])
        if not (np.isfinite(dt) and dt > 0):
            raise self._failed(f"says a time step of {dt}")
        return Description(self.name, versions, dt, step)

    def run(self, graph: Path, x: NDArray[np.float32], dt: float) -> NDArray[np.float64]:
        """What leaves a file in each step, (time, neuron).

        Raises:
            RefusedError: the simulator does not take the file, or cannot run it.
            BackendError: the process died, hangs, or gives what is no recording.
        """
        given, into = self.folder / "given.npz", self.folder / "came.npz"
        into.unlink(missing_ok=True)
        np.savez(given, input=x)
        self._ask("run", graph=str(graph), given=str(given), into=str(into), dt=dt)
        return self._values(into, len(x))

    def _values(self, path: Path, n_steps: int) -> NDArray[np.float64]:
        try:
            with zipfile.ZipFile(path) as archive:  # before anything is unpacked
                size = sum(member.file_size for member in archive.infolist())
            if size > MAX_SAID:
                raise self._failed(f"gave {size:,} bytes for a recording")
            with np.load(path, allow_pickle=False) as arrays:
                values = arrays["output"]
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError) as error:
            raise self._failed(f"gave no recording: {error}") from error
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise RefusedError(f"gave {values.dtype} that are not finite numbers")
        if values.ndim == 0 or len(values) != n_steps or not values.size:
            raise RefusedError(f"gave an array of shape {values.shape} for {n_steps} steps")
        return values.reshape(n_steps, -1).astype(np.float64)

    def _ask(self, question: str, **fields: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"ask": question, **fields}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, and the answer will say so
        line = self._wait()
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self._failed("gives an answer that is none") from error
        if not isinstance(answer, dict):
            raise self._failed("gives an answer that is none")
        if "error" in answer:
            raise RefusedError(str(answer["error"])[:500])
        return answer

    def _wait(self) -> bytes:
        """The next line, looking after the process meanwhile."""
        end = time.monotonic() + self._patience
        while True:
            try:
                line = self._lines.get(timeout=LOOK)
            except queue.Empty:
                if time.monotonic() > end:
                    raise self._failed(f"has not answered for {self._patience:g} s") from None
                if (held := _memory(self._process.pid)) > MEMORY:
                    raise self._failed(f"holds {held:,} bytes of memory, more than {MEMORY:,}") from None
                if os.fstat(self._noise.fileno()).st_size > MAX_SAID:
                    raise self._failed(f"has printed more than {MAX_SAID:,} bytes") from None
                continue
            if line:
                return line
            raise self._failed(f"ended {_how(self._process.wait())}")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            while line := answers.readline(MAX_LINE):
                self._lines.put(line)
        self._lines.put(b"")

    def _failed(self, why: str) -> BackendError:
        """The error, with what the process said; the process is ended."""
        self._end()
        self._noise.seek(max(0, os.fstat(self._noise.fileno()).st_size - 2**14))
        said = self._noise.read().decode(errors="replace").splitlines()[-SHOWN:]
        error = BackendError(
            Problem(self.name, f"its process {why}", "give it more time with --patience, or another --python")
        )
        if said:
            error.add_note("it said:\n" + "\n".join(f"    {line}" for line in said))
        return error

    def _end(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it has ended
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End the process, and take its files away."""
        self._end()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._reader.join(timeout=1.0)
        self._close_files()

    def _close_files(self) -> None:
        self._noise.close()
        self._folder.cleanup()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def written(graph: Any, path: Path) -> Path:
    """A `nir` object as a file.

    Raises:
        FileError: it cannot be written.
    """
    import nir

    try:
        nir.write(path, graph)
    except OSError as error:
        raise FileError(Problem(str(path), f"cannot be written: {error.strerror or error}")) from error
    return path


def _memory(pid: int) -> int:
    """Bytes that a process holds, where the system says it."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
