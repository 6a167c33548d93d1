"""From a network that steps to a NIR graph and the contract that gives it back: the way out beside `spikeport.nir.network`.

Populations are nodes, and projections chains of nodes between them. What plain NIR has no place for (biases of neurons, what they
start from, refractory periods, lower bounds, contracts of single populations) stands in the contract, under the name of the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from math import prod
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError, Problem
from spikeport.nir import stages
from spikeport.nir.limits import MAX_EDGES, MAX_ELEMENTS, MAX_NAME, MAX_NODES
from spikeport.nir.names import free_name
from spikeport.nir.nodes import TYPES
from spikeport.nir.separate import from_maps
from spikeport.nir.unsaid import unsaid
from spikeport.primitives import (
    Approximation,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    OneToOne,
    Projection,
    Relay,
    Reshape,
    Shape,
    Sparse,
    SumPool,
    Synapse,
    Threshold,
)
from spikeport.primitives.nir_contract import OWN, NirContract

_FIELDS = {"v_threshold": "threshold"}
MAX_MATRIX = 2**24
"""Weights of a sparse projection, which NIR writes out as a matrix."""


def graph_of_network(network: DynamicNetwork) -> tuple[nir.NIRGraph, NirContract, list[Approximation]]:
    """The graph of a network, the contract that says how it is stepped, and what the graph alone does not say.

    Raises:
        NirError: everything in the network that has no form in NIR.
    """
    return _Writer(network).written()


class _Writer:
    def __init__(self, network: DynamicNetwork) -> None:
        self.network = network
        self.problems: list[Problem] = []
        self.lost: list[Approximation] = []
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.own: dict[str, dict[str, Any]] = {}
        self.place = {p.name: i for i, p in enumerate(network.populations)}
        # an Output that adds up what arrives is both, under one name
        self.ends = {
            o.name for o in network.outputs if o.name == o.source and isinstance(network[o.name].neuron, Relay)
        }

    def written(self) -> tuple[nir.NIRGraph, NirContract, list[Approximation]]:
        network = self.network
        if network.contract.chip:
            why = f"is stepped as {network.contract.integrator} does, whose neurons NIR does not have"
            raise NirError(Problem(network.name, why, "build the network from NIR's neurons"))
        names = [*(i.name for i in network.inputs), *(p.name for p in network.populations)]
        names += [o.name for o in network.outputs if o.name not in self.ends]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                self.problems.append(Problem(name, "is the name of a population and of an output", "rename one"))
            elif not 0 < len(name) <= MAX_NAME or "/" in name or "\0" in name or name.strip(".") == "":
                self.problems.append(Problem(name[:60], "is no name that a NIR file can hold", "leave out `/`"))
        if self.problems:
            raise NirError(self.problems)
        self.taken = set(names)
        for source in network.inputs:
            self.nodes[source.name] = nir.Input(input_type={"input": np.array(source.shape)})
        for population in network.populations:
            self._population(population)
        for projection in network.projections:
            self._projection(projection)
        for output in network.outputs:
            if output.name not in self.ends:
                shape = np.array(network[output.source].shape)
                self.nodes[output.name] = nir.Output(output_type={"output": shape})
                self.edges.append((output.source, output.name))
        if len(self.nodes) > MAX_NODES or len(self.edges) > MAX_EDGES:
            why = f"needs {len(self.nodes)} nodes and {len(self.edges)} edges in NIR"
            self.problems.append(Problem(network.name, why, f"stay below {MAX_NODES} nodes and {MAX_EDGES} edges"))
        if self.problems:
            raise NirError(self.problems)
        self.lost += unsaid(network)
        order = (*(i.name for i in network.inputs), *self.place)
        contract = NirContract(dynamics=network.contract, order=order, nodes=self.own)
        return nir.NIRGraph(self.nodes, self.edges, type_check=False), contract, self.lost

    # -- populations ----------------------------------------------------------------------------------------------------

    def _population(self, population: DynamicPopulation) -> None:
        name, shape, neuron = population.name, population.shape, population.neuron
        kind = type(neuron).__name__
        own: dict[str, Any] = {}
        if isinstance(neuron, Relay):
            if name in self.ends:
                self.nodes[name] = nir.Output(output_type={"output": np.array(shape)})
            else:
                self.nodes[name] = nir.Scale(scale=np.ones(shape))
        elif kind in TYPES:
            values = {
                p.name: _full(getattr(neuron, _FIELDS.get(p.name, p.name)), shape) for p in TYPES[kind].parameters
            }
            self.nodes[name] = getattr(nir, kind)(**values)
        else:
            self.problems.append(Problem(name, f"{kind} has no node in NIR", f"one of {', '.join(sorted(TYPES))}"))
            return
        has = {f.name for f in fields(neuron)}
        for field, entry in (("bias", "bias"), ("refractory", "refractory")):
            if field in has and np.any(np.asarray(getattr(neuron, field)) != 0):
                own[entry] = _full(getattr(neuron, field), shape)
        for field, entry in (("initial", "v_initial"), ("v_min", "v_least")):
            if field in has and getattr(neuron, field) is not None:
                own[entry] = _full(getattr(neuron, field), shape)
        self.lost += [
            Approximation(name, f"plain NIR has no {entry}: other tools leave it out", float(np.abs(value).max()))
            for entry, value in own.items()
        ]
        stepped = population.contract or self.network.contract
        own |= {
            field: getattr(stepped, field)
            for field in sorted(OWN)
            if getattr(stepped, field) != getattr(self.network.contract, field)
        }
        if isinstance(neuron, Threshold) and stepped.spikes == "multi":
            own["spikes"] = "multi"
        if own:
            self.own[name] = own

    # -- projections ----------------------------------------------------------------------------------------------------

    def _projection(self, projection: Projection) -> None:
        network, where = self.network, projection.name
        if projection.plasticity is not None:
            why = f"learns by {projection.plasticity.name}, and NIR has no learning"
            hint = "keep the network in a .spp file, or give it plasticity=None and the weights that it has learned"
            self.problems.append(Problem(where, why, hint))
            return
        sources = {i.name: i.shape for i in network.inputs} | {p.name: p.shape for p in network.populations}
        shape, target = sources[projection.source], network[projection.target].shape
        chain: list[tuple[str, nir.NIRNode]] = []
        delay = projection.delay
        if self.place.get(projection.source, -1) >= self.place[projection.target]:
            delay -= int(network.latency_from(projection.source) == 0)  # a loop takes this step by itself
        bias = None if projection.bias is None else _full(projection.bias, target)
        # a node adds its bias in every step: where that of the projection comes late, the delay is behind it
        late = network.contract.bias_register == "weighted" and bias is not None and bool(bias.any())
        if delay and not late:
            chain.append(("delay", nir.Delay(delay=np.full(shape, delay * network.contract.dt))))
        planned: list[stages.Stage] = []
        # products of operators are rounded: with zeros among the taps, in another way
        folded = sum(isinstance(s, Dense | Conv | OneToOne | SumPool) for s in projection.synapses) > 1
        folded = folded and network.contract.arithmetic != "integer"
        for synapse in projection.synapses:
            for plain in self._plain(synapse, shape, target, where):
                # one at a time: a run of slices and coefficients is one matrix of integers elsewhere
                found, problems = stages.plan((plain,), shape, where)
                self.problems += problems
                if problems:
                    return
                planned += found
                shape = found[-1].target
        for stage in planned:
            last = stage is planned[-1] and bias is not None and stages.carries_bias(stage)
            each = _of_channels(bias) if last and bias is not None else None
            bias = bias if each is None else None
            made = stages.nodes(stage, each, np.dtype(np.float64))
            if folded and isinstance(stage, stages.Convolution) and isinstance(stage.weight, Conv):
                made = _as_it_is(stage.weight, stage.source, each) or made
            chain += [(stages.kind(stage), node) for node in made]
        if bias is not None or (not chain and (projection.source, projection.target) in self.edges):
            chain.append(("scale", nir.Scale(scale=np.ones(target))))
        adding = len(chain) - 1
        if delay and late:
            chain.append(("delay", nir.Delay(delay=np.full(target, delay * network.contract.dt))))
        names = [free_name(f"{projection.target}_{kind}", self.taken) for kind, _ in chain]
        if bias is not None:
            self.own[names[adding]] = {"bias": bias}
            why = "plain NIR has no bias of its own for each position here: other tools leave it out"
            self.lost.append(Approximation(where, why, float(np.abs(bias).max())))
        self.nodes |= dict(zip(names, (node for _, node in chain), strict=True))
        self.edges += pairwise((projection.source, *names, projection.target))

    def _plain(self, synapse: Synapse | Sparse, shape: Shape, target: Shape, where: str) -> Iterator[Synapse]:
        """Operators of NIR; a sparse one as a matrix."""
        if not isinstance(synapse, Sparse):
            if not (isinstance(synapse, Reshape) and synapse.shape == shape):
                yield synapse
            return
        pre = prod(shape)
        if pre * synapse.post > min(MAX_MATRIX, MAX_ELEMENTS):
            why = f"is sparse, and would be a matrix of {pre * synapse.post:,} weights in NIR"
            self.problems.append(Problem(where, why, f"stay below {MAX_MATRIX:,}"))
            return
        matrix = np.asarray(synapse.dense(), dtype=np.float64)
        if len(shape) == len(target) and len(shape) in (2, 3):
            yield from_maps(matrix, shape, target)
            return
        if len(shape) > 1:
            yield Reshape((pre,))
        yield Dense(matrix)
        if len(target) > 1:
            yield Reshape(target)


def _as_it_is(conv: Conv, source: Shape, bias: NDArray[Any] | None) -> tuple[nir.NIRNode, ...]:
    """A convolution with its own groups and kernel, which the inference of `nir` 1.0.8 does not accept; none where padding is uneven."""
    if any(low != high for low, high in conv.padding):
        return ()
    axes = len(source) - 1
    padding = tuple(low for low, _ in conv.padding)
    each = [values[0] if axes == 1 else values for values in (conv.stride, padding, conv.dilation)]
    weight = np.asarray(conv.weight, dtype=np.float64)
    zero = np.zeros(len(weight)) if bias is None else bias
    node = (nir.Conv1d if axes == 1 else nir.Conv2d)(None, weight, *each, conv.groups, zero)
    node.input_shape = source[1] if axes == 1 else source[1:]
    return (node,)


def _full(values: Any, shape: Shape) -> NDArray[np.float64]:
    return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), shape))


def _of_channels(bias: NDArray[Any]) -> NDArray[Any] | None:
    """One bias a channel, where all positions have the same."""
    rows = bias.reshape(len(bias), -1)
    return rows[:, 0].copy() if (rows == rows[:, :1]).all() else None
