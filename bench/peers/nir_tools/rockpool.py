"""Rockpool: its importer guesses the step from tau_mem and r."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch.nir import from_nir, to_nir

from peers.nir_tools.exporting import FLAT, SIZE, Case, Exporter, chosen, dyadic, full
from peers.nir_tools.stepping import Runner, Values, first

PACKAGES = ("rockpool", "nir", "nirtorch")
DT = 2.0**-10


def load(path: str, dt: float) -> Runner:
    model: Any = from_nir(nir.read(path))

    def run(x: NDArray[np.float32]) -> Values:
        with torch.no_grad():
            return {"output": np.asarray(first(model(torch.from_numpy(x[None])))[0].numpy())}

    return run


def _dense(rng: np.random.Generator, *, bias: bool = True) -> Any:
    extra = {"bias": dyadic(rng, SIZE, bits=3)} if bias else {}
    return LinearTorch((SIZE, SIZE), weight=dyadic(rng, SIZE, SIZE), has_bias=bias, **extra)


def _lif(tau_mem: Any = None, **changes: Any) -> Any:
    tau = full(4 * DT) if tau_mem is None else tau_mem
    return LIFTorch(SIZE, tau_mem=tau, tau_syn=full(2 * DT)[:, None], dt=DT, **{"threshold": full(1.0), **changes})


def _membrane(tau: Any = None, threshold: Any = None) -> Any:
    changes = {
        "tau_mem": full(4 * DT) if tau is None else tau,
        "threshold": full(1.0) if threshold is None else threshold,
    }
    return LIFNeuronTorch(SIZE, dt=DT, **changes)


def _recurrent(rng: np.random.Generator) -> Any:
    return Sequential(_dense(rng), _lif(has_rec=True, w_rec=dyadic(rng, SIZE, SIZE)))


def _write(net: Any, shape: tuple[int, ...], path: str) -> None:
    nir.write(path, to_nir(net, torch.zeros(1, *shape)))


def _play(net: Any, x: NDArray[np.float32]) -> NDArray[Any]:
    net.reset_state()
    with torch.no_grad():
        return np.asarray(first(net(torch.from_numpy(x[None])))[0].numpy())


def _two(make: Any) -> Case:
    return Case(lambda rng: Sequential(_dense(rng), make(rng), _dense(rng), make(rng)))


EXPORTER = Exporter(
    DT,
    {
        "LIF": _two(lambda _: _membrane()),
        "CubaLIF": _two(lambda _: _lif()),
        "LIF, each neuron its own": _two(
            lambda rng: _membrane(chosen(rng, 2.0, 4.0, 8.0) * DT, chosen(rng, 0.5, 1.0, 1.5))
        ),
        "CubaLIF, bias": _two(lambda rng: _lif(bias=dyadic(rng, SIZE, bits=3))),
        "Linear": Case(lambda rng: Sequential(_dense(rng, bias=False), _lif()), FLAT),
        "recurrent, no bias": Case(_recurrent),
    },
    {
        "IF": "its neurons leak",
        "LIF, input decays": "its neurons take their input in full",
        "LIF, reset by subtraction": "it is what LIF is",
        "residual": "its Residual is not one that its exporter is told of",
        "LIF, v_leak": "its neurons rest at 0",
        "LIF, v_reset": "its neurons subtract",
        "CNN, sum": "it has no layer of the kind",
        "CNN, average": "it has no layer of the kind",
        "recurrent, bias": "w_rec has none",
    },
    _write,
    _play,
)
