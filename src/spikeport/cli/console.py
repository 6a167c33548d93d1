"""What is said where: data on standard output, everything said to a person on standard error."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import click

from spikeport.errors import FileError, Problem


class OutputClosedError(Exception):
    """Nobody reads standard output any more."""


@dataclass(frozen=True, slots=True)
class Console:
    """Where results go: lines of text, or one JSON document."""

    json: bool
    debug: bool
    out: TextIO
    """Standard output as it was at the start; commands run with `print` turned to standard error."""
    err: TextIO
    quiet: bool = False
    """Whether nothing but results and errors is said."""

    def say(self, text: str) -> None:
        """Print a result for a person; nothing where JSON was asked for."""
        if not self.json:
            _write(printable(text), self.out)

    def document(self, value: Any) -> None:
        """Print the JSON document; nothing where it was not asked for."""
        if self.json:
            _write(json.dumps(value, allow_nan=False), self.out)

    def note(self, text: str) -> None:
        """Tell the person at the terminal, who may not want to know."""
        if not self.quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Tell the person at the terminal."""
        with suppress(OSError, ValueError, OutputClosedError):
            _write(printable(text), self.err)

    def wrote(self, *paths: str | None) -> None:
        """Name the files that were written."""
        for path in paths:
            if path is not None:
                self.note(f"wrote {path}")

    def fail(self, kind: str, problems: Sequence[Problem], error: BaseException) -> None:
        """Report what went wrong, on standard error, and as the JSON document where one was asked for."""
        if self.debug:
            self.tell("".join(traceback.format_exception(error)).rstrip())
        for problem in problems:
            self.tell(f"error: {problem}")
        for text in getattr(error, "__notes__", ()):
            self.tell(f"  note: {text}")
        with suppress(OSError, ValueError, OutputClosedError):
            self.document({"error": {"kind": kind, "problems": [asdict(problem) for problem in problems]}})


def printable(text: str) -> str:
    r"""Text without characters that steer a terminal.

    >>> printable("fc1\x1b[2J")
    'fc1\\x1b[2J'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _write(text: str, stream: TextIO) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)
    except BrokenPipeError as error:
        raise OutputClosedError from error
    except OSError as error:
        raise FileError(Problem("output", f"cannot be written: {error.strerror or error}")) from error
