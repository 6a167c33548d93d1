"""What the suite runs of each kind of neuron, code, operator and limit; chosen by what a target says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from spikeport.codes import NEEDS, encode
from spikeport.errors import SpikeportError
from spikeport.primitives import Code, InputKind
from spikeport.quantize import IntegerNetwork
from spikeport.targets import NeuronModel, SynapseKind, Target
from spikeport.testing import networks, structures
from spikeport.testing.carrying import Network, Run, UnderTest, run_of
from spikeport.testing.handmade import neuron_simulations

KINDS: tuple[InputKind, ...] = get_args(InputKind)
CODES: tuple[Code, ...] = tuple(NEEDS)
NEURONS: tuple[NeuronModel, ...] = get_args(NeuronModel)
SYNAPSES: tuple[SynapseKind, ...] = get_args(SynapseKind)
STRUCTURES = ("delay", "loop", "skip")
KNOWN = (networks.boundaries, networks.both_signs, networks.curved, networks.skipping)
SMALL = 2**12
"""Limits up to it are tried at their own edge; larger ones are lowered first."""
LOWERED = 12
"""What a large limit is lowered to."""


def claimed_codes(target: Target) -> frozenset[Code]:
    """Codes whose needs a target offers."""
    features = target.known("features", frozenset())
    return frozenset(code for code in CODES if target.features is not None and NEEDS[code] <= features)


def neurons(kind: NeuronModel, target: Target) -> Iterator[Run]:
    for number, simulation in enumerate(neuron_simulations(kind, target)):
        contract = simulation.network.contract
        how = f"{contract.integrator}, {contract.arithmetic}, reset {contract.reset}"
        yield run_of(simulation, f"{kind} at its boundaries ({how}; {number})")


def codes(code: Code, target: Target) -> Iterator[tuple[Run, networks.Known]]:
    """Networks with known answers under a code, as far as it carries them."""
    for made in KNOWN:
        for kind in KINDS:
            known = made(kind)
            network = encoded(known.integer, code)
            if network is not None:
                yield Run(network, known.x, {}, f"{made.__name__}, {code} code, {kind} input"), known


def encoded(integer: IntegerNetwork, code: Code) -> Network | None:
    """None where the code does not carry the integers."""
    try:
        return encode(integer, code)
    except SpikeportError:
        return None


def synapses(kind: SynapseKind, target: Target) -> Iterator[Run]:
    """An operator in hand-made networks, and in converted ones under every code."""
    for unit in structures.plains(target) if kind != "max pooling" else ():
        yield run_of(structures.operator(unit, target, kind), f"{kind} synapses of a hand-made network")
    if kind == "sparse":
        return  # converted networks have none
    for code in sorted(claimed_codes(target)) or CODES[:1]:
        for ending in ("dense", "convolution")[: 1 if kind == "dense" else 2]:
            for source in KINDS:
                integer = networks.operator(kind, ending, source)
                network = encoded(integer, code)
                if network is not None:
                    about = f"{kind} synapses, {code} code, {source} input, {ending} read-out"
                    yield Run(network, networks.frames(integer), {}, about)


def structure(kind: str, target: Target) -> Iterator[Run]:
    """Loops and skips."""
    longest = target.known("delay_max", 3)
    for unit in structures.plains(target):
        match kind:
            case "delay":
                for delay in sorted({0, 1, 2, min(longest, 100)}):
                    yield run_of(structures.chain(unit, target, delay=delay), f"a delay of {delay} steps")
            case "loop":
                yield run_of(structures.chain(unit, target, back=True), "a loop")
            case "skip":
                yield run_of(structures.chain(unit, target, skip=True), "a population fed by two others")
    if kind == "skip":
        for code in sorted(claimed_codes(target)):
            for source in KINDS:
                known = networks.skipping(source)
                network = encoded(known.integer, code)
                if network is not None:
                    yield Run(network, known.x, {}, f"a population fed by two others, {code} code, {source} input")


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A limit at its edge and one beyond, each with the target that it is tried on."""

    at: Run
    beyond: Run
    on: UnderTest
    """The target as it is, or with a large limit lowered."""
    on_beyond: UnderTest
    lowered: bool


def edge(fact: str, under_test: UnderTest) -> Edge | None:
    """None where the suite has no network that comes to this limit on the target."""
    unit = structures.plain(under_test.target)
    if fact in HAND_MADE and unit is not None:
        return HAND_MADE[fact](fact, unit, under_test)
    if fact in TIGHT:
        return _tight(fact, under_test)
    return None


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
    at = run_of(structures.wide(unit, target, top - 1), f"a weight of {top - 1}")
    beyond = run_of(structures.wide(unit, target, top), f"a weight of {top}")
    return Edge(at, beyond, under_test, under_test, False)


def _negative_weight(fact: str, unit: structures.Plain, under_test: UnderTest) -> Edge:
    target = under_test.target
    bits = target.limit(fact)
    low = -(2**bits) + 1 if target.known("mixed_signs") == "even" else -(2 ** (bits - 1))
    at = run_of(structures.wide(unit, target, low), f"a weight of {low}")
    beyond = run_of(structures.wide(unit, target, low - 1), f"a weight of {low - 1}")
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


HAND_MADE: Mapping[str, Callable[[str, Any, UnderTest], Edge | None]] = {
    "delay_max": _delay,
    "weight_bits": _weight,
    "threshold_bits": _threshold,
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
}
"""Limits that hand-made networks come to."""
TIGHT: Mapping[str, tuple[Callable[[InputKind], IntegerNetwork], tuple[InputKind, ...]]] = {
    "state_bits": (lambda kind: networks.boundaries(kind).integer, KINDS),
    "arrival_bits": (lambda kind: networks.boundaries(kind).integer, KINDS),
    "payload_max": (lambda kind: networks.boundaries(kind).integer, KINDS),
    "input_bits": (lambda kind: networks.boundaries(kind).integer, ("events",)),
    "channels_max": (lambda kind: networks.operator("convolution", "dense", kind), KINDS),
    "map_edge_in_max": (lambda kind: networks.operator("convolution", "dense", kind), KINDS),
    "map_edge_out_max": (lambda kind: networks.operator("convolution", "dense", kind), KINDS),
    "kernel_max": (lambda kind: networks.operator("convolution", "dense", kind), KINDS),
    "padding_max": (lambda kind: networks.operator("convolution", "dense", kind), KINDS),
}
"""Limits that are lowered until a converted network just fits."""


def _tight(fact: str, under_test: UnderTest) -> Edge | None:
    make, kinds = TIGHT[fact]
    limit = under_test.target.limit(fact)
    for code in sorted(claimed_codes(under_test.target)):
        for kind in kinds:
            integer = make(kind)
            network = encoded(integer, code)
            if network is None or under_test.refused(network):
                continue
            tight = next(n for n in range(limit + 1) if not under_test.with_target(**{fact: n}).refused(network))
            if tight == 0:
                continue
            run = Run(network, networks.frames(integer), {}, f"{fact} of {tight}, {code} code, {kind} input")
            on, beyond = (under_test.with_target(**{fact: n}) for n in (tight, tight - 1))
            return Edge(run, run, on, beyond, True)
    return None


def random_converted(seed: int, target: Target) -> Iterator[Run]:
    """One random integer network under every code that is claimed and carries it."""
    integer = networks.drawn(seed, target)
    for code in sorted(claimed_codes(target)):
        network = encoded(integer, code)
        if network is not None:
            yield Run(network, networks.frames(integer, 3, seed), {}, f"random network {seed}, {code} code")


def random_hand_made(seed: int, target: Target) -> Iterator[Run]:
    """A random network under every contract of a target that has plain neurons."""
    for unit in structures.plains(target):
        simulation = structures.drawn(unit, target, seed)
        if simulation is not None:
            yield run_of(simulation, f"random hand-made network {seed}, {unit.contract.integrator}")


def one_converted(under_test: UnderTest) -> Run | None:
    """A converted network that the target carries: the first there is, events before static input."""
    for code in sorted(claimed_codes(under_test.target)):
        for kind in reversed(KINDS):
            known = networks.boundaries(kind)
            network = encoded(known.integer, code)
            if network is not None and not under_test.refused(network) and not under_test.approximated(network):
                return Run(network, known.x, {}, f"boundaries, {code} code, {kind} input")
    return None


def one_hand_made(under_test: UnderTest) -> Run | None:
    """A hand-made network that the target carries, of the plainest neuron, or the first that there is."""
    target, unit = under_test.target, structures.plain(under_test.target)
    if unit is not None:
        run = run_of(structures.chain(unit, target, delay=min(2, target.known("delay_max", 2))), "chain")
        if not under_test.refused(run.network):
            return run
    for kind in NEURONS:
        if kind in target.known("neurons", frozenset()):
            for run in neurons(kind, target):
                if not under_test.refused(run.network) and not under_test.approximated(run.network):
                    return run
    return None


def some(under_test: UnderTest) -> list[Run]:
    """A converted network and one written by hand, as far as the target carries such."""
    return [run for run in (one_converted(under_test), one_hand_made(under_test)) if run is not None]


def with_random_input(run: Run, seed: int = 1) -> Run:
    """The same network with other input."""
    if run.x is None or not isinstance(run.x, Mapping):
        return run
    rng = np.random.default_rng(seed)
    x = {name: (rng.random(values.shape) < 0.5).astype(np.int64) for name, values in run.x.items()}
    return Run(run.network, x, run.arguments, run.about)
