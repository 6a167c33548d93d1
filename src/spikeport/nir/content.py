"""A hash of all that a reader sees in a file of ours: whatever changes in the file, it is refused or means the same.

HDF5 has bytes that mean nothing, and no place for a hash of them all that other tools would keep. So the hash is of the content:
names, types, shapes, numbers, texts, edges and metadata, in one order. What is outside of it is the hash itself, and the
version of the `nir` package that wrote the file, which no reader asks for and another version of it would change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeport.errors import NirError, Problem
from spikeport.nir.storage import NIR
from spikeport.storage.hdf5 import bounds_of
from spikeport.storage.hdf5_frames import RefusalError
from spikeport.storage.hdf5_reader import Stored, opened

KEY = "spikeport_content"
_VERSION = "version"


def write_sealed(path: Path, packed: BytesIO) -> None:
    """Write the bytes of a NIR file with the hash among them.

    The library never writes to the disk: where that is full, it crashes. What it made is read back in this process.

    Raises:
        OSError: the file cannot be written.
        NirError: it asks for more than a reader allows.
    """
    _write(path, packed)
    try:
        with opened(path, bounds_of(path.stat().st_size, NIR)) as tree:
            found = digest(tree)
    except RefusalError as error:
        raise NirError(Problem(error.where or "graph", f"could not be read back: {error.why}", error.hint)) from error
    with h5py.File(packed, "r+") as file:
        file["node/metadata"].create_dataset(KEY, data=found, dtype=h5py.string_dtype())
    _write(path, packed)


def _write(path: Path, packed: BytesIO) -> None:
    with packed.getbuffer() as content:
        path.write_bytes(content)


def is_sealed(tree: Mapping[str, Any]) -> bool:
    """Whether a file that was read holds what was written."""
    return bool(tree["node"]["metadata"].get(KEY) == digest(tree))


def digest(tree: Mapping[str, Any]) -> str:
    """The hash, in hexadecimal digits, as it is without an entry for itself."""
    root = {name: item for name, item in tree.items() if name != _VERSION}
    metadata = {name: item for name, item in root["node"]["metadata"].items() if name != KEY}
    root["node"] = {**root["node"], "metadata": metadata}
    state = hashlib.sha256()
    _feed(state, root)
    return state.hexdigest()


def _feed(state: Any, item: Any) -> None:
    if isinstance(item, Mapping):
        state.update(f"group {len(item)};".encode())
        for name in sorted(item):
            _feed(state, name)
            _feed(state, item[name])
    elif isinstance(item, str):
        text = item.encode("utf-8", "surrogateescape")
        state.update(b"text %d;" % len(text) + text)
    elif isinstance(item, list):
        state.update(f"texts {len(item)};".encode())
        for row in item:
            for cell in row:
                _feed(state, cell)
    else:
        state.update(f"array {item.dtype.str} {item.shape};".encode())
        for block in item.blocks() if isinstance(item, Stored) else (item,):
            state.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8))
