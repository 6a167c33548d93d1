"""The commands `nir ...`: what a NIR file says, and what it means."""

from __future__ import annotations

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.foreign import contract_text, is_contract, repair_option
from spikeport.cli.loading import check_outputs, existing
from spikeport.cli.nir_files import diff_command, lint_command, show_command
from spikeport.errors import OptionError, Problem
from spikeport.files import write_whole


@command
@click.argument("graph", metavar="GRAPH.nir")
@click.argument("recording", metavar="RECORDING.npz|RECORDING.nird")
@click.option(
    "--dt", type=float, multiple=True, help="Of a step in seconds; several to try. [default: the recording's]"
)
@click.option("--given", multiple=True, metavar="QUESTION=ANSWER", help="What is known: several times. 'compare=>'")
@click.option("--limit", type=float, default=300.0, show_default=True, help="Seconds after which the search ends.")
@click.option(
    "--write",
    metavar="FILE.nir|FILE.json",
    help="A copy of GRAPH that declares the first contract found, or that contract alone.",
)
@repair_option
def discover_command(
    console: Console,
    graph: str,
    recording: str,
    dt: tuple[float, ...],
    given: tuple[str, ...],
    limit: float,
    write: str | None,
    repair: bool,
) -> int:
    """Find out what a NIR file means from a recording.

    RECORDING holds `input` and `expected`, each (time, *shape), of one sample; of several Inputs or Outputs `input.NAME` and
    `expected.NAME`; and `dt`, the seconds of a step. Or it is NIRData: what Inputs gave, and what came out of any node. Prints every execution contract under which the graph gives `expected` exactly, or the
    closest with its first deviation; then the exit code is 1. --repair looks at the repaired graph; a copy that --write makes is not repaired,
    and is read with --repair too.

    \b
    Example:
      spikeport nir discover net.nir recording.npz --dt 1e-4 --write declared.nir
    """
    from spikeport.nir import declare, discover
    from spikeport.nir.recorded import DATA_FILES

    existing(graph, (".nir",))
    existing(recording, (".npz", *DATA_FILES))
    check_outputs((write, (".nir", ".json")))
    found = discover(graph, recording, dt=dt or None, given=dict(map(_answer, given)), limit=limit, repair=repair)
    console.say(str(found))
    console.document({"graph": graph, "recording": recording, **found.values()})
    if found.contract is None:
        return 1
    if write is not None:
        if is_contract(write):
            write_whole(write, contract_text(found.contract))
        else:
            declare(graph, found.contract, write, repair=repair)
        console.wrote(write)
    return 0


def _answer(text: str) -> tuple[str, object]:
    """A question and its answer.

    >>> _answer("compare=>=")
    ('compare', '>=')
    >>> _answer("layer_latency=1"), _answer("ignores LIF.r=yes")
    (('layer_latency', 1), ('ignores LIF.r', True))
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(Problem("--given", f"is {text!r}", "QUESTION=ANSWER, for example reset=subtract"))
    named = {"yes": True, "no": False, "0": 0, "1": 1}
    return name, named.get(value, value)


@command
@click.argument("simulator", metavar="NAME")
@click.option("--python", metavar="PATH", help="A Python that has the simulator.  [default: this one]")
@click.option("--dt", type=float, help="Of a step in seconds.  [default: the driver's]")
@click.option("--patience", type=float, default=120.0, show_default=True, help="Seconds that an answer may take.")
@click.option("--limit", type=float, default=600.0, show_default=True, help="Seconds after which the search ends.")
def probe_command(
    console: Console, simulator: str, python: str | None, dt: float | None, patience: float, limit: float
) -> int:
    """Find out how an installed simulator means NIR files.

    NAME is norse, rockpool, sinabs, snntorch, spikingjelly or spyx, or the path of a driver, DRIVER.py, which is run. Three NIR files at most
    are run by the simulator's own importer; prints the execution contract under which we give the same spikes, what three files do not tell
    apart, and what the simulator refuses. The exit code is 1 if no contract was found.

    \b
    Example:
      spikeport nir probe norse --python norse/bin/python
    """
    from spikeport.nir.probing import probe

    found = probe(simulator, python=python, dt=dt, patience=patience, limit=limit)
    console.say(str(found))
    console.document(found.values())
    return 0 if found.contract is not None and found.complete else 1


SUBCOMMANDS = (discover_command, probe_command, show_command, diff_command, lint_command)


@click.group(name="nir", commands=SUBCOMMANDS)
def nir_command() -> None:
    """What a NIR file says, and what it means.

    \b
    Example:
      spikeport nir show network.nir
    """
