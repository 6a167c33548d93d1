"""Whether a network from outside is well formed: names, order, shapes, ranges and dtypes.

The stages of the library make networks that are; a file may hold anything. That a network computes what it claims is
another question, which `spikeport.validate` answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import ArchiveError, Problem
from spikeport.graph import output_shape
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    GradedIF,
    InputEncoder,
    MaxPool,
    MaxUnit,
    OneToOne,
    Pad,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    Reshape,
    Shape,
    SignedIF,
    Slice,
    SpikeInput,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    SumPool,
    Synapse,
    UnitBank,
    Upsample,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer

MAX_NEURONS = 2**31
"""Neurons of one population, or values of one step in a connection: an int8 map of that size fills 2 GiB."""
MAX_BITS = 64
MAX_STEPS = 2**14
"""Steps of a staircase; 4095 levels of each sign are half of that."""
MAX_STEP = 2**62
"""Beyond every membrane, and negated without leaving int64."""


def check_network(network: SpikingNetwork | IntegerNetwork, *, where: str = "") -> None:
    """Raise if the network is not well formed.

    Args:
        network: hand-written, decoded or converted.
        where: goes before the name of each place.

    Raises:
        ArchiveError: all the problems of `network_problems`.
    """
    problems = network_problems(network)
    if problems:
        raise ArchiveError(Problem(f"{where}: {p.where}", p.why, p.hint) if where else p for p in problems)


def network_problems(network: SpikingNetwork | IntegerNetwork) -> list[Problem]:
    """Everything that keeps a network from being evaluated; empty if nothing does."""
    units = _units(network)
    return [
        *_encoder_problems(network.input),
        *(problem for unit in units for problem in _unit_problems(unit)),
        *_connection_problems(network, units),
        *(_spiking_problems(network) if isinstance(network, SpikingNetwork) else _integer_problems(network)),
    ]


def dynamic_problems(network: DynamicNetwork) -> list[Problem]:
    """What makes a hand-made network too large to be opened; everything else it checks itself."""
    places: list[SpikeInput | DynamicPopulation] = [*network.inputs, *network.populations]
    problems = [
        Problem(p.name, f"has {p.size:,} places", f"{MAX_NEURONS:,} at most") for p in places if p.size > MAX_NEURONS
    ]
    longest = {p.target: 0 for p in network.projections}
    for p in network.projections:
        longest[p.target] = max(longest[p.target], p.delay)
    for name, delay in longest.items():
        held = network[name].size * (1 + delay)
        if held > MAX_NEURONS:
            problems.append(Problem(name, f"has to hold {held:,} values on their way", f"{MAX_NEURONS:,} at most"))
    return problems


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """What layers and populations have in common."""

    name: str
    shape: Shape
    window: MaxPool | None
    sends: bool
    integers: Mapping[str, NDArray[Any]]
    scale: NDArray[Any] | float
    levels: tuple[int, int] | None = None
    fires_at: int | None = None
    steps: NDArray[Any] | None = None


def _units(network: SpikingNetwork | IntegerNetwork) -> tuple[_Unit, ...]:
    if isinstance(network, SpikingNetwork):
        return tuple(map(_unit_of_population, network.populations))
    return tuple(map(_unit_of_layer, network.layers))


def _unit_of_population(population: Population) -> _Unit:
    name, shape = population.name, population.shape
    match population.neuron:
        case SignedIF(threshold, initial, bias, low, high):
            integers = {"threshold": threshold, "initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (low, high))
        case GradedIF(threshold, initial, bias, low, high, fires_at):
            integers = {"threshold": threshold, "initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (low, high), fires_at)
        case PhasedIF(threshold, initial, bias, release, opens_at, closes_at):
            integers = {"threshold": threshold, "initial": initial, "bias": bias, "release": release}
            return _Unit(name, shape, None, True, integers, 1.0, (0, closes_at - opens_at), opens_at)
        case PlainIF(threshold, initial, bias):
            integers = {"threshold": threshold, "initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0)
        case RadixIF(threshold, initial, bias, digits, opens_at):
            integers = {"threshold": threshold, "initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (0, 2**digits - 1), opens_at)
        case UnitBank(threshold, initial, bias, units, _, fires_at):
            integers = {"threshold": threshold, "initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (0, units), fires_at)
        case StaircaseIF(steps, initial, bias, low):
            integers = {"initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (low, population.neuron.high), steps=steps)
        case StaircaseUnit(steps, initial, bias, low, _, opens_at):
            integers = {"initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (low, population.neuron.high), opens_at, steps)
        case StaircaseBank(steps, initial, bias, _, fires_at):
            integers = {"initial": initial, "bias": bias}
            return _Unit(name, shape, None, True, integers, 1.0, (0, len(steps)), fires_at, steps)
        case MaxUnit(window, fires_at):
            return _Unit(name, shape, window, True, {}, 1.0, None, fires_at)
        case Accumulator(bias, scale):
            return _Unit(name, shape, None, False, {"bias": bias}, scale)


def _unit_of_layer(layer: Layer) -> _Unit:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset, low, high, scale):
            integers = {"threshold": threshold, "bias": bias, "offset": offset}
            return _Unit(name, shape, None, True, integers, scale, (low, high))
        case StaircaseLayer(name, shape, steps, bias, low, scale):
            return _Unit(name, shape, None, True, {"bias": bias}, scale, (low, low + len(steps)), steps=steps)
        case MaxLayer(name, shape, window, scale):
            return _Unit(name, shape, window, True, {}, scale)
        case Readout(name, shape, bias, scale):
            return _Unit(name, shape, None, False, {"bias": bias}, scale)


def _encoder_problems(encoder: InputEncoder) -> Iterator[Problem]:
    yield from _shape_problems(encoder.name, encoder.shape)
    for name, array in (("scale", encoder.scale), ("gain", encoder.gain), ("shift", encoder.shift)):
        if array is not None:
            yield from _number_problems(encoder.name, name, array, encoder.shape)
    if _real(encoder.scale) and not np.all(encoder.scale > 0):
        yield Problem(encoder.name, "its scale is not positive")
    if encoder.low > encoder.high or (encoder.kind == "events" and encoder.low < 0):
        yield Problem(encoder.name, f"its range {encoder.low}..{encoder.high} holds no {encoder.kind} input")


def _unit_problems(unit: _Unit) -> Iterator[Problem]:
    yield from _shape_problems(unit.name, unit.shape)
    for name, array in unit.integers.items():
        yield from _integer_array_problems(unit.name, name, array)
        if not _broadcasts(array.shape, unit.shape):
            yield Problem(unit.name, f"its {name} of shape {array.shape} does not broadcast to {unit.shape}")
    if unit.steps is not None:
        yield from _table_problems(unit, unit.steps)
    threshold = unit.integers.get("threshold")
    if threshold is not None and _real(threshold) and not np.all(threshold > 0):
        yield Problem(unit.name, "its threshold is not positive everywhere")
    if unit.levels is not None and not unit.levels[0] <= 0 < unit.levels[1]:
        yield Problem(unit.name, f"its counts lie in {unit.levels[0]}..{unit.levels[1]}, which is not around zero")
    if unit.fires_at is not None and unit.fires_at < 0:
        yield Problem(unit.name, f"fires in step {unit.fires_at}")
    if isinstance(unit.scale, float):
        if not (isfinite(unit.scale) and unit.scale > 0):
            yield Problem(unit.name, f"its scale {unit.scale} is not a positive number")
    else:
        yield from _number_problems(unit.name, "scale", unit.scale, unit.shape)
        if _real(unit.scale) and not np.all(unit.scale >= 0):  # zero where a maximum sees only silent channels
            yield Problem(unit.name, "its scale is negative somewhere")


def _table_problems(unit: _Unit, steps: NDArray[Any]) -> Iterator[Problem]:
    """What keeps a table of thresholds from being a staircase of this unit."""
    found = _integer_array_problems(unit.name, "steps", steps)
    yield from found
    if not _broadcasts(steps.shape[1:], unit.shape):
        yield Problem(unit.name, f"its steps of shape {steps.shape} do not broadcast to (steps, *{unit.shape})")
    if found:
        return
    if len(steps) > MAX_STEPS:
        yield Problem(unit.name, f"has {len(steps)} steps", f"{MAX_STEPS} at most")
    elif (steps[1:] < steps[:-1]).any():
        yield Problem(unit.name, "its steps fall somewhere")
    if steps.size and not (int(steps.min()) >= -MAX_STEP and int(steps.max()) <= MAX_STEP):
        yield Problem(unit.name, "its steps lie beyond every membrane", "-2**62 to 2**62")


def _connection_problems(network: SpikingNetwork | IntegerNetwork, units: tuple[_Unit, ...]) -> Iterator[Problem]:
    """Names and order of sources and targets, and shapes from each source into its target."""
    names = Counter([network.input.name, *(unit.name for unit in units)])
    yield from (Problem(name, "is a name used twice") for name, times in names.items() if times > 1)
    incoming: dict[str, list[Connection]] = defaultdict(list)
    for connection in network.connections:
        incoming[connection.target].append(connection)
        if connection.target not in names or connection.target == network.input.name:
            yield Problem(connection.name, f"`{connection.target}` can receive no spikes")
    shapes = {network.input.name: network.input.shape}
    silent = {unit.name for unit in units if not unit.sends}
    for unit in units:
        if not incoming[unit.name]:
            yield Problem(unit.name, "has no connection into it")
        for connection in incoming[unit.name]:
            if connection.source in silent:
                yield Problem(connection.name, f"`{connection.source}` is a read-out, which sends nothing")
            elif connection.source not in shapes:
                yield Problem(connection.name, f"`{connection.source}` is neither the input nor an earlier population")
            else:
                yield from _chain_problems(connection, shapes[connection.source], unit)
        shapes[unit.name] = unit.shape


def _chain_problems(connection: Connection, shape: Shape, unit: _Unit) -> Iterator[Problem]:
    """What is wrong on the way from values of `shape` into a unit; a window comes after all synapses."""
    for i, op in enumerate((*connection.synapses, *(() if unit.window is None else (unit.window,)))):
        where = f"{connection.name}: {type(op).__name__} {i}"
        found = [Problem(where, why) for why in _parameter_problems(op)]
        if isinstance(op, Dense | Conv | OneToOne):
            found += _integer_array_problems(where, "weight", op.weight)
        yield from found
        if found:
            return
        try:
            shape = output_shape(op, [shape])
        except (ValueError, LookupError, ArithmeticError) as error:
            yield Problem(where, f"does not fit: {error}")
            return
        found = list(_shape_problems(where, shape))
        yield from found
        if found:
            return
    if shape != unit.shape:
        yield Problem(connection.name, f"ends in shape {shape}, but `{unit.name}` has shape {unit.shape}")


def _parameter_problems(op: Synapse | MaxPool) -> Iterator[str]:
    """Parameters for which an operator has no meaning, whatever it is applied to."""
    match op:
        case Dense(weight) if weight.ndim != 2:
            yield f"its weight has {weight.ndim} axes, not 2"
        case Conv(weight, stride, padding, dilation, groups):
            if weight.ndim not in (3, 4) or 0 in weight.shape:
                yield f"its weight has shape {weight.shape}"
            if min(*stride, *dilation, groups, 1) < 1 or min((0, *sum(padding, ()))) < 0:
                yield "its stride, dilation, groups or padding is too small"
        case SumPool(kernel, stride, padding):
            if not kernel or min(*kernel, *stride, 1) < 1 or min((0, *sum(padding, ()))) < 0:
                yield "its kernel, stride or padding is too small"
        case MaxPool(kernel, stride, padding, dilation):
            if not kernel or min(*kernel, *stride, *dilation, 1) < 1 or min((0, *sum(padding, ()))) < 0:
                yield "its kernel, stride, dilation or padding is too small"
            spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=False)]
            if any(max(pair) >= span for pair, span in zip(padding, spans, strict=False)):
                yield "a window may lie in the padding alone"
        case Reshape(shape) if min(shape, default=0) < 1:
            yield f"its shape {shape} is not positive"
        case Slice(start, stop, step) if (
            not len(start) == len(stop) == len(step) or min(*start, *stop, 0) < 0 or min(*step, 1) < 1
        ):
            yield "its bounds are negative or its steps not positive"
        case Pad(width) if min((0, *sum(width, ()))) < 0:
            yield "its width is negative"
        case Upsample(factor) if min(*factor, 1) < 1:
            yield "its factor is not positive"
        case _:
            pass


def _spiking_problems(network: SpikingNetwork) -> Iterator[Problem]:
    output = network.by_name.get(network.output)
    if output is None:
        yield Problem("network", f"its output `{network.output}` is not one of its populations")
    elif not isinstance(output.neuron, Accumulator) and any(c.source == network.output for c in network.connections):
        yield Problem(network.output, "is the output, but no read-out")
    contract = network.contract
    for name, value in (("presentation", contract.presentation), ("max_steps", contract.max_steps)):
        if value < 1:
            yield Problem("contract", f"its {name} is {value}")
    if not 1 <= contract.state_bits <= MAX_BITS:
        yield Problem("contract", f"its state_bits is {contract.state_bits}", f"1 to {MAX_BITS}")
    if not (isfinite(contract.dt) and contract.dt > 0):
        yield Problem("contract", f"its dt is {contract.dt}")


def _integer_problems(network: IntegerNetwork) -> Iterator[Problem]:
    if not network.layers or not isinstance(network.layers[-1], Readout):
        yield Problem("network", "its last layer is no read-out")
    elif any(not 0 <= op.axis < len(network.readout.shape) for op in network.host_tail):
        yield Problem(network.readout.name, "the softmax after it has an axis that it lacks")
    for layer in network.layers[:-1]:
        if isinstance(layer, Readout):
            yield Problem(layer.name, "is a read-out before the end")
    for name, bits in (("weight_bits", network.weight_bits), ("state_bits", network.state_bits)):
        if not 1 <= bits <= MAX_BITS:
            yield Problem("network", f"its {name} is {bits}", f"1 to {MAX_BITS}")


def _shape_problems(where: str, shape: Shape) -> Iterator[Problem]:
    if min(shape, default=0) < 1:
        yield Problem(where, f"has shape {shape}, which holds no neuron")
    elif prod(shape) > MAX_NEURONS:
        yield Problem(where, f"has shape {shape}", f"{MAX_NEURONS} values at most")


def _integer_array_problems(where: str, name: str, array: NDArray[Any]) -> list[Problem]:
    if array.dtype.kind not in "iu" or array.dtype == np.uint64:  # uint64 and int64 meet in float64
        return [Problem(where, f"its {name} has dtype {array.dtype}, not integers that int64 holds")]
    return []


def _number_problems(where: str, name: str, array: NDArray[Any], shape: Shape) -> Iterator[Problem]:
    if not _real(array):
        yield Problem(where, f"its {name} has dtype {array.dtype}")
    elif not np.all(np.isfinite(array)):
        yield Problem(where, f"its {name} holds NaN or infinite values")
    if not _broadcasts(array.shape, shape):
        yield Problem(where, f"its {name} of shape {array.shape} does not broadcast to {shape}")


def _real(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "fiu"


def _broadcasts(shape: Shape, to: Shape) -> bool:
    """Whether an array of `shape` fills `to` without enlarging it."""
    trailing = to[len(to) - len(shape) :]
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape, trailing, strict=True))
