"""The process that reads HDF5 files for another one: a damaged file can crash the C library or keep it busy for ever.

Where processes can be forked, one that has numpy and h5py loaded waits, and forks itself for every file: no file meets what another left.
Elsewhere it is started for every file. It imports nothing of ours but its three neighbours, and no site packages run.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
from pathlib import Path
from typing import Any

from spikeport.storage import hdf5_frames, hdf5_reader

IDLE = 60.0
"""Seconds without a file until it ends; the next file starts another."""
MAX_REQUEST = 2**16
OVERHEAD = 2**28
"""Bytes beyond what a file holds, for the library and for chunks."""

if sys.platform != "win32":  # there, whoever started this process ends it in time
    import resource


def serve(control: socket.socket) -> None:
    """Fork for every request, which comes with the pipe for its answer; say how each ended. Ends with the socket, or when idle."""
    while select.select([control], [], [], IDLE)[0]:
        request, pipes, _, _ = socket.recv_fds(control, MAX_REQUEST, 1)
        if not request or not pipes:
            return
        child = os.fork()
        if child == 0:
            control.close()
            answer(json.loads(request), pipes[0])
            os._exit(0)
        os.close(pipes[0])
        _, status = os.waitpid(child, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def answer(request: dict[str, Any], pipe: int) -> None:
    """Read one file and write what it holds, or why it is refused."""
    bounds = hdf5_reader.Bounds(**request["bounds"])
    limit(bounds.loaded_bytes, request["seconds"])
    with open(pipe, "wb", buffering=2**16) as out:
        out.write(hdf5_frames.MAGIC)
        try:
            with hdf5_reader.opened(Path(request["path"]), bounds) as tree:
                hdf5_frames.write_tree(out, tree)
        except hdf5_frames.RefusalError as refused:
            hdf5_frames.write_refusal(out, refused.where, refused.why, refused.hint)


def limit(loaded_bytes: int, seconds: int) -> None:
    """No memory beyond the bounds, no endless computing, no files written, no core dumped: as far as the system can."""
    if sys.platform == "win32":
        return
    memory = _address_space() + 2 * loaded_bytes + OVERHEAD
    wanted = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        wanted[resource.RLIMIT_AS] = memory
    for kind, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # a stricter limit holds already
            _, hard = resource.getrlimit(kind)
            highest = (
                value + 1 if kind == resource.RLIMIT_CPU else value
            )  # at the lower one comes a signal that says so
            if hard != resource.RLIM_INFINITY:
                highest = min(highest, hard)
            resource.setrlimit(kind, (min(value, highest), highest))


def _address_space() -> int:
    """What this process has of it now, on Linux."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**30


def main(argument: dict[str, Any]) -> None:
    """Serve on a socket, or answer one request on standard output."""
    if "socket" in argument:
        with socket.socket(fileno=argument["socket"]) as control:
            serve(control)
        return
    answer(argument, os.dup(1))
