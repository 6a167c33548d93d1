"""From TOML to targets: the chips that spikeport knows, and those that a user describes.

A file has the fields of `Target` as keys; each fact is a table of its value, where that is written, how sure it is, and whether a
network beyond it is refused:

    weight_bits = { value = 8, source = "data sheet, page 12", confidence = "document", enforced = true }
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from spikeport.errors import FileError, OptionError, Problem, TargetError
from spikeport.targets.target import FACTS, Confidence, Fact, Target

LARGEST_FILE = 2**20
"""Bytes; a description of a chip is a few pages."""
LARGEST = 2**53
"""Of any number in it."""
WIDEST = 1024
"""Of any width in bits."""
OF_SLICES = ("neurons_per_core", "synapse_bits_per_core", "axons_in_per_core", "axons_out_per_core")
OF_LAYERS = ("core_weight_words", "core_neuron_words")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_TEXTS = ("name", "title", "vendor")
_PARTS = ("value", "source", "confidence", "enforced")


def target_names() -> tuple[str, ...]:
    """Names of the chips of the catalog, sorted."""
    return tuple(
        sorted(file.name.removesuffix(".toml") for file in _catalog().iterdir() if file.name.endswith(".toml"))
    )


def find_target(target: Target | str | Path) -> Target:
    """A chip of the catalog by its name, or one described in a `.toml` file of one's own; a target is itself.

    >>> find_target("loihi2").limit("neurons_per_core")
    8192

    Raises:
        OptionError: there is no chip of this name.
        FileError: the file cannot be read.
        TargetError: the file is not the description of a chip.
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, Path) or target.lower().endswith(".toml"):
        return load_target(target)
    known = target_names()
    if target not in known:
        raise OptionError(Problem("target", f"{target!r} is not known", _nearest(target, known)))
    return _of_catalog(target)


def load_target(path: str | Path) -> Target:
    """A chip described in a TOML file of one's own.

    Raises:
        FileError: the file cannot be read.
        TargetError: it is not the description of a chip; everything that is wrong, by key.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise FileError(Problem(str(path), f"cannot be read: {error.strerror or error}")) from error
    return read_target(content, str(path))


def read_target(content: bytes, where: str) -> Target:
    """A chip from the bytes of a TOML file.

    Args:
        content: the file.
        where: its name, for errors.
    """
    if len(content) > LARGEST_FILE:
        raise TargetError(Problem(where, f"is larger than {LARGEST_FILE:,} bytes", "give the description of one chip"))
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TargetError(Problem(where, f"is not TOML: {error}")) from error
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for key, entry in document.items():
        if key in FACTS:
            fact = _fact_of(key, entry, f"{where}: {key}", problems)
            if fact is not None:
                found[key] = fact
        elif key in _TEXTS:
            if _is_text(entry, f"{where}: {key}", problems):
                found[key] = entry
        elif key == "notes":
            if not isinstance(entry, list):
                problems.append(Problem(f"{where}: notes", "is no list", "give a list of sentences"))
            else:
                found[key] = tuple(note for note in entry if _is_text(note, f"{where}: notes", problems))
        else:
            problems.append(
                Problem(f"{where}: {key}", "is no field of a target", _nearest(key, [*_TEXTS, "notes", *FACTS]))
            )
    problems += [Problem(f"{where}: {key}", "is missing") for key in _TEXTS if key not in document]
    if not NAME.fullmatch(found.get("name", "unnamed")):
        hint = "give lower-case letters, digits, - and _, a letter first, 64 at most"
        problems.append(Problem(f"{where}: name", f"{found['name']!r} cannot be the name of a target", hint))
    problems += [Problem(f"{where}: {key}", why) for key, why in _contradictions(found)]
    if problems:
        raise TargetError(problems)
    return Target(**found)


def _catalog() -> Any:
    return files("spikeport.targets") / "catalog"


@cache
def _of_catalog(name: str) -> Target:
    file = _catalog() / f"{name}.toml"
    return read_target(file.read_bytes(), file.name)


@cache
def kinds() -> Mapping[str, Any]:
    """The type of the value of each fact, by its name: what `Target` is annotated with."""
    hints = get_type_hints(Target)
    return {name: get_args(_not_none(hints[name]))[0] for name in FACTS}


def _not_none(hint: Any) -> Any:
    return next(part for part in get_args(hint) if part is not NoneType)


def _fact_of(key: str, entry: Any, where: str, problems: list[Problem]) -> Fact[Any] | None:
    """A fact, or None and what is wrong with it."""
    before = len(problems)
    if not isinstance(entry, dict):
        hint = f'write {key} = {{ value = .., source = "..", confidence = ".." }}'
        problems.append(Problem(where, "says neither source nor confidence", hint))
        return None
    for part in entry:
        if part not in _PARTS:
            problems.append(Problem(where, f"{part!r} is no part of a fact", _nearest(part, _PARTS)))
    problems += [Problem(where, f"has no {part}") for part in _PARTS[:3] if part not in entry]
    confidence = entry.get("confidence", "memory")
    if "confidence" in entry:
        _converted(confidence, Confidence, f"{where}: confidence", problems)
    enforced = entry.get("enforced", confidence != "memory")
    if not isinstance(enforced, bool):
        problems.append(Problem(f"{where}: enforced", f"{enforced!r} is neither true nor false"))
    elif enforced and confidence == "memory":
        problems.append(Problem(where, "is enforced from memory", "look it up, or set enforced = false"))
    if "source" in entry:
        _is_text(entry["source"], f"{where}: source", problems)
    value = _converted(entry["value"], kinds()[key], where, problems) if "value" in entry else None
    unit = FACTS[key].metadata["unit"]
    numbers = value if isinstance(value, tuple) else (value,)
    if unit and any(isinstance(number, int | float) and number < 0 for number in numbers):
        problems.append(Problem(where, f"{entry['value']!r} is less than no {unit}"))
    largest = WIDEST if key.endswith("_bits") else LARGEST
    if any(isinstance(number, int | float) and abs(number) > largest for number in numbers):
        problems.append(Problem(where, f"is beyond {largest:,}", "leave it out where there is no limit"))
    if value == ():
        problems.append(Problem(where, "is an empty list", "leave it out where there is no limit"))
    return Fact(value, unit, entry["source"], confidence, enforced) if len(problems) == before else None


def _converted(value: Any, kind: Any, where: str, problems: list[Problem]) -> Any:
    """A value of TOML as the type that a fact is annotated with."""
    origin = get_origin(kind)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            problems.append(Problem(where, f"{value!r} is none of its values", _nearest(str(value), get_args(kind))))
            return None
        return value
    if origin in (frozenset, tuple):
        if not isinstance(value, list):
            problems.append(Problem(where, f"{value!r} is no list"))
            return None
        return origin(_converted(item, get_args(kind)[0], where, problems) for item in value)
    right = isinstance(value, bool) if kind is bool else isinstance(value, kind) and not isinstance(value, bool)
    if kind is float:
        right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not right:
        name = {bool: "true or false", int: "an integer", float: "a number"}[kind]
        problems.append(Problem(where, f"{value!r} is not {name}"))
        return None
    return kind(value)


def _contradictions(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Facts that cannot both be."""
    for low in (key for key in found if key.endswith("_min")):
        high = low.removesuffix("_min") + "_max"
        if high in found and found[low].value > found[high].value:
            yield low, f"{found[low].value} is more than {high}, {found[high].value}"
    placement = found["placement"].value if "placement" in found else "chip"
    for key in (*OF_SLICES, *OF_LAYERS):
        wanted = "slices" if key in OF_SLICES else "layers"
        if key in found and found[key].enforced and placement != wanted:
            yield key, f"is of cores that hold {wanted}, and placement is {placement!r}: it could not be enforced"
    for key in OF_LAYERS:
        if key in found and "cores" in found and len(found[key].value) != found["cores"].value:
            yield key, f"has {len(found[key].value)} entries for {found['cores'].value} cores"


def _is_text(value: Any, where: str, problems: list[Problem]) -> bool:
    right = isinstance(value, str) and bool(value.strip()) and value.isprintable()
    if not right:
        problems.append(Problem(where, f"{value!r} is not a line of text"))
    return right


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5) if len(known) > 3 else []
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(known)}"
