"""What a backend executes: a network as it was placed, in the target's formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, Problem
from spikeport.lower import Bill, Cut
from spikeport.primitives import DynamicNetwork, Ledger, SpikingNetwork, frozen

PLUGIN_VERSION = 1
"""Of the contract between spikeport and its backends; a backend states the one it was written for."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled network. Equal input gives equal programs, and equal programs give equal files.

    `document` and `arrays` belong to the backend that made it; the rest is read by everybody.
    """

    backend: str
    """Name of the backend that made it, and that opens it."""
    backend_version: str
    target: str
    network: SpikingNetwork | DynamicNetwork
    """What it computes: after quantizing for the target and choosing a code, before placement. The reference runs it."""
    offsets: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Steps by which a population runs behind the network's own time, by name; 0 where nothing is said."""
    bill: Bill = field(default_factory=Bill)
    ledger: Ledger = ()
    """What the target approximates."""
    document: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """JSON values."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))
    report: str | None = None
    """If it was quantized again for the target: the report on the new integer network, as JSON."""
    whole: SpikingNetwork | None = None
    """If the host keeps a part: all of the network, of which `network` is what is on the chip."""
    cut: Cut | None = None
    """And where it was cut."""
    distribution: str = ""
    """Name of the distribution that brings the backend."""
    plugin_version: int = PLUGIN_VERSION

    def __post_init__(self) -> None:
        unknown = sorted(set(self.offsets) - set(self.network.by_name))
        problems = [Problem(name, "has an offset, and is no population of the network") for name in unknown]
        problems += [
            Problem(name, f"its offset is {offset!r}", "a whole number of steps, 0 or more")
            for name, offset in self.offsets.items()
            if isinstance(offset, bool) or not isinstance(offset, int | np.integer) or offset < 0
        ]
        if problems:
            raise BackendError(problems)
        object.__setattr__(self, "offsets", MappingProxyType({k: int(v) for k, v in sorted(self.offsets.items())}))
        object.__setattr__(self, "document", MappingProxyType(dict(self.document)))
        arrays = {name: frozen(np.asarray(array)) for name, array in sorted(self.arrays.items())}
        object.__setattr__(self, "arrays", MappingProxyType(arrays))

    def save(self, path: str | Path) -> Path:
        """Write it to one `.spp` file, whole or not at all; equal programs give equal bytes.

        Raises:
            FileError: the folder is missing, not writable or full, or a backend put something into it that no file holds.
        """
        from spikeport.plugin.files import save_program  # files are made of programs

        return save_program(self, path)
