"""sinabs: it has no step; layers keep their state and take all steps at once, as a batch of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import sinabs.layers as sl
import torch
from numpy.typing import NDArray
from sinabs.activation import MembraneReset
from sinabs.nir import from_nir, to_nir
from torch.nn import AvgPool2d, Flatten, Sequential

from peers.nir_tools.exporting import MAPS, Case, Exporter, Skip, chosen, convolution, dense, full
from peers.nir_tools.stepping import Runner, Values, first, heard

PACKAGES = ("sinabs", "nir", "nirtorch")


def _reset(model: Any) -> None:
    for layer in model.modules():
        if hasattr(layer, "reset_states"):
            layer.reset_states()


def load(path: str, dt: float) -> Runner:
    model: Any = from_nir(nir.read(path), batch_size=1)

    def run(x: NDArray[np.float32]) -> Values:
        _reset(model)
        with torch.no_grad(), heard(model) as layers:
            y = np.asarray(first(model(torch.from_numpy(x))).numpy())
        return {**{name: arrays[0] for name, arrays in layers.items() if len(arrays) == 1}, "output": y}

    return run


def _lif(**changes: Any) -> Any:
    options = {"tau_mem": full(4.0), "spike_threshold": full(1.0), "norm_input": False, "batch_size": 1}
    return sl.LIFSqueeze(**{**options, **changes})


def _integrator() -> Any:
    return sl.IAFSqueeze(batch_size=1, spike_threshold=torch.tensor(1.0), min_v_mem=-1.0)


def _recurrent(bias: bool) -> Case:
    def make(rng: np.random.Generator) -> Any:
        loop = dense(rng, bias=bias)
        return Sequential(dense(rng), sl.LIFRecurrent(tau_mem=4.0, rec_connect=loop, norm_input=False))

    return Case(make)


def _two(make: Callable[[np.random.Generator], Any]) -> Case:
    return Case(lambda rng: Sequential(dense(rng), make(rng), dense(rng), make(rng)))


def _cnn(pool: Any) -> Case:
    return Case(
        lambda rng: Sequential(convolution(rng), _integrator(), pool, Flatten(), dense(rng, 27), _integrator()), MAPS
    )


def _unsqueezed(net: Any) -> bool:
    """Whether it has a layer that wants samples and steps apart."""
    return any(isinstance(layer, sl.LIFRecurrent) for layer in net.modules())


def _write(net: Any, shape: tuple[int, ...], path: str) -> None:
    nir.write(path, to_nir(net, torch.zeros(1, *((1,) if _unsqueezed(net) else ()), *shape)))


def _play(net: Any, x: NDArray[np.float32]) -> NDArray[Any]:
    _reset(net)
    with torch.no_grad():
        if _unsqueezed(net):
            return np.asarray(net(torch.from_numpy(x[None]))[0].numpy())
        return np.asarray(first(net(torch.from_numpy(x))).numpy())


EXPORTER = Exporter(
    1.0,
    {
        "IF": _two(lambda _: _integrator()),
        "LIF": _two(lambda _: _lif()),
        "LIF, each neuron its own": _two(
            lambda rng: _lif(tau_mem=chosen(rng, 2.0, 4.0, 8.0), spike_threshold=chosen(rng, 0.5, 1.0, 1.5))
        ),
        "LIF, input decays": _two(lambda _: _lif(norm_input=True, spike_threshold=full(0.25))),
        "LIF, v_reset": _two(lambda _: _lif(reset_fn=MembraneReset(0.0))),
        "CubaLIF": _two(lambda _: _lif(tau_syn=full(2.0))),
        "Linear": Case(lambda rng: Sequential(dense(rng, bias=False), _lif())),
        "residual": Case(lambda rng: Skip(dense(rng), _lif(), dense(rng), _lif())),
        "CNN, sum": _cnn(sl.SumPool2d(2)),
        "CNN, average": _cnn(AvgPool2d(2)),
        "recurrent, bias": _recurrent(True),
        "recurrent, no bias": _recurrent(False),
    },
    {"LIF, v_leak": "LIF rests at 0", "LIF, reset by subtraction": "it is what LIF is"},
    _write,
    _play,
)
