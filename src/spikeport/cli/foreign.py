"""NIR files on the command line, whoever wrote them: what their numbers mean, and whether defects are mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeport.cli.console import Console
from spikeport.cli.loading import existing
from spikeport.errors import FileError, NirError, OptionError, Problem
from spikeport.primitives import DynamicNetwork, SpikingNetwork

if TYPE_CHECKING:
    from spikeport.primitives import NirContract

repair_option = click.option(
    "--repair", is_flag=True, help="Mend defects of the NIR file that have one plain remedy, and say so."
)


def foreign_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that reads NIR files; it gets them as `Foreign(...)` takes them."""
    options = (
        click.option(
            "--like", metavar="NAME", help="Whose NIR file it is: snntorch, norse, spikingjelly, sinabs, spyx."
        ),
        click.option(
            "--contract", metavar="FILE.json", help="What the NIR file means; `nir discover --write` makes one."
        ),
        click.option("--dt", type=float, help="Seconds of a step, in place of that of --like or --contract."),
        repair_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What whoever reads a NIR file says of it."""

    like: str | None
    contract: str | None
    dt: float | None
    repair: bool

    def read(self, path: str, console: Console) -> SpikingNetwork | DynamicNetwork:
        """The network of a NIR file; what was read otherwise than it stands there is told to the person."""
        from spikeport.nir import from_nir

        given = None if self.contract is None else read_contract(self.contract)
        network = from_nir(path, contract=given, like=self.like, dt=self.dt, repair=self.repair)
        if self.said():
            for entry in network.ledger:
                console.note(f"ledger: {entry}")
        return network

    def said(self) -> list[str]:
        """The options that were given."""
        given = (
            ("--like", self.like),
            ("--contract", self.contract),
            ("--dt", self.dt),
            ("--repair", self.repair or None),
        )
        return [name for name, value in given if value is not None]

    def refuse(self, path: str) -> None:
        """For files that need none of it.

        Raises:
            OptionError: some of it was given.
        """
        problems = [Problem(name, f"is for NIR files, and {path} is none", "leave it out") for name in self.said()]
        if problems:
            raise OptionError(problems)


def read_contract(path: str) -> NirContract:
    """The contract in a JSON file.

    Raises:
        OptionError, FileError: there is no such file, or it cannot be read.
        NirError: what is wrong in it.
    """
    from spikeport.nir.declared import parse
    from spikeport.nir.limits import MAX_TEXT

    try:
        with open(existing(path, (".json",)), encoding="utf-8") as file:
            text = file.read(MAX_TEXT + 1)
    except FileError:
        raise
    except OSError as error:
        raise FileError(Problem(path, f"cannot be read: {error.strerror or error}")) from error
    except UnicodeDecodeError as error:
        raise FileError(Problem(path, "is no text in UTF-8", "give the JSON of an execution contract")) from error
    try:
        return parse(text)
    except NirError as error:
        raise NirError([Problem(f"{path}: {p.where}", p.why, p.hint) for p in error.problems]) from error


def contract_text(contract: NirContract) -> bytes:
    """A contract as such a file holds it."""
    import json

    from spikeport.nir.declared import text_of

    return (json.dumps(json.loads(text_of(contract)), indent=1) + "\n").encode()


def is_contract(path: str) -> bool:
    """Whether a path is that of a contract's file."""
    return Path(path).suffix.lower() == ".json"
