"""SpikingJelly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir, import_from_nir

from peers.nir_tools.stepping import stepped

PACKAGES = ("spikingjelly", "nir", "nirtorch")
DT = 1e-4


def run(path: str, x: NDArray[np.float32], dt: float) -> NDArray[Any]:
    return stepped(import_from_nir(path, dt=dt), x)


def export(case: str, path: str, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], float]:
    def dense(n_in: int, n_out: int) -> Any:
        made = layer.Linear(n_in, n_out)
        made.weight.data = torch.from_numpy(rng.integers(-16, 17, (n_out, n_in)) / 16).float()
        made.bias.data = torch.from_numpy(rng.integers(-4, 5, n_out) / 16).float()
        return made

    shape: tuple[int, ...] = (8,)
    if case == "lif":
        nodes = [neuron.LIFNode(tau=4.0, decay_input=False) for _ in range(2)]
        net = torch.nn.Sequential(dense(8, 8), nodes[0], dense(8, 8), nodes[1])
    elif case == "v_reset":
        nodes = [neuron.LIFNode(tau=4.0, decay_input=False, v_reset=-0.5) for _ in range(2)]
        net = torch.nn.Sequential(dense(8, 8), nodes[0], dense(8, 8), nodes[1])
    elif case == "cuba":
        nodes = [neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75) for _ in range(2)]
        net = torch.nn.Sequential(dense(8, 8), nodes[0], dense(8, 8), nodes[1])
    elif case == "cnn_avg":
        shape = (2, 6, 6)
        conv = layer.Conv2d(2, 3, 3, padding=1)
        conv.weight.data = torch.from_numpy(rng.integers(-8, 9, (3, 2, 3, 3)) / 16).float()
        conv.bias.data = torch.from_numpy(rng.integers(-2, 3, 3) / 16).float()
        pool, flat = layer.AvgPool2d(2, 2), layer.Flatten()
        net = torch.nn.Sequential(conv, neuron.IFNode(), pool, flat, dense(27, 5), neuron.IFNode())
    else:
        raise ValueError(f"no {case} network of SpikingJelly")
    x = rng.integers(0, 2, (60, *shape)).astype(np.float32)
    export_to_nir(net, torch.zeros(1, *shape), save_path=path, dt=DT)
    functional.reset_net(net)
    with torch.no_grad():
        y = np.stack([net(torch.from_numpy(step[None]))[0].numpy() for step in x])
    return x, y, DT
