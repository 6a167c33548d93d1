"""The backends that are installed: entry points of the group `spikeport.backends`, each a `Backend` by name.

They are listed without being imported; a backend is imported when it is asked for by name, and only that one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import metadata
from types import MappingProxyType

from spikeport.errors import BackendError, OptionError, Problem, SpikeportError
from spikeport.plugin.backend import Backend
from spikeport.plugin.program import PLUGIN_VERSION
from spikeport.targets import Target, target_names

GROUP = "spikeport.backends"


@dataclass(frozen=True, slots=True)
class Installed:
    """A backend as its distribution announces it; nothing of it is imported."""

    name: str
    distribution: str
    version: str
    """Of the distribution."""
    point: metadata.EntryPoint

    @property
    def place(self) -> str:
        """Where it would be imported from, as `package.module:object`."""
        return self.point.value


def installed(points: Iterable[metadata.EntryPoint] | None = None) -> Mapping[str, tuple[Installed, ...]]:
    """Who claims which name, sorted by name; more than one claim is an error when the name is used.

    Args:
        points: entry points; by default those of this environment.
    """
    return _claims(points) if points is not None else _of_environment(metadata.entry_points, _folders())


def _claims(points: Iterable[metadata.EntryPoint]) -> Mapping[str, tuple[Installed, ...]]:
    found: dict[str, dict[str, Installed]] = {}
    for point in points:
        distribution = point.dist.name if point.dist is not None else "unknown"
        version = point.dist.version if point.dist is not None else "unknown"
        # one distribution may be found twice, by two entries of sys.path
        key = re.sub(r"[-_.]+", "-", distribution).lower()
        found.setdefault(point.name, {}).setdefault(key, Installed(point.name, distribution, version, point))
    return MappingProxyType({name: tuple(claims[k] for k in sorted(claims)) for name, claims in sorted(found.items())})


@lru_cache(maxsize=4)
def _of_environment(
    entry_points: Callable[..., Iterable[metadata.EntryPoint]], folders: tuple[tuple[str, int], ...]
) -> Mapping[str, tuple[Installed, ...]]:
    """Read once while nothing is installed or removed: all distributions are read, which takes milliseconds."""
    return _claims(entry_points(group=GROUP))


def _folders() -> tuple[tuple[str, int], ...]:
    """Where distributions are looked for, and when something came or went there."""
    found = []
    for path in sys.path:
        try:
            found.append((path, os.stat(path or ".").st_mtime_ns))
        except OSError:
            continue
    return tuple(found)


def backend(name: str, *, points: Iterable[metadata.EntryPoint] | None = None) -> Backend:
    """The backend of this name; nothing else is imported.

    Args:
        name: as `sp.targets()` and the entry points have it.
        points: entry points; by default those of this environment.

    Raises:
        OptionError: there is none.
        BackendError: two distributions claim the name, it cannot be imported, or it was written for another version of the contract.
    """
    given: object = name
    if not isinstance(given, str):
        raise OptionError(Problem("backend", f"is {given!r}, not a name", 'for example "loihi2"'))
    claims = installed(points)
    if name not in claims:
        hint = nearest(name, claims)
        if name in target_names():
            hint = f"`check` tells what the chip could carry, without it; installed: {', '.join(claims) or 'none'}"
        raise OptionError(Problem("backend", f"{name!r} is not installed", hint))
    if len(claims[name]) > 1:
        who = " and ".join(f"{claim.distribution} {claim.version}" for claim in claims[name])
        raise BackendError(Problem(name, f"is claimed by {who}", "uninstall all but one of them"))
    return _loaded(claims[name][0])


def find(target: str, *, points: Iterable[metadata.EntryPoint] | None = None) -> tuple[Backend, Target]:
    """The backend and its target that "backend" (its first target) or "backend:target" names.

    Raises:
        OptionError: no such backend, or none of its targets; a chip of the catalog without an installed backend.
        BackendError: as for `backend`.
    """
    given: object = target
    if not isinstance(given, str):
        why = f"is a {type(given).__name__}, not a name; `check` takes descriptions of chips, `compile` an installed backend"
        raise OptionError(Problem("target", why, 'give "backend" or "backend:target"'))
    name, colon, which = target.partition(":")
    claims = installed(points)
    if name not in claims and name in target_names():
        why = f"no installed backend compiles for {name!r}"
        hint = f"`check(model, target={name!r})` says what it could carry; installed: {', '.join(claims) or 'none'}"
        raise OptionError(Problem("target", why, hint))
    if name not in claims:
        hint = nearest(name, [*claims, *target_names()])
        raise OptionError(Problem("target", f"{name!r} is not known", hint))
    found = backend(name, points=points)
    if not colon:
        return found, found.targets[0]
    return found, target_of(found, which)


def target_of(found: Backend, name: str) -> Target:
    """A target of a backend by name.

    Raises:
        OptionError: it has none of this name.
    """
    for target in found.targets:
        if target.name == name:
            return target
    hint = nearest(name, [target.name for target in found.targets])
    raise OptionError(Problem("target", f"backend {found.name!r} has no target {name!r}", hint))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the nearest of the known names, and all of them.

    >>> nearest("loihi", ["loihi1", "reference"])
    "did you mean 'loihi1'? known: loihi1, reference"
    """
    names = sorted(set(known))
    if not names:
        return "there is none"
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names)
    return f"did you mean {close[0]!r}? known: {listed}" if close else f"one of {listed}"


@contextmanager
def blamed(name: str, doing: str) -> Iterator[None]:
    """Adds to an error that a backend did not foresee whose it is; what it refuses in our words passes as it is."""
    try:
        yield
    except SpikeportError:
        raise
    except Exception as error:
        who = " and ".join(f"{claim.distribution} {claim.version}" for claim in installed().get(name, ()))
        error.add_note(f"backend {name!r}{f' of {who}' if who else ''} failed at {doing}: report it there")
        raise


def _loaded(found: Installed) -> Backend:
    who = f"{found.distribution} {found.version}"
    try:
        loaded = found.point.load()
    except ModuleNotFoundError as error:
        hint = _missing_hint(found, error)
        raise BackendError(
            Problem(found.name, f"of {who} needs {error.name!r}, which is not installed", hint)
        ) from error
    except (Exception, SystemExit) as error:  # whatever a module of others does on import, leaving included
        why = f"of {who} cannot be loaded from {found.place}: {type(error).__name__}: {error}"
        raise BackendError(Problem(found.name, why, f"reinstall {found.distribution}, or report it there")) from error
    if not isinstance(loaded, Backend):
        why = f"of {who} is {loaded!r} at {found.place}, no instance of spikeport.plugin.Backend"
        raise BackendError(Problem(found.name, why, f"report it to {found.distribution}"))
    if type(loaded.plugin_version) is not int:
        why = (
            f"of {who} says it was written for version {loaded.plugin_version!r} of the plug-in contract, which is none"
        )
        raise BackendError(Problem(found.name, why, f"report it to {found.distribution}"))
    if loaded.plugin_version != PLUGIN_VERSION:
        why = f"of {who} was written for version {loaded.plugin_version} of the plug-in contract, and this is {PLUGIN_VERSION}"
        older = loaded.plugin_version < PLUGIN_VERSION
        raise BackendError(Problem(found.name, why, f"upgrade {found.distribution if older else 'spikeport'}"))
    problems = [
        Problem(found.name, f"of {who} {why}", f"report it to {found.distribution}") for why in _faults(loaded, found)
    ]
    if problems:
        raise BackendError(problems)
    return loaded


def _faults(loaded: Backend, found: Installed) -> Iterator[str]:
    """What a backend has to say of itself, and does not."""
    name, version, kind = (getattr(loaded, what, None) for what in ("name", "version", "options"))
    if name != found.name:
        yield f"calls itself {name!r}"
    if not isinstance(version, str) or not version:
        yield f"has the version {version!r}, which is no text"
    if not isinstance(kind, type) or not is_dataclass(kind):
        yield f"has the options {kind!r}, which are no dataclass"
    for what in ("population_settings", "projection_settings"):
        settings = getattr(loaded, what, None)
        if settings is not None and not (isinstance(settings, type) and is_dataclass(settings)):
            yield f"has the {what} {settings!r}, which are no dataclass"
    try:
        targets = loaded.targets
    except Exception as error:  # of others, as on import
        yield f"cannot say its targets: {type(error).__name__}: {error}"
        return
    if not isinstance(targets, tuple) or not all(isinstance(target, Target) for target in targets):
        yield "has targets that are no tuple of Target"
    elif not targets:
        yield "has no targets"
    elif len({target.name for target in targets}) < len(targets):
        yield "has two targets of one name"


def _missing_hint(found: Installed, error: ModuleNotFoundError) -> str:
    """How to install what is missing: an extra of the distribution that holds it, if one does."""
    module = (error.name or "").partition(".")[0]
    extra = extra_of(found.point.dist, module)
    return f"pip install '{found.distribution}[{extra}]'" if extra else f"pip install {module}"


def extra_of(distribution: metadata.Distribution | None, module: str) -> str | None:
    """The extra of a distribution that requires a module, by the name of the module or of its own."""
    for requirement in (distribution.requires or []) if distribution is not None else []:
        match = re.match(r"([A-Za-z0-9._-]+)", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", requirement)
        if match and extra and re.sub(r"[-_.]+", "_", match[1]).lower() == module.lower():
            return extra[1]
    return None
