"""From a program to a session of the backend that made it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from spikeport.backends.hosted import HostedSession
from spikeport.errors import BackendError, OptionError, Problem
from spikeport.plugin import BackendSession, Program, backend_of, load_program
from spikeport.plugin.inputs import checked_names, spiking, with_membrane
from spikeport.plugin.presenting import require_names
from spikeport.plugin.registry import blamed


def open_program(
    program: Program | str | Path,
    *,
    record: Collection[str] | None = None,
    potentials: Collection[str] | None = None,
) -> BackendSession:
    """A session of a program, by the backend that made it; a context manager.

    Args:
        program: what `compile` gave, or the path of a `.spp` file.
        record: populations whose spikes are given; None: all, which a whole `run` needs.
        potentials: populations whose membrane potentials are given; None: all that have one.

    Raises:
        BackendError: its backend is not installed or of another version, or has no such target.
        ArchiveError, FileError: a file that is no program, or not there.
        OptionError: names that are not in the network, or neither a program nor a path.
    """
    given: object = program
    if not isinstance(given, Program | str | Path):
        why = f"is a {type(program).__name__}"
        raise OptionError(Problem("program", why, "give what `compile` returns, or the path of a .spp file"))
    if not isinstance(program, Program):
        program = load_program(program)
    found = backend_of(program)
    network = program.network if program.whole is None else program.whole
    require_names(record, "record")
    require_names(potentials, "potentials")
    record = spiking(network) if record is None else tuple(record)
    potentials = with_membrane(network) if potentials is None else tuple(potentials)
    checked_names(network, record, potentials)
    if program.cut is not None:
        return HostedSession(program, found, record, potentials)
    with blamed(found.name, "opening a program"):
        # of others: believed once it was looked at
        session: Any = found.open(program, record=record, potentials=potentials)
    if not isinstance(session, BackendSession):
        why = f"opens {session!r}, which is no BackendSession"
        raise BackendError(Problem(found.name, why, f"report it to {program.distribution or 'its author'}"))
    return session
