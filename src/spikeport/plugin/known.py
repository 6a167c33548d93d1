"""What there is: chips that are known, and backends that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeport.errors import OptionError, Problem
from spikeport.plugin.registry import Installed, find, installed, nearest
from spikeport.targets import FACTS, Target, find_target, target_names


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """A chip of the catalog, or an installed backend whose targets are known once it is loaded."""

    name: str
    target: Target | None
    """None for a backend of others, which is not imported for a list."""
    backend: str = ""
    """Name of the installed backend that compiles for it; empty where there is none: `check` needs none."""
    distribution: str = ""
    """Name and version of the distribution that brings the backend; of all that do, where several claim its name, which none then has."""

    @property
    def installed(self) -> bool:
        """Whether `compile` reaches it."""
        return bool(self.backend)


class TargetList(tuple[TargetInfo, ...]):
    """Targets; printed, a table."""

    __slots__ = ()

    def __str__(self) -> str:
        head = ("name", "title", "vendor", "facts", "simulator of the vendor's", "backend")
        rows = [head, *map(_row, self)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        rows.insert(1, tuple("-" * width for width in widths))
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def targets() -> TargetList:
    """All chips of the catalog and all installed backends, without importing any of them.

    >>> print(targets())
    name          title                           vendor  facts ...
    """
    claims = installed()
    known = [_info(name, find_target(name), claims.get(name, ())) for name in target_names()]
    others = [_info(name, None, claims[name]) for name in claims if name not in target_names()]
    return TargetList([*known, *others])


def target_named(target: Target | str | Path) -> Target:
    """A chip by its name in the catalog, from the `.toml` file that describes it, or of an installed backend, which is loaded for it.

    Args:
        target: of a backend, as for `compile`: "backend", which means its first target, or "backend:target".

    Raises:
        OptionError: nobody knows the name.
        FileError, TargetError: the file cannot be read, or is not the description of a chip.
        BackendError: the backend cannot be loaded.
    """
    given: object = target
    if not isinstance(given, Target | str | Path):
        why = f"is {target!r}, neither a name nor a Target"
        raise OptionError(Problem("target", why, f"one of {', '.join(target_names())}"))
    if not isinstance(target, str) or target.lower().endswith(".toml") or target in target_names():
        return find_target(target)
    claims = installed()
    if target.partition(":")[0] not in claims:
        raise OptionError(Problem("target", f"{target!r} is not known", nearest(target, [*target_names(), *claims])))
    return find(target)[1]


def _info(name: str, target: Target | None, claims: Sequence[Installed]) -> TargetInfo:
    return TargetInfo(
        name, target, name if claims else "", " and ".join(f"{claim.distribution} {claim.version}" for claim in claims)
    )


def _row(info: TargetInfo) -> tuple[str, ...]:
    by = f"of {info.distribution}" if info.installed else "none: check alone"
    if info.target is None:
        return (info.name, "targets are known once it is loaded", "", "", "", by)
    facts = [fact for name in FACTS if (fact := getattr(info.target, name)) is not None]
    simulated = {"dynamics_simulator": "dynamics", "mapping_simulator": "mapping"}
    simulators = " and ".join(text for name, text in simulated.items() if info.target.known(name))
    counted = f"{len(facts)}, {sum(fact.enforced for fact in facts)} enforced"
    return (info.name, info.target.title, info.target.vendor, counted, simulators or "none", by)
