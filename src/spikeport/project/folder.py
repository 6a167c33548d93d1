"""`runs/<time>-<hash>/`: made beside its place and moved there when it is whole, so that an interrupted run leaves nothing that looks like one."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from errno import ENOSPC, EROFS
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from spikeport.errors import FileError, OptionError, Problem
from spikeport.version import __version__

SUMMARY, CONFIGURATION, ENVIRONMENT = "summary.json", "config.json", "environment.json"
PARTIAL = ".partial-"
PACKAGES = ("numpy", "torch", "nir", "h5py")
MOST_BYTES = 2**24
"""Of a file that is read to list runs."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run that was finished."""

    path: Path
    summary: Mapping[str, Any]
    configuration: Mapping[str, Any]
    environment: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(slots=True)
class Filling:
    """A run that is being made."""

    path: Path
    """Where its files are written; in the end, where they are."""


@contextmanager
def run_folder(
    runs: Path, configuration: Mapping[str, Any], now: Callable[[], datetime] | None = None
) -> Iterator[Filling]:
    """A folder to fill, which gets its name in `runs` when the block ends well, and vanishes when it does not.

    The configuration and the environment are in it already.

    Raises:
        FileError: it cannot be written; nothing is left behind.
    """
    begun = datetime.now(UTC) if now is None else now()
    text = json.dumps(configuration, indent=1, sort_keys=True)
    name = f"{begun:%Y%m%d-%H%M%S}-{sha256(text.encode()).hexdigest()[:8]}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{name}-", dir=runs))
    except OSError as error:
        raise _unwritable(runs, error) from error
    try:
        (path / CONFIGURATION).write_text(text + "\n", encoding="utf-8")
        (path / ENVIRONMENT).write_text(json.dumps(environment(), indent=1) + "\n", encoding="utf-8")
        filling = Filling(path)
        yield filling
        path.chmod(0o777 & ~_umask())
        filling.path = _free(runs, name)
        os.rename(path, filling.path)
    except OSError as error:
        inside = error.filename is not None and Path(error.filename).is_relative_to(path)
        if isinstance(error, FileError) or not (inside or error.errno in (ENOSPC, EROFS)):
            raise  # of what a project reads
        raise _unwritable(Path(error.filename or runs), error) from error
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _free(runs: Path, name: str) -> Path:
    """A path that nothing has yet."""
    path, n = runs / name, 2
    while path.exists():
        path, n = runs / f"{name}-{n}", n + 1
    return path


def environment() -> dict[str, Any]:
    """Versions and machine; nothing that names a person or a place."""
    versions: dict[str, str | None] = {"spikeport": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "versions": versions,
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
    }


def listed(runs: Path) -> list[RunFolder]:
    """Finished runs, oldest first; what is none is left out.

    Raises:
        FileError: the folder cannot be read.
    """
    if not runs.is_dir():
        return []
    try:
        paths = [path for path in runs.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise FileError(Problem(str(runs), f"cannot be read: {error.strerror or error}")) from error
    found = []
    for path in sorted(paths, key=_begun):
        parts = [_read(path / name) for name in (SUMMARY, CONFIGURATION, ENVIRONMENT)]
        if parts[0] is not None:
            found.append(RunFolder(path, parts[0], parts[1] or {}, parts[2] or {}))
    return found


def _begun(path: Path) -> tuple[str, int, str]:
    """What sorts runs: when they were begun, and of those of one second, when they were written."""
    try:
        written = (path / SUMMARY).stat().st_mtime_ns
    except OSError:
        written = 0
    return path.name[:15], written, path.name


def one(runs: Path, name: str) -> RunFolder:
    """The run of this name, or of which it is the beginning or the hash; "last" is the newest.

    Raises:
        OptionError: there is none, or several.
    """
    found = listed(runs)
    if name in ("last", "latest") and found:
        return found[-1]
    fitting = [run for run in found if run.name == name] or [
        run for run in found if run.name.startswith(name) or run.name[16:].startswith(name)
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(run.name for run in (fitting or found)[-10:])
    why = f"fits {len(fitting)} runs" if fitting else "is no run"
    raise OptionError(Problem(name, why, f"there are {names}" if names else f"there is none in {runs}: spikeport run"))


def _read(path: Path) -> Mapping[str, Any] | None:
    """A JSON object; None where there is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def changes(a: RunFolder, b: RunFolder) -> list[tuple[str, Any, Any]]:
    """What differs: settings, versions, and figures, by dotted name, in this order."""
    found = []
    for x, y in (
        (_values(a.configuration), _values(b.configuration)),
        (a.environment, b.environment),
        (a.summary, b.summary),
    ):
        one_side, other = dict(_flat(x)), dict(_flat(y))
        for name in sorted({*one_side, *other}):
            if one_side.get(name) != other.get(name):
                found.append((name, one_side.get(name), other.get(name)))
    return found


def _values(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get("value") if isinstance(entry, dict) else entry for name, entry in configuration.items()}


def _flat(side: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in side.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _unwritable(path: Path, error: OSError) -> FileError:
    hint = 'nothing was left behind; choose a folder that is writable and has space: runs = "FOLDER"'
    return FileError(Problem(str(path), f"cannot be written: {error.strerror or error}", hint))
