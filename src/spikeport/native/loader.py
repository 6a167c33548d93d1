"""Find and load the shared library of the native kernels, and choose among instruction sets.

The library has a plain C interface, so that one binary serves every Python. Where it was not built, everything that needs it
says so and what to do; nothing falls back without a word.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikeport.errors import NativeError, Problem

ABI_VERSION = 2
"""What this Python code expects of the library."""
LEVELS = ("portable", "avx2", "avx512", "amx")
"""Instruction sets with kernels of their own, narrowest first."""
NAMES = {"linux": "libspikeport_native.so", "darwin": "libspikeport_native.dylib", "win32": "spikeport_native.dll"}
FOLDERS = (Path(__file__).parent, Path(__file__).parent / "lib")
"""Where the library is looked for: `make native` builds beside this file, an installation into a folder of its own."""
SOURCES = Path(__file__).parent / "csrc"
"""The C++ files, in a source tree alone: a library that was built from others is not used."""
NOT_BUILT = "was not built when spikeport was installed"
_log = logging.getLogger(__name__)
_OUT_OF_MEMORY, _UNSUPPORTED = -1, -3
_WHAT_TO_DO = "install a C++ compiler (Debian: g++), then install spikeport again; numpy and torch do the same, slower"


@cache
def _loaded() -> ctypes.CDLL | str:
    """The library, or why there is none; one that is there and cannot be used is worth a warning."""
    found = _found()
    if isinstance(found, str) and found != NOT_BUILT:
        _log.warning("the native library %s; numpy and torch do the same, slower", found)
    return found


def _found() -> ctypes.CDLL | str:
    """The library if it is there, fits this code, and was built from the sources beside it."""
    name = NAMES.get(sys.platform, NAMES["linux"])
    path = next((folder / name for folder in FOLDERS if (folder / name).exists()), None)
    if path is None:
        return NOT_BUILT
    try:
        found = ctypes.CDLL(str(path))
        version = int(found.sp_abi_version())
    except (OSError, AttributeError) as error:
        return f"cannot be loaded: {error}"
    if version != ABI_VERSION:
        return f"has interface version {version}, and this spikeport needs {ABI_VERSION}"
    try:
        found.sp_sources.restype = found.sp_last_error.restype = ctypes.c_char_p
        for function in (
            found.sp_dynamics_spikes,
            found.sp_dynamics_now,
            found.sp_encode_floats,
            found.sp_lockstep_count,
            found.sp_lockstep_list,
        ):
            function.restype = ctypes.c_int64
        stale = SOURCES.is_dir() and found.sp_sources().decode() != _hash_of_sources()
    except AttributeError as error:
        return f"cannot be loaded: {error}"
    return "was built from other sources than those beside it; run `make native`" if stale else found


def _hash_of_sources() -> str:
    """Hash of the C++ files as the build takes it: the hashes of all, in the order of their names."""
    paths = sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*") if path.suffix in (".cpp", ".h"))
    listed = "".join(sha256((SOURCES / path).read_bytes()).hexdigest() for path in paths)
    return sha256(listed.encode()).hexdigest()


def available() -> bool:
    """Whether the native kernels can be used."""
    return not isinstance(_loaded(), str)


def why_missing() -> str:
    """Why the native kernels cannot be used; empty if they can."""
    found = _loaded()
    return found if isinstance(found, str) else ""


def library() -> ctypes.CDLL:
    """The loaded library.

    Raises:
        NativeError: there is none.
    """
    found = _loaded()
    if isinstance(found, str):
        raise NativeError(Problem("native library", found, _WHAT_TO_DO))
    return found


def check(status: int) -> None:
    """Raise what a status of the library says.

    Raises:
        NativeError: an argument that the kernels refuse, or an instruction set that is missing.
        MemoryError: not enough memory.
    """
    if status >= 0:
        return
    text = library().sp_last_error().decode(errors="replace")
    if status == _OUT_OF_MEMORY:
        raise MemoryError(f"native kernels: {text}")
    hint = f"this processor has {', '.join(levels())}" if status == _UNSUPPORTED else ""
    raise NativeError(Problem("native kernels", text, hint))


def levels() -> tuple[str, ...]:
    """Instruction sets that this processor and this library have, narrowest first."""
    return LEVELS[: library().sp_supported_level() + 1]


def level() -> str:
    """The instruction set in use."""
    return LEVELS[library().sp_level()]


@contextmanager
def using(name: str) -> Iterator[None]:
    """Kernels of one instruction set inside the block, for the whole process; results never differ, only speed.

    Raises:
        NativeError: an unknown name, or an instruction set that this processor lacks.
    """
    if name not in LEVELS:
        raise NativeError(Problem("instruction set", f"{name!r} is not known", f"one of {', '.join(LEVELS)}"))
    before = library().sp_level()
    check(library().sp_use_level(LEVELS.index(name)))
    try:
        yield
    finally:
        check(library().sp_use_level(before))


def default_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plain(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """The array as kernels read it: of this dtype, C-ordered, aligned; itself if it is so already.

    Values must be representable: callers know their ranges, and this only changes the layout.
    """
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array  # as `np.require` would, which takes long to find out
    return np.require(array, dtype=dtype, requirements=["C", "ALIGNED"])


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Pointer to the data of a C-ordered, aligned array; keep the array alive while it is used."""
    assert array.flags.c_contiguous
    assert array.flags.aligned
    return ctypes.c_void_p(array.__array_interface__["data"][0])  # `array.ctypes` takes ten times as long
