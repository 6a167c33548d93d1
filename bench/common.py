"""What the commands share: options, data of a network, conversion with the time it takes, and output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import data
import networks
import spikeport as sp
import timing
from networks import NETWORKS, Network
from peers.protocol import PeerError
from spikeport.version import __version__

CALIBRATION = 512
"""Unlabelled training samples that a conversion reads."""
STATIC = tuple(name for name, network in NETWORKS.items() if network.data != "nmnist")
MISSED, UNUSABLE = 1, 2
"""Exit statuses: a required figure was missed; data, weights, peers or options cannot be used."""

Batches = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a command measured: lines for a person, the same as values, and what was missed."""

    lines: tuple[str, ...]
    values: Mapping[str, Any]
    misses: tuple[str, ...] = ()


def parser(about: str, *, names: tuple[str, ...] = STATIC, levels: int = 31) -> argparse.ArgumentParser:
    """Options of every command; `names` are the networks to choose from, the first one by default."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the data sets, see bench/README.md"
    )
    made.add_argument(
        "--weights", type=Path, required=True, metavar="DIR", help="folder of the state dicts <network>.pt"
    )
    if len(names) > 1:
        made.add_argument("--network", choices=names, default=names[0], help="network to convert")
    made.add_argument("--levels", type=positive, default=levels, help="largest count of a neuron")
    made.add_argument("--threads", type=positive, default=2, help="threads that torch may use")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return made


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def run(measure: Callable[[argparse.Namespace], Finding], options: argparse.Namespace) -> int:
    """Measure, print, and return the exit status."""
    torch.set_num_threads(options.threads)
    try:
        found = measure(options)
    except (data.DataFileError, PeerError, sp.SpikeportError) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    facts = {"spikeport": __version__, **timing.machine()}
    if options.json:
        print(json.dumps({**found.values, "machine": facts, "misses": list(found.misses)}, indent=2))
    else:
        print("\n".join((*found.lines, f"machine: {timing.described(facts)}")))
        print("\n".join(f"MISSED: {miss}" for miss in found.misses) or "ok")
    return MISSED if found.misses else 0


def say(text: str) -> None:
    """A line about what is going on, on standard error."""
    print(text, file=sys.stderr, flush=True)


def load(options: argparse.Namespace, name: str) -> tuple[Network, nn.Module]:
    """A network and its trained model."""
    network = NETWORKS[name]
    return network, networks.load(network, options.weights)


def images(options: argparse.Namespace, network: Network, part: data.Part) -> data.Images:
    """Test images, or the training images that calibration reads."""
    if network.data == "mnist":
        found = data.mnist(options.data, part)
    else:
        found = data.cifar10(options.data, part, files=1)
    return found.first(CALIBRATION) if part == "train" else found


def converted(
    options: argparse.Namespace, network: Network, model: nn.Module, **choices: Any
) -> tuple[sp.SpikingModel, float]:
    """The spiking model, from at most `CALIBRATION` unlabelled training images, and the seconds it took."""
    batches = images(options, network, "train").batches(64, mean=network.mean, std=network.std)
    unlabelled = [x for x, _ in batches]
    return timed_conversion(model, unlabelled, levels=options.levels, **choices)


def timed_conversion(model: nn.Module, samples: list[Tensor], **choices: Any) -> tuple[sp.SpikingModel, float]:
    """`spikeport.convert` and the seconds it took."""
    made: list[sp.SpikingModel] = []
    took = timing.seconds(lambda: made.append(sp.convert(model, samples, max_samples=CALIBRATION, **choices)))
    return made[0], took


def integer_counts(snn: sp.SpikingModel, x: NDArray[Any] | Tensor) -> dict[str, NDArray[np.int64]]:
    """Counts of every layer and the read-out by one pass over the integer network; numpy or torch, as `x` is."""
    found: dict[str, list[NDArray[np.int64]]] = {}

    def visit(layer: Any, value: Any) -> None:
        array = value.numpy(force=True) if isinstance(value, Tensor) else value
        found.setdefault(layer.name, []).append(array.astype(np.int64))

    snn.readout(x, visit=visit)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def stepped_counts(recording: sp.Recording, output: str) -> dict[str, NDArray[np.int64]]:
    """Final counts of every stepped population, and the read-out under the name `output`."""
    return {**recording.counts, output: recording.readout[-1]}


def differences(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, int]]:
    """How many counts were compared and how many differ, by layer of `found`."""
    return {name: (value.size, int((value != expected[name]).sum())) for name, value in found.items()}
