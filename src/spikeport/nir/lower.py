"""A spiking network as the nodes and edges of a plain NIR graph; the writer writes them, the reader compares with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.nir import stages
from spikeport.nir.stages import Same, Scaling, Stage
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    OneToOne,
    Population,
    Shape,
    SignedIF,
    SpikingNetwork,
)

MAX_BIAS_UNITS = 4096
"""Channels up to which an identity matrix is added to carry a bias."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages of every connection, in order; `carriers` names the connection whose last node holds a population's bias."""

    chains: tuple[tuple[Stage, ...], ...]
    carriers: dict[str, int]


def plan_network(network: SpikingNetwork) -> tuple[Plan, list[Problem]]:
    """How a well-formed network is said in NIR, and all that cannot be."""
    problems = [
        Problem(
            p.name, "a maximum over spikes has no node in NIR", "train with average pooling or strided convolutions"
        )
        for p in network.populations
        if isinstance(p.neuron, MaxUnit)
    ]
    chains: list[tuple[Stage, ...]] = []
    direct: set[tuple[str, str]] = set()
    incoming: dict[str, list[int]] = {p.name: [] for p in network.populations}
    for index, connection in enumerate(network.connections):
        shape = source_shape(network, connection.source)
        chain, found = stages.plan(connection.synapses, shape, connection.name)
        problems += found
        pair = (connection.source, connection.target)
        if not chain and pair in direct:
            chain = (Scaling(None, shape, shape),)  # NIR has no second edge between two nodes
        elif not chain:
            direct.add(pair)
        incoming[connection.target].append(index)
        chains.append(chain)
    carriers: dict[str, int] = {}
    for population in network.populations:
        if isinstance(population.neuron, MaxUnit) or not np.any(population.neuron.bias):
            continue
        ends = [i for i in incoming[population.name] if chains[i] and stages.carries_bias(chains[i][-1])]
        if ends:
            carriers[population.name] = ends[0]
        elif population.shape[0] <= MAX_BIAS_UNITS and len(population.shape) <= 3:
            first = incoming[population.name][0]
            chains[first] = (*chains[first], Same(population.shape, population.shape))
            carriers[population.name] = first
    return Plan(tuple(chains), carriers), problems


def source_shape(network: SpikingNetwork, name: str) -> Shape:
    """Shape of the input or of a population."""
    return network.input.shape if name == network.input.name else network[name].shape


def number_format(network: SpikingNetwork) -> np.dtype[Any]:
    """float32 where every integer is exact in it and every bias comes back by rounding, else float64: one for the file."""
    largest = 0
    for population in network.populations:
        if isinstance(population.neuron, SignedIF | GradedIF):
            largest = max(largest, _magnitude(population.neuron.threshold))
        if not isinstance(population.neuron, MaxUnit):
            largest = max(largest, 4 * _magnitude(population.neuron.bias))  # |b| 2**-24 stays below a quarter
    for connection in network.connections:
        product = 1  # coefficients of one chain may be multiplied
        for synapse in connection.synapses:
            weight = getattr(synapse, "weight", None)
            if isinstance(synapse, OneToOne):
                product *= max(1, _magnitude(synapse.weight))
            elif weight is not None:
                largest = max(largest, _magnitude(weight))
        largest = max(largest, product)
    return np.dtype(np.float32 if largest <= 2**24 else np.float64)


def channel_bias(population: Population) -> tuple[NDArray[np.float64], float]:
    """One total bias a channel, and how far it is from the bias of any position at most."""
    assert not isinstance(population.neuron, MaxUnit)
    bias, channels = population.neuron.bias, population.shape[0]
    each = bias.reshape(bias.shape[0] if bias.ndim == len(population.shape) else 1, -1)
    low, high = each.min(axis=1), each.max(axis=1)
    return np.array(np.broadcast_to((low + high) / 2, channels)), float((high - low).max() / 2)


def nodes_of(network: SpikingNetwork, plan: Plan, dtype: np.dtype[Any]) -> Iterator[tuple[nir.NIRNode, ...]]:
    """The nodes of every connection, in order."""
    carried = {index: name for name, index in plan.carriers.items()}
    for index, chain in enumerate(plan.chains):
        result: list[nir.NIRNode] = []
        for position, stage in enumerate(chain):
            bias = None
            if index in carried and position == len(chain) - 1:
                bias = np.asarray(channel_bias(network[carried[index]])[0] / network.contract.presentation, dtype=dtype)
            result += stages.nodes(stage, bias, dtype)
        yield tuple(result)


def population_node(population: Population, dtype: np.dtype[Any]) -> nir.NIRNode:
    """A plain integrate-and-fire layer with full arrays; the read-out is the graph's output."""
    match population.neuron:
        case SignedIF(threshold) | GradedIF(threshold):
            full = np.array(np.broadcast_to(threshold, population.shape), dtype=dtype)
            return nir.IF(r=np.ones_like(full), v_threshold=full, v_reset=np.zeros_like(full))
        case Accumulator():
            return nir.Output(output_type={"output": np.array(population.shape)})
        case _:
            raise AssertionError("refused by the plan")


def _magnitude(array: NDArray[Any]) -> int:
    return max(-int(array.min()), int(array.max())) if array.size else 0
