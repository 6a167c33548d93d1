"""What makes a function a command of the group."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import wraps
from typing import Any

import click

from spikeport.cli.console import Console


def command(function: Callable[..., int | None]) -> click.Command:
    """A command of the group, with `--json` and `--debug`; what foreign code prints meanwhile is said, not a result."""

    @wraps(function)
    def run(**arguments: Any) -> int:
        console = click.get_current_context().find_object(Console)
        assert console is not None
        with redirect_stdout(console.err), warnings.catch_warnings():
            # torch 2.13 copies its own tree specs through copyreg, which asks the question torch deprecated
            warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\)", FutureWarning, "copyreg")
            return function(console, **arguments) or 0

    made = click.command(function.__name__.removesuffix("_command").replace("_", "-"))(run)
    made.params.append(
        click.Option(["--json"], is_flag=True, expose_value=False, help="Print one JSON document, also for errors.")
    )
    made.params.append(
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, help="Say nothing but results and errors.")
    )
    made.params.append(
        click.Option(["--verbose"], is_flag=True, expose_value=False, help="Show log records, and how long it took.")
    )
    made.params.append(click.Option(["--debug"], is_flag=True, expose_value=False, help="Show tracebacks."))
    return made
