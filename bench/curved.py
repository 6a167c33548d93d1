"""Curved activations: networks trained on scikit-learn's handwritten digits, float against spiking, under every code that carries them."""

from __future__ import annotations

import argparse
import sys

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import common
import spikeport as sp
from common import Finding

ACTIVATIONS = {
    "ReLU": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Hardswish": nn.Hardswish,
    "Mish": nn.Mish,
    "ELU": nn.ELU,
    "LeakyReLU": nn.LeakyReLU,
    "Softplus": nn.Softplus,
}
TRAINED = 1297
"""Of the 1,797 digits; the others are the test set."""


def network(activation: type[nn.Module], seed: int) -> nn.Module:
    """A small CNN with padding, pooling and three layers of the activation."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        activation(),
        nn.Conv2d(16, 16, 3, padding=1),
        activation(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 64),
        activation(),
        nn.Linear(64, 10),
    )


def trained(model: nn.Module, x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(128):
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval()


def measure(options: argparse.Namespace) -> Finding:
    """Train, convert, validate; every activation."""
    digits = load_digits()
    torch.manual_seed(0)
    order = torch.randperm(len(digits.target))
    x = torch.tensor(digits.images / 16, dtype=torch.float32)[order, None]
    y = torch.tensor(digits.target)[order]
    test = [(x[TRAINED:], y[TRAINED:])]
    lines, values, misses = [], {}, []
    for name in options.activations:
        model = trained(network(ACTIVATIONS[name], 0), x[:TRAINED], y[:TRAINED], options.epochs)
        snn = sp.convert(model, x[:512].split(64), levels=options.levels, progress=False)
        report = sp.validate(snn, test, model=model, stepped=options.stepped, progress=False)
        wrong, compared = report.mismatches, report.comparisons
        for code in ("graded", "staircase", "phased", "radix", "population"):
            other = sp.validate(snn.with_code(code), test, stepped=options.stepped, progress=False)
            wrong, compared = wrong + other.mismatches, compared + other.comparisons
        assert report.gap is not None
        assert report.gap_interval is not None
        low, high = report.gap_interval
        lines.append(
            f"{name:10} float {report.ann_accuracy:.2f} %, spiking {report.snn_accuracy:.2f} % (gap {report.gap:+.2f}, "
            f"{low:+.2f} to {high:+.2f}), {wrong} of {compared:,} counts differ under six codes"
        )
        values[name] = {
            "float_accuracy": report.ann_accuracy,
            "spiking_accuracy": report.snn_accuracy,
            "gap_interval": [low, high],
            "mismatches": wrong,
            "comparisons": compared,
        }
        if wrong:
            misses.append(f"{name}: {wrong:,} counts differ")
        if report.gap > options.at_most:
            misses.append(f"{name}: {report.gap:.2f} points lost, more than {options.at_most:g}")
    return Finding(tuple(lines), values, tuple(misses))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--activations", nargs="+", choices=sorted(ACTIVATIONS), default=list(ACTIVATIONS))
    parser.add_argument("--levels", type=common.positive, default=31, help="largest count of a neuron")
    parser.add_argument("--epochs", type=common.positive, default=12, help="of training")
    parser.add_argument("--stepped", type=int, default=20, help="test digits stepped under each code")
    parser.add_argument("--at-most", type=float, default=1.0, metavar="POINTS", help="largest acceptable gap")
    parser.add_argument("--threads", type=common.positive, default=2, help="threads that torch may use")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
