"""Spyx: the whole network over all steps as one function, compiled by XLA.

Its `IF` compares before it adds the step's input, so each layer is one step behind: the spikes are those of the case, later
by one step a layer. `run` takes as many steps as the case has; `count` takes those extra steps and looks at the right ones.
Only networks without identities and biases mean the same in it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import spyx.nn as snn
from numpy.typing import NDArray

from peers.case import Case

PACKAGES = ("spyx", "jax", "jaxlib", "numpy")
WAYS = ("NHWC", "NCHW")


class _Network:
    def __init__(self, case: Case, layout: str) -> None:
        if case.static or any(i.weight is None for layer in case.layers for i in layer.inflows):
            raise ValueError("static input and identities mean something else, one step behind a layer")
        if any(layer.bias.any() for layer in case.layers):
            raise ValueError("biases mean something else, one step behind a layer")
        self.case, self.layout = case, layout
        kernel = "HWIO" if layout == "NHWC" else "OIHW"
        order = (2, 3, 1, 0) if layout == "NHWC" else (0, 1, 2, 3)
        self.dimensions = (layout, kernel, layout)
        self.weights = [jnp.asarray(layer.inflows[0].weight.transpose(order), jnp.float32) for layer in case.layers]
        self.readout = jnp.asarray(self._flat_readout(), jnp.float32)
        self.units = [snn.IF(self._shape(layer.shape), threshold=float(layer.threshold)) for layer in case.layers]
        x = np.asarray(case.input, np.float32)
        self.input = jnp.asarray(x.transpose(0, 1, 3, 4, 2) if layout == "NHWC" else x)
        self._run = jax.jit(self._steps)

    def _shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        channel, row, column = shape
        return (row, column, channel) if self.layout == "NHWC" else shape

    def _flat_readout(self) -> NDArray[Any]:
        if self.case.pool != 1:
            raise ValueError("pooling before the read-out is not built")
        if self.layout == "NCHW":
            return self.case.readout
        shape = self.case.layers[-1].shape
        return self.case.readout.reshape(-1, *shape).transpose(0, 2, 3, 1).reshape(len(self.case.readout), -1)

    def _step(self, membranes: Any, x: Any) -> tuple[Any, Any]:
        after, rasters = [], []
        for layer, weight, unit, v in zip(self.case.layers, self.weights, self.units, membranes, strict=True):
            inflow = layer.inflows[0]
            current = jax.lax.conv_general_dilated(
                x, weight, (inflow.stride,) * 2, [(inflow.padding,) * 2] * 2, dimension_numbers=self.dimensions
            )
            x, v = unit(current, v)
            after.append(v)
            rasters.append(x)
        return after, (x.reshape(len(x), -1) @ self.readout.T, rasters)

    def _initial(self) -> list[Any]:
        return [u.initial_state(self.case.batch) + u.threshold / 2 for u in self.units]

    def _steps(self, x: Any) -> Any:
        return jax.lax.scan(lambda v, now: (lambda r: (r[0], r[1][0]))(self._step(v, now)), self._initial(), x)[1].sum(
            0
        )

    def run(self) -> Any:
        """The read-out summed over all steps, from fresh state."""
        return self._run(self.input).block_until_ready()

    def count(self) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
        """Spikes of every unit, (batch, *shape) by layer, and the read-out."""
        steps, depth = self.case.steps, len(self.case.layers)
        longer = jnp.concatenate([self.input, jnp.zeros((depth, *self.input.shape[1:]), jnp.float32)])
        _, (readout, rasters) = jax.jit(lambda x: jax.lax.scan(self._step, self._initial(), x))(longer)
        counts = {}
        for i, (layer, raster) in enumerate(zip(self.case.layers, rasters, strict=True)):
            total = np.asarray(raster)[i + 1 : i + 1 + steps].sum(0).astype(np.int64)
            counts[layer.name] = total.transpose(0, 3, 1, 2) if self.layout == "NHWC" else total
        return counts, np.asarray(readout, np.float64)[depth : depth + steps].sum(0)


def build(case: Case, way: str) -> _Network:
    return _Network(case, way)
