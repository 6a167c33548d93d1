"""A spiking network with its input, in plain arrays: what every library is asked to run.

Integrate-and-fire units, at most one spike a step, the threshold subtracted. In each step a layer adds what its sources sent
in that same step and its bias, then

    if v >= threshold: send 1; v -= threshold                v starts at threshold / 2

Weights, biases and currents are even integers and thresholds are twice an odd one, so that v is always odd and never equals
the threshold: libraries that compare with > and with >= must give the same spikes, and rounding of floats has a whole unit of
room. Needs numpy alone: workers read it in their own environments.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT = "input"


@dataclass(frozen=True, slots=True, eq=False)
class Inflow:
    """How the spikes of a source reach a layer: by a convolution, or each unit to the one with its index."""

    source: str
    weight: NDArray[Any] | None
    """Even integers, shape (out, in, row, column); None for the identity, whose weight is the layer's `gain`."""
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population of shape (channel, row, column) with one threshold."""

    name: str
    shape: tuple[int, int, int]
    inflows: tuple[Inflow, ...]
    bias: NDArray[Any]
    """Even integers added in every step, shape (channel,)."""
    threshold: int
    gain: int = 1
    """Weight of identities, a power of two: divided by it, all numbers stay exact in float32 and identities are plain sums."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Layers in order, a linear read-out that sums over time, and the input."""

    name: str
    steps: int
    input: NDArray[Any]
    """Static: an integer for each value, a current of that size in every step, (batch, *shape). Events: counts, (time, batch, *shape)."""
    static: bool
    layers: tuple[Layer, ...]
    readout: NDArray[Any]
    """Integers, shape (class, unit of the pooled last layer)."""
    pool: int
    """Side of the windows over which the last layer's spikes are summed."""

    @property
    def batch(self) -> int:
        return int(self.input.shape[0 if self.static else 1])

    @property
    def neurons(self) -> int:
        """Number of spiking units."""
        return sum(int(np.prod(layer.shape)) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications of one pass of one sample, all inputs taken as non-zero."""
        convolutions = sum(
            inflow.weight[0].size * int(np.prod(layer.shape))
            for layer in self.layers
            for inflow in layer.inflows
            if inflow.weight is not None
        )
        return convolutions + self.readout.size

    def first(self, samples: int) -> Case:
        """The same network with the first few samples."""
        return replace(self, input=self.input[:samples] if self.static else self.input[:, :samples])


def save(case: Case, path: Path) -> None:
    """One npz file: arrays, and the structure as JSON."""
    arrays: dict[str, NDArray[Any]] = {}

    def kept(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays[f"a{len(arrays)}"] = value
            return {"array": f"a{len(arrays) - 1}"}
        if isinstance(value, dict):
            return {name: kept(item) for name, item in value.items()}
        return [kept(item) for item in value] if isinstance(value, list | tuple) else value

    structure = np.frombuffer(json.dumps(kept(asdict(case))).encode(), np.uint8)
    np.savez(path, structure=structure, **arrays)


def load(path: Path) -> Case:
    """What `save` wrote."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}

    def made(value: Any) -> Any:
        if isinstance(value, dict):
            return arrays[value["array"]] if "array" in value else {name: made(item) for name, item in value.items()}
        return [made(item) for item in value] if isinstance(value, list) else value

    fields = made(json.loads(arrays.pop("structure").tobytes()))
    layers = tuple(
        Layer(
            **{
                **layer,
                "shape": tuple(layer["shape"]),
                "inflows": tuple(Inflow(**inflow) for inflow in layer["inflows"]),
            }
        )
        for layer in fields.pop("layers")
    )
    return Case(layers=layers, **fields)
