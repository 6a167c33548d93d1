"""A converted network as part of one written by hand: its population code as memoryless units, streamed.

In population code a neuron with the sum U and levels c[1] <= ... <= c[L] is L units without memory, of which unit k fires exactly if
U >= c[k] (`spikeport.codes.population`). What such a network computes of one sample it computes here of the values of each step: they are
the integers of its encoder, or counts of events, and the network is a function of what arrives in one step. With a layer latency
of one step a layer works on what entered a step earlier than the layer behind it; connections that skip layers are
delayed by as much, so that nothing meets what belongs to another step.

    name          Threshold units: as many as there are levels for each neuron, or channel, one after the other
    input         a port: what enters
    output        a port: the read-out, integers; times its scale they are the network's output
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.graph import apply_synapse
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    DynamicPopulation,
    DynamicsContract,
    MaxUnit,
    Population,
    Shape,
    SpikingNetwork,
    StaircaseBank,
    SumPool,
    Synapse,
    Threshold,
    UnitBank,
)

EXACT_FLOAT32, EXACT_FLOAT64 = 2**23, 2**52
"""Half-integers up to it are exact in floats."""
INPUT, OUTPUT = "input", "output"
"""Ports of a part: integers of the encoder or counts of events, and the read-out."""


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """What a part of a hand-made network is made of."""

    populations: tuple[DynamicPopulation, ...]
    wires: tuple[Wire, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """From units, or the port of the input, to units, or the port of the read-out."""

    source: str
    target: str
    chain: tuple[Synapse, ...]
    delay: int
    """Steps in addition to the contract's latency."""
    bias: NDArray[Any] | None


def require_streamed(network: SpikingNetwork, where: str) -> None:
    """Refuse what is no function of the values of one step.

    Raises:
        GraphError: another code than population, or a part that stays on the host.
    """
    problems = list(_problems(network, where))
    if problems:
        raise GraphError(problems)


def ports_of(network: SpikingNetwork) -> dict[str, tuple[Shape, bool]]:
    """Shapes of the ports of a part, and whether they send: input, read-out, and the units of each population.

    Raises:
        GraphError: a population that is called as a port is.
    """
    names = [p.name for p in network.populations if p.name != network.output]
    problems = [
        Problem(n, "is a population, and the name of a port", "rename the layer") for n in names if n in (INPUT, OUTPUT)
    ]
    if problems:
        raise GraphError(problems)
    ports = {INPUT: (network.input.shape, False), OUTPUT: (network[network.output].shape, True)}
    return ports | {n: (_spread(network[n].shape, _units(network, network[n])), True) for n in names}


def _problems(network: SpikingNetwork, where: str) -> Iterator[Problem]:
    if network.contract.code != "population":
        why = f"carries its integers over many steps by {network.contract.code} code"
        yield Problem(where, why, 'give model.with_code("population"), one step of which is the whole network')
        return
    host = network.on_host() - {network.input.name}
    for name in sorted(host):
        yield Problem(f"{where}/{name}", "is a maximum over the input, which no units compute", "convert without it")
    for population in network.populations:
        if isinstance(population.neuron, MaxUnit) and population.name not in host:
            into = network.incoming(population.name)
            plain = len(into) == 1 and not into[0].synapses
            if not plain or any(d != 1 for d in population.neuron.window.dilation):
                why = "is a maximum over windows with gaps, or over what is put together first"
                yield Problem(f"{where}/{population.name}", why, "a dilation of 1, right behind an activation")


def streamed(network: SpikingNetwork, contract: DynamicsContract) -> Streamed:
    """The units of a network in population code, and what joins them; `require_streamed` has accepted it."""
    units = {p.name: _units(network, p) for p in network.populations}
    depth = {network.input.name: 0}
    for population in network.populations:
        depth[population.name] = 1 + max(depth[c.source] for c in network.incoming(population.name))
    ports = {network.input.name: INPUT, network.output: OUTPUT}
    populations, wires = [], []
    for population in network.populations:
        levels = units[population.name]
        readout = isinstance(population.neuron, Accumulator)
        if not readout:
            populations.append(_population(network, population, levels, contract))
        bias = np.asarray(population.neuron.bias) if isinstance(population.neuron, Accumulator) else None
        for connection in network.incoming(population.name):
            waits = depth[population.name] - depth[connection.source] - 1
            delay = waits * contract.layer_latency
            if isinstance(population.neuron, MaxUnit):
                chain = _maximum(population)
            else:
                before = network.input.shape if connection.source == network.input.name else None
                chain = _chain(network, connection, before, units, population, None if readout else levels)
            source, target = (ports.get(name, name) for name in (connection.source, population.name))
            wires.append(Wire(source, target, chain, delay, bias))
            bias = None
    return Streamed(tuple(populations), tuple(wires))


def _units(network: SpikingNetwork, population: Population) -> int:
    match population.neuron:
        case UnitBank(units=units):
            return units
        case StaircaseBank() as bank:
            return bank.units
        case MaxUnit():
            return _units(network, network[network.incoming(population.name)[0].source])
        case Accumulator():
            return 1
        case neuron:
            raise AssertionError(f"{type(neuron).__name__} in population code")


def _population(
    network: SpikingNetwork, population: Population, levels: int, contract: DynamicsContract
) -> DynamicPopulation:
    """Units that fire exactly at their level or above it; all sums are integers."""
    shape = _spread(population.shape, levels)
    neuron = population.neuron
    if isinstance(neuron, MaxUnit):
        lowest, bias = np.ones(shape, np.int64), np.zeros(shape, np.int64)
    else:
        assert isinstance(neuron, UnitBank | StaircaseBank)
        if isinstance(neuron, UnitBank):
            rank = np.arange(1, levels + 1).reshape(-1, *(1,) * len(population.shape))
            table = rank * np.broadcast_to(neuron.threshold, population.shape)
        else:
            table = np.broadcast_to(neuron.steps, (levels, *population.shape))
        lowest = np.moveaxis(np.asarray(table), 0, 1).reshape(shape)
        own = np.broadcast_to(np.asarray(neuron.initial) + np.asarray(neuron.bias), population.shape)
        bias = np.repeat(own, levels, axis=0)
    if contract.arithmetic == "integer":
        threshold: NDArray[Any] = lowest - 1 if contract.compare == ">" else lowest
    else:
        threshold = lowest - 0.5  # which no sum meets, so that it does not matter how it is compared
    single = None if contract.spikes == "single" else replace(contract, spikes="single")  # a unit is one count
    return DynamicPopulation(population.name, shape, Threshold(threshold=threshold, bias=bias), single)


def beyond(network: SpikingNetwork, made: Streamed, contract: DynamicsContract) -> Iterator[Problem]:
    """Units and read-outs whose sums the arithmetic around them may not hold, for what the encoder gives."""
    room = {"integer": 2 ** (contract.state_bits - 1) - 1, "float32": EXACT_FLOAT32, "float64": EXACT_FLOAT64}
    largest = room[contract.arithmetic]
    shapes = {p.name: p.shape for p in made.populations}
    sums = {p.name: np.abs(np.asarray(p.neuron.bias, np.float64)) for p in made.populations}  # type: ignore[union-attr]  # Threshold
    sums[OUTPUT] = np.zeros(network[network.output].shape)
    for wire in made.wires:
        high = max(abs(network.input.low), abs(network.input.high)) if wire.source == INPUT else 1
        x = np.full((1, *(shapes.get(wire.source) or network.input.shape)), float(high))
        for synapse in wire.chain:
            weight = getattr(synapse, "weight", None)
            sized = synapse if weight is None else replace(synapse, weight=np.abs(weight))
            x = apply_synapse(sized, x)
        sums[wire.target] = sums[wire.target] + x[0] + (0.0 if wire.bias is None else np.abs(wire.bias))
    for name, most in sums.items():
        if most.max(initial=0) > largest:
            why = (
                f"its sums may reach {most.max():,.0f}, and {contract.arithmetic} arithmetic is exact up to {largest:,}"
            )
            hint = "more state_bits, or float64" if contract.arithmetic == "integer" else "float64, or integers"
            yield Problem(name, why, hint)


def _chain(
    network: SpikingNetwork,
    connection: Connection,
    entering: Shape | None,
    units: dict[str, int],
    target: Population,
    levels: int | None,
) -> tuple[Synapse, ...]:
    """From the units of the source, or the input, to those of the target, or the read-out."""
    chain: list[Synapse] = []
    if entering is None:
        source = network[connection.source]
        chain += _sums(source.shape, units[source.name])
    chain += connection.synapses
    if levels is not None:
        chain += _copies(target.shape, levels)
    return tuple(chain)


def _spread(shape: Shape, levels: int) -> Shape:
    """Shape of the units of neurons."""
    return (shape[0] * levels, *shape[1:])


def _sums(shape: Shape, levels: int) -> list[Synapse]:
    """Adds up the units of each neuron."""
    if levels == 1:
        return []
    if len(shape) == 1:
        return [Dense(np.repeat(np.eye(shape[0], dtype=np.int8), levels, axis=1))]
    return [_tap(np.ones((shape[0], levels, *(1,) * (len(shape) - 1)), np.int64), shape)]


def _copies(shape: Shape, levels: int) -> list[Synapse]:
    """Hands what a neuron gets to each of its units."""
    if levels == 1:
        return []
    if len(shape) == 1:
        return [Dense(np.repeat(np.eye(shape[0], dtype=np.int8), levels, axis=0))]
    return [_tap(np.ones((shape[0] * levels, 1, *(1,) * (len(shape) - 1)), np.int64), shape)]


def _tap(weight: NDArray[Any], shape: Shape) -> Conv:
    """A convolution of one tap, each channel for itself."""
    axes = len(shape) - 1
    return Conv(weight, (1,) * axes, ((0, 0),) * axes, (1,) * axes, groups=shape[0])


def _maximum(target: Population) -> tuple[Synapse, ...]:
    """Unit k of a maximum fires if unit k of any neuron of its window does: lower units fire whenever higher ones do."""
    assert isinstance(target.neuron, MaxUnit)
    window = target.neuron.window
    return (SumPool(window.kernel, window.stride, window.padding),)
