"""The commands `nir show`, `nir diff` and `nir lint`."""

from __future__ import annotations

from pathlib import Path

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.foreign import repair_option
from spikeport.cli.loading import check_outputs, existing
from spikeport.files import write_whole


@command
@click.argument("path", metavar="FILE.nir")
@click.option("--svg", metavar="FILE.svg", help="A picture of the graph.")
@repair_option
def show_command(console: Console, path: str, svg: str | None, repair: bool) -> None:
    """Print what a NIR file says: nodes with shapes and parameters, edges, loops, metadata, contract.

    \b
    Example:
      spikeport nir show net.nir --svg net.svg
    """
    from spikeport.nir import picture
    from spikeport.nir.parse import read_graph
    from spikeport.nir.show import shown

    existing(path, (".nir",))
    check_outputs((svg, (".svg",)))
    found = shown(read_graph(path), repair=repair)
    if svg is not None:
        write_whole(svg, picture.svg(found).encode())
        console.wrote(svg)
    console.say(str(found))
    console.document({"file": path, **found.values()})


@command
@click.argument("first", metavar="A.nir")
@click.argument("second", metavar="B.nir")
def diff_command(console: Console, first: str, second: str) -> int:
    """Print what differs between two NIR files; then the exit code is 1.

    The order of nodes and edges does not count, and a node is the same if its name is.

    \b
    Example:
      spikeport nir diff before.nir after.nir
    """
    from spikeport.nir.diff import differences, values_of
    from spikeport.nir.parse import read_graph

    for path in (first, second):
        existing(path, (".nir",))
    found = differences(read_graph(first), read_graph(second))
    console.say("\n".join(map(str, found)) if found else "no difference")
    console.document({"first": first, "second": second, "differences": values_of(found)})
    return 1 if found else 0


@command
@click.argument("path", metavar="FILE.nir")
@repair_option
def lint_command(console: Console, path: str, repair: bool) -> int:
    """Print what is wrong or ambiguous in a NIR file, and which simulators disagree about it.

    The exit code is 1 where the file cannot be run as it is; what is ambiguous does not change it. With --repair it is the repaired
    graph that is looked at.

    \b
    Example:
      spikeport nir lint net.nir
    """
    from spikeport.nir.lint import lint, values_of

    existing(path, (".nir",))
    found = lint(Path(path), repair=repair)
    console.say("\n".join(map(str, found)) if found else "nothing to report")
    console.document({"file": path, "findings": values_of(found)})
    return 1 if any(finding.level == "error" for finding in found) else 0
