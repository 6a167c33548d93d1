"""The command `check`: whether chips can carry a model, before anything of theirs is installed."""

from __future__ import annotations

from typing import Any

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.foreign import Foreign, foreign_options
from spikeport.cli.loading import existing, is_reference, load_model
from spikeport.codes import CODES, STATISTICAL
from spikeport.errors import OptionError, Problem


@command
@click.argument("model", metavar="MODEL.spk|MODEL.nir|REFERENCE")
@click.option(
    "--target", "names", required=True, multiple=True, metavar="NAME", help="Chip; may be given several times."
)
@click.option("--example", metavar="SHAPE", help="Of one input of REFERENCE, for example 1,28,28.")
@click.option("--weights", metavar="FILE", help="State dict for REFERENCE: .safetensors, or .pt without code.")
@click.option(
    "--code",
    type=click.Choice(sorted([*CODES, *STATISTICAL, "auto"])),
    default="auto",
    show_default=True,
    help="How spikes carry counts; auto: as the target offers.",
)
@click.option("--levels", type=int, help="Largest count of a neuron, for REFERENCE.  [default: 31]")
@click.option("--weight-bits", type=int, help="Width of weights, for REFERENCE.  [default: 8]")
@click.option("--input-bits", type=int, help="Width of an input value, for REFERENCE.  [default: 8]")
@click.option("--state-bits", type=int, help="Width of a membrane potential, for REFERENCE.  [default: 24]")
@click.option("--input", type=click.Choice(["static", "events"]), help="Of REFERENCE.  [default: static]")
@click.option("--allow-host", is_flag=True, help="Leave to the host what the chip cannot carry.")
@foreign_options
@click.option("--no-suggestions", is_flag=True, help="Do not look for changes that would make it fit.")
def check_command(
    console: Console,
    model: str,
    names: tuple[str, ...],
    example: str | None,
    weights: str | None,
    no_suggestions: bool,
    like: str | None,
    contract: str | None,
    dt: float | None,
    repair: bool,
    **options: Any,
) -> int:
    """Say whether a chip can carry a model.

    Prints what is in the way, by node and all at once, what it takes of the chip, and the nearest change that would make
    it fit. The exit code is 1 if it does not fit one of the targets. A target is a name of `spikeport targets`, or a TOML file of
    your own. A REFERENCE package.module:name is a model, trained or not, or a function that returns one, and executes
    code: give only those you trust.

    \b
    Example:
      spikeport check mlp.spk --target loihi2 --target xylo
      spikeport check nets:cnn --example 1,28,28 --target akida1000
    """
    from spikeport.check import check
    from spikeport.model import load

    foreign = Foreign(like=like, contract=contract, dt=dt, repair=repair)
    if not model.lower().endswith(".nir"):
        foreign.refuse(model)
    subject: Any
    given: dict[str, Any] = {"code": options.pop("code"), "allow_host": options.pop("allow_host")}
    if is_reference(model) or model.lower().endswith(".pt2"):
        subject = load_model(model, weights)
        given |= {"example": _shape(example)}
    else:
        if example is not None or weights is not None:
            what = "--example" if example is not None else "--weights"
            raise OptionError(Problem(what, "is for models that are not converted yet", "leave it out"))
        existing(model, (".spk", ".nir"))
        subject = foreign.read(model, console) if model.lower().endswith(".nir") else load(model)
    given |= options
    verdicts = [check(subject, name, suggest=not no_suggestions, **given) for name in names]
    console.say("\n\n".join(map(str, verdicts)))
    console.document({"model": model, "verdicts": [verdict.values() for verdict in verdicts]})
    return 0 if all(verdict.fits for verdict in verdicts) else 1


def _shape(text: str | None) -> tuple[int, ...]:
    """A shape from text.

    >>> _shape("1,28,28")
    (1, 28, 28)
    """
    hint = "the shape of one input without the batch: --example 1,28,28"
    if text is None:
        raise OptionError(Problem("--example", "is missing: a model does not say what its input looks like", hint))
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise OptionError(Problem("--example", f"is {text!r}", hint))
    return tuple(int(part) for part in parts)
