"""The command `new-backend`: a distribution with a backend that works, to be turned into one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.templates import filled, write_new
from spikeport.errors import OptionError, Problem
from spikeport.plugin import installed

NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
LONGEST = 40
"""Characters of a name; with the prefix it becomes a distribution, a package, and a file."""


@command
@click.argument("name")
@click.option(
    "--into", default=".", show_default=True, metavar="DIR", help="Where to create the folder spikeport-NAME."
)
def new_backend_command(console: Console, name: str, into: str) -> None:
    """Write a backend that works, to be turned into one's own.

    NAME is how the backend is called, as in compile(..., target=NAME). A folder spikeport-NAME is created: a distribution with an
    imaginary chip as data, a backend and a session in numpy, and the conformance suite, which passes as written. Nothing is
    overwritten.

    \b
    Example:
      spikeport new-backend mychip
      pip install -e 'spikeport-mychip[test]' && cd spikeport-mychip && pytest
    """
    folder = write_skeleton(name, Path(into))
    console.say(f"wrote {folder}: begin with its README.md")
    console.document({"folder": str(folder), "files": sorted(skeleton(name))})


def write_skeleton(name: str, into: Path) -> Path:
    """Create the folder of a new backend.

    Raises:
        OptionError: a name that cannot be one, or that is taken.
        FileError: the folder exists, or cannot be written.
    """
    _check(name)
    hint = "remove it, or choose another name or --into another folder"
    return write_new(into / f"spikeport-{name}", skeleton(name), hint)


def skeleton(name: str) -> Mapping[str, str]:
    """Files of a new backend: path -> text.

    >>> sorted(skeleton("my-chip"))[:3]
    ['.github/workflows/test.yml', 'README.md', 'pyproject.toml']
    """
    package = f"spikeport_{name.replace('-', '_')}"
    words = re.split("[_-]", name)
    values = {
        "name": name,
        "package": package,
        "distribution": f"spikeport-{name}",
        "target": f"{name}8",
        "title": " ".join(word.capitalize() for word in words),
        "class": "".join(word.capitalize() for word in words),
    }

    return filled("skeleton", values)


def _check(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        hint = f"lower-case letters and digits, a letter first, words joined by - or _, {LONGEST} characters at most"
        raise OptionError(Problem("name", f"{name!r} cannot be the name of a backend", hint))
    if name in installed():
        who = " and ".join(claim.distribution for claim in installed()[name])
        raise OptionError(Problem("name", f"{name!r} is a backend of {who} already", "choose another name"))
