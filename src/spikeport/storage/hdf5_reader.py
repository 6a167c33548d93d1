"""Walk an HDF5 file that is not trusted. This runs in a process of its own and imports only numpy, h5py and its neighbours.

Only hard links, plain numbers and strings in contiguous, compact or chunked datasets with the standard filters are read:
no links to elsewhere, no external or virtual storage, no object types, no cycles.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikeport.storage import hdf5_heaps
from spikeport.storage.hdf5_frames import RefusalError

ATTRIBUTES = "/"
"""Where the attributes of a group stand in its tree: no group or dataset can be called so."""
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
BLOCK_BYTES = 2**22
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError, zlib.error)
"""What h5py raises for a damaged file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a file may ask for."""

    loaded_bytes: int
    objects: int
    depth: int
    rank: int
    name: int
    text: int
    rows: int
    one_text: bool
    attributes: int = 0


class Stored:
    """Numbers of a dataset. Those that may be damaged without the file being so, packed ones, are read now, others piece by piece."""

    def __init__(self, dataset: Any) -> None:
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype
        lasting = dataset.chunks or not self.shape or dataset.nbytes <= BLOCK_BYTES
        self._numbers = dataset[()] if lasting else dataset

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The numbers in order."""
        row = prod(self.shape[1:]) * self.dtype.itemsize
        if isinstance(self._numbers, h5py.Dataset):
            step = max(BLOCK_BYTES // row, 1)
            for start in range(0, self.shape[0], step):
                yield np.ascontiguousarray(self._numbers[start : start + step])
        else:
            yield np.ascontiguousarray(self._numbers)


class Held:
    """One number, as `Stored` has many."""

    def __init__(self, value: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self._number = np.asarray(value).reshape(())
        self.dtype: np.dtype[Any] = self._number.dtype

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The number."""
        yield self._number


@contextmanager
def opened(path: Path, bounds: Bounds) -> Iterator[dict[str, Any]]:
    """The tree of a file, while it is open.

    Raises:
        RefusalError: it is truncated, too large, not HDF5, or uses a feature that such files do not need.
    """
    try:
        if why := hdf5_heaps.problem(path):
            raise RefusalError("", why, "it may be damaged; export it again")
        with h5py.File(path, "r") as file:
            yield Reader(path, bounds).group(file, "", 0)
    except UNREADABLE as error:
        raise RefusalError(
            "", f"is not a readable HDF5 file: {str(error)[:200]}", "it may be truncated; export it again"
        ) from error


class Reader:
    """Counts what has been read of one file."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self.path = path
        self.bounds = bounds
        self.bytes_left = bounds.loaded_bytes
        self.objects_left = bounds.objects
        self.seen: set[Any] = set()

    def group(self, group: Any, where: str, depth: int) -> dict[str, Any]:
        self._once(group, where)
        if depth > self.bounds.depth:
            raise RefusalError(where or "/", f"is nested more than {self.bounds.depth} deep")
        self.objects_left -= len(group)
        if self.objects_left < 0:
            raise RefusalError(where or "/", f"holds more than {self.bounds.objects} objects")
        tree: dict[str, Any] = {}
        if self.bounds.attributes and (found := self.attributes(group, where, depth + 1)):
            tree[ATTRIBUTES] = found
        for name in group:
            here = f"{where}/{name}"
            if len(name) > self.bounds.name:
                raise RefusalError(here[:100], "has a name that is too long")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RefusalError(here, "is a link to another place or file", "store the data itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                tree[name] = self.group(item, here, depth + 1)
            elif isinstance(item, h5py.Dataset):
                tree[name] = self.dataset(item, here)
            else:
                raise RefusalError(here, "is neither a group nor a dataset")
        return tree

    def attributes(self, group: Any, where: str, depth: int) -> dict[str, Any]:
        """What is attached to a group. A text that says it is long is bounded by the memory of this process alone: it cannot be asked first."""
        count = h5py.h5a.get_num_attrs(group.id)
        self.objects_left -= count + bool(count)
        if count > self.bounds.attributes or self.objects_left < 0 or depth > self.bounds.depth:
            raise RefusalError(where or "/", f"has more than {self.bounds.attributes} attributes, or too deep")
        found: dict[str, Any] = {}
        for name in group.attrs:
            here = f"{where or '/'}@{name}"
            if len(name) > self.bounds.name:
                raise RefusalError(here[:100], "has a name that is too long")
            attribute = group.attrs.get_id(name)
            text = h5py.check_string_dtype(attribute.dtype)
            shape = attribute.shape  # None: it is empty
            if shape is None or len(shape) > self.bounds.rank or prod(shape) != 1:
                raise RefusalError(here, f"has the shape {shape}, and one value is meant")
            if text is None and (attribute.dtype.kind not in "biuf" or attribute.dtype.itemsize > 8):
                raise RefusalError(here, f"has the type {attribute.dtype}, which is no number and no text")
            value = np.asarray(group.attrs[name], dtype=None if text is None else object).reshape(-1)[0]
            found[name] = Held(value) if text is None else self._text(_bytes(value), here, self.bounds.text)
        return found

    def dataset(self, dataset: Any, where: str) -> Stored | str | list[list[str]]:
        self._once(dataset, where)
        plan = dataset.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
            raise RefusalError(where or "/", "is stored in another file or dataset", "store the data itself")
        if any(plan.get_filter(i)[0] not in FILTERS for i in range(plan.get_nfilters())):
            raise RefusalError(where or "/", "is packed with a filter that is not deflate, shuffle or fletcher32")
        if dataset.shape is None or len(dataset.shape) > self.bounds.rank:
            raise RefusalError(where or "/", f"has the shape {dataset.shape}")
        text = h5py.check_string_dtype(dataset.dtype)
        if text is None and (dataset.dtype.kind not in "biuf" or dataset.dtype.itemsize > 8):
            raise RefusalError(where or "/", f"has the type {dataset.dtype}, which is no number and no text")
        chunk = prod(dataset.chunks or ()) * dataset.dtype.itemsize
        needed = prod(dataset.shape) * dataset.dtype.itemsize
        table = text is not None and not (dataset.shape == () or (self.bounds.one_text and dataset.shape == (1,)))
        if table and (len(dataset.shape) != 2 or dataset.shape[1] != 2 or len(dataset) > self.bounds.rows):
            raise RefusalError(where or "/", f"is a table of strings of shape {dataset.shape}")
        self.bytes_left -= needed
        if max(prod(dataset.shape), chunk) > self.bounds.loaded_bytes or self.bytes_left < 0:
            raise RefusalError(
                where, f"of shape {dataset.shape} declares more data than can be in this file or may be loaded"
            )
        if text is None:
            return Stored(dataset)
        at_most = self.bounds.name if table else self.bounds.text
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
            raise RefusalError(where or "/", "keeps its texts in a way that such files do not need, or is damaged")
        if lengths.size and int(lengths.max()) > at_most:
            raise RefusalError(where or "/", f"is not a text of at most {at_most} bytes")

    def _text(self, value: Any, where: str, at_most: int) -> str:
        if not isinstance(value, bytes) or len(value) > at_most:
            raise RefusalError(where or "/", f"is not a text of at most {at_most} bytes")
        self.bytes_left -= len(value)
        if self.bytes_left < 0:
            raise RefusalError(where or "/", "repeats more text than may be loaded")
        return value.decode("utf-8")

    def _once(self, item: Any, where: str) -> None:
        """A second hard link to an object could make a cycle, or a small file large."""
        info = h5py.h5o.get_info(item.id)
        key = (info.fileno, info.addr)
        if key in self.seen:
            raise RefusalError(where or "/", "is linked from two places")
        self.seen.add(key)


def _bytes(value: Any) -> Any:
    """A text of an attribute, which h5py decodes, as it does not those of datasets."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
