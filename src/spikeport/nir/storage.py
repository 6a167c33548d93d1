"""What a NIR file may hold, and how much of it is read."""

from __future__ import annotations

from pathlib import Path

from spikeport.errors import NirError
from spikeport.nir import limits
from spikeport.storage import hdf5
from spikeport.storage.hdf5 import Tree

NIR = hdf5.Kind(
    name="NIR",
    suffix=".nir",
    error=NirError,
    again="export it again, with nir or spikeport",
    max_file_bytes=limits.MAX_FILE_BYTES,
    max_loaded_bytes=limits.MAX_LOADED_BYTES,
    max_objects=limits.MAX_OBJECTS,
    max_depth=limits.MAX_DEPTH,
    max_rank=limits.MAX_RANK,
    max_name=limits.MAX_NAME,
    max_text=limits.MAX_TEXT,
    max_rows=limits.MAX_EDGES,
)


def read_tree(path: Path) -> Tree:
    """Everything in a NIR file; see `spikeport.storage.hdf5`."""
    return hdf5.read_tree(path, NIR)
