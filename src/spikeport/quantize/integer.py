"""The integer network: what every spiking network must equal, and its exact evaluation in one pass.

For a layer l and output channel c, all values integers:

    U_c = sum_j W_cj n_j + sum_k m_ck n_k(skip) + b_c + h_c
    n_c = clip(floor(U_c / th_c), low, high)            floor also for negative U
    n_c = low + (number of k with U_c >= c_ck)          any non-decreasing staircase; U_c without h_c

An activation of the model is `scale_c * n_c`. The read-out has no neuron: its values are `scale * U_c`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.graph import Softmax, apply, apply_synapse
from spikeport.primitives import Connection, InputEncoder, Ledger, MaxPool, Shape, freeze_fields


@dataclass(frozen=True, slots=True, eq=False)
class CountLayer:
    """Neurons with integer counts; arrays broadcast to `shape`."""

    name: str
    shape: Shape
    threshold: NDArray[np.int64]
    bias: NDArray[np.int64]
    offset: NDArray[np.int64]
    """h = floor(threshold / 2): rounding instead of truncation."""
    low: int
    """0, or -high for a linear result."""
    high: int
    """L, the number of levels."""
    scale: NDArray[np.float64]
    """Size of one count in the model's units."""

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "bias", "offset", "scale")


@dataclass(frozen=True, slots=True, eq=False)
class StaircaseLayer:
    """Neurons whose integer counts climb one step at each threshold of a table: `n = low + #{k : U >= steps[k]}`."""

    name: str
    shape: Shape
    steps: NDArray[np.int64]
    """Shape (levels, ...), the rest broadcasts to `shape`; never falls along the first axis."""
    bias: NDArray[np.int64]
    low: int
    """0 or negative, and `high` is positive: silence is a count between them."""
    scale: NDArray[np.float64]
    """Size of one count in the model's units."""

    def __post_init__(self) -> None:
        if self.steps.ndim == 0:
            raise ValueError("a table of thresholds has an axis of steps")
        freeze_fields(self, "steps", "bias", "scale")

    @property
    def high(self) -> int:
        """Largest count."""
        return self.low + len(self.steps)


@dataclass(frozen=True, slots=True, eq=False)
class MaxLayer:
    """Largest count of each window."""

    name: str
    shape: Shape
    window: MaxPool
    scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        freeze_fields(self, "scale")


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """A sum that is not rounded: the model's output is `scale * U`."""

    name: str
    shape: Shape
    bias: NDArray[np.int64]
    scale: float

    def __post_init__(self) -> None:
        freeze_fields(self, "bias")


NeuronLayer = CountLayer | StaircaseLayer
Layer = NeuronLayer | MaxLayer | Readout


@dataclass(frozen=True, slots=True)
class IntegerNetwork:
    """Layers in evaluation order, the read-out last; every connection has integer weights."""

    input: InputEncoder
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    weight_bits: int
    state_bits: int
    host_tail: tuple[Softmax, ...] = ()
    ledger: Ledger = ()
    by_name: Mapping[str, Layer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {layer.name: layer for layer in self.layers})

    def __getitem__(self, name: str) -> Layer:
        return self.by_name[name]

    def incoming(self, name: str) -> tuple[Connection, ...]:
        """Connections that end at a layer."""
        return tuple(c for c in self.connections if c.target == name)

    @property
    def readout(self) -> Readout:
        last = self.layers[-1]
        assert isinstance(last, Readout)
        return last

    @property
    def neurons(self) -> int:
        """Number of counting neurons."""
        return sum(prod(layer.shape) for layer in self.layers if isinstance(layer, NeuronLayer))


def encode_input(encoder: InputEncoder, x: NDArray[Any]) -> NDArray[np.int64]:
    """Integers of a batch `x` of shape (batch, *shape); in float64, so that every machine rounds alike.

    Raises:
        DataError: wrong shape, values that are not finite, or counts that are no counts.
    """
    problems = input_problems(encoder, x)
    if problems:
        raise DataError(problems)
    if encoder.kind == "events":
        return np.asarray(x, dtype=np.int64)
    value = np.asarray(x, dtype=np.float64)
    if encoder.gain is not None:
        value = value * encoder.gain
    if encoder.shift is not None:
        value = value + encoder.shift
    return np.clip(np.rint(value / encoder.scale), encoder.low, encoder.high).astype(np.int64)


def input_problems(encoder: InputEncoder, x: NDArray[Any]) -> list[Problem]:
    """What is wrong with a batch as input of this network; empty if nothing is."""
    if x.dtype.kind not in "fiub":
        return [Problem("input", f"has dtype {x.dtype}", "convert it to a real number type")]
    if x.shape[1:] != encoder.shape:
        return [
            Problem(
                "input",
                f"has shape {x.shape}, not (batch, {', '.join(map(str, encoder.shape))})",
                "give a batch, with the batch axis first",
            )
        ]
    with np.errstate(over="ignore"):
        finite = np.isfinite(x if x.dtype.itemsize <= 8 else x.astype(np.float64)).all()
    if not finite:
        return [Problem("input", "holds NaN or infinite values", "clean the data first")]
    if encoder.kind == "events" and x.size:
        if x.min() < 0 or (x != np.rint(x)).any():
            hint = 'pass input="static" for analogue values'
            return [Problem("input", "event counts must be whole numbers from 0 on", hint)]
        if int(x.max()) > encoder.high:  # as integers: a narrow float may round the declared maximum
            hint = f"convert with a larger input_bits; the declared maximum is {encoder.high}"
            return [Problem("input", f"holds {int(x.max())} events in one place", hint)]
    return []


def evaluate(
    network: IntegerNetwork, x: NDArray[Any], *, visit: Callable[[Layer, NDArray[np.int64]], None] | None = None
) -> NDArray[np.int64]:
    """Read-out U of every sample, shape (batch, *readout); `visit` sees the counts of each layer.

    One pass, no time. Products run in float64, where the bounds of `spikeport.quantize.bounds` keep every partial sum an
    exact integer; thresholds are applied in int64. `spikeport.backends.torch` computes the same numbers faster.
    """
    values: dict[str, NDArray[np.int64]] = {network.input.name: encode_input(network.input, x)}
    readers = {c.source: 0 for c in network.connections}
    for connection in network.connections:
        readers[connection.source] += 1
    for layer in network.layers:
        incoming = network.incoming(layer.name)
        total = drive(incoming, values)
        values[layer.name] = result = respond(layer, total)
        if visit is not None:
            visit(layer, result)
        for connection in incoming:
            readers[connection.source] -= 1
            if not readers[connection.source]:
                del values[connection.source]
    return values[network.readout.name]


def drive(incoming: Sequence[Connection], values: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Sum of what a layer's connections deliver."""
    total: NDArray[Any] | None = None
    for connection in incoming:
        x = values[connection.source].astype(np.float64)
        for synapse in connection.synapses:
            x = apply_synapse(synapse, x)
        total = x if total is None else total + x
    assert total is not None
    return total.astype(np.int64)


def respond(layer: Layer, total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of a layer for its summed input; the read-out's U itself."""
    match layer:
        case CountLayer():
            u = total + layer.bias + layer.offset
            return np.clip(np.floor_divide(u, layer.threshold), layer.low, layer.high)
        case StaircaseLayer():
            return layer.low + climbed(layer.steps, total + layer.bias)
        case MaxLayer():
            return apply(layer.window, [total])
        case Readout():
            return total + layer.bias


def climbed(steps: NDArray[np.int64], u: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many steps of each neuron's table its sum has reached.

    Args:
        steps: shape (levels, ...), the rest broadcasts to a sample.
        u: shape (batch, *sample).

    >>> climbed(np.array([[-2], [3], [3]]), np.array([[-3], [-2], [2], [3]])).ravel().tolist()
    [0, 1, 1, 3]
    """
    rows = steps.reshape(len(steps), *(1,) * (u.ndim - steps.ndim), *steps.shape[1:])
    varies = tuple(axis for axis in range(1, u.ndim) if rows.shape[axis] > 1)
    if prod(rows.shape[axis] for axis in varies) > len(rows):
        return np.asarray(sum((u >= row for row in rows), start=np.zeros(u.shape, dtype=np.int64)))
    result = np.empty(u.shape, dtype=np.int64)
    for place in np.ndindex(*(rows.shape[axis] for axis in varies)):  # neurons that share a table, at once
        index: list[Any] = [slice(None)] * u.ndim
        for axis, i in zip(varies, place, strict=True):
            index[axis] = i
        table = rows[tuple(index)].reshape(-1)
        result[tuple(index)] = np.searchsorted(table, u[tuple(index)], side="right")
    return result
