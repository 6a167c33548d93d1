"""From a network of fixed-point neurons to the integers of a step: what every stepper of Loihi's equations begins with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.graph import apply_synapse
from spikeport.graph.shapes import output_shape
from spikeport.primitives import (
    Conv,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedNeuron,
    Projection,
    Shape,
    Sparse,
    Synapse,
)
from spikeport.primitives.fixed_neurons import STATE_LIMIT


@dataclass(frozen=True, slots=True, eq=False)
class FixedPopulation:
    """Neurons whose parameters are flat int64 arrays, one value a neuron; what may be None is not."""

    name: str
    size: int
    neuron: Any
    """A `FixedNeuron`."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedProjection:
    """Synapses with int64 weights; source and target count inputs first, then populations."""

    source: int
    target: int
    source_shape: Shape
    synapses: tuple[Synapse | Sparse, ...]
    delay: int
    """Steps from sending to arrival, the latency included."""
    shift: int
    """To the left, of the sum of a step."""
    wraps: bool
    """The shifted sum is 24 bits wide."""
    imag: bool
    """It arrives at the imaginary part."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedPlan:
    """Everything a stepper needs."""

    network: DynamicNetwork
    input_sizes: tuple[int, ...]
    populations: tuple[FixedPopulation, ...]
    projections: tuple[FixedProjection, ...]
    dtype: Any = np.int64

    @property
    def contract(self) -> DynamicsContract:
        return self.network.contract


def make_fixed_plan(network: DynamicNetwork) -> FixedPlan:
    """The integers of a network.

    Raises:
        GraphError: another contract than a chip's, synapses that do not fit, or weights that are not whole numbers; all of them.
    """
    if not network.contract.chip:
        raise GraphError(
            Problem(network.name, "its contract is not that of a chip", 'DynamicsContract.loihi("loihi2")')
        )
    problems: list[Problem] = []
    places = {place.name: place.shape for place in network.inputs}
    places |= {place.name: place.shape for place in network.populations}
    numbers = {name: i for i, name in enumerate(places)}
    projections = []
    for p in network.projections:
        before = len(problems)
        if p.plasticity is not None:
            why = f"learns by {p.plasticity.name}, and no learning is stepped under {network.contract.integrator}'s contract"
            problems.append(Problem(p.name, why, 'arithmetic="integer" under another contract, or plasticity=None'))
        synapses = tuple(_whole(p, synapse, problems) for synapse in p.synapses)
        problems.extend(_shape_problems(p, synapses, places[p.source], places[p.target]))
        if len(problems) > before:
            continue
        shift = p.exponent + (6 if network.contract.integrator == "loihi1" else 0)
        wraps = network.contract.integrator == "loihi2" and any(isinstance(s, Conv) for s in synapses)
        projections.append(
            FixedProjection(
                numbers[p.source],
                numbers[p.target],
                places[p.source],
                synapses,
                p.delay + network.contract.layer_latency,
                shift,
                wraps,
                p.port == "imag",
            )
        )
    if problems:
        raise GraphError(problems)
    populations = tuple(FixedPopulation(p.name, p.size, _flat(p)) for p in network.populations)
    return FixedPlan(network, tuple(i.size for i in network.inputs), populations, tuple(projections))


def _flat(population: DynamicPopulation) -> FixedNeuron:
    """The neurons with every parameter spelled out."""
    neuron: Any = population.neuron
    defaults = {"v_min": -STATE_LIMIT, "v_max": STATE_LIMIT}
    flat = {}
    for field in fields(neuron):
        value = getattr(neuron, field.name)
        if isinstance(value, str | bool):
            continue
        values = np.asarray(defaults[field.name] if value is None else value, dtype=np.int64)
        flat[field.name] = np.broadcast_to(values, population.shape).ravel()
    made: FixedNeuron = replace(neuron, **flat)
    return made


def _whole(p: Projection, synapse: Synapse | Sparse, problems: list[Problem]) -> Any:
    """The synapse with int64 weights."""
    name = "weights" if isinstance(synapse, Sparse) else "weight"
    weights = getattr(synapse, name, None)
    if weights is None:
        return synapse
    if weights.dtype.kind not in "iuf" or (weights.dtype.kind == "f" and not (weights == np.rint(weights)).all()):
        problems.append(Problem(p.name, "weights are not all whole numbers", "scale and round them"))
    elif weights.size and np.abs(weights.astype(np.float64)).max() >= 2**31:
        problems.append(Problem(p.name, "weights reach 2,147,483,648 or more", "scale and round them"))
    else:
        return replace(synapse, **{name: weights.astype(np.int64)})
    return synapse


def _shape_problems(
    p: Projection, synapses: tuple[Synapse | Sparse, ...], source: Shape, target: Shape
) -> Iterator[Problem]:
    shape: Shape = source
    for synapse in synapses:
        if isinstance(synapse, Sparse):
            if synapse.pre != prod(shape):
                yield Problem(p.name, f"its sparse synapses leave {synapse.pre} neurons, and there are {prod(shape)}")
                return
            # the last one may lead to a population of any shape
            shape = target if synapse is synapses[-1] and synapse.post == prod(target) else (synapse.post,)
            continue
        try:
            shape = output_shape(synapse, [shape])
        except ValueError as error:
            yield Problem(p.name, str(error))
            return
    if shape != target:
        yield Problem(p.name, f"its synapses lead to shape {shape}, and the target has {target}")


def apply_chain(synapses: tuple[Synapse | Sparse, ...], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """What payloads of shape (batch, *source) are worth at the target, shape (batch, neuron); a sum beyond 64 bits wraps."""
    for synapse in synapses:
        if isinstance(synapse, Sparse):
            source = np.repeat(np.arange(synapse.pre), np.diff(synapse.offsets))
            sent = x.reshape(len(x), -1)[:, source] * synapse.each_weight()
            x = np.zeros((len(x), synapse.post), dtype=np.int64)
            np.add.at(x.T, synapse.targets, sent.T)
        else:
            x = apply_synapse(synapse, x)
    return x.reshape(len(x), -1)
