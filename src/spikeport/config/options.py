"""What a project may set: one dataclass a section, with the defaults and the meaning of each key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["convert", "hand-made", "nir"]


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """Section `convert`: the keywords of `spikeport.convert`."""

    levels: int = 31
    """Largest count of a neuron."""
    weight_bits: int = 8
    input_bits: int = 8
    state_bits: int = 24
    code: str = "signed"
    """How spikes carry counts, or "auto"."""
    input: Literal["static", "events"] = "static"
    steps: int | None = None
    """Over which the input is presented."""
    max_samples: int = 512
    """Most samples to calibrate on."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ValidateOptions:
    """Section `validate`: the keywords of `spikeport.validate`."""

    tolerance: float | None = None
    """Largest acceptable gap in percentage points; default 1."""
    stepped: int | None = None
    """Samples to step spike by spike; default about a minute's worth."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Section `run`: what is run on each backend and compared with the reference."""

    samples: int = 100
    """Of converted models and NIR files: most samples."""
    duration: float = 0.1
    """Of networks by hand: seconds."""
    dt: float = 0.001
    """Of networks by hand: seconds of a step."""
    record: tuple[str, ...] | None = None
    """Of networks by hand: "population.spikes" or "population.v"; default: outputs and probes."""


@dataclass(frozen=True, slots=True)
class NirOptions:
    """Section `nir`: what the numbers of a NIR file mean, where it does not say so itself."""

    like: str | None = None
    """The tool whose reading is meant: "snntorch", "norse" and others."""
    contract: str | None = None
    """A JSON file with the execution contract."""
    dt: float | None = None
    """Seconds of a step."""
    repair: bool = False
    """Mend defects that have one plain remedy."""


@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """All of a project."""

    kind: Kind = "convert"
    """Where the network comes from: a trained PyTorch model, primitives, or a NIR file."""
    model: str = ""
    """package.module:name, or the .nir file."""
    weights: str | None = None
    """State dict of the model: .safetensors, or .pt without code."""
    data: str = ""
    """To calibrate a conversion on: .npz, or package.module:name. Of other kinds: what enters."""
    test: str = ""
    """What a conversion is validated on."""
    on: tuple[str, ...] = ()
    """Backends that the network is run on besides the reference."""
    runs: str = "runs"
    """The folder in which each run leaves one of its own."""
    convert: ConvertOptions = field(default_factory=ConvertOptions)
    validate: ValidateOptions = field(default_factory=ValidateOptions)
    run: RunOptions = field(default_factory=RunOptions)
    nir: NirOptions = field(default_factory=NirOptions)
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Section `targets.NAME`: options that only this backend has."""
