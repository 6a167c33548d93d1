"""The content of an HDF5 file from outside, as a tree of arrays; everything is bounded before it is believed.

Only hard links, plain numbers and strings in contiguous, compact or chunked datasets with the standard filters are read:
no links to elsewhere, no external or virtual storage, no object types, no cycles. What kind of file it is, and how much of it is
believed, is a `Kind`.
"""

from __future__ import annotations

import stat
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import FileError, Problem, SpikeportError
from spikeport.storage import hdf5_heaps

Tree = dict[str, Any]
"""Names to trees, arrays, or strings; `Strings` are tables of strings, read cell by cell."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
LARGEST_RATIO = 1100
"""Deflate makes data at most 1032 times smaller; whoever declares more did not store it."""
FREE_BYTES = 2**26


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


def read_tree(path: Path, kind: Kind) -> Tree:
    """Everything in a file, without attributes.

    Raises:
        FileError: it does not exist, is not a regular file, or may not be read.
        SpikeportError: the kind's error: it is truncated, too large, not HDF5, or uses a feature that such files do not need.
    """
    size = _file_size(path, kind)
    try:
        if why := hdf5_heaps.problem(path):
            raise kind.error(Problem(str(path), why, "it may be damaged; export it again"))
        with h5py.File(path, "r") as file:
            return _Reader(path, size, kind).group(file, "", 0)
    except kind.error:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        MemoryError,
        UnicodeDecodeError,
        zlib.error,
    ) as error:
        why = f"is not a readable HDF5 file: {str(error)[:200]}"
        raise kind.error(Problem(str(path), why, "it may be truncated; export it again")) from error


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


class _Reader:
    """Counts what has been read of one file."""

    def __init__(self, path: Path, file_size: int, kind: Kind) -> None:
        self.path = path
        self.kind = kind
        self.bytes_left = min(kind.max_loaded_bytes, FREE_BYTES + LARGEST_RATIO * file_size)
        self.objects_left = self.kind.max_objects
        self.seen: set[Any] = set()

    def group(self, group: Any, where: str, depth: int) -> Tree:
        self._once(group, where)
        if depth > self.kind.max_depth:
            raise self._refuse(where, f"is nested more than {self.kind.max_depth} deep")
        self.objects_left -= len(group)
        if self.objects_left < 0:
            raise self._refuse(where, f"holds more than {self.kind.max_objects} objects")
        tree: Tree = {}
        for name in group:
            here = f"{where}/{name}"
            if len(name) > self.kind.max_name:
                raise self._refuse(here[:100], "has a name that is too long")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise self._refuse(here, "is a link to another place or file", "store the data itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                tree[name] = self.group(item, here, depth + 1)
            elif isinstance(item, h5py.Dataset):
                tree[name] = self.dataset(item, here)
            else:
                raise self._refuse(here, "is neither a group nor a dataset")
        return tree

    def dataset(self, dataset: Any, where: str) -> NDArray[Any] | str | list[list[str]]:
        self._once(dataset, where)
        plan = dataset.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
            raise self._refuse(where, "is stored in another file or dataset", "store the data itself")
        if any(plan.get_filter(i)[0] not in FILTERS for i in range(plan.get_nfilters())):
            raise self._refuse(where, "is packed with a filter that is not deflate, shuffle or fletcher32")
        if dataset.shape is None or len(dataset.shape) > self.kind.max_rank:
            raise self._refuse(where, f"has the shape {dataset.shape}")
        text = h5py.check_string_dtype(dataset.dtype)
        if text is None and (dataset.dtype.kind not in "biuf" or dataset.dtype.itemsize > 8):
            raise self._refuse(where, f"has the type {dataset.dtype}, which is no number and no text")
        chunk = prod(dataset.chunks or ()) * dataset.dtype.itemsize
        needed = prod(dataset.shape) * dataset.dtype.itemsize
        table = text is not None and not (dataset.shape == () or (self.kind.one_text and dataset.shape == (1,)))
        if table and (len(dataset.shape) != 2 or dataset.shape[1] != 2 or len(dataset) > self.kind.max_rows):
            raise self._refuse(where, f"is a table of strings of shape {dataset.shape}")
        self.bytes_left -= needed
        if max(prod(dataset.shape), chunk) > self.kind.max_loaded_bytes or self.bytes_left < 0:
            raise self._refuse(
                where, f"of shape {dataset.shape} declares more data than can be in this file or may be loaded"
            )
        if text is None:
            return np.asarray(dataset[()])
        at_most = self.kind.max_name if table else self.kind.max_text
        if text.length is None:
            self._stored_texts(dataset, where, at_most)
        if not table:
            return self._text(dataset[()] if dataset.shape == () else dataset[0], where, at_most)
        rows = (dataset[i] for i in range(len(dataset)))  # row by row: all of them may point to one long string
        return [[self._text(cell, where, at_most) for cell in row] for row in rows]

    def _stored_texts(self, dataset: Any, where: str, at_most: int) -> None:
        """Refuse texts that say they are longer than they may be: the library sets memory aside for what they say."""
        lengths = hdf5_heaps.lengths(dataset, self.path)
        if lengths is None:
            raise self._refuse(where, "keeps its texts in a way that such files do not need, or is damaged")
        if lengths.size and int(lengths.max()) > at_most:
            raise self._refuse(where, f"is not a text of at most {at_most} bytes")

    def _text(self, value: Any, where: str, at_most: int) -> str:
        if not isinstance(value, bytes) or len(value) > at_most:
            raise self._refuse(where, f"is not a text of at most {at_most} bytes")
        self.bytes_left -= len(value)
        if self.bytes_left < 0:
            raise self._refuse(where, "repeats more text than may be loaded")
        return value.decode("utf-8")

    def _once(self, item: Any, where: str) -> None:
        """A second hard link to an object could make a cycle, or a small file large."""
        info = h5py.h5o.get_info(item.id)
        key = (info.fileno, info.addr)
        if key in self.seen:
            raise self._refuse(where, "is linked from two places")
        self.seen.add(key)

    def _refuse(self, where: str, why: str, hint: str = "") -> SpikeportError:
        return self.kind.error(Problem(f"{self.path}:{where or '/'}", why, hint or self.kind.again))
