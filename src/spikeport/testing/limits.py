"""Limits of a target, each with networks that come to its edge, and one beyond."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import nextafter
from typing import Any

from spikeport.errors import SpikeportError
from spikeport.primitives import InputKind
from spikeport.quantize import IntegerNetwork
from spikeport.testing import networks, structures
from spikeport.testing.carrying import Run, UnderTest, run_of
from spikeport.testing.cases import KINDS, claimed_codes, encoded

SMALL = 2**12
"""Limits up to it are tried at their own edge; larger ones are lowered first."""
LOWERED = 12
"""What a large limit is lowered to."""
LONGEST = 64
"""Steps of a refractory period that are waited for."""


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A limit at its edge and one beyond, each with the target that it is tried on."""

    at: Run
    beyond: Run
    on: UnderTest
    """The target as it is, or with a large limit lowered."""
    on_beyond: UnderTest
    lowered: bool


def edges(fact: str, under_test: UnderTest) -> tuple[Edge, ...]:
    """None where the suite has no network that comes to this limit on the target; two where it has a negative end."""
    unit = structures.plain(under_test.target)
    made = [HAND_MADE[fact], *([NEGATIVE[fact]] if fact in NEGATIVE else [])] if fact in HAND_MADE else []
    found = [] if unit is None else [make(fact, unit, under_test) for make in made]
    if not any(found) and fact in CONVERTED:
        found = [CONVERTED[fact](fact, under_test)]
    return tuple(edge for edge in found if edge is not None)


def _counted(make: Callable[..., Any], least: int = 1) -> Callable[[str, Any, UnderTest], Edge]:
    """A limit that a network of a size comes to."""

    def edge_of(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
        limit = under_test.target.limit(fact)
        lowered = limit > SMALL
        size = LOWERED if lowered else limit
        on = under_test.with_target(**{fact: size}) if lowered else under_test
        at = run_of(make(unit, on.target, max(size, least)), f"{fact} of {size}, at its edge")
        beyond = run_of(make(unit, on.target, size + 1), f"{fact} of {size}, one beyond")
        return Edge(at, beyond, on, on, lowered)

    return edge_of


def _delay(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
    limit = under_test.target.limit(fact)
    at = run_of(structures.chain(unit, under_test.target, delay=limit), f"a delay of {limit} steps")
    beyond = run_of(structures.chain(unit, under_test.target, delay=limit + 1), f"a delay of {limit + 1} steps")
    return Edge(at, beyond, under_test, under_test, False)


def _weight(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
    target = under_test.target
    bits = target.limit(fact)
    # a sign bit that all weights share is free where weights of both signs have to be even
    top = 2**bits if target.known("mixed_signs") == "even" else 2 ** (bits - 1)
    return _weights(unit, under_test, top - 1, top)


def _negative_weight(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
    target = under_test.target
    bits = target.limit(fact)
    low = 1 - 2**bits if target.known("mixed_signs") == "even" else -(2 ** (bits - 1))
    return _weights(unit, under_test, low, low - 1)


def _weights(unit: structures.Plain, under_test: UnderTest, last: int, next_: int) -> Edge:
    at, beyond = (
        run_of(structures.wide(unit, under_test.target, weight), f"a weight of {weight}") for weight in (last, next_)
    )
    return Edge(at, beyond, under_test, under_test, False)


def _threshold(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
    bits = under_test.target.limit(fact)
    shift = under_test.target.known("fraction_bits", 0) if unit.contract.chip else 0

    def with_threshold(value: int) -> Any:
        return structures.tall(unit, under_test.target, value << shift)

    at = run_of(with_threshold(2**bits - 1), f"a threshold of {bits} bits")
    beyond = run_of(with_threshold(2**bits), f"a threshold of {bits + 1} bits")
    return Edge(at, beyond, under_test, under_test, False)


def _cores(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    if under_test.target.limit("neurons_per_core") is None or under_test.target.known("placement") != "slices":
        return None
    on = under_test.with_target(cores=2, neurons_per_core=LOWERED)
    at = run_of(structures.many(unit, on.target, 2 * LOWERED), f"{2 * LOWERED} neurons on two cores")
    beyond = run_of(structures.many(unit, on.target, 2 * LOWERED + 1), f"{2 * LOWERED + 1} neurons on two cores")
    return Edge(at, beyond, on, on, True)


def _synapse_memory(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    bits = under_test.target.known("weight_bits")
    if bits is None:
        return None
    on = under_test.with_target(**{fact: LOWERED * bits})
    at = run_of(structures.fan_in(unit, on.target, LOWERED), f"{LOWERED} synapses in a memory for as many")
    beyond = run_of(
        structures.fan_in(unit, on.target, LOWERED + 1), f"{LOWERED + 1} synapses in a memory for {LOWERED}"
    )
    return Edge(at, beyond, on, on, True)


def _refractory(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    limit = under_test.target.limit(fact)
    lowered = limit > LONGEST
    steps = LOWERED if lowered else limit
    on = under_test.with_target(**{fact: steps}) if lowered else under_test

    def resting(steps: int) -> Run | None:
        try:
            simulation = structures.resting(unit, on.target, steps)
        except SpikeportError:
            return None  # longer than the neuron knows
        return None if simulation is None else run_of(simulation, f"a refractory period of {steps} steps")

    at, beyond = resting(steps), resting(steps + 1)
    if at is None:
        return None
    if beyond is None:
        return Edge(at, at, on, on.with_target(**{fact: steps - 1}), lowered)
    return Edge(at, beyond, on, on, lowered)


def _bias(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    """The largest mantissa under the largest exponent; a bit more of one or the other."""
    target = under_test.target
    bits = target.known("bias_bits")
    if not unit.contract.chip or bits is None:
        return None
    exponent = target.known("bias_exponent_max", 0)
    largest = (2 ** (bits - 1) - 1) << exponent
    above = largest << 1 if fact == "bias_exponent_max" else largest + (1 << exponent)
    at, beyond = (run_of(structures.biased(unit, target, bias), f"a bias of {bias}") for bias in (largest, above))
    return Edge(at, beyond, under_test, under_test, False)


def _exponent(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    if not unit.contract.chip:
        return None
    limit = under_test.target.limit(fact)
    further = limit + (1 if fact == "weight_exponent_max" else -1)
    try:
        at, beyond = (
            run_of(structures.scaled(unit, under_test.target, exponent), f"weights scaled by 2 to the {exponent}")
            for exponent in (limit, further)
        )
    except SpikeportError:
        return None  # further than any projection
    return Edge(at, beyond, under_test, under_test, False)


def _axons_out(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    """One neuron whose targets have a core each, so that no other placement helps."""
    target = under_test.target
    if target.limit("neurons_per_core") is None or target.known("placement") != "slices":
        return None
    room = {} if target.cores is None else {"cores": LOWERED + 3}
    on = under_test.with_target(neurons_per_core=1, **{fact: LOWERED}, **room)
    at, beyond = (
        run_of(structures.fan_out(unit, on.target, cores), f"{cores} axons out of a core, {fact} of {LOWERED}")
        for cores in (LOWERED, LOWERED + 1)
    )
    return Edge(at, beyond, on, on, True)


def _shared_memory(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    """Bytes of sixteen synapses, and one synapse more."""
    bits = under_test.target.known("weight_bits")
    if bits is None:
        return None
    on = under_test.with_target(**{fact: 2 * bits})
    at, beyond = (
        run_of(structures.fan_in(unit, on.target, n), f"{n} synapses in {2 * bits} bytes for 16") for n in (16, 17)
    )
    return Edge(at, beyond, on, on, True)


def _layers(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge | None:
    limit = under_test.target.limit(fact)
    if limit < 2:
        return None  # no network has fewer than one
    at, beyond = (
        run_of(structures.layered(unit, under_test.target, layers), f"{layers} layers, {fact} of {limit}")
        for layers in (limit, limit - 1)
    )
    return Edge(at, beyond, under_test, under_test, False)


def _step(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
    limit = under_test.target.limit(fact)

    def of_steps(dt: float) -> Run:
        contract = replace(unit.contract, dt=dt)
        return run_of(structures.chain(replace(unit, contract=contract), under_test.target), f"steps of {dt!r} s")

    return Edge(of_steps(limit), of_steps(nextafter(limit, 0)), under_test, under_test, False)


HAND_MADE: Mapping[str, Callable[[str, Any, UnderTest], Edge | None]] = {
    "delay_max": _delay,
    "refractory_max": _refractory,
    "weight_bits": _weight,
    "threshold_bits": _threshold,
    "bias_bits": _bias,
    "bias_exponent_max": _bias,
    "weight_exponent_min": _exponent,
    "weight_exponent_max": _exponent,
    "neurons_max": _counted(structures.many),
    "synapses_max": _counted(structures.many),
    "inputs_max": _counted(structures.many),
    "outputs_max": _counted(structures.many),
    "hidden_max": _counted(structures.hidden),
    "fan_in_max": _counted(structures.fan_in),
    "axons_in_per_core": _counted(structures.fan_in),
    "cores": _cores,
    "neurons_per_core": _cores,
    "synapse_bits_per_core": _synapse_memory,
    "axons_out_per_core": _axons_out,
    "shared_memory": _shared_memory,
    "layers_min": _layers,
    "fan_out_layers_max": _counted(structures.feeding),
    "dt_min": _step,
}
"""Limits that hand-made networks come to."""
NEGATIVE: Mapping[str, Callable[[str, Any, UnderTest], Edge | None]] = {"weight_bits": _negative_weight}
"""Their negative ends."""


Made = Callable[[InputKind], IntegerNetwork]
Values = Callable[[Any, Callable[[Any], bool]], tuple[Any, Any] | None]
"""From the value of a fact, and whether another one is refused: the narrowest that is not, and one that is, next to it."""


def _upwards(limit: int, refused: Callable[[Any], bool]) -> tuple[int, int] | None:
    return _first(range(limit + 1), refused)


def _downwards(limit: int, refused: Callable[[Any], bool]) -> tuple[int, int] | None:
    return _first(range(0, limit - 1, -1), refused)


def _first(values: Iterable[int], refused: Callable[[Any], bool]) -> tuple[int, int] | None:
    for before, value in pairwise(values):
        if not refused(before):
            return None  # the network does not come to this limit
        if not refused(value):
            return value, before
    return None


def _one_less(limit: tuple[int, ...], refused: Callable[[Any], bool]) -> tuple[Any, Any] | None:
    """All that are offered, and all but one that the network uses."""
    fewer = (tuple(value for value in limit if value != left_out) for left_out in limit)
    return next(((limit, some) for some in fewer if refused(some)), None)


def _equal_cores(limit: tuple[int, ...], refused: Callable[[Any], bool]) -> tuple[Any, Any] | None:
    """Cores of one size, as large as the largest layer."""
    least = bisect_left(range(max(limit)), True, key=lambda words: not refused((words,) * len(limit)))
    return ((least,) * len(limit), (least - 1,) * len(limit)) if least else None


def _tight(makes: tuple[Made, ...], kinds: tuple[InputKind, ...] = KINDS, values: Values = _upwards) -> Any:
    """A limit that is lowered until a converted network just fits."""

    def edge_of(fact: str, under_test: UnderTest) -> Edge | None:
        for about, network, x in _encoded(makes, kinds, under_test):
            if under_test.refused(network):
                continue

            def refused(value: Any, network: Any = network) -> bool:
                return bool(under_test.with_target(**{fact: value}).refused(network))

            found = values(under_test.target.limit(fact), refused)
            if found is None:
                continue
            at, beyond = (under_test.with_target(**{fact: value}) for value in found)
            run = Run(network, x, {}, f"{fact} of {found[0]}, {about}")
            return Edge(run, run, at, beyond, True)
        return None

    return edge_of


def _encoded(
    makes: tuple[Made, ...], kinds: tuple[InputKind, ...], under_test: UnderTest
) -> Iterator[tuple[str, Any, Any]]:
    for make in makes:
        for code in sorted(claimed_codes(under_test.target)):
            for kind in kinds:
                integer = make(kind)
                network = encoded(integer, code)
                if network is not None:
                    yield f"{code} code, {kind} input", network, networks.frames(integer)


def _caps(fact: str, under_test: UnderTest) -> Edge | None:
    """A network that stops counting at one of the numbers that are offered, and a target without it."""
    for cap in under_test.target.limit(fact):
        make = partial(networks.capped, cap)
        found: Edge | None = _tight((make,), values=_one_less)(fact, under_test)
        if found is not None:
            return found
    return None


def _signed_input(fact: str, under_test: UnderTest) -> Edge | None:
    """Input that is negative where the target takes such; if it does not, one that starts at zero, and one that does not."""
    takes = under_test.target.limit(fact)
    below, from_zero = ([*_encoded((make,), ("static",), under_test)] for make in (networks.signed_input, _boundaries))
    for (about, network, x), (_, other, other_x) in zip(below, from_zero, strict=False):
        negative = Run(network, x, {}, f"negative input, {about}")
        if takes and not under_test.refused(network):
            return Edge(negative, negative, under_test, under_test, False)  # and there is nothing beyond
        if not takes and under_test.refused(network) and not under_test.refused(other):
            return Edge(Run(other, other_x, {}, about), negative, under_test, under_test, False)
    return None


def _boundaries(kind: InputKind) -> IntegerNetwork:
    return networks.boundaries(kind).integer


def _both_signs(kind: InputKind) -> IntegerNetwork:
    return networks.both_signs(kind).integer


def _map(operator: str) -> Made:
    return lambda kind: networks.operator(operator, "dense", kind)


_CONVOLUTION = (_map("convolution"),)
CONVERTED: Mapping[str, Callable[[str, UnderTest], Edge | None]] = {
    "state_bits": _tight((_boundaries,)),
    "arrival_bits": _tight((_boundaries,)),
    "bias_bits": _tight((_boundaries,)),
    "payload_max": _tight((_boundaries,)),
    "payload_caps": _caps,
    "input_signed": _signed_input,
    "payload_min": _tight((_both_signs,), values=_downwards),
    "input_bits": _tight((_boundaries,), ("events",)),
    "channels_max": _tight(_CONVOLUTION),
    "map_edge_in_max": _tight(_CONVOLUTION),
    "map_edge_out_max": _tight(_CONVOLUTION),
    "kernel_max": _tight(_CONVOLUTION),
    "padding_max": _tight(_CONVOLUTION),
    "kernels": _tight(_CONVOLUTION, values=_one_less),
    "strides": _tight(_CONVOLUTION, values=_one_less),
    "pools": _tight((_map("sum pooling"), _map("max pooling")), values=_one_less),
    "core_weight_words": _tight((_boundaries, *_CONVOLUTION), values=_equal_cores),
    "core_neuron_words": _tight((_boundaries, *_CONVOLUTION), values=_equal_cores),
}
"""Limits that converted networks come to."""
FACTS = sorted({*HAND_MADE, *CONVERTED})
"""All that the suite tries."""
