"""Which installed backend made a program."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from spikeport.errors import BackendError, Problem
from spikeport.plugin.backend import Backend
from spikeport.plugin.program import PLUGIN_VERSION, Program
from spikeport.plugin.registry import backend, installed, nearest


def backend_of(program: Program, *, points: Iterable[metadata.EntryPoint] | None = None) -> Backend:
    """The installed backend that made a program.

    Raises:
        BackendError: it is not there, cannot be loaded, is of another version, or has not the program's target.
    """
    who = f"backend {program.backend!r} {program.backend_version}"
    if program.plugin_version != PLUGIN_VERSION:
        why = f"was made for version {program.plugin_version} of the plug-in contract, and this is {PLUGIN_VERSION}"
        raise BackendError(Problem("program", why, "compile the network again"))
    claims = installed(points)
    if program.backend not in claims:
        hint = f"pip install {program.distribution}" if program.distribution else nearest(program.backend, claims)
        raise BackendError(Problem("program", f"was made by {who}, which is not installed", hint))
    found = backend(program.backend, points=points)
    if found.version != program.backend_version:
        why = f"was made by {who}, and {found.version} is installed"
        raise BackendError(Problem("program", why, "compile the network again, or install that version"))
    if program.target not in [target.name for target in found.targets]:
        why = f"is for target {program.target!r}, which backend {found.name!r} does not have"
        raise BackendError(Problem("program", why, nearest(program.target, [t.name for t in found.targets])))
    return found
