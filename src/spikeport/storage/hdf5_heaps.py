"""The heaps where an HDF5 file keeps its texts: what the library that reads them believes, and should not.

It steps from object to object by the sizes that it finds, and a damaged one keeps it in place for ever, in code that no signal
interrupts. So the steps are gone through before it opens the file. A global heap collection is `GCOL`, its version (1), three bytes,
its length, and objects to its end: an index of two bytes, six others, a length, then so many bytes, filled up to a multiple of 8.
Index 0 is what is left over, whose length counts its own header. All numbers are little-endian, lengths are of eight bytes here.

And it sets aside as much memory as a dataset says that a text has bytes, 4 GiB and more, before it looks for them. So datasets are asked
first. A text is stored in them as its length in four bytes, the address of its collection in eight, and its index there in four.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from itertools import product
from math import prod
from pathlib import Path
from struct import Struct
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

MAGIC = b"GCOL"
SMALLEST = 4096
"""The library takes no shorter collection."""
MOST_OBJECTS = 1_000_000
_COLLECTION = Struct("<4sB3xQ")
_OBJECT = Struct("<H6xQ")
_SIZES = {0: 13, 1: 13, 2: 9, 3: 9}
"""Version of the first block of a file -> where it says how many bytes an address has, and behind that a length."""
_REFERENCE = 16
"""Bytes of a text in its dataset."""


def problem(path: Path) -> str:
    """Why the texts of an HDF5 file cannot be read, empty if they can.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = _SIZES.get(data[8] if len(data) > 8 else -1)
        if at is not None and data[at : at + 2] != b"\x08\x08":
            return "has addresses or lengths of other than 8 bytes"
        left = MOST_OBJECTS
        start = data.find(MAGIC)
        while start >= 0:
            left -= 1 + _objects(data, start, left)
            if left < 0:
                return f"holds a damaged table of texts, or more than {MOST_OBJECTS:,} texts"
            start = data.find(MAGIC, start + 1)
    return ""


def _objects(data: mmap.mmap, start: int, at_most: int) -> int:
    """How many objects are stepped through in a collection, beyond `at_most` if there is no end."""
    if start + _COLLECTION.size > len(data):
        return 0
    _, version, length = _COLLECTION.unpack_from(data, start)
    end = start + length
    if version != 1 or length < SMALLEST or end > len(data):
        return 0  # the library refuses it, or these bytes are something else
    at, count = start + _COLLECTION.size, 0
    while at + _OBJECT.size <= end:
        index, size = _OBJECT.unpack_from(data, at)
        step = size if index == 0 else _OBJECT.size + (size + 7) // 8 * 8
        at += step
        count += 1
        if step == 0 or at > end or count > at_most:
            return at_most + 1
    return count


def lengths(dataset: Any, path: Path) -> NDArray[np.uint32] | None:
    """How many bytes the texts of a dataset have, by what it says of them; None where it is not stored as such datasets are.

    Raises:
        OSError, RuntimeError, ValueError, zlib.error: it is damaged.
    """
    match dataset.id.get_create_plist().get_layout():
        case h5py.h5d.CONTIGUOUS:
            count = _REFERENCE * prod(dataset.shape)
            offset = dataset.id.get_offset()
            if offset is None or dataset.id.get_storage_size() != count:
                return None
            stored = [np.fromfile(path, np.uint8, count, offset=offset).tobytes()]
            return _lengths_of(stored, count)
        case h5py.h5d.CHUNKED:
            return _lengths_of(list(_chunks(dataset)), _REFERENCE * prod(dataset.chunks))
    return None


def _lengths_of(stored: list[bytes], size: int) -> NDArray[np.uint32] | None:
    if any(len(part) != size for part in stored):
        return None
    return np.frombuffer(b"".join(stored), "<u4")[:: _REFERENCE // 4]


def _chunks(dataset: Any) -> Iterator[bytes]:
    """The bytes of each chunk, unpacked."""
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(i) for i in range(plan.get_nfilters())]
    size = _REFERENCE * prod(dataset.chunks)
    for corner in product(*(range(0, n, step) for n, step in zip(dataset.shape, dataset.chunks, strict=True))):
        left_out, data = dataset.id.read_direct_chunk(corner)
        for i, (code, _, values, _) in reversed(list(enumerate(filters))):
            if left_out >> i & 1:
                continue
            if code == h5py.h5z.FILTER_DEFLATE:
                data = zlib.decompressobj().decompress(data, size)
            elif code == h5py.h5z.FILTER_SHUFFLE:
                width = values[0] if values else 1
                if not width or len(data) % width:
                    raise ValueError("a chunk of texts that is not whole")
                data = np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()
            else:
                raise ValueError("a filter that does not go with texts")
        yield data
