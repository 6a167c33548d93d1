"""The road of a project for `run`, and the commands `runs` and `config`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.config import Configuration, configuration, project_file, schema
from spikeport.errors import OptionError, Problem
from spikeport.project import RunFolder, changes, listed, run_folder
from spikeport.project.folder import one

NO_PROJECT = "spikeport init makes one; or give a file and data: spikeport run model.spk test.npz"

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting for this once: several times. 'convert.levels=15'",
)


def gathered(settings: tuple[str, ...], *, required: bool = True) -> Configuration:
    """The configuration that holds here.

    Raises:
        OptionError: there is no project, or anything is wrong in its settings.
    """
    file = project_file(Path.cwd())
    if file is None and required:
        why = "neither this folder nor one above has a spikeport.toml, or a pyproject.toml with [tool.spikeport]"
        raise OptionError(Problem("project", why, NO_PROJECT))
    return configuration(file, os.environ, settings)


def run_project(console: Console, settings: tuple[str, ...]) -> int:
    """`spikeport run` in a project."""
    found = gathered(settings)
    with contextlib.chdir(found.folder):
        summary, name = _run(console, found)
        name = os.path.abspath(name)
    name = os.path.relpath(name)
    console.say(described(summary, name))
    console.document({"run": name, **summary})
    return 0 if summary["ok"] else 1


def _run(console: Console, found: Configuration) -> tuple[dict[str, Any], str]:
    from spikeport.cli.foreign import read_contract
    from spikeport.cli.loading import load_data, load_model, resolve
    from spikeport.project.road import Sources, take

    sources = Sources(load_model, load_data, resolve, read_contract)
    runs = Path(found.options.runs)
    with run_folder(runs, {name: asdict(setting) for name, setting in found.settings.items()}) as filling:
        summary = take(found.options, filling.path, sources, console.note)
    name = str(filling.path)
    console.wrote(name)
    return summary, name


def described(summary: Mapping[str, Any], name: str) -> str:
    """A run in some lines."""
    lines = []
    if summary.get("model_accuracy") is not None:
        lines.append(
            f"model {summary['model_accuracy']:.2f} %, spiking {summary['spiking_accuracy']:.2f} % of {summary['samples']:,} samples"
        )
    lines += [f"  {miss}" for miss in summary.get("misses", ())]
    lines += [f"{path}: {rate:.1f} Hz" for path, rate in summary.get("rates_hz", {}).items()]
    for backend, found in summary["on"].items():
        if "refused" in found:
            lines.append(f"{backend}: cannot carry it, or cannot be used")
            lines += [f"  {reason}" for reason in found["refused"]]
            continue
        beside = "equal to the reference" if found["ok"] else f"differs from the reference: {found['differing']}"
        count = f" on {found['samples']:,} samples" if "samples" in found else ""
        right = f", {found['accuracy']:.2f} % right" if "accuracy" in found else ""
        lines.append(f"{backend}: {beside}{count}{right}")
    lines += [f"NIR: {entry}" for entry in summary.get("nir_ledger", ()) if entry.startswith("not written")]
    report = Path(name) / "report.html"
    lines.append(f"open {report}" if report.exists() else f"see {name}")
    return "\n".join(lines)


@click.group()
def runs_command() -> None:
    """List the runs of a project, and compare them.

    \b
    Example:
      spikeport runs list
      spikeport runs compare 20260301-101500-1a2b3c4d last
    """


@command
def list_command(console: Console) -> None:
    """List finished runs, oldest first.

    \b
    Example:
      spikeport runs list --json
    """
    found = _listed()
    rows = [("run", "kind", "ok", "model", "spiking", "backends"), *map(_row, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    console.say("\n".join(lines) if found else "there is no run yet: spikeport run")
    console.document({"runs": [{"run": run.name, **run.summary} for run in found]})


@command
@click.argument("first")
@click.argument("second")
def compare_command(console: Console, first: str, second: str) -> None:
    """Say in which settings, versions and figures two runs differ.

    FIRST and SECOND are names of runs, their beginnings or hashes, or "last".

    \b
    Example:
      spikeport runs compare 1a2b3c4d last
    """
    runs = _folder()
    a, b = one(runs, first), one(runs, second)
    found = changes(a, b)
    lines = [f"{name}: {_short(before)} -> {_short(after)}" for name, before, after in found]
    console.say("\n".join([f"{a.name} -> {b.name}", *lines]) if lines else "nothing differs")
    entries = [{"name": name, "first": before, "second": after} for name, before, after in found]
    console.document({"first": a.name, "second": b.name, "differ": entries})


def _short(value: Any) -> str:
    """A value in a few words."""
    text = json.dumps(value)
    return f"{len(value)} entries" if isinstance(value, list) and len(text) > 60 else text


runs_command.add_command(list_command, "list")
runs_command.add_command(compare_command, "compare")


@click.group()
def config_command() -> None:
    """What is set, and where; and the schema of the file.

    Settings come from defaults, spikeport.toml or [tool.spikeport] of pyproject.toml, variables SPIKEPORT_SECTION__KEY, and --set,
    the later before the earlier.

    \b
    Example:
      spikeport config show
    """


@command
@set_option
def show_command(console: Console, settings: tuple[str, ...]) -> None:
    """Print each setting, and where it came from.

    \b
    Example:
      spikeport config show --set convert.levels=15
    """
    found = gathered(settings, required=False)
    width = max(len(name) for name in found.settings)
    for name, setting in found.settings.items():
        console.say(f"{name.ljust(width)} = {json.dumps(setting.value)}  # {setting.origin}")
    console.document({name: asdict(setting) for name, setting in found.settings.items()})


@command
def schema_command(console: Console) -> None:
    """Print the JSON schema of spikeport.toml, for editors.

    \b
    Example:
      spikeport config schema > spikeport.schema.json
    """
    made = schema()
    console.say(json.dumps(made, indent=1))
    console.document(made)


config_command.add_command(show_command, "show")
config_command.add_command(schema_command, "schema")


def _folder() -> Path:
    found = gathered(())
    return found.folder / found.options.runs


def _listed() -> list[RunFolder]:
    return listed(_folder())


def _row(run: RunFolder) -> tuple[str, ...]:
    def percent(name: str) -> str:
        value = run.summary.get(name)
        return f"{value:.2f} %" if isinstance(value, int | float) else "-"

    on = run.summary.get("on")
    return (
        run.name,
        str(run.summary.get("kind")),
        "yes" if run.summary.get("ok") else "no",
        percent("model_accuracy"),
        percent("spiking_accuracy"),
        ", ".join(on) if isinstance(on, dict) else "",
    )
