"""Converted networks on the core: neurons of every code, and widths that bounds prove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.fpga.machine import Link, Machine, Unit, Widths, build
from spikeport.backends.fpga.memory import signed_bits
from spikeport.backends.fpga.rows import rows_of, windows_of
from spikeport.certify.bounds import held_by
from spikeport.plugin.exact import largest_payload
from spikeport.plugin.exact import reach as largest_sum
from spikeport.plugin.inputs import arrival_shape, populations
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    Neuron,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    Shape,
    SignedIF,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)
from spikeport.quantize import Interval
from spikeport.quantize.bounds import combine, reach, with_constant

Whole = NDArray[np.int64]


def machine_of(network: SpikingNetwork, *, weighs_input: bool) -> Machine:
    """The network in the memories of the core.

    Args:
        network: a converted one.
        weighs_input: the core weighs a static input itself, which then enters as events; else the host does, and sends currents.
    """
    host = network.on_host()
    kept = [network[name] for name in populations(network)]
    inside = {p.name for p in kept}
    entering = {
        c.source: _shape(network, c.source)
        for c in network.connections
        if c.target in inside and c.source not in inside and (c.source not in host or weighs_input)
    }
    units = [_unit(network, p) for p in kept]
    links = [
        Link(
            c.source,
            c.target,
            rows_of(c.synapses, _shape(network, c.source), arrival_shape(network, c.target)),
        )
        for c in network.connections
        if c.target in inside and (c.source in inside or c.source in entering)
    ]
    return build(
        network.name,
        {name: int(np.prod(shape)) for name, shape in entering.items()},
        units,
        links,
        widths(network, entering),
        presentation=network.contract.presentation,
    )


def _shape(network: SpikingNetwork, name: str) -> Shape:
    return network.input.shape if name == network.input.name else network[name].shape


def _unit(network: SpikingNetwork, population: Population) -> Unit:
    neuron, size = population.neuron, population.size
    steps = network.contract.presentation

    def flat(values: NDArray[np.int64] | int) -> Whole:
        return np.broadcast_to(np.asarray(values, dtype=np.int64), population.shape).ravel()

    if isinstance(neuron, MaxUnit):
        inner = arrival_shape(network, population.name)
        opens = neuron.fires_at or 0
        closes = 0 if neuron.fires_at is None else opens + 1
        windows = windows_of(neuron.window, inner)
        return Unit(
            population.name,
            "maximum",
            size,
            opens=opens,
            closes=closes,
            windows=windows,
            inputs=int(np.prod(inner)),
        )
    share, rest = np.divmod(flat(neuron.bias), steps)
    registers = {"share": share, "rest": rest}
    if not isinstance(neuron, Accumulator):
        registers["initial"] = flat(neuron.initial)
    if isinstance(neuron, SignedIF | GradedIF | PhasedIF | PlainIF | RadixIF | UnitBank):
        registers["threshold"] = flat(neuron.threshold)

    def unit(
        kind: str,
        opens: int = 0,
        duration: int = 0,
        low: int = 0,
        range_: int = 0,
        table: Whole | None = None,
        shown: bool = False,
    ) -> Unit:
        return Unit(
            population.name,
            kind,
            size,
            registers,
            opens=opens,
            closes=opens + duration,
            low=low,
            range=range_,
            table=table,
            shown=shown,
        )

    def tables(steps: NDArray[np.int64]) -> Whole:
        whole = steps.reshape(len(steps), *(1,) * (len(population.shape) - steps.ndim + 1), *steps.shape[1:])
        return np.broadcast_to(whole, (len(steps), *population.shape)).reshape(len(steps), -1).astype(np.int64)

    match neuron:
        case Accumulator():
            return unit("accumulator", shown=True)
        case SignedIF(low=low, high=high):
            return unit("signed", low=low, range_=high)
        case GradedIF(low=low, high=high, fires_at=at):
            registers["extra"] = low * registers["threshold"]
            return unit("graded", at, 1, low, high - low)
        case UnitBank(units=units, fires_at=at):
            return unit("bank", at, 1, 0, units)
        case PlainIF():
            return unit("plain")
        case PhasedIF(opens_at=opens, closes_at=closes):
            registers["extra"] = flat(neuron.release)
            return unit("phased", opens, closes - opens)
        case RadixIF(bits=bits, opens_at=opens):
            return unit("radix", opens, bits, 0, bits)
        case StaircaseIF(low=low):
            return unit("staircase", low=low, range_=len(neuron.steps), table=tables(neuron.steps))
        case StaircaseBank(fires_at=at):
            return unit("levels", at, 1, 0, len(neuron.steps), table=tables(neuron.steps))
        case StaircaseUnit(low=low, sends=sends, opens_at=opens):
            kind = {"payload": "levels", "thermometer": "thermometer", "digits": "digits"}[sends]
            return unit(kind, opens, neuron.duration, low, len(neuron.steps), table=tables(neuron.steps))
        case _:
            assert_never(neuron)


def sent_in_a_step(neuron: Neuron) -> tuple[int, int]:
    """Least and largest number of one spike; of a maximum what arrives says it."""
    match neuron:
        case SignedIF() | StaircaseIF():
            return -1, 1
        case GradedIF(low=low, high=high):
            return min(low, 0), max(high, 0)
        case StaircaseUnit(sends="payload"):
            return min(neuron.low, 0), max(neuron.high, 0)
        case UnitBank() | StaircaseBank():
            return 0, neuron.units
        case PlainIF() | PhasedIF():
            return 0, 1
        case RadixIF(bits=bits):
            return 0, 2 ** (bits - 1)
        case StaircaseUnit(sends="digits"):
            return 0, 2 ** (neuron.duration - 1)
        case StaircaseUnit():
            return 0, 1
        case MaxUnit() | Accumulator():
            return 0, 0


def sent_in_all(neuron: Neuron, limit: int) -> tuple[int, int]:
    """The same of all that it sends in a sample."""
    match neuron:
        case SignedIF(low=low, high=high) | GradedIF(low=low, high=high):
            return min(low, 0), max(high, 0)
        case StaircaseIF() | StaircaseUnit():
            return min(neuron.low, 0), max(neuron.high, 0)
        case PhasedIF(opens_at=opens, closes_at=closes):
            return 0, closes - opens
        case RadixIF(bits=bits):
            return 0, 2**bits - 1
        case UnitBank() | StaircaseBank():
            return 0, neuron.units
        case PlainIF():
            return 0, limit
        case MaxUnit() | Accumulator():
            return 0, 0


def widths(network: SpikingNetwork, entering: dict[str, Shape]) -> Widths:
    """Widths of the registers, each just wide enough for what bounds prove of it.

    Every partial sum of terms whose intervals contain 0 is in the interval of their sum, in any order. What the host weighs may have
    either sign in a step, and so may spikes of a population that stays with the host.
    """
    host, encoder = network.on_host(), network.input
    most = max(-encoder.low, encoder.high)
    total = {encoder.name: Interval(np.full(encoder.shape, -most), np.full(encoder.shape, most))}
    once = dict(total)
    arrived, potential, payload, sent = [], [], [(-1, 1)], [(0, 0)]
    limit = network.contract.max_steps
    for population in network.populations:
        incoming = network.incoming(population.name)
        neuron, shape = population.neuron, population.shape
        arriving = combine([reach(c.synapses, total[c.source]) for c in incoming])
        in_step = combine([reach(c.synapses, once[c.source]) for c in incoming])
        fed = sum(largest_sum(c, largest_payload(network, c.source)) for c in incoming if c.source in host)
        here = population.name not in host
        if here:
            arrived += [(arriving.low - fed, arriving.high + fed), (in_step.low, in_step.high)]
        if isinstance(neuron, MaxUnit):
            low, high = int(arriving.low.min()), int(arriving.high.max())
            change = (low, high) if neuron.fires_at is not None else (low - high, high - low)
            total[population.name] = Interval(np.full(shape, low), np.full(shape, high))
            once[population.name] = Interval(np.full(shape, change[0]), np.full(shape, change[1]))
            if here:
                payload.append(change)
                sent.append((low, high))
                potential.append((low, high))
            continue
        if isinstance(neuron, Accumulator):
            sums = with_constant(arriving, neuron.bias)
            sums = Interval(sums.low - fed, sums.high + fed)
            potential.append((int(sums.low.min()), int(sums.high.max())))
            continue
        constants = [neuron.bias, neuron.initial]
        if isinstance(neuron, PhasedIF):
            constants[1] = neuron.initial + neuron.release
            potential.append((int(np.min(neuron.initial)), int(np.max(neuron.initial))))
        sums = with_constant(arriving, *constants)
        sums = Interval(sums.low - fed, sums.high + fed)
        potential += [(int(one.low.min()), int(one.high.max())) for one in _held(neuron, sums)]
        one, every = sent_in_a_step(neuron), sent_in_all(neuron, limit)
        once[population.name] = Interval(np.full(shape, one[0]), np.full(shape, one[1]))
        total[population.name] = Interval(np.full(shape, every[0]), np.full(shape, every[1]))
        payload.append(one)
        if isinstance(neuron, GradedIF):
            payload.append((neuron.low, neuron.high))
        if isinstance(neuron, SignedIF | StaircaseIF) or (
            isinstance(neuron, StaircaseUnit) and neuron.sends == "digits"
        ):
            sent.append(every)
    if entering:
        payload.append((-most, most))
        payload += [(int(total[n].low.min()), int(total[n].high.max())) for n in entering if n != encoder.name]
    counted = signed_bits(*_ends(sent)) if any(low or high for low, high in sent) else 0
    return Widths(signed_bits(*_ends(arrived)), signed_bits(*_ends(potential)), signed_bits(*_ends(payload)), counted)


def _held(neuron: Neuron, sums: Interval) -> Iterator[Interval]:
    """What a membrane holds: before a spike, and after it."""
    yield sums
    if not isinstance(neuron, UnitBank | StaircaseBank):  # the core compares banks without their common threshold
        yield held_by(neuron, sums)
    if isinstance(neuron, GradedIF):
        yield Interval(sums.low - neuron.threshold * max(0, neuron.low), np.maximum(sums.high, neuron.threshold))


def _ends(pairs: Sequence[tuple[Any, Any]]) -> tuple[int, int]:
    lows, highs = zip(*pairs, strict=True)
    return min(int(np.min(low)) for low in lows), max(int(np.max(high)) for high in highs)
