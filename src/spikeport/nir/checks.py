"""What makes a spiking network well formed: the same rules before it is written and after it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.graph import output_shape
from spikeport.nir import limits
from spikeport.nir.fields import is_text
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    GradedIF,
    InputEncoder,
    MaxUnit,
    OneToOne,
    Pad,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    Shape,
    SignedIF,
    Slice,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    SumPool,
    Synapse,
    UnitBank,
    Upsample,
)


def network_problems(network: SpikingNetwork) -> list[Problem]:
    """Everything about a network that no simulation could make sense of, or that is too large for a file."""
    return [
        *_structure(network),
        *_encoder(network.input),
        *_contract(network),
        *_populations(network),
        *_connections(network),
    ]


def _structure(network: SpikingNetwork) -> Iterator[Problem]:
    names = [network.input.name, *(p.name for p in network.populations)]
    if len(names) + 2 * len(network.connections) > limits.MAX_NODES:
        yield Problem(network.name, f"has more than {limits.MAX_NODES} populations and connections")
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(name, "is a name used twice")
        if not 0 < len(name) <= limits.MAX_NAME or not is_text(name):
            yield Problem(repr(name[:40]), f"is no name of 1 to {limits.MAX_NAME} characters")
    readouts = [p.name for p in network.populations if isinstance(p.neuron, Accumulator)]
    if readouts != [network.output]:
        yield Problem(network.output, f"must be the one read-out, found: {', '.join(readouts) or 'none'}")
    position = {name: i for i, name in enumerate(names)}
    for c in network.connections:
        if position.get(c.target, 0) <= position.get(c.source, len(names)):
            yield Problem(c.name, "does not lead from the input or a population to a later population")
    sources, targets = ({getattr(c, end) for c in network.connections} for end in ("source", "target"))
    for name in names:
        if name != network.output and name not in sources:
            yield Problem(name, "has no outgoing connection: NIR would take it for an output", "remove it")
        if name == network.output and name in sources:
            yield Problem(name, "is the read-out, which sends nothing")
        if name != network.input.name and name not in targets:
            yield Problem(
                name, "has no incoming connection: NIR would take it for an input", "connect it with weight 0"
            )


def _encoder(encoder: InputEncoder) -> Iterator[Problem]:
    if not _is_shape(encoder.shape):
        yield Problem(encoder.name, f"has the shape {encoder.shape}")
        return
    for field in ("scale", "gain", "shift"):
        array = getattr(encoder, field)
        if array is None:
            continue
        if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8 or not np.all(np.isfinite(array)):
            yield Problem(encoder.name, f"its {field} does not hold finite numbers of at most 64 bits")
        elif not _broadcasts(array.shape, encoder.shape):
            yield Problem(encoder.name, f"its {field} of shape {array.shape} does not fit {encoder.shape}")
        elif field == "scale" and np.any(array <= 0):
            yield Problem(encoder.name, "its scale is not positive")
    if not _in_range(encoder.low, encoder.high):
        yield Problem(encoder.name, f"its range {encoder.low}..{encoder.high} does not hold zero or is too large")


def _contract(network: SpikingNetwork) -> Iterator[Problem]:
    contract = network.contract
    if not 1 <= contract.presentation <= limits.MAX_PRESENTATION:
        yield Problem("contract", f"presentation is {contract.presentation}, not 1 to {limits.MAX_PRESENTATION}")
    if not 1 <= contract.max_steps <= limits.MAX_STEPS:
        yield Problem("contract", f"max_steps is {contract.max_steps}, not 1 to {limits.MAX_STEPS}")
    if not 1 <= contract.state_bits <= 64:
        yield Problem("contract", f"state_bits is {contract.state_bits}, not 1 to 64")
    if not (isfinite(contract.dt) and contract.dt > 0):
        yield Problem("contract", f"dt is {contract.dt}")


def _populations(network: SpikingNetwork) -> Iterator[Problem]:
    for p in network.populations:
        if not _is_shape(p.shape):
            yield Problem(p.name, f"has the shape {p.shape}")
            continue
        match p.neuron:
            case SignedIF() | GradedIF():
                yield from _integers(p, "threshold", p.neuron.threshold, lowest=1)
                yield from _integers(p, "initial", p.neuron.initial)
                yield from _integers(p, "bias", p.neuron.bias)
                if not _in_range(p.neuron.low, p.neuron.high):
                    yield Problem(
                        p.name, f"its counts {p.neuron.low}..{p.neuron.high} do not hold zero or are too large"
                    )
                if isinstance(p.neuron, GradedIF) and not 0 <= p.neuron.fires_at < limits.MAX_STEPS:
                    yield Problem(p.name, f"fires at step {p.neuron.fires_at}")
            case Accumulator(bias, scale):
                yield from _integers(p, "bias", bias)
                if not isfinite(scale):
                    yield Problem(p.name, f"its scale is {scale}")
            case MaxUnit():
                pass  # refused where NIR nodes are made
            case StaircaseIF() | StaircaseUnit() | StaircaseBank():
                hint = 'with_code("signed") writes all but curved activations; for those train with ReLU'
                yield Problem(p.name, "a neuron with a table of thresholds has no form in a NIR file", hint)
            case PhasedIF() | PlainIF() | RadixIF() | UnitBank():
                why = f"a unit of the {network.contract.code} code has no form in a NIR file"
                yield Problem(p.name, why, 'write the same integers under another code: with_code("signed")')


def _integers(p: Population, field: str, array: NDArray[Any], lowest: int = -limits.MAX_INTEGER) -> Iterator[Problem]:
    if not _broadcasts(array.shape, p.shape):
        yield Problem(p.name, f"its {field} of shape {array.shape} does not fit {p.shape}")
    elif not _is_integer(array):
        yield Problem(p.name, f"its {field} does not hold integers of at most {limits.MAX_INTEGER}")
    elif array.min() < lowest:
        yield Problem(p.name, f"its {field} is {array.min()}, below {lowest}")


def _connections(network: SpikingNetwork) -> Iterator[Problem]:
    for c in network.connections:
        source = network.input if c.source == network.input.name else network.by_name.get(c.source)
        target = network.by_name.get(c.target)
        if source is None or target is None or not _is_shape(source.shape):
            continue  # reported by the structure
        try:
            shape = chain_shape(c, source.shape)
        except ValueError as error:
            yield Problem(c.name, str(error))
            continue
        if shape != target.shape and not isinstance(target.neuron, MaxUnit):
            yield Problem(c.name, f"delivers shape {shape} to a population of shape {target.shape}")
        product = 1
        for synapse in c.synapses:
            weight = getattr(synapse, "weight", None)
            if weight is not None and not _is_integer(weight):
                yield Problem(
                    c.name, f"has weights that are not integers of at most {limits.MAX_INTEGER}", "quantize them"
                )
            elif isinstance(synapse, OneToOne):
                product *= int(np.abs(synapse.weight).max())
        if product > limits.MAX_INTEGER:
            yield Problem(c.name, f"has coefficients whose product exceeds {limits.MAX_INTEGER}")


def chain_shape(connection: Connection, shape: Shape) -> Shape:
    """Shape after all synapses; ValueError says which one does not fit."""
    for index, synapse in enumerate(connection.synapses):
        where = f"synapse {index} ({type(synapse).__name__})"
        _positive(synapse, shape, where)
        try:
            shape = output_shape(synapse, [shape])
        except (ValueError, IndexError) as error:
            raise ValueError(f"{where}: {error}") from error
        if not _is_shape(shape):
            raise ValueError(f"{where}: gives the shape {shape}")
    return shape


def _positive(synapse: Synapse, shape: Shape, where: str) -> None:
    """Refuse parameters that no operation has; shapes are compared elsewhere."""
    positive: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    match synapse:
        case Conv(_, stride, padding, dilation, groups):
            positive, pairs = (*stride, *dilation, groups, *synapse.weight.shape), padding
        case SumPool(kernel, stride, padding):
            positive, pairs = (*kernel, *stride), padding
        case Slice(start, stop, step):
            positive, pairs = step, tuple((a, n - b) for a, b, n in zip(start, stop, shape, strict=False))
        case Pad(width):
            pairs = width
        case Upsample(factor):
            positive = factor
        case _:
            pass
    if any(n < 1 for n in positive) or any(n < 0 for pair in pairs for n in pair):
        raise ValueError(f"{where}: a stride, kernel, group, step or padding is out of range")
    if isinstance(synapse, Conv) and not len(shape) - 1 == synapse.weight.ndim - 2 > 0:
        raise ValueError(f"{where}: weight of shape {synapse.weight.shape} for values of shape {shape}")
    if isinstance(synapse, SumPool) and len(synapse.kernel) == 0:
        raise ValueError(f"{where}: no spatial axes")


def _is_shape(shape: Shape) -> bool:
    return 0 < len(shape) <= limits.MAX_RANK and all(n >= 1 for n in shape) and prod(shape) <= limits.MAX_ELEMENTS


def _is_integer(array: NDArray[Any]) -> bool:
    if array.dtype.kind not in "iu" or not array.size:
        return False
    return int(array.min()) >= -limits.MAX_INTEGER and int(array.max()) <= limits.MAX_INTEGER


def _in_range(low: int, high: int) -> bool:
    return -limits.MAX_INTEGER <= low <= 0 <= high <= limits.MAX_INTEGER


def _broadcasts(shape: Shape, full: Shape) -> bool:
    trailing = full[max(0, len(full) - len(shape)) :]
    return len(shape) <= len(full) and all(a in (1, b) for a, b in zip(shape, trailing, strict=True))
