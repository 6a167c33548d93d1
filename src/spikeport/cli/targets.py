"""The command `targets`: what chips are known, and all that is known of one."""

from __future__ import annotations

from typing import Any

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.plugin import TargetInfo, target_named, targets
from spikeport.targets.describe import as_text, as_values


@command
@click.argument("name", required=False, metavar="[NAME|CHIP.toml]")
def targets_command(console: Console, name: str | None) -> None:
    """List chips, or all that is known of one.

    NAME is a chip of the list, a backend of the list, or a TOML file that describes a chip of your own: every fact
    with its unit, where it is written, how sure it is, and whether a network beyond it is refused. Nothing needs to
    be installed for that.

    \b
    Example:
      spikeport targets
      spikeport targets loihi2
    """
    if name is None:
        listed = targets()
        console.say(str(listed))
        console.document({"targets": [_values(info) for info in listed]})
        return
    target = target_named(name)
    console.say(as_text(target))
    console.document(as_values(target))


def _values(info: TargetInfo) -> dict[str, Any]:
    described = {} if info.target is None else {"title": info.target.title, "vendor": info.target.vendor}
    return {"name": info.name, **described, "backend": info.backend, "distribution": info.distribution}
