"""Defaults, then the file, then the environment, then flags; each value knows where it came from, and all that is wrong is said at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from spikeport.config.options import ProjectOptions
from spikeport.config.toml import Document, read_toml
from spikeport.errors import BackendError, OptionError, Problem

FILES = ("spikeport.toml", "pyproject.toml")
TABLE = ("tool", "spikeport")
PREFIX, BETWEEN = "SPIKEPORT_", "__"
OTHERS = ("SPIKEPORT_DEBUG",)
"""Variables that are no settings."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it came from: "default", "pyproject.toml:12", "SPIKEPORT_CONVERT__LEVELS", "--set convert.levels"."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """What holds, and why."""

    options: ProjectOptions
    settings: Mapping[str, Setting]
    """By dotted name, sorted."""
    folder: Path
    """Of the project: paths in the file are relative to it."""


def project_file(start: Path) -> Path | None:
    """The nearest configuration from a folder upwards: `spikeport.toml`, or a `pyproject.toml` with a table `tool.spikeport`.

    Raises:
        OptionError: a folder has both, or one of them is no TOML.
        FileError: one of them cannot be read.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        found = [path for path in (folder / name for name in FILES) if path.is_file() and _own(read_toml(path))]
        if len(found) > 1:
            why = "has settings for spikeport in spikeport.toml and in pyproject.toml"
            raise OptionError(Problem(str(folder), why, "keep those of one file"))
        if found:
            return found[0]
    return None


def configuration(file: Path | None, environment: Mapping[str, str], flags: Sequence[str] = ()) -> Configuration:
    """The options of a project.

    Args:
        file: TOML, whose keys are those of `ProjectOptions`, in a `pyproject.toml` under `tool.spikeport`; None: no file.
        environment: variables `SPIKEPORT_KEY` and `SPIKEPORT_SECTION__KEY`, values as in TOML or plain text.
        flags: `section.key=value`, the same.

    Raises:
        OptionError: keys that are not known, with the nearest one, or values of a wrong kind, each with its place; all of them.
        FileError: the file cannot be read.
    """
    problems: list[Problem] = []
    settings: dict[Key, Setting] = {}
    for layer in (_from_file(file), _from_environment(environment), _from_flags(flags, problems)):
        for key, setting in layer:
            wrong = _unknown(key, setting)
            if wrong is None:
                settings[key] = setting
            else:
                problems.append(wrong)
    from spikeport.config.checked import checked  # pydantic loads only when there is something to check

    options = checked(settings, problems)
    if options is not None:
        problems.extend(_not_installed(options.on, settings.get(("on",), Setting((), ""))))
    if problems:
        raise OptionError(problems)
    assert options is not None
    named = {".".join(key): Setting(value, "default") for key, value in leaves(options)}
    named |= {
        ".".join(key): Setting(_at(options, key, setting.value), setting.origin) for key, setting in settings.items()
    }
    folder = Path.cwd() if file is None else file.parent
    return Configuration(options, dict(sorted(named.items())), folder)


def leaves(options: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """The values of a dataclass, and of those in it."""
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            yield from leaves(value, (*key, field.name))
        elif field.name != "targets":
            yield (*key, field.name), value


def sections() -> Mapping[str, type[Any]]:
    """Dataclasses of the sections, by name."""
    kinds = get_type_hints(ProjectOptions)
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and is_dataclass(kind)}


def _own(document: Document) -> bool:
    return document.path.name != FILES[1] or isinstance(_table(document), dict)


def _table(document: Document) -> Any:
    found: Any = document.values
    for name in TABLE if document.path.name == FILES[1] else ():
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _from_file(file: Path | None) -> Iterator[tuple[Key, Setting]]:
    if file is None:
        return
    document = read_toml(file)
    before = TABLE if file.name == FILES[1] else ()
    table = _table(document)
    if not isinstance(table, dict):
        return
    for key, value in _flat(table):
        yield key, Setting(value, document.place((*before, *key)))


def _flat(table: Mapping[str, Any], key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Keys of sections one by one; of a target's section too, whose values may be tables."""
    deep = len(key) < (2 if key[:1] == ("targets",) else 1)
    for name, value in table.items():
        if isinstance(value, dict) and deep and (key or name in sections() or name == "targets"):
            yield from _flat(value, (*key, name))
        else:
            yield (*key, name), value


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[Key, Setting]]:
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in OTHERS:
            key = tuple(part.lower() for part in name.removeprefix(PREFIX).split(BETWEEN))
            yield key, Setting(_value(environment[name]), name)


def _from_flags(flags: Sequence[str], problems: list[Problem]) -> Iterator[tuple[Key, Setting]]:
    for flag in flags:
        name, equals, text = flag.partition("=")
        if not equals or not name.strip():
            problems.append(Problem("--set", f"{flag!r} is no setting", "for example --set convert.levels=15"))
            continue
        yield tuple(name.strip().split(".")), Setting(_value(text), f"--set {name.strip()}")


def _value(text: str) -> Any:
    """What a text means as a value of TOML; a text that is none means itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text


def _unknown(key: Key, setting: Setting) -> Problem | None:
    """What is wrong with a key that is none."""
    name, top = ".".join(key), {field.name for field in fields(ProjectOptions)}
    if key[0] == "targets":
        return _unknown_target(key, setting)
    if len(key) == 1 and key[0] in sections():
        return Problem(setting.origin, f"{name} is {setting.value!r}, and is a section", f"[{name}] with keys below it")
    known = {field.name for field in fields(sections()[key[0]])} if key[0] in sections() else top
    last = key[-1] if key[0] in sections() else key[0]
    if last in known and len(key) == (2 if key[0] in sections() else 1):
        return None
    return Problem(
        setting.origin, f"{name} is not known", _nearest(last, known, key[0] if key[0] in sections() else "")
    )


def _not_installed(names: Sequence[str], setting: Setting) -> Iterator[Problem]:
    """Backends that a network shall run on, and that are not there."""
    from spikeport.plugin import installed

    for name in names:
        if name.partition(":")[0] not in installed():
            yield Problem(setting.origin, f"on: {name!r} is no installed backend", _nearest(name, installed(), ""))


def _unknown_target(key: Key, setting: Setting) -> Problem | None:
    from spikeport.plugin import backend, installed

    if len(key) < 2:
        return Problem(
            setting.origin,
            "targets has a section for each backend",
            "[targets.NAME] with its options; which ones run is said by `on`",
        )
    if key[1] not in installed():
        return Problem(
            setting.origin, f"targets.{key[1]} is no installed backend", _nearest(key[1], installed(), "targets")
        )
    if len(key) == 2:
        return Problem(
            setting.origin, f"targets.{key[1]} is {setting.value!r}, and is a section", f"[targets.{key[1]}]"
        )
    try:
        known = {field.name for field in fields(backend(key[1]).options)}
    except BackendError as error:
        return Problem(setting.origin, str(error.problems[0].why), error.problems[0].hint)
    if len(key) == 3 and key[2] in known:
        return None
    if not known:
        return Problem(setting.origin, f"{'.'.join(key)} is not known", f"backend {key[1]} has no options")
    return Problem(setting.origin, f"{'.'.join(key)} is not known", _nearest(key[-1], known, f"targets.{key[1]}"))


def _nearest(name: str, known: Any, section: str) -> str:
    before = f"{section}." if section else ""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {before}{close[0]}?"
    return f"there are {', '.join(f'{before}{n}' for n in sorted(known))}"


def _at(options: Any, key: Key, given: Any) -> Any:
    """The value as it was checked."""
    if key[0] == "targets":
        return options.targets[key[1]][key[2]]
    for name in key:
        options = getattr(options, name)
    return options
