"""The commands of the group by name, each imported when it is used: help is there at once."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "certify": ("commands:certify_command", "Write a certificate of a spiking model."),
    "check": ("checking:check_command", "Say whether a chip can carry a model."),
    "check-certificate": ("commands:check_certificate_command", "Prove a certificate of a spiking model again."),
    "compile": ("compiling:compile_command", "Compile a spiking model for a target."),
    "completion": ("completion:completion_command", "Print what makes a shell complete commands and options."),
    "config": ("project:config_command", "What is set, and where; and the schema of the file."),
    "convert": ("commands:convert_command", "Convert a trained model and save it."),
    "doctor": (
        "doctor:doctor_command",
        "Say what is installed, what works, and what to do about the rest.",
    ),
    "export": ("commands:export_command", "Write a spiking model, or the network of a NIR file, as NIR."),
    "fpga": ("fpga:fpga_command", "Register-transfer code of a program."),
    "init": ("init:init_command", "Write a project that runs as it is, on real digits."),
    "new-backend": ("new_backend:new_backend_command", "Write a backend that works, to be turned into one's own."),
    "nir": ("nir:nir_command", "What a NIR file says, and what it means."),
    "run": ("running:run_command", "Step samples, or take the whole road of a project."),
    "runs": ("project:runs_command", "List the runs of a project, and compare them."),
    "targets": ("targets:targets_command", "List chips, or all that is known of one."),
    "validate": ("commands:validate_command", "Compare a spiking model with its origin."),
    "version": ("commands:version_command", "Print versions of spikeport and of its company."),
}
"""Where each command is, and the first sentence of its help."""


class LazyGroup(click.Group):
    """A group that knows its commands by `COMMANDS` alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        found = getattr(importlib.import_module(f"spikeport.cli.{module}"), name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])
