"""The content of an HDF5 file from outside, as a tree of arrays; everything is bounded before it is believed.

Another process reads it (`hdf5_process`, `hdf5_child`), so that a file that makes the library crash or hang is an error like any other.
What kind of file it is, and how much of it is believed, is a `Kind`; which features of HDF5 are read is said in `hdf5_reader`.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.errors import FileError, Problem, SpikeportError
from spikeport.storage import hdf5_frames, hdf5_process
from spikeport.storage.hdf5_reader import ATTRIBUTES as ATTRIBUTES
from spikeport.storage.hdf5_reader import Bounds

Tree = dict[str, Any]
"""Names to trees, arrays, or strings; `Strings` are tables of strings, read cell by cell. Attributes of a group, where they are read, are a tree
of their own by the name `ATTRIBUTES`."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LARGEST_RATIO = 1100
"""Deflate makes data at most 1032 times smaller; whoever declares more did not store it."""
FREE_BYTES = 2**26
NO_READER = "run it with a Python interpreter that has h5py, or point `sys.executable` to one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a file should be, the error for one that is not, and what it may ask of a reader."""

    name: str
    """For people, for example `NIR`."""
    suffix: str
    error: type[SpikeportError]
    again: str
    """How a better file is made."""
    max_file_bytes: int
    max_loaded_bytes: int
    max_objects: int
    """Groups and datasets."""
    max_depth: int
    max_rank: int
    max_name: int
    max_text: int
    max_rows: int = 0
    """Of a table of strings with two columns."""
    one_text: bool = False
    """An array that holds one string is that string."""
    max_attributes: int = 0
    """Of a group, each one number or text; 0: attributes are passed over."""


def read_tree(path: Path, kind: Kind) -> Tree:
    """Everything in a file; attributes of groups where the kind has them, those of datasets never.

    Raises:
        FileError: it does not exist, is not a regular file, or may not be read.
        SpikeportError: the kind's error: it is truncated, too large, not HDF5, or uses a feature that such files do not need.
    """
    size = _file_size(path, kind)
    try:
        return hdf5_process.read(path, bounds_of(size, kind))
    except hdf5_frames.RefusalError as found:
        where = f"{path}:{found.where}" if found.where else str(path)
        raise kind.error(Problem(where, found.why, found.hint or kind.again)) from None
    except hdf5_process.StoppedError as error:
        raise kind.error(Problem(str(path), str(error), f"it may be damaged; {kind.again}")) from error
    except hdf5_process.ReaderError as error:
        raise FileError(Problem(str(path), f"cannot be read: {error}", NO_READER)) from error


def bounds_of(size: int, kind: Kind) -> Bounds:
    """What a file of so many bytes may ask for."""
    return Bounds(
        loaded_bytes=min(kind.max_loaded_bytes, FREE_BYTES + LARGEST_RATIO * size),
        objects=kind.max_objects,
        depth=kind.max_depth,
        rank=kind.max_rank,
        name=kind.max_name,
        text=kind.max_text,
        rows=kind.max_rows,
        one_text=kind.one_text,
        attributes=kind.max_attributes,
    )


def _file_size(path: Path, kind: Kind) -> int:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileError(Problem(str(path), "is not a regular file", f"give the path of a {kind.suffix} file"))
        with open(path, "rb") as file:
            start = file.read(len(SIGNATURE))
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(Problem(str(path), f"cannot be read: {reason}")) from error
    if start != SIGNATURE:
        why = f"is not an HDF5 file, so not a {kind.name} file"
        raise kind.error(Problem(str(path), why, f"give a {kind.suffix} file"))
    if found.st_size > kind.max_file_bytes:
        raise kind.error(Problem(str(path), f"has {found.st_size:,} bytes, more than {kind.max_file_bytes:,}"))
    return found.st_size
