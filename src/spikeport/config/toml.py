"""TOML with the line of each key, for messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.errors import FileError, OptionError, Problem

MOST_BYTES = 2**20
"""A configuration is text that people write."""
_BARE = r"[A-Za-z0-9_-]+"
_KEY = rf"""(?:{_BARE}|"[^"]*"|'[^']*')"""
_DOTTED = re.compile(rf"\s*{_KEY}(?:\s*\.\s*{_KEY})*\s*")
_PART = re.compile(_KEY)

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it was read."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[Path_, int]
    """By path of the key, from 1 on."""

    def place(self, key: Path_) -> str:
        """Where a key stands, as "file:line"; its table, or the file, where it is not found."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.path.name}:{self.lines[key]}" if key else self.path.name


def read_toml(path: Path) -> Document:
    """A TOML file.

    Raises:
        FileError: it cannot be read.
        OptionError: it is no TOML, with line and column; or is too large.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FileError(Problem(str(path), f"cannot be read: {error.strerror or error}")) from error
    if len(content) > MOST_BYTES:
        raise OptionError(Problem(str(path), f"is larger than {MOST_BYTES:,} bytes", "this is no configuration"))
    try:
        text = content.decode()
        return Document(path, tomllib.loads(text), lines_of(text))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise OptionError(Problem(f"{path.name}:{line}", "is no text in UTF-8", "save it as UTF-8")) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"line (\d+), column (\d+)", str(error))
        where = f"{path.name}:{found[1]}:{found[2]}" if found else path.name
        why = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise OptionError(Problem(where, f"is no TOML: {why}", "mend the line; strings need quotes")) from error


def lines_of(text: str) -> dict[Path_, int]:
    """Lines of tables and keys of a text that is TOML.

    >>> lines_of('a = 1\\n[t.u]\\nb."c d" = 2\\n')
    {('a',): 1, ('t',): 2, ('t', 'u'): 2, ('t', 'u', 'b'): 3, ('t', 'u', 'b', 'c d'): 3}
    """
    found: dict[Path_, int] = {}
    table: Path_ = ()
    inside = ""  # the quotes that end a text of several lines
    depth = 0  # of brackets of a value
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            if inside not in line:
                continue
            line = line.split(inside, 1)[1]
            inside = ""
        elif not depth:
            header = re.match(r"\s*\[\[?", line)
            key = _DOTTED.match(line, header.end() if header else 0)
            if key and header:
                table = _parts(key[0])
                _note(found, table, number)
                continue
            if key and line[key.end() :].startswith("="):
                _note(found, table + _parts(key[0]), number)
                line = line[key.end() + 1 :]
        inside, depth = _open_at_end(line, depth)
    return found


def _note(found: dict[Path_, int], key: Path_, number: int) -> None:
    for end in range(1, len(key) + 1):
        found.setdefault(key[:end], number)


def _parts(dotted: str) -> Path_:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _open_at_end(line: str, depth: int) -> tuple[str, int]:
    """The quotes of a text, and the brackets, that a line leaves open."""
    i = 0
    while i < len(line):
        for quote in ('"""', "'''", '"', "'"):
            if line.startswith(quote, i):
                end = _end(line, i + len(quote), quote)
                if end < 0:
                    return (quote, depth) if len(quote) == 3 else ("", depth)
                i = end + len(quote)
                break
        else:
            if line[i] == "#":
                break
            depth += (line[i] in "[{") - (line[i] in "]}")
            i += 1
    return "", max(depth, 0)


def _end(line: str, start: int, quote: str) -> int:
    """Where a text ends; backslashes escape in double quotes."""
    i = start
    while i < len(line):
        if line[i] == "\\" and quote[0] == '"':
            i += 2
        elif line.startswith(quote, i):
            return i
        else:
            i += 1
    return -1
