"""SpikingJelly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir, import_from_nir
from torch.nn import Sequential

from peers.nir_tools.exporting import FLAT, MAPS, Case, Exporter, Skip, convolution, dense
from peers.nir_tools.stepping import Runner, stepped

PACKAGES = ("spikingjelly", "nir", "nirtorch")
DT = 2.0**-10


def load(path: str, dt: float) -> Runner:
    model: Any = import_from_nir(path, dt=dt)
    return stepped(model, lambda: functional.reset_net(model))


def _lif(**changes: Any) -> Any:
    return neuron.LIFNode(**{"tau": 4.0, "decay_input": False, "v_reset": 0.0, **changes})


def _linear(rng: np.random.Generator, n: int = 8, *, bias: bool = True) -> Any:
    return dense(rng, n, bias=bias, make=layer.Linear)


def _two(make: Callable[[], Any]) -> Case:
    return Case(lambda rng: Sequential(_linear(rng), make(), _linear(rng), make()))


def _cnn(rng: np.random.Generator) -> Any:
    pool, flat = layer.AvgPool2d(2, 2), layer.Flatten()
    conv = convolution(rng, make=layer.Conv2d)
    return Sequential(conv, neuron.IFNode(), pool, flat, _linear(rng, 27), neuron.IFNode())


def _recurrent(bias: bool) -> Case:
    """Its container adds what comes back to the input by a layer; the first layer stands before it."""

    def make(rng: np.random.Generator) -> Any:
        loop = layer.LinearRecurrentContainer(_lif(), in_features=8, out_features=8, bias=bias)
        return Sequential(_linear(rng), loop)

    return Case(make)


def _write(net: Any, shape: tuple[int, ...], path: str) -> None:
    export_to_nir(net, torch.zeros(1, *shape), save_path=path, dt=DT)


def _play(net: Any, x: NDArray[np.float32]) -> NDArray[Any]:
    functional.reset_net(net)
    with torch.no_grad():
        return np.stack([net(torch.from_numpy(step[None]))[0].numpy() for step in x])


EXPORTER = Exporter(
    DT,
    {
        "IF": _two(neuron.IFNode),
        "LIF": _two(_lif),
        "LIF, input decays": _two(lambda: _lif(decay_input=True, v_threshold=0.25)),
        "LIF, v_reset": _two(lambda: _lif(v_reset=-0.5)),
        "LIF, reset by subtraction": _two(lambda: _lif(v_reset=None)),
        "CubaLIF": _two(lambda: neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75)),
        "Linear": Case(lambda rng: Sequential(_linear(rng, bias=False), _lif())),
        "residual": Case(lambda rng: Skip(_linear(rng), _lif(), _linear(rng), _lif()), FLAT),
        "CNN, average": Case(_cnn, MAPS),
        "recurrent, bias": _recurrent(True),
        "recurrent, no bias": _recurrent(False),
    },
    {
        "LIF, each neuron its own": "tau and v_threshold of LIFNode are single numbers",
        "LIF, v_leak": "LIFNode leaks to v_reset",
        "CNN, sum": "it has no layer of the kind",
    },
    _write,
    _play,
)
