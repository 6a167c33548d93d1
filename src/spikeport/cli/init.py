"""The command `init`: a project that runs as it is, to be turned into one's own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.cli.templates import filled, write_new
from spikeport.config.options import Kind
from spikeport.errors import OptionError, Problem
from spikeport.plugin import installed
from spikeport.plugin.registry import nearest

KINDS: Mapping[Kind, str] = {
    "convert": "a trained PyTorch model is converted",
    "hand-made": "a network is written from populations and synapses",
    "nir": "a NIR file is read and run",
}
BACKENDS: Mapping[Kind, tuple[str, ...]] = {
    "convert": ("native", "loihi2"),
    "hand-made": ("native",),
    "nir": ("native",),
}
"""Those that carry the network of the template."""
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
DEPENDENCIES = {
    "convert": '"spikeport[torch]", "scikit-learn>=1.4"',
    "hand-made": '"spikeport", "scikit-learn>=1.4"',
    "nir": '"spikeport", "scikit-learn>=1.4"',
}
PREPARE = {"convert": "train.py", "nir": "make.py"}
SETTINGS: Mapping[Kind, str] = {
    "convert": """kind = "convert"
model = "model:model"
weights = "weights.safetensors"
data = "@data@"
test = "@test@"
on = [@on@]

[tool.spikeport.convert]
levels = 15
code = "graded"

[tool.spikeport.validate]
tolerance = 2
""",
    "hand-made": """kind = "hand-made"
model = "network:network"
data = "@data@"
on = [@on@]

[tool.spikeport.run]
duration = 0.2
dt = 0.001
""",
    "nir": """kind = "nir"
model = "network.nir"
data = "@data@"
on = [@on@]

[tool.spikeport.nir]
like = "snntorch"

[tool.spikeport.run]
samples = 20
""",
}
DATA: Mapping[Kind, str] = {"convert": "data:train", "hand-made": "network:inputs", "nir": "data.npz"}


@command
@click.argument("folder")
@click.option("--kind", type=click.Choice(sorted(KINDS)), help="Where the network comes from.  [default: convert]")
@click.option("--data", metavar="REFERENCE|FILE.npz", help="Your data in place of the digits.")
@click.option("--on", metavar="NAME[,NAME...]", help="Backends to run on.  [default: those that carry the example]")
@click.option("--yes", is_flag=True, help="Ask nothing; what is not said is as it is by default.")
def init_command(console: Console, folder: str, kind: Kind | None, data: str | None, on: str | None, yes: bool) -> None:
    """Write a project that runs as it is, on real digits.

    FOLDER is created, and nothing is overwritten: settings, a model and data to be replaced by yours, a test, a CI file, and a README
    that explains each choice. At a terminal it asks for what is not said.

    \b
    Example:
      spikeport init my_project
      spikeport init my_project --kind hand-made --on native,torch --yes
    """
    asks = not yes and not console.json and sys.stdin.isatty() and sys.stderr.isatty()
    if kind is None and asks:
        for name, what in KINDS.items():
            console.note(f"  {name}: {what}")
        kind = click.prompt("kind of project", default="convert", type=click.Choice(list(KINDS)), err=True)
    chosen: Kind = next(known for known in KINDS if known == (kind or "convert"))
    if on is None:
        on = ",".join(name for name in BACKENDS[chosen] if name in installed())
        if asks:
            on = str(click.prompt(f"backends ({', '.join(installed())})", default=on, err=True))
    if data is None and asks:
        data = str(click.prompt("your data, or the digits of the example", default=DATA[chosen], err=True))
    texts = project_texts(Path(folder).resolve().name, chosen, tuple(filter(None, map(str.strip, on.split(",")))), data)
    made = write_new(Path(folder), texts, "choose another name, or remove it")
    first = f"python {PREPARE[chosen]} && " if chosen in PREPARE else ""
    console.say(f"wrote {made}: begin with its README.md\n  cd {made} && {first}spikeport run")
    console.document({"folder": str(made), "kind": chosen, "files": sorted(texts)})


def project_texts(name: str, kind: Kind, on: tuple[str, ...], data: str | None = None) -> Mapping[str, str]:
    """Files of a new project: path -> text.

    Raises:
        OptionError: a name that no distribution can have, or backends that are not installed.
    """
    problems = []
    if not NAME.fullmatch(name):
        hint = "letters, digits, and between them - _ or ."
        problems.append(Problem("folder", f"{name!r} cannot be the name of a project", hint))
    known = installed()
    for backend in on:
        if backend.partition(":")[0] not in known:
            problems.append(Problem("--on", f"{backend!r} is no installed backend", nearest(backend, known)))
    if problems:
        raise OptionError(problems)
    quoted = ", ".join(json.dumps(backend) for backend in on)
    replaced = {
        "@data@": DATA[kind] if data is None else data,
        "@on@": quoted,
        "@test@": "data:test" if data is None else data,
    }
    settings = SETTINGS[kind]
    for word, value in replaced.items():
        settings = settings.replace(word, value if word == "@on@" else json.dumps(value)[1:-1])
    prepare = f"      - run: python {PREPARE[kind]}\n" if kind in PREPARE else ""
    values = {
        "name": name,
        "dependencies": DEPENDENCIES[kind],
        "settings": settings.rstrip(),
        "prepare": prepare,
        "on": quoted,
    }
    return {**filled("projects/common", values), **filled(f"projects/{kind}", values)}
