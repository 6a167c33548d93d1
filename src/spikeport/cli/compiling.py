"""The command `compile`: a program of one target, and what it takes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.foreign import Foreign, foreign_options
from spikeport.cli.loading import check_outputs, existing, load_data
from spikeport.codes import CODES, STATISTICAL
from spikeport.errors import OptionError, Problem
from spikeport.lower.text import bill_lines
from spikeport.plugin import Program
from spikeport.primitives import SpikingNetwork


@command
@click.argument("file", metavar="MODEL.spk|MODEL.nir")
@click.option("--target", required=True, metavar="NAME", help="Installed backend, or backend:target.")
@click.option("-o", "--output", metavar="PROGRAM.spp", help="Where to save the program.  [default: nowhere]")
@click.option("--data", metavar="DATA", help="Samples to calibrate on, where widths are narrower than the model's.")
@click.option("--test", metavar="DATA", help="Samples to measure the new gap on.  [default: some of --data held out]")
@click.option(
    "--code",
    type=click.Choice(sorted([*CODES, *STATISTICAL, "auto"])),
    default="auto",
    show_default=True,
    help="How spikes carry counts; auto: as the target offers.",
)
@click.option("--levels", type=int, help="Largest count of a neuron.  [default: the model's]")
@click.option("--weight-bits", type=int, help="Width of weights.  [default: the model's]")
@click.option("--input-bits", type=int, help="Width of an input value.  [default: the model's]")
@click.option("--state-bits", type=int, help="Width of a membrane potential.  [default: the model's]")
@click.option("--steps", type=int, help="Steps over which the input is presented.  [default: as the code needs]")
@click.option("--allow-host", is_flag=True, help="Leave to the host what the chip cannot carry.")
@foreign_options
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the backend; JSON, or else a word.")
def compile_command(
    console: Console,
    file: str,
    target: str,
    output: str | None,
    data: str | None,
    test: str | None,
    options: tuple[str, ...],
    like: str | None,
    contract: str | None,
    dt: float | None,
    repair: bool,
    **more: Any,
) -> None:
    """Compile a spiking model for a target.

    Prints what it takes of the chip. A target that is narrower than the model needs --data: the model is quantized again
    with its widths, and the new gap is measured. What does not fit is refused, all of it by name.
    DATA is an .npz file with inputs x and perhaps labels y; or package.module:name of batches or of a function that
    returns them, which executes code: give only one you trust.

    \b
    Example:
      spikeport compile mlp.spk --target loihi2 -o mlp.spp
      spikeport compile mlp.spk --target loihi1 --code population --levels 15 --data train.npz
    """
    from spikeport.compile import compile

    check_outputs((output, (".spp",)))
    own = dict(map(_option, options))
    if len(own) < len(options):
        raise OptionError(Problem("--option", "names one key twice", "give each once"))
    taken = [name for name in own if name in {*more, "data", "test", "transform", "options", "progress"}]
    if taken:
        hint = "--option is for options of the backend; see spikeport compile --help"
        raise OptionError([Problem(f"--option {name}", "is none of the backend's", hint) for name in taken])
    more |= {"data": None if data is None else load_data(data), "test": None if test is None else load_data(test)}
    foreign = Foreign(like=like, contract=contract, dt=dt, repair=repair)
    existing(file, (".spk", ".nir"))
    if file.lower().endswith(".nir"):
        program = compile(foreign.read(file, console), target, **more, **own)
    else:
        from spikeport.model import load

        foreign.refuse(file)
        program = compile(load(file), target, **more, **own)
    if output is not None:
        program.save(output)
    console.say(described(program))
    console.document({"model": file, "program": output, **as_values(program)})
    console.wrote(output)


def _option(text: str) -> tuple[str, Any]:
    """A key and its value.

    >>> _option("neuron=cuba_lif"), _option("cores=[1, 2]")
    (('neuron', 'cuba_lif'), ('cores', [1, 2]))
    """
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise OptionError(Problem("--option", f"{text!r} is no key and value", "for example --option neuron=cuba_lif"))
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def described(program: Program) -> str:
    """A program as a person reads it."""
    network = program.network
    lines = [f"{network.name} for {program.target}, by backend {program.backend} {program.backend_version}"]
    if isinstance(network, SpikingNetwork):
        contract = network.contract
        lines.append(
            f"code {contract.code!r}, {contract.presentation} steps of input, quiet after {contract.max_steps} at most"
        )
    if program.offsets:
        lines.append(f"the last population runs {max(program.offsets.values())} steps behind")
    lines += [f"  {text}" for text in bill_lines(program.bill)]
    if program.cut is not None:
        lines += ["", str(program.cut), ""]
    if program.report is not None:
        lines.append(_gap(json.loads(program.report)))
    lines += [f"  ledger: {entry}" for entry in program.ledger]
    return "\n".join(lines)


def _gap(report: Mapping[str, Any]) -> str:
    """The new distance to the model, in a line."""
    if report.get("gap") is not None:
        low, high = report["gap_interval"]
        gap = f"gap {report['gap']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
    elif report.get("agreement") is not None:
        gap = f"{report['agreement']:.2f} % of the predictions agree"
    else:
        gap = "no classes: see the report"
    return f"quantized again: {gap}, {report['samples']:,} samples"


def as_values(program: Program) -> dict[str, Any]:
    """A program as JSON values; without what is the backend's own."""
    network = program.network
    return {
        "backend": program.backend,
        "backend_version": program.backend_version,
        "target": program.target,
        "code": network.contract.code if isinstance(network, SpikingNetwork) else None,
        "offsets": dict(program.offsets),
        "bill": [
            {
                "resource": use.resource,
                "used": use.used,
                "limit": use.limit,
                "enforced": use.enforced,
            }
            for use in program.bill.uses
        ],
        "host": None if program.cut is None else [*program.cut.before, *program.cut.after],
        "report": None if program.report is None else json.loads(program.report),
        "ledger": [{"node": e.node, "what": e.what, "error": e.error, "unit": e.unit} for e in program.ledger],
    }
