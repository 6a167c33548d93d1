"""The command line."""

from spikeport.cli.main import main

__all__ = ["main"]
