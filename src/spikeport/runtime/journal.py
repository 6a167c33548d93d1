"""What was done to a session, in order: enough to do it again, here or elsewhere, and to have the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from spikeport.plugin.state import SessionState
from spikeport.primitives import DynamicNetwork, SpikeEvents
from spikeport.runtime.events import Event

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A session between two steps: its network, which gates are closed, and its state. Any backend of the same numerics goes on from it."""

    network: DynamicNetwork
    """With all gates open."""
    closed: tuple[str, ...]
    state: SessionState
    """Of the network with all gates open."""

    @property
    def time(self) -> float:
        """Seconds since the beginning."""
        return self.state.step * self.network.contract.dt

    def save(self, path: str | Path) -> Path:
        """Write it to one file, whole or not at all.

        Raises:
            FileError: the folder is missing, not writable or full.
        """
        from spikeport.runtime.files import save_snapshot  # files are made of snapshots

        return save_snapshot(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Snapshot:
        """Read one; nothing in the file is executed, and every size is bounded before it is believed.

        Raises:
            FileError: the file does not exist.
            ArchiveError: it is truncated, altered, too large, or no snapshot.
        """
        from spikeport.runtime.files import load_snapshot

        return load_snapshot(Path(path))


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """It went on for some steps."""

    n_steps: int
    inputs: Mapping[str, SpikeEvents] = field(default_factory=lambda: _NONE)
    """What entered, spike by spike: rates are drawn once, and here is what came out."""
    currents: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _NONE)
    modulation: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _NONE)
    record: tuple[str, ...] = ()
    record_weights: tuple[str, ...] = ()
    weights_every: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """An event, between two steps."""

    event: Event


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """An event for later."""

    step: int
    event: Event


@dataclass(frozen=True, slots=True)
class Undone:
    """The last event that was not undone yet was."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was planned, and had not happened, was given up."""


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """It went to another state."""

    snapshot: Snapshot


Entry = Ran | Applied | Planned | Undone | Forgotten | Restored


@dataclass(frozen=True, slots=True, eq=False)
class Journal:
    """All that a session did since it was opened, inputs too."""

    network: DynamicNetwork
    """As it was opened."""
    batch: int
    entries: tuple[Entry, ...]

    def save(self, path: str | Path) -> Path:
        """Write it to one file, whole or not at all.

        Raises:
            FileError: the folder is missing, not writable or full, or it is more than a file holds.
        """
        from spikeport.runtime.files import save_journal

        return save_journal(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Journal:
        """Read one; nothing in the file is executed, and every size is bounded before it is believed.

        Raises:
            FileError: the file does not exist.
            ArchiveError: it is truncated, altered, too large, or no journal.
        """
        from spikeport.runtime.files import load_journal

        return load_journal(Path(path))
