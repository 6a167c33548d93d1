"""Spyx: channels last, steps first; the importer runs the network as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import nir
import numpy as np
from flax import nnx
from numpy.typing import NDArray
from spyx import nn
from spyx.nir import from_nir, to_nir

PACKAGES = ("spyx", "nir")
DT = 2.0**-10
SIZE = 8
FLAT, MAPS = (SIZE,), (2, 6, 6)


def load(path: str, dt: float) -> Any:
    graph = nir.read(path)

    def run(x: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        _, y = from_nir(graph, _channels_last(x)[:, None], dt=dt)
        return {"output": np.asarray(y)[:, 0]}

    return run


def _channels_last(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def _dyadic(rng: np.random.Generator, *shape: int, bits: int = 2) -> Any:
    top = 2**bits
    return jnp.array((rng.integers(-top, top + 1, shape) / top).astype(np.float32))


def _dense(rng: np.random.Generator, n: int = SIZE, *, bias: bool = True) -> Any:
    layer = nnx.Linear(n, SIZE, use_bias=bias, rngs=nnx.Rngs(0))
    layer.kernel[...] = _dyadic(rng, n, SIZE)
    if bias:
        layer.bias[...] = _dyadic(rng, SIZE, bits=3)
    return layer


def _convolution(rng: np.random.Generator) -> Any:
    layer = nnx.Conv(2, 3, (3, 3), padding=((1, 1), (1, 1)), strides=(1, 1), rngs=nnx.Rngs(0))
    layer.kernel[...] = _dyadic(rng, 3, 3, 2, 3)
    layer.bias[...] = _dyadic(rng, 3, bits=3)
    return layer


def _lif(kind: Any = nn.LIF, **changes: Any) -> Any:
    return kind(FLAT, **{"beta": 0.75, "rngs": nnx.Rngs(0), **changes})


def _each(rng: np.random.Generator) -> Any:
    layer = nn.LIF(FLAT, threshold=jnp.array(rng.choice([0.5, 1.0, 1.5], SIZE)), rngs=nnx.Rngs(0))
    layer.beta[...] = jnp.array(rng.choice([0.5, 0.75, 0.875], SIZE))
    return layer


def _two(make: Callable[[np.random.Generator], Any]) -> Any:
    return lambda rng: nn.Sequential(_dense(rng), make(rng), _dense(rng), make(rng))


def _cnn(rng: np.random.Generator) -> Any:
    pool = nn.SumPool((2, 2), (2, 2), "VALID")
    return nn.Sequential(_convolution(rng), nn.IF((6, 6, 3)), pool, nn.Flatten(), _dense(rng, 27), nn.IF(FLAT))


def _recurrent(rng: np.random.Generator) -> Any:
    layer = _lif(nn.RLIF)
    layer.recurrent_w[...] = _dyadic(rng, SIZE, SIZE)
    return nn.Sequential(_dense(rng), layer)


def _write(net: Any, shape: tuple[int, ...], path: str) -> None:
    graph = to_nir(net, {"input": np.array(shape)}, {"output": np.array([SIZE])}, dt=DT)
    nir.write(path, graph)


def _play(net: Any, x: NDArray[np.float32]) -> NDArray[Any]:
    y, _ = nn.run(net, jnp.array(_channels_last(x)[:, None]))
    return np.asarray(y)[:, 0]


def _case(make: Any, shape: tuple[int, ...] = FLAT) -> Any:
    return SimpleNamespace(make=make, shape=shape)


EXPORTER = SimpleNamespace(
    dt=DT,
    cases={
        "IF": _case(_two(lambda _: nn.IF(FLAT))),
        "LIF": _case(_two(lambda _: _lif())),
        "LIF, each neuron its own": _case(_two(_each)),
        "CubaLIF": _case(_two(lambda _: _lif(nn.CuBaLIF, alpha=0.5))),
        "Linear": _case(lambda rng: nn.Sequential(_dense(rng, bias=False), _lif())),
        "CNN, sum": _case(_cnn, MAPS),
        "recurrent, no bias": _case(_recurrent),
    },
    absent={
        "LIF, input decays": "its neurons take their input in full",
        "LIF, v_leak": "its neurons rest at 0",
        "LIF, v_reset": "its neurons subtract",
        "LIF, reset by subtraction": "it is what LIF is",
        "residual": "the exporter takes a Sequential",
        "CNN, average": "it has no layer of the kind",
        "recurrent, bias": "its loops have none",
    },
    write=_write,
    play=_play,
)
