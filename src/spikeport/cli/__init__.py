"""The command line: convert, validate, export, run, version."""

from spikeport.cli.main import main

__all__ = ["main"]
