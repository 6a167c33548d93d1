"""What the suite runs of each kind of neuron, code, operator and limit; chosen by what a target says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

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
