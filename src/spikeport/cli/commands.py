"""The commands. Each reads its arguments, calls the public function of its name, and says what came of it."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import click

from spikeport import certify
from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.foreign import Foreign, foreign_options
from spikeport.cli.loading import check_outputs, existing, load_data, load_model
from spikeport.codes import CODES, STATISTICAL
from spikeport.errors import OptionError, Problem
from spikeport.model import load
from spikeport.primitives import DynamicNetwork, InputKind, Ledger, SpikingNetwork
from spikeport.report import Report
from spikeport.version import __version__

VERSIONS = ("numpy", "torch", "nir")


@command
@click.argument("model")
@click.argument("data")
@click.option("-o", "--output", required=True, metavar="MODEL.spk", help="Where to save the spiking model.")
@click.option("--weights", metavar="FILE", help="State dict for MODEL: .safetensors, or .pt without code.")
@click.option("--levels", default=31, show_default=True, help="Largest count of a neuron.")
@click.option("--weight-bits", default=8, show_default=True, help="Width of weights.")
@click.option("--input-bits", default=8, show_default=True, help="Width of an input value.")
@click.option("--state-bits", default=24, show_default=True, help="Width of a membrane potential.")
@click.option(
    "--code",
    type=click.Choice(sorted([*CODES, *STATISTICAL, "auto"])),
    default="signed",
    show_default=True,
    help="How spikes carry counts.",
)
@click.option(
    "--input",
    "kind",
    type=click.Choice(["static", "events"]),
    default="static",
    show_default=True,
    help="Kind of input.",
)
@click.option("--steps", type=int, help="Steps over which the input is presented.  [default: one a level]")
@click.option("--max-samples", default=512, show_default=True, help="Most samples to read.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Chooses the samples held out.")
@click.option("--report", metavar="PAGE.html", help="Write the report to a page, or to a .json file.")
def convert_command(
    console: Console,
    model: str,
    data: str,
    output: str,
    weights: str | None,
    kind: InputKind,
    report: str | None,
    **options: Any,
) -> None:
    """Convert a trained model and save it.

    MODEL is package.module:name, an nn.Module or a function without arguments that returns one, or a torch.export
    archive .pt2. DATA is an .npz file with inputs x, one a row, and perhaps labels y; or package.module:name, batches
    x or (x, y), or a function without arguments that returns them. References and .pt2 archives execute code: give
    only those you trust.

    \b
    Example:
      spikeport convert nets:mlp train.npz --weights mlp.pt -o mlp.spk
    """
    from spikeport.convert import convert

    check_outputs((output, (".spk",)), (report, (".html", ".json")))
    samples = load_data(data)
    snn = convert(load_model(model, weights), samples, input=kind, **options)
    snn.save(output)
    write_report(snn.report, report)
    console.say(f"{snn.summary()}\n\n{snn.report}")
    console.document({"model": output, "ok": snn.report.ok, "report": json.loads(snn.report.as_json())})
    console.wrote(output, report)


@command
@click.argument("file", metavar="MODEL.spk")
@click.argument("data")
@click.option("--model", metavar="REFERENCE", help="Float model: package.module:name or .pt2; else the graph saved.")
@click.option("--weights", metavar="FILE", help="State dict for --model: .safetensors, or .pt without code.")
@click.option("--tolerance", type=float, help="Largest acceptable gap in percentage points.  [default: 1]")
@click.option("--stepped", type=int, help="Samples to step spike by spike.  [default: about a minute's worth]")
@click.option("--report", metavar="PAGE.html", help="Write the report to a page, or to a .json file.")
def validate_command(
    console: Console,
    file: str,
    data: str,
    model: str | None,
    weights: str | None,
    tolerance: float | None,
    stepped: int | None,
    report: str | None,
) -> int:
    """Compare a spiking model with its origin.

    Everything that can be proved or measured goes into the report; the exit code is 1 if something does not hold.
    DATA is an .npz file with inputs x and perhaps labels y, or package.module:name of batches or of a function that
    returns them. References and .pt2 archives execute code: give only those you trust.

    \b
    Example:
      spikeport validate mlp.spk test.npz --model nets:mlp --weights mlp.pt --report mlp.html
    """
    from spikeport.validate import validate

    if weights is not None and model is None:
        raise OptionError(
            Problem("--weights", "needs a model to load them into", "give --model package.module:factory")
        )
    check_outputs((report, (".html", ".json")))
    snn = load(existing(file, (".spk",)))
    samples = load_data(data)
    float_model = None if model is None else load_model(model, weights)
    found = validate(snn, samples, model=float_model, tolerance=tolerance, stepped=stepped)
    write_report(found, report)
    console.say(str(found))
    console.document({"model": file, "ok": found.ok, "report": json.loads(found.as_json())})
    console.wrote(report)
    return 0 if found.ok else 1


@command
@click.argument("file", metavar="MODEL.spk|MODEL.nir")
@click.option("-o", "--output", required=True, metavar="MODEL.nir", help="Where to write the NIR file.")
@click.option("--dialect", metavar="TOOL", help="Write for norse, sinabs, snntorch, spikingjelly or spyx.")
@click.option("--strict", is_flag=True, help="Refuse what is lost.")
@foreign_options
def export_command(console: Console, file: str, output: str, dialect: str | None, strict: bool, **foreign: Any) -> None:
    """Write a spiking model, or the network of a NIR file, as NIR.

    Prints what plain NIR cannot say: the entries for the ledger. With --dialect a model is written in population code, as the tool
    reads it: one step of it, from the encoded input to the read-out, gives the same integers. The network of a NIR file is written so
    that the tool's importer gives its spikes; where the file does not say what it means, --like or --contract does.

    \b
    Example:
      spikeport export mlp.spk -o mlp.nir
      spikeport export mlp.spk -o mlp.nir --dialect snntorch
      spikeport export network.nir -o norse.nir --dialect norse --strict
    """
    check_outputs((output, (".nir",)))
    existing(file, (".spk", ".nir"))
    from spikeport.nir import to_nir

    said = Foreign(**foreign)
    network: SpikingNetwork | DynamicNetwork
    if file.lower().endswith(".nir"):
        network = said.read(file, console)
    else:
        said.refuse(file)
        snn = load(file)
        if dialect is not None and snn.network.contract.code != "population":
            snn = snn.with_code("population")
        network = snn.network
    ledger: Ledger = to_nir(network, output, dialect=dialect, strict=strict)
    console.say("\n".join(map(str, ledger)) or "nothing is lost")
    entries = [{"node": e.node, "what": e.what, "error": e.error, "unit": e.unit} for e in ledger]
    console.document({"path": output, "ledger": entries})
    console.wrote(output)


@command
@click.argument("file", metavar="MODEL.spk")
@click.option("-o", "--output", required=True, metavar="CERT.json", help="Where to write the certificate.")
def certify_command(console: Console, file: str, output: str) -> None:
    """Write a certificate of a spiking model.

    It states hashes, bounds, drain bound and recorded outputs, all of which `check-certificate` proves again, and what
    was measured.

    \b
    Example:
      spikeport certify mlp.spk -o mlp.cert.json
    """
    check_outputs((output, (".json",)))
    model = load(existing(file, (".spk",)))
    document = model.certificate
    certify.write(document, output)
    n = 0 if model.samples is None else len(model.samples)
    console.say(f"{len(document['layers'])} layers, {len(document['hashes']['tensors'])} tensors, {n} recorded samples")
    if not n:
        console.note("the model keeps no samples, so the certificate records no outputs: convert it again to have some")
    console.document({"model": file, "certificate": output, "samples": n, "sha256": document["sha256"]})
    console.wrote(output)


@command
@click.argument("certificate", metavar="CERT.json")
@click.argument("file", metavar="MODEL.spk")
def check_certificate_command(console: Console, certificate: str, file: str) -> int:
    """Prove a certificate of a spiking model again.

    The checker shares no code with the rest; `python -m spikeport.certify.checker` is the same. The exit code is 1 if
    something is false.

    \b
    Example:
      spikeport check-certificate mlp.cert.json mlp.spk
    """
    found = certify.check(existing(certificate, (".json",)), existing(file, (".spk",)))
    console.say("\n".join(found) or "proved")
    console.document({"certificate": certificate, "model": file, "ok": not found, "false": found})
    return 1 if found else 0


@command
def version_command(console: Console) -> None:
    """Print versions of spikeport and of its company.

    \b
    Example:
      spikeport version --json
    """
    found = versions()
    console.say("\n".join(f"{name} {number or '(not installed)'}" for name, number in found.items()))
    console.document(found)


def versions() -> dict[str, str | None]:
    """Version numbers by name, None for what is not installed; nothing is imported."""
    found: dict[str, str | None] = {"spikeport": __version__, "python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name) if find_spec(name) else None
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def write_report(report: Report, path: str | None) -> None:
    """Write the report where one is wanted, as its suffix says."""
    if path is None:
        return
    if path.lower().endswith(".json"):
        report.to_json(path)
    else:
        report.to_html(path)
