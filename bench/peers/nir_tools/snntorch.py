"""snnTorch: a step is fixed at 1e-4 s in its importer and its exporter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir
from torch.nn import AvgPool2d, Flatten, Sequential

from peers.nir_tools.exporting import MAPS, SIZE, Case, Exporter, Skip, chosen, convolution, dense, full
from peers.nir_tools.stepping import Runner, stepped

PACKAGES = ("snntorch", "nir", "nirtorch")
DT = 1e-4


def _reset(model: Any) -> None:
    for layer in model.modules():
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()


def load(path: str, dt: float) -> Runner:
    if dt != DT:
        raise ValueError(f"steps are {DT:g} s in this importer")
    model: Any = import_from_nir(nir.read(path))
    return stepped(model, lambda: _reset(model))


def _leaky(*shape: int, **changes: Any) -> Any:
    """With values for each neuron, which the exporter needs, and the reset that a file can say."""
    options = {
        "beta": full(0.75, *shape),
        "threshold": full(1.0, *shape),
        "reset_mechanism": "zero",
        "reset_delay": False,
    }
    return snn.Leaky(init_hidden=True, **{**options, **changes})


def _synaptic() -> Any:
    options: dict[str, Any] = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
    return snn.Synaptic(alpha=full(0.5), beta=full(0.75), threshold=full(1.0), **options)


def _two(neuron: Callable[[np.random.Generator], Any]) -> Case:
    return Case(lambda rng: Sequential(dense(rng), neuron(rng), dense(rng), neuron(rng)))


def _recurrent(bias: bool) -> Case:
    def make(rng: np.random.Generator) -> Any:
        layer = snn.RLeaky(
            beta=full(0.75),
            threshold=full(1.0),
            linear_features=SIZE,
            reset_mechanism="zero",
            reset_delay=False,
            init_hidden=True,
        )
        layer.recurrent = dense(rng, bias=bias)
        return Sequential(dense(rng), layer)

    return Case(make)


def _cnn(rng: np.random.Generator) -> Any:
    return Sequential(convolution(rng), _leaky(3, 6, 6), AvgPool2d(2), Flatten(), dense(rng, 27), _leaky())


def _write(net: Any, shape: tuple[int, ...], path: str) -> None:
    nir.write(path, export_to_nir(net, torch.zeros(1, *shape), ignore_dims=[0]))


def _play(net: Any, x: NDArray[np.float32]) -> NDArray[Any]:
    _reset(net)
    with torch.no_grad():
        return np.stack([net(torch.from_numpy(step[None]))[0].numpy() for step in x])


EXPORTER = Exporter(
    DT,
    {
        "LIF": _two(lambda _: _leaky()),
        "LIF, each neuron its own": _two(
            lambda rng: _leaky(beta=chosen(rng, 0.5, 0.75, 0.875), threshold=chosen(rng, 0.5, 1.0, 1.5))
        ),
        "LIF, reset by subtraction": _two(lambda _: _leaky(reset_mechanism="subtract", reset_delay=True)),
        "CubaLIF": _two(lambda _: _synaptic()),
        "Linear": Case(lambda rng: Sequential(dense(rng, bias=False), _leaky())),
        "residual": Case(lambda rng: Skip(dense(rng), _leaky(), dense(rng), _leaky())),
        "CNN, average": Case(_cnn, MAPS),
        "recurrent, bias": _recurrent(True),
        "recurrent, no bias": _recurrent(False),
    },
    {
        "IF": "IF is Leaky with beta 1, whose tau is infinite",
        "LIF, input decays": "Leaky takes its input in full",
        "LIF, v_leak": "Leaky rests at 0",
        "LIF, v_reset": "Leaky resets to 0",
        "CNN, sum": "it has no layer of the kind",
    },
    _write,
    _play,
)
