"""A journal, done again."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.runtime.journal import Journal, Snapshot
from spikeport.runtime.run import Run
from spikeport.runtime.session import Session


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What doing a journal again gave."""

    runs: tuple[Run, ...]
    snapshot: Snapshot
    """At the end."""


def replay(journal: Journal, *, on: str | None = None) -> Replay:
    """Do again what a session did, from the beginning: on a backend of the same numerics every bit is the same.

    Raises:
        SpikeportError: what the session would raise, of a backend that cannot carry what is in the journal.
    """
    with Session(journal.network, batch=journal.batch, on=on) as session:
        runs = [run for entry in journal.entries if (run := session.play(entry)) is not None]
        return Replay(tuple(runs), session.snapshot())
