"""What a session of a network with dynamics knows between two steps, in terms of the network and of no backend.

Any backend of the same numerics goes on from it as the one would have that gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives.frozen import freeze_fields, frozen


@dataclass(frozen=True, slots=True, eq=False)
class NeuronState:
    """Of one population; numbers are in the dtype of the contract's arithmetic, shape (batch, neuron)."""

    v: NDArray[Any]
    """Membrane potential, or what stands for it."""
    second: NDArray[Any]
    """Current, or w: the second state; zeros where there is none."""
    refractory: NDArray[np.int64]
    """Steps for which the neuron is still deaf."""
    fired: NDArray[np.int64]
    """How many spikes it sent in the last step."""
    arriving: NDArray[Any]
    """Row k arrives in the k-th step from now, shape (ahead, batch, neuron): sums of what was sent so far. Ahead is the longest delay, latency included."""
    imag: NDArray[Any] | None = None
    """The same of the port "imag"."""

    def __post_init__(self) -> None:
        freeze_fields(self, "v", "second", "refractory", "fired", "arriving", "imag")


@dataclass(frozen=True, slots=True, eq=False)
class PlasticState:
    """Of one projection that learns; synapses in the order of their sources, and of one source in the order in which the synapses are listed."""

    weights: NDArray[Any]
    """Shape (batch, synapse)."""
    pre: tuple[NDArray[Any], ...]
    """Traces of the sources, in the order of the rule, shape (batch, pre)."""
    post: tuple[NDArray[Any], ...]
    synapse: tuple[NDArray[Any], ...]
    passing: NDArray[Any] | None = None
    """What is on its way along dendrites: row k arrives in the k-th step from now, shape (ahead, batch, post)."""

    def __post_init__(self) -> None:
        freeze_fields(self, "weights", "passing")
        for name in ("pre", "post", "synapse"):
            object.__setattr__(self, name, tuple(frozen(np.asarray(a)) for a in getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """Everything between two steps; it says nothing of how synapses and neurons are, which is the network's."""

    step: int
    """Steps since the beginning: the next one has this index."""
    batch: int
    populations: Mapping[str, NeuronState]
    plastic: Mapping[str, PlasticState] = field(default_factory=lambda: MappingProxyType({}))
    """By name of the projection in `DynamicNetwork.plastic`."""
    sent: Mapping[str, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))
    """What ends of projections that learn sent: row k, k + 1 steps ago, shape (back, batch, neuron), by name of the input or population. Back is
    the longest delay of such a projection, latency included."""
