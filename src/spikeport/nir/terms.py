"""What each tool settles about neurons, nodes and steps, of the releases in `spikeport.nir.presets`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.nir.folding import Terms

Array = NDArray[Any]
SHORT = 2.0**-12
"""Fractions that are multiples of it, and below its inverse, are short: products and sums of some of them are exact in float32."""


def _of_norse(tau: Array, dt: float) -> Array:
    return np.float32(dt) * (np.float32(1) / np.asarray(tau, np.float32))


def _of_snntorch(tau: Array, dt: float) -> Array:
    return np.float32(dt) / np.asarray(tau, np.float32)


def _of_sinabs(tau: Array, dt: float) -> Array:
    kept = np.exp(-1.0 / np.asarray(tau, np.float32).astype(np.float64)).astype(np.float32)
    return np.float32(1) - kept


TERMS: Mapping[str, Terms] = {
    "norse": Terms(">", "zero", "v_leak", scaled=True, gains=True, longest=np.inf, shares=_of_norse, wide=True),
    "sinabs": Terms(
        ">=",
        "subtract",
        "zero",
        spikes="multi",
        clipped=True,
        maps=False,
        cuba=False,
        decays="exponential",
        longest=1 - SHORT,
        shares=_of_sinabs,
    ),
    "snntorch": Terms(
        ">", "zero", "zero", step=1e-4, shared=frozenset({"threshold"}), integrators=False, shares=_of_snntorch
    ),
    "spikingjelly": Terms(
        ">=",
        "v_reset",
        "v_reset",
        shared=frozenset({"threshold", "tau", "v_reset"}),
        r_dt=True,
        longest=1 - SHORT,
        wide=True,
    ),
    "spyx": Terms(">", "subtract", "zero", reset_when="after_next_update", cuba=False, wide=True),
}
"""What each tool settles; how it steps stands in its preset."""
SUMS = ("norse", "sinabs", "spyx")
"""Tools that have SumPool2d; for others it is a convolution."""
BATCHES = ("norse", "snntorch")
"""Tools whose Flatten takes the samples of a batch for a map."""
SECONDS = {"norse": 1e-3, "spikingjelly": 1e-4, "spyx": 1.0}
"""The step that an importer takes where it is not told."""
REWIRING = ("snntorch",)
"""Tools that make a layer of their own of a neuron and a matrix that lead to each other, and lead what comes before them to the matrix; a
loop of three nodes they leave alone."""
REFUSED = {
    "rockpool": "its importer fails at every LIF, has no IF, and of each layer of CubaLIF guesses another step from tau_mem and r"
}
