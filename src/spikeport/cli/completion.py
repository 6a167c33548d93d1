"""The command `completion`: what makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from spikeport.cli.command import command
from spikeport.cli.console import Console

SHELLS = ("bash", "fish", "zsh")


@command
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(console: Console, shell: str) -> None:
    """Print what makes a shell complete commands and options.

    \b
    Example:
      spikeport completion bash >> ~/.bashrc
      spikeport completion zsh >> ~/.zshrc
      spikeport completion fish > ~/.config/fish/completions/spikeport.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    group = click.get_current_context().find_root().command
    text = kind(group, {}, "spikeport", "_SPIKEPORT_COMPLETE").source()
    console.say(text)
    console.document({"shell": shell, "script": text})
