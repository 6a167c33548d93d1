"""Norse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.utils.export_nir import to_nir
from numpy.typing import NDArray

from peers.nir_tools.exporting import MAPS, Case, Exporter, chosen, convolution, dense, full
from peers.nir_tools.stepping import Runner, first, stepped

PACKAGES = ("norse", "nir", "nirtorch")
DT = 2.0**-10


def load(path: str, dt: float) -> Runner:
    return stepped(norse.from_nir(nir.read(path), dt=dt))


def _box(*shape: int, **changes: Any) -> Any:
    """With values for each neuron, which the exporter needs."""
    values = {"tau_mem_inv": full(1 / (4 * DT), *shape), "v_th": full(0.25, *shape), "v_leak": full(0.0, *shape)}
    return norse.LIFBoxCell(norse.LIFBoxParameters(**{**values, **changes}), dt=DT)


def _each(rng: np.random.Generator) -> Any:
    return _box(tau_mem_inv=1 / (chosen(rng, 2.0, 4.0, 8.0) * DT), v_th=chosen(rng, 0.125, 0.25, 0.375))


def _cuba() -> Any:
    values = {"tau_syn_inv": full(1 / (2 * DT)), "tau_mem_inv": full(1 / (4 * DT)), "v_leak": full(0.0)}
    return norse.LIFCell(norse.LIFParameters(**values, v_th=full(0.5), v_reset=full(0.0)), dt=DT)


def _integrator() -> Any:
    return norse.IAFCell(norse.IAFParameters(v_th=full(1.0)), dt=DT)


def _two(make: Callable[[np.random.Generator], Any]) -> Case:
    return Case(lambda rng: norse.SequentialState(dense(rng), make(rng), dense(rng), make(rng)))


def _cnn(pool: Any) -> Case:
    def make(rng: np.random.Generator) -> Any:
        return norse.SequentialState(convolution(rng), _box(3, 6, 6), pool, torch.nn.Flatten(0), dense(rng, 27), _box())

    return Case(make, MAPS)


class _Skip(torch.nn.Module):
    """Two layers, the second of which gets the spikes of the first as well; state as Norse hands it on."""

    def __init__(self, fc1: Any, n1: Any, fc2: Any, n2: Any) -> None:
        super().__init__()
        self.fc1, self.n1, self.fc2, self.n2 = fc1, n1, fc2, n2

    def forward(self, x: Any, state: Any = None) -> Any:
        one, two = state or (None, None)
        z, one = self.n1(self.fc1(x), one)
        y, two = self.n2(self.fc2(z) + z, two)
        return y, (one, two)


def _recurrent(bias: bool) -> Case:
    def make(rng: np.random.Generator) -> Any:
        return norse.SequentialState(dense(rng), norse.RecurrentSequential(_box(), dense(rng, bias=bias)))

    return Case(make)


def _write(net: Any, shape: tuple[int, ...], path: str) -> None:
    """Without a batch, which the exporter takes for a part of each shape."""
    nir.write(path, to_nir(net, torch.zeros(shape), dt=DT))


def _play(net: Any, x: NDArray[np.float32]) -> NDArray[Any]:
    state, left = None, []
    with torch.no_grad():
        for step in x:
            y = net(torch.from_numpy(step), state)
            state, spikes = y[1], first(y)
            left.append((spikes.to_dense() if spikes.is_sparse else spikes).numpy())
    return np.stack(left)


EXPORTER = Exporter(
    DT,
    {
        "IF": _two(lambda _: _integrator()),
        "LIF": _two(lambda _: _box()),
        "LIF, each neuron its own": _two(_each),
        "LIF, v_leak": _two(lambda _: _box(v_leak=full(0.125))),
        "LIF, v_reset": _two(lambda _: _box(v_reset=full(-0.125))),
        "LIF, reset by subtraction": _two(lambda _: _box(reset_method=reset_subtract)),
        "CubaLIF": _two(lambda _: _cuba()),
        "Linear": Case(lambda rng: norse.SequentialState(dense(rng, bias=False), _box())),
        "residual": Case(lambda rng: _Skip(dense(rng), _box(), dense(rng), _box())),
        "CNN, sum": _cnn(torch.nn.LPPool2d(1, 2)),
        "CNN, average": _cnn(torch.nn.AvgPool2d(2)),
        "recurrent, bias": _recurrent(True),
        "recurrent, no bias": _recurrent(False),
    },
    {"LIF, input decays": "it is what LIF is"},
    _write,
    _play,
)
