"""What one vendor alone understands of a population or a projection: settings under the name of the backend that they are for.

They are plain data, so that networks are built, saved and read where that backend is not installed. What they mean, and whether they
are right, the backend says once it compiles the network; every other one refuses them by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.errors import GraphError, Problem

if TYPE_CHECKING:
    from spikeport.primitives.dynamic_network import DynamicNetwork, DynamicPopulation, Projection

Value = bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""Of a setting."""
Settings = tuple[tuple[str, Value], ...]
MOST = 64
"""Namespaces of a place, and settings of a namespace."""
LONGEST = 4096
"""Values of a tuple, and characters of a text."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Extension:
    """Settings for one backend.

    >>> extensions({"loihi2": {"num_weight_bits": 4}})
    (Extension(namespace='loihi2', settings=(('num_weight_bits', 4),)),)
    """

    namespace: str
    """Name of the backend."""
    settings: Settings
    """By name, in order of names."""

    def __post_init__(self) -> None:
        problems = tuple(_problems(self))
        if problems:
            raise GraphError(problems)

    @property
    def by_name(self) -> dict[str, Value]:
        """The settings as a mapping."""
        return dict(self.settings)


def extensions(given: Any, where: str = "ext") -> tuple[Extension, ...]:
    """Extensions as networks hold them, in order of their namespaces.

    Args:
        given: settings by namespace, each a mapping by name or an instance of the class that the backend has for them; or what this
            function gave; None: none.
        where: place that problems are reported at.

    Raises:
        GraphError: anything else.
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        made, problems = [], []
        for namespace, settings in given.items():
            try:
                made.append(Extension(namespace, _settings(settings)))
            except GraphError as error:
                problems += [Problem(f"{where}: {p.where}", p.why, p.hint) for p in error.problems]
        if problems:
            raise GraphError(problems)
        return tuple(sorted(made, key=lambda e: e.namespace))
    if not isinstance(given, tuple) or not all(isinstance(e, Extension) for e in given):
        hint = 'settings by name of the backend, for example {"loihi2": {"cores": (3,)}}'
        raise GraphError(Problem(where, f"ext is a {type(given).__name__}", hint))
    names = [e.namespace for e in given]
    if len(set(names)) < len(names) or len(names) > MOST:
        raise GraphError(Problem(where, "ext has two entries of one namespace, or too many"))
    return tuple(sorted(given, key=lambda e: e.namespace))


def extended(network: DynamicNetwork) -> tuple[DynamicPopulation | Projection, ...]:
    """Populations and projections that have any, in the network's order."""
    return (*(p for p in network.populations if p.ext), *(p for p in network.projections if p.ext))


def without_extensions(network: DynamicNetwork, *namespaces: str) -> DynamicNetwork:
    """The network without settings for these backends; without any where none is named.

    What they would have changed on their chip is then not said any more; everywhere else it is the same network.
    """

    def kept(ext: tuple[Extension, ...]) -> tuple[Extension, ...]:
        return tuple(e for e in ext if namespaces and e.namespace not in namespaces)

    return replace(
        network,
        populations=tuple(replace(p, ext=kept(p.ext)) if p.ext else p for p in network.populations),
        projections=tuple(replace(p, ext=kept(p.ext)) if p.ext else p for p in network.projections),
    )


def _settings(given: Any) -> Settings:
    """Settings of a mapping, or those of an instance that are not as its class has them."""
    if is_dataclass(given) and not isinstance(given, type):
        stated = ((f.name, getattr(given, f.name), f.default) for f in fields(given) if f.init)
        given = {name: value for name, value, default in stated if default is MISSING or value != default}
    if not isinstance(given, Mapping):
        raise GraphError(Problem("settings", f"are a {type(given).__name__}", "a mapping by name"))
    return tuple(sorted(((name, _plain(value)) for name, value in given.items()), key=lambda item: str(item[0])))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


def _problems(extension: Extension) -> Iterator[Problem]:
    namespace: Any = extension.namespace
    if not isinstance(namespace, str) or not _NAME.fullmatch(namespace):
        yield Problem(f"{namespace!r}"[:80], "is no name of a backend", "letters, digits, - and _")
        return
    given: Any = extension.settings
    pairs = isinstance(given, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in given)
    if not pairs or len(given) > MOST:
        yield Problem(namespace, "has no settings by name, or too many", f"{MOST} at most")
        return
    names = [name for name, _ in given]
    for name, value in given:
        where = f"{namespace}.{name}"[:80]
        if not isinstance(name, str) or not _NAME.fullmatch(name) or names.count(name) > 1:
            yield Problem(where, "is no name of a setting, or that of two", "letters, digits, - and _")
        elif not _is_value(value):
            yield Problem(
                where, f"is {value!r}"[:200], "a number, a text, true or false, or a tuple of one kind of these"
            )


def _is_value(value: Any) -> bool:
    if isinstance(value, tuple):
        kinds = {type(v) for v in value}
        return len(value) <= LONGEST and len(kinds) <= 1 and kinds <= {int, float, str} and all(map(_is_value, value))
    match value:
        case bool():
            return True
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return isfinite(value)
        case str():
            return len(value) <= LONGEST
        case _:
            return False
