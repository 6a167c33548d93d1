"""Folders of files that are data of the package: `.in` is taken off their names, `dot-` is a dot, and `@word@` a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from spikeport.errors import FileError, Problem

SUFFIX = ".in"
"""Of templates, so that no tool takes them for what they become."""


def filled(folder: str, values: Mapping[str, str]) -> Mapping[str, str]:
    """Path -> text of the templates in a folder of `spikeport.cli`."""

    def made(text: str) -> str:
        return re.sub(r"@(\w+)@", lambda found: values[found[1]], text)

    place = files("spikeport.cli")
    for name in folder.split("/"):
        place = place / name
    # a folder that begins with a dot may be lost on the way into a wheel: templates have none
    return {
        made(path.removesuffix(SUFFIX).replace("dot-", ".")): made(file.read_text("utf-8"))
        for path, file in _templates(place, "")
    }


def write_new(folder: Path, texts: Mapping[str, str], hint: str) -> Path:
    """Create a folder with these files.

    Raises:
        FileError: the folder exists, or cannot be written.
    """
    try:
        folder.mkdir()
        for path, text in texts.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
    except FileExistsError as error:
        raise FileError(Problem(str(error.filename), "is there already, and nothing is overwritten", hint)) from error
    except OSError as error:
        raise FileError(
            Problem(str(error.filename or folder), f"cannot be written: {error.strerror or error}")
        ) from error
    return folder


def _templates(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield f"{path}{entry.name}", entry
