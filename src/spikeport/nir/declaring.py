"""A copy of a NIR file that says what it means: nodes, edges and metadata as they are, and an execution contract."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import h5py

from spikeport.errors import NirError, Problem
from spikeport.files import replacing
from spikeport.nir import content, declared
from spikeport.nir import contract as converted
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_of
from spikeport.nir.repair import repaired
from spikeport.nir.storage import read_tree
from spikeport.primitives.nir_contract import NirContract


def declare(path: str | Path, contract: NirContract, to: str | Path, *, repair: bool = False) -> None:
    """Write the file at `path` to `to` with a contract in its metadata, in place of one that it has; whole or not at all.

    Args:
        repair: whoever reads the copy repairs it: nodes and edges are written as they are.

    Raises:
        NirError: the file is none, the contract does not fit it, or it is a converted network's with a contract of its own.
        FileError: a file cannot be read or written.
    """
    tree = read_tree(Path(path))
    graph = graph_of(tree, str(path))
    network_of(repaired(graph)[0] if repair else graph, contract)
    metadata = dict(tree["node"].get("metadata", {}))
    if converted.KEY in metadata:
        raise NirError(Problem(str(path), "says what it means: it is a converted network", "sp.from_nir(path)"))
    metadata.pop(content.KEY, None)
    metadata[declared.KEY] = declared.text_of(contract)
    packed = BytesIO()
    with h5py.File(packed, "w") as file:
        _write(file, tree | {"node": {**tree["node"], "metadata": metadata}})
    with replacing(to) as temporary:
        content.write_sealed(temporary, packed)


def _write(group: Any, tree: dict[str, Any]) -> None:
    """As `nir` lays files out."""
    for name, item in tree.items():
        if isinstance(item, dict):
            _write(group.create_group(name), item)
        elif isinstance(item, str | list):
            group.create_dataset(name, data=item, dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=item)
