"""What a backend executes: a network as it was placed, in the target's formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from spikeport.lower import Bill
from spikeport.primitives import DynamicNetwork, Ledger, SpikingNetwork

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
    plugin_version: int = PLUGIN_VERSION
