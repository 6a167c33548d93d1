"""Data in `.npz` files, read a batch at a time: nothing in them is executed, and every size is bounded first."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spikeport.errors import DataError, FileError, Problem

BATCH = 64
"""Most samples in a batch."""
MOST_BYTES = 64 * 2**30
"""Largest size of all arrays together, unpacked."""
MOST_AT_ONCE = 2**28
"""Largest size of a batch in memory; arrays in Fortran order, which cannot be read in batches, may have eight times that."""
HEADER = 16 * 1024
"""More than the longest header that numpy accepts."""

UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged or encrypted archive raises."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One array in the archive, not yet read."""

    member: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int
    """Bytes of header before the values."""

    @property
    def row_bytes(self) -> int:
        """Size of one sample."""
        return self.dtype.itemsize * prod(self.shape[1:])


@dataclass(frozen=True, slots=True)
class NpzData:
    """Batches `x` or `(x, y)` of an `.npz` file; can be read any number of times."""

    path: Path
    x: Entry
    y: Entry | None

    @property
    def batch(self) -> int:
        """Samples in a batch."""
        widest = max(self.x.row_bytes, self.y.row_bytes if self.y else 0)
        return max(1, min(BATCH, MOST_AT_ONCE // widest))

    def __len__(self) -> int:
        return ceil(self.x.shape[0] / self.batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                inputs = _slices(archive, self.x, self.batch)
                if self.y is None:
                    yield from inputs
                else:
                    yield from zip(inputs, _slices(archive, self.y, self.batch), strict=True)
        except UNREADABLE as error:
            raise FileError(Problem(str(self.path), f"is damaged: {error}")) from error


def open_npz(path: Path) -> NpzData:
    """Check an `.npz` file without reading its values.

    Raises:
        FileError: not there, or not an `.npz` file.
        DataError: other arrays than `x` and `y`, or arrays that are no numbers; all of them.
    """
    if not path.is_file():
        raise FileError(Problem(str(path), "is a folder" if path.is_dir() else "does not exist"))
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            found = {name.removesuffix(".npy"): name for name in sizes}
            _check_names(path, found, sum(sizes.values()))
            entries = {name: _entry(path, archive, name, found[name]) for name in found}
    except UNREADABLE as error:
        if isinstance(error, DataError | FileError):
            raise
        hint = "write it with numpy.savez(path, x=..., y=...)"
        raise FileError(Problem(str(path), f"is not a readable .npz file: {error}", hint)) from error
    data = NpzData(path, entries["x"], entries.get("y"))
    _check_shapes(data)
    return data


def _check_names(path: Path, found: dict[str, str], size: int) -> None:
    if "x" not in found or not found.keys() <= {"x", "y"}:
        names = ", ".join(sorted(found)[:20]) or "nothing"
        hint = "numpy.savez(path, x=inputs, y=labels); `y` is optional"
        raise DataError(Problem(str(path), f"holds {names}; expected are `x` and perhaps `y`", hint))
    if size > MOST_BYTES:
        why = f"is {size:,} bytes unpacked, more than {MOST_BYTES:,}"
        raise DataError(Problem(str(path), why, "divide it, or give a loader as package.module:loader"))


def _entry(path: Path, archive: zipfile.ZipFile, name: str, member: str) -> Entry:
    with archive.open(member) as file:
        head = io.BytesIO(file.read(HEADER))
    where = f"{path}: {name}"
    try:
        version = npy.read_magic(head)
        reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = reader(head)
    except Exception as error:  # numpy lets out whatever its parser of headers raises
        raise DataError(Problem(where, f"is not an array: {str(error)[:200]}")) from error
    if dtype.hasobject:
        why = "holds Python objects, which could execute code when read"
        raise DataError(Problem(where, why, "save an array of numbers"))
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise DataError(Problem(where, f"has dtype {dtype}", "convert it to a real number type of at most 64 bits"))
    start = head.tell()
    stored = archive.getinfo(member).file_size - start
    if any(n < 0 for n in shape) or prod(shape) * dtype.itemsize != stored:
        raise DataError(Problem(where, f"declares shape {shape} of {dtype}, but holds {stored:,} bytes"))
    return Entry(member, dtype, shape, fortran, start)


def _check_shapes(data: NpzData) -> None:
    problems = []
    x, y = data.x, data.y
    if len(x.shape) < 2 or 0 in x.shape:
        problems.append(Problem(f"{data.path}: x", f"has shape {x.shape}", "give samples as (sample, *input)"))
    if y and (not y.shape or 0 in y.shape[1:] or (x.shape and y.shape[0] != x.shape[0])):
        problems.append(Problem(f"{data.path}: y", f"has shape {y.shape}, x has {x.shape}", "give one label a sample"))
    for name, entry in (("x", x), ("y", y)):
        if entry and entry.shape and entry.row_bytes > MOST_AT_ONCE:
            problems.append(Problem(f"{data.path}: {name}", f"has {entry.row_bytes:,} bytes a sample"))
        if entry and entry.fortran and entry.dtype.itemsize * prod(entry.shape) > 8 * MOST_AT_ONCE:
            why = "is too large for its Fortran order"
            problems.append(Problem(f"{data.path}: {name}", why, "save numpy.ascontiguousarray(...) of it"))
    if problems:
        raise DataError(problems)


def _slices(archive: zipfile.ZipFile, entry: Entry, batch: int) -> Iterator[NDArray[Any]]:
    """The rows of an array, `batch` at a time."""
    with archive.open(entry.member) as file:
        _read(file, entry.start)
        if entry.fortran:
            whole = _read(file, entry.dtype.itemsize * prod(entry.shape))
            array = _native(np.frombuffer(whole, entry.dtype).reshape(entry.shape, order="F"))
            yield from (array[first : first + batch] for first in range(0, entry.shape[0], batch))
            return
        for first in range(0, entry.shape[0], batch):
            n = min(batch, entry.shape[0] - first)
            part = _read(file, n * entry.row_bytes)
            yield _native(np.frombuffer(part, entry.dtype).reshape(n, *entry.shape[1:]))


def _read(file: IO[bytes], size: int) -> bytearray:
    """Exactly `size` bytes; a mutable copy, as torch asks for writable arrays."""
    content = bytearray(file.read(size))
    if len(content) != size:
        raise EOFError(f"{size - len(content):,} bytes are missing")
    return content


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """The array in this machine's byte order, rows contiguous."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
