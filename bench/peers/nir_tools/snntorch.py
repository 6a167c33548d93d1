"""snnTorch: a step is fixed at 1e-4 s in its importer."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir

from peers.nir_tools.stepping import stepped

PACKAGES = ("snntorch", "nir", "nirtorch")
DT = 1e-4


def run(path: str, x: NDArray[np.float32], dt: float) -> NDArray[Any]:
    if dt != DT:
        raise ValueError(f"steps are {DT:g} s in this importer")
    return stepped(import_from_nir(nir.read(path)), x)


def export(case: str, path: str, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Neurons with values for each neuron, which its exporter needs, and the reset that a file can say."""
    n = 8

    def decay() -> torch.Tensor:
        return torch.full((n,), 0.75)

    same: dict[str, Any] = {
        "reset_mechanism": "zero",
        "reset_delay": False,
        "init_hidden": True,
        "threshold": torch.ones(n),
    }
    neurons = {
        "lif": lambda: snn.Leaky(beta=decay(), **same),
        "cuba": lambda: snn.Synaptic(alpha=torch.full((n,), 0.5), beta=decay(), **same),
    }
    if case not in neurons:
        raise ValueError(f"no {case} network of snnTorch")
    layers: list[Any] = []
    for _ in range(2):
        linear = torch.nn.Linear(n, n)
        linear.weight.data = torch.from_numpy(rng.integers(-16, 17, (n, n)) / 16).float()
        linear.bias.data = torch.from_numpy(rng.integers(-4, 5, n) / 16).float()
        layers += [linear, neurons[case]()]
    net = torch.nn.Sequential(*layers)
    x = rng.integers(0, 2, (60, n)).astype(np.float32)
    graph = export_to_nir(net, torch.zeros(1, n), ignore_dims=[0])
    nir.write(path, graph)
    for layer in layers[1::2]:
        layer.reset_mem()
    with torch.no_grad():
        y = np.stack([net(torch.from_numpy(step[None]))[0].numpy() for step in x])
    return x, y, DT
