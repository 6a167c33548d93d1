"""Do converted networks mean the same in other simulators, through a NIR file and the simulators' unmodified importers?

An MLP trained here and a CNN that others trained, in population code, one step a sample: every output beside our integers, and the accuracy
beside the float model's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import common
import data
import networks
import spikeport as sp
from common import Finding
from networks import NETWORKS
from peers import protocol
from spikeport.plugin.presenting import encode_steps

TOOLS = ("norse", "snntorch", "spikingjelly", "sinabs")
WORKER = Path(__file__).parent / "peers" / "nir_worker.py"
NEEDED = {"mlp": 4, "cnn": 2}
"""In how many simulators predictions have to be equal."""
DT = 1e-4
"""Seconds; snnTorch's importer has no other step."""
WIDEST_GAP = 0.5
"""Points that the integers may lie below the float model."""


def mlp(options: argparse.Namespace, train: data.Images) -> nn.Module:
    """784, 64, 32, 10 with ReLU, a few epochs of Adam."""
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(options.epochs):
        batches = train.batches(128, mean=(0.0,), std=(1.0,))
        for i in torch.randperm(len(batches)).tolist():
            x, y = batches[i]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        common.say(f"mlp: epoch {epoch + 1} of {options.epochs}")
    return model.eval()


def accuracy(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    return float((outputs.argmax(axis=1) == labels).mean() * 100)


def measure(options: argparse.Namespace) -> Finding:
    torch.set_num_threads(options.threads)
    train, test = (data.mnist(options.data, part) for part in ("train", "test"))
    models = {"mlp": mlp(options, train), "cnn": networks.load(NETWORKS["mnist_sinabs_cnn"], options.weights)}
    lines: list[str] = []
    values: dict[str, Any] = {}
    misses: list[str] = []
    chosen = test.first(options.images).batches(options.images, mean=(0.0,), std=(1.0,))
    x, labels = chosen[0][0].numpy(), chosen[0][1].numpy()
    calibration = train.first(common.CALIBRATION).batches(128, mean=(0.0,), std=(1.0,))
    whole = test.batches(1000, mean=(0.0,), std=(1.0,))
    for name, model in models.items():
        levels = options.levels
        snn = sp.convert(model, calibration, levels=levels, code="population", progress=False)
        exact = sp.convert(model, calibration, levels=levels, progress=False)  # the same integers, evaluated fast
        with torch.no_grad():
            floats = np.concatenate([model(b).numpy() for b, _ in whole])
            ours = np.concatenate([exact(b).numpy() for b, _ in whole])
        all_labels = np.concatenate([y.numpy() for _, y in whole])
        gap = accuracy(floats, all_labels) - accuracy(ours, all_labels)
        lines.append(
            f"{name}, {levels} levels, {len(all_labels):,} images: float {accuracy(floats, all_labels):.2f} %, "
            f"integers {accuracy(ours, all_labels):.2f} % ({-gap:+.2f} points)"
        )
        if gap > WIDEST_GAP:
            misses.append(f"{name}: {gap:.2f} points below the float model")
        encoded = np.asarray(encode_steps(snn.network, x))
        expected = sp.simulate(snn.network, x).readout[-1].reshape(len(x), -1)
        equal = 0
        for tool in TOOLS:
            try:
                found, versions = _through(tool, snn, encoded, options)
            except (protocol.PeerError, sp.SpikeportError) as error:
                lines.append(f"  {tool}: refused: {str(error).splitlines()[0]}")
                continue
            same = int((found == expected).all(axis=1).sum()) if found.shape == expected.shape else 0
            alike = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()) if found.shape == expected.shape else 0
            equal += alike == len(x)
            lines.append(
                f"  {tool} {versions}: {alike:,} of {len(x):,} predictions equal, {same:,} outputs bit for bit, "
                f"{accuracy(found, labels):.2f} % right"
            )
            values[f"{name} {tool}"] = {"predictions": alike, "outputs": same, "of": len(x)}
        if equal < NEEDED[name]:
            misses.append(f"{name}: equal in {equal} simulators, not {NEEDED[name]}")
    return Finding(tuple(lines), values, tuple(misses))


def _through(
    tool: str, snn: sp.SpikingModel, encoded: NDArray[Any], options: argparse.Namespace
) -> tuple[NDArray[Any], str]:
    """What a simulator gives in one step."""
    with tempfile.TemporaryDirectory() as folder:
        graph, given, into = (str(Path(folder) / name) for name in ("net.nir", "input.npz", "output.npz"))
        sp.to_nir(snn, graph, dialect=tool)
        np.savez(given, input=encoded)
        python = protocol.python_of("nir_torch", options.environments)
        with protocol.Worker(python, tool, script=WORKER, threads=options.threads, limit=options.limit) as worker:
            versions = worker.ask("describe")["versions"]
            worker.ask("samples", graph=graph, given=given, into=into, dt=DT)
        with np.load(into) as arrays:
            return arrays["output"], versions[tool]


def main() -> int:
    parser = common.parser(__doc__ or "", names=(), levels=15)
    parser.add_argument("--images", type=common.positive, default=1000, help="test images that each simulator runs")
    parser.add_argument("--epochs", type=common.positive, default=5, help="epochs that the MLP is trained")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that a simulator may take")
    parser.add_argument(
        "--environments", type=Path, default=protocol.ENVIRONMENTS, metavar="DIR", help="where nir_torch is installed"
    )
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
