"""Graphs for `nir_matrix.py`: what a simulator should be able to run, as plain NIR, from seeded numbers.

All numbers are dyadic and small, so that no sum rounds in float32, whatever its order, and potentials meet thresholds exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

SIZE = 8
Graph = tuple[dict[str, Any], list[tuple[str, str]]]
Row = Callable[[np.random.Generator, float], Graph]


def _dyadic(rng: np.random.Generator, *shape: int, bits: int = 2) -> NDArray[np.float32]:
    """Multiples of 2^-bits around 0."""
    top = 2**bits
    return (rng.integers(-top, top + 1, shape) / top).astype(np.float32)


def _full(value: float, *shape: int) -> NDArray[np.float64]:
    return np.full(shape or (SIZE,), value)


def _ends(shape: tuple[int, ...], out: int) -> dict[str, Any]:
    return {
        "input": nir.Input(input_type={"input": np.array(shape)}),
        "output": nir.Output(output_type={"output": np.array([out])}),
    }


def _chain(shape: tuple[int, ...], outputs: int, /, **nodes: Any) -> Graph:
    names = ["input", *nodes, "output"]
    return {**_ends(shape, outputs), **nodes}, list(pairwise(names))


def _affine(rng: np.random.Generator, n: int = SIZE) -> Any:
    return nir.Affine(weight=_dyadic(rng, SIZE, n), bias=_dyadic(rng, SIZE, bits=3))


def _lif(dt: float, **changes: Any) -> Any:
    """A quarter of the way to rest in a step; the input counts in full."""
    values = {"tau": 4 * dt, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nir.LIF(**{name: np.broadcast_to(value, (SIZE,)) * 1.0 for name, value in {**values, **changes}.items()})


def _two(make: Callable[[np.random.Generator, float], Any]) -> Row:
    def row(rng: np.random.Generator, dt: float) -> Graph:
        return _chain((SIZE,), SIZE, fc1=_affine(rng), lif1=make(rng, dt), fc2=_affine(rng), lif2=make(rng, dt))

    return row


def _each(rng: np.random.Generator, dt: float) -> Any:
    steps = rng.choice([2.0, 4.0, 8.0], SIZE)
    return _lif(dt, tau=steps * dt, r=steps, v_threshold=rng.choice([0.5, 1.0, 1.5], SIZE))


def _cuba(dt: float, **changes: float) -> Any:
    values = {
        "tau_syn": 2 * dt,
        "tau_mem": 4 * dt,
        "r": 4.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "w_in": 2.0,
    }
    return nir.CubaLIF(**{name: _full(value) for name, value in {**values, **changes}.items()})


def _linear(rng: np.random.Generator, dt: float) -> Graph:
    return _chain((SIZE,), SIZE, fc=nir.Linear(weight=_dyadic(rng, SIZE, SIZE)), lif=_lif(dt))


def _residual(rng: np.random.Generator, dt: float) -> Graph:
    nodes = {"fc1": _affine(rng), "lif1": _lif(dt), "fc2": _affine(rng), "lif2": _lif(dt)}
    made, edges = _chain((SIZE,), SIZE, **nodes)
    return made, [*edges, ("lif1", "lif2")]


def _recurrent(bias: bool, *, last: bool = False) -> Row:
    """`last`: the edges of the loop come behind those to the output; some importers go by that."""

    def row(rng: np.random.Generator, dt: float) -> Graph:
        back = _affine(rng) if bias else nir.Linear(weight=_dyadic(rng, SIZE, SIZE))
        made, edges = _chain((SIZE,), SIZE, fc=_affine(rng), lif=_lif(dt))
        loop = [("lif", "w_rec"), ("w_rec", "lif")]
        return {**made, "w_rec": back}, [*edges, *loop] if last else [*edges[:2], *loop, *edges[2:]]

    return row


def _cnn(pool: Any, neuron: str, gain: str, side: int = 2) -> Row:
    def row(rng: np.random.Generator, dt: float) -> Graph:
        def neurons(*shape: int) -> Any:
            reset = {"v_threshold": _full(1.0, *shape), "v_reset": _full(0.0, *shape)}
            if neuron == "LIF":
                return nir.LIF(tau=_full(4 * dt, *shape), r=_full(4.0, *shape), v_leak=_full(0.0, *shape), **reset)
            return nir.IF(r=_full(1.0 if gain == "step" else 1 / dt, *shape), **reset)

        conv = nir.Conv2d((6, 6), _dyadic(rng, 3, 2, 3, 3), 1, 1, 1, 1, _dyadic(rng, 3, bits=3))
        window, left = np.array([side, side]), 6 // side
        flat = nir.Flatten(input_type={"input": np.array([3, left, left])}, start_dim=0, end_dim=-1)
        nodes = {
            "conv": conv,
            "n1": neurons(3, 6, 6),
            "pool": pool(kernel_size=window, stride=window, padding=np.array([0, 0])),
            "flat": flat,
            "fc": _affine(rng, 3 * left**2),
            "n2": neurons(SIZE),
        }
        return _chain((2, 6, 6), SIZE, **nodes)

    return row


ROWS: Mapping[str, Row] = {
    "LIF, r = tau / dt": _two(lambda rng, dt: _lif(dt)),
    "LIF, r = 1": _two(lambda rng, dt: _lif(dt, r=1.0, v_threshold=0.25)),
    "LIF, each neuron its own": _two(_each),
    "LIF, v_leak": _two(lambda rng, dt: _lif(dt, v_leak=0.25)),
    "LIF, v_reset": _two(lambda rng, dt: _lif(dt, v_reset=-0.5)),
    "LIF, v_reset = v_leak": _two(lambda rng, dt: _lif(dt, v_reset=-0.25, v_leak=-0.25, v_threshold=0.25)),
    "CubaLIF": _two(lambda rng, dt: _cuba(dt)),
    "CubaLIF, r = tau / dt - 1": _two(lambda rng, dt: _cuba(dt, r=3.0, w_in=1.0, v_threshold=0.5)),
    "Linear": _linear,
    "residual": _residual,
    "CNN, IF r = 1, sum": _cnn(nir.SumPool2d, "IF", "step"),
    "CNN, IF r = 1, average": _cnn(nir.AvgPool2d, "IF", "step"),
    "CNN, IF r = 1 / dt, sum": _cnn(nir.SumPool2d, "IF", "dt"),
    "CNN, IF r = 1 / dt, average": _cnn(nir.AvgPool2d, "IF", "dt"),
    "CNN, LIF, sum": _cnn(nir.SumPool2d, "LIF", ""),
    "CNN, LIF, average": _cnn(nir.AvgPool2d, "LIF", ""),
    "CNN, LIF, sum of 3 x 3": _cnn(nir.SumPool2d, "LIF", "", 3),
    "CNN, LIF, average of 3 x 3": _cnn(nir.AvgPool2d, "LIF", "", 3),
    "recurrent, bias": _recurrent(True),
    "recurrent, no bias": _recurrent(False),
    "recurrent, loop last": _recurrent(True, last=True),
}
