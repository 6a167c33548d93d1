"""From modules to one flat network: paths for names, operators for recipes, steps for seconds; all problems at once."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem, SpikeportError
from spikeport.graph import apply_synapse
from spikeport.network.converted import INPUT, OUTPUT, beyond, streamed
from spikeport.network.module import Input, Link, Module, Neurons, Part, Port
from spikeport.network.resolve import Chain, resolve
from spikeport.primitives import (
    Approximation,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    Extension,
    Ledger,
    NetworkOutput,
    Projection,
    Relay,
    Rule,
    Shape,
    Sparse,
    SpikeInput,
    SpikingNetwork,
)
from spikeport.primitives.contract import NETWORK_WIDE


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    """A connection between two places of the flat network, which may still be ports of modules."""

    source: str
    target: str
    chain: Chain
    delay: int
    """Steps from a spike to its arrival, the contract's latency at least; from a port on, which has none, just so many."""
    later: int = 0
    """Steps of connections behind ports, in addition."""
    bias: NDArray[Any] | None = None
    plasticity: Rule | None = None
    port: Literal["", "imag"] = ""
    exponent: int = 0
    ext: tuple[Extension, ...] = ()

    @property
    def plain(self) -> bool:
        """It only hands on."""
        return not self.chain and self.bias is None and not self.special

    @property
    def special(self) -> bool:
        """It says more than operators do."""
        return self.plasticity is not None or bool(self.port or self.exponent or self.ext)


@dataclass
class _Flat:
    """What is found on the way through the modules."""

    seed: int
    contract: DynamicsContract
    populations: list[DynamicPopulation]
    """Relays stand where a port does, until the port turns out to need none."""
    edges: list[_Edge]
    ports: dict[str, Shape]
    """Input ports of modules, by path."""
    silent: set[str]
    problems: list[Problem]
    ledger: list[Approximation]

    def inherit(self, path: str, ledger: Ledger) -> None:
        """Keep what a part lost before it came here, under its path."""
        self.ledger.extend(replace(entry, node=f"{path}/{entry.node}") for entry in ledger)


def built(module: Module, *, contract: DynamicsContract, seed: int) -> DynamicNetwork:
    """The flat network.

    Raises:
        GraphError: shapes that do not fit, delays that are no steps, ports that nothing is connected to, names that meet; all of them.
    """
    flat = _Flat(seed, contract, [], [], {}, set(), [], [])
    inputs = tuple(SpikeInput(p.name, p.shape) for p in module.parts.values() if isinstance(p, Input))
    _walk(module, "", flat)
    outputs = tuple(NetworkOutput(name, _source(module, "", port)) for name, port in module.outputs.items())
    if flat.problems:
        raise GraphError(flat.problems)
    read = {output.source for output in outputs}
    _dissolve_all(flat, read)
    if flat.problems:
        raise GraphError(flat.problems)
    relays = {p.name for p in flat.populations if isinstance(p.neuron, Relay)}
    projections = tuple(_projection(edge, flat, relays) for edge in flat.edges)
    return DynamicNetwork(
        module.name, inputs, tuple(flat.populations), projections, contract, tuple(flat.ledger), outputs
    )


def _walk(module: Module, prefix: str, flat: _Flat) -> None:
    """Add what is in a module, depth first."""
    if prefix:  # before all populations, which a port reaches within the step
        _add_ports(prefix, [p for p in module.parts.values() if isinstance(p, Input)], flat)
    for place in module.parts.values():
        path = prefix + place.name
        match place:
            case Neurons():
                try:
                    flat.populations.append(DynamicPopulation(path, place.shape, place.neuron, ext=place.ext))
                except GraphError as error:
                    flat.problems.extend(error.problems)
            case Part():
                flat.silent.update(f"{path}/{name}" for name in place.silent)
                match place.module:
                    case Module() as inner:
                        _walk(inner, path + "/", flat)
                    case DynamicNetwork() as inner:
                        _finished(inner, path, flat)
                    case SpikingNetwork() as inner:
                        _converted(inner, path, flat)
    seen = Counter[str]()
    for link in module.links:
        twins = seen[link.name]
        seen[link.name] += 1
        try:
            flat.edges.extend(_edges(module, prefix, link, twins, flat))
        except (ValueError, SpikeportError) as error:
            why = "; ".join(p.why for p in error.problems) if isinstance(error, SpikeportError) else str(error)
            joins = f"(it joins shape {link.source.shape} to shape {link.target.shape})"
            flat.problems.append(Problem(prefix + link.name, f"{why} {joins}"))


def _add_ports(prefix: str, inputs: Iterable[Input | SpikeInput], flat: _Flat) -> None:
    for place in inputs:
        flat.ports[prefix + place.name] = place.shape
        flat.populations.append(DynamicPopulation(prefix + place.name, place.shape, Relay()))


def _finished(network: DynamicNetwork, path: str, flat: _Flat) -> None:
    """Add a network that was built before: its populations keep their contract where it differs."""
    own, outer = network.contract, flat.contract
    other = [name for name in NETWORK_WIDE if name != "layer_latency" and getattr(own, name) != getattr(outer, name)]
    if own.chip != outer.chip or other:
        what = ", ".join(f"{n}={getattr(own, n)!r}" for n in other) or own.integrator
        hint = "build the whole with that, or the part with this"
        flat.problems.append(Problem(path, f"was built with {what}, and the network around it is not", hint))
        return
    lines = {place.name for place in network.inputs}
    for p in network.projections:
        takes = p.delay + network.latency_from(p.source)
        relays = p.source not in lines and isinstance(network[p.source].neuron, Relay)
        if p.source not in lines and not relays and takes < outer.layer_latency:
            why = f"takes {takes} steps, and connections of the network around it {outer.layer_latency} at least"
            flat.problems.append(Problem(f"{path}/{p.name}", why, "build the whole with the part's layer latency"))
    _add_ports(path + "/", network.inputs, flat)
    for population in network.populations:
        keeps = replace(network.contract_of(population.name), layer_latency=outer.layer_latency)
        contract = None if outer.chip or keeps == outer else keeps
        flat.populations.append(replace(population, name=f"{path}/{population.name}", contract=contract))
    for p in network.projections:
        # from its input the latency is that of what is connected there
        late = 0 if p.source in lines else network.latency_from(p.source)
        edge = _Edge(
            f"{path}/{p.source}",
            f"{path}/{p.target}",
            p.synapses,
            p.delay + late,
            0,
            p.bias,
            p.plasticity,
            p.port,
            p.exponent,
            p.ext,
        )
        flat.edges.append(edge)
    flat.inherit(path, network.ledger)


def _converted(network: SpikingNetwork, path: str, flat: _Flat) -> None:
    """Add the units of a converted network; its read-out is a port too."""
    made = streamed(network, flat.contract)
    flat.problems += [replace(p, where=f"{path}/{p.where}") for p in beyond(network, made, flat.contract)]
    flat.inherit(path, network.ledger)
    flat.ports[f"{path}/{INPUT}"] = network.input.shape
    flat.ports[f"{path}/{OUTPUT}"] = network[network.output].shape
    flat.populations.append(DynamicPopulation(f"{path}/{INPUT}", network.input.shape, Relay()))
    flat.populations += [replace(p, name=f"{path}/{p.name}") for p in made.populations]
    flat.populations.append(DynamicPopulation(f"{path}/{OUTPUT}", network[network.output].shape, Relay()))
    for wire in made.wires:
        bias = None if wire.bias is None or not np.any(wire.bias) else wire.bias
        # what an input port hands on has had its latency
        edge = _Edge(f"{path}/{wire.source}", f"{path}/{wire.target}", wire.chain, 0, wire.delay, bias)
        flat.edges.append(edge)


def _edges(module: Module, prefix: str, link: Link, twins: int, flat: _Flat) -> Iterator[_Edge]:
    source, target = _source(module, prefix, link.source), prefix + link.target.path
    path = f"{prefix}{link.name}"
    dt = flat.contract.dt

    def seeded(own: int | None) -> np.random.Generator:
        return np.random.default_rng([flat.seed, zlib.crc32(path.encode()), twins] if own is None else own)

    first = True
    for made in resolve(
        link.synapses,
        link.source.shape,
        link.target.shape,
        dt=dt,
        delay=link.delay,
        same=source == target,
        seeded=seeded,
    ):
        bias = link.bias if first else None
        yield _Edge(
            source, target, made.chain, made.delay, 0, bias, link.plasticity, link.port, link.exponent, link.ext
        )
        first = False


def _source(module: Module, prefix: str, port: Port) -> str:
    """Path of the input or population that a port stands for."""
    while port.part:
        part = module.parts[port.part]
        assert isinstance(part, Part)
        prefix += f"{part.name}/"
        if isinstance(part.module, DynamicNetwork):
            sources = {output.name: output.source for output in part.module.outputs}
            return prefix + sources.get(port.name, port.name)
        if isinstance(part.module, SpikingNetwork):
            return prefix + port.name
        module, port = part.module, part.module.outputs[port.name]
    return prefix + port.name


class _Ends:
    """Edges in order, and which of them begin and end at each port: joining them looks at no others."""

    def __init__(self, flat: _Flat) -> None:
        self.edges: dict[int, _Edge] = {}
        self.into: dict[str, dict[int, _Edge]] = {path: {} for path in flat.ports}
        self.out_of: dict[str, dict[int, _Edge]] = {path: {} for path in flat.ports}
        self._number = 0
        for edge in flat.edges:
            self.add(edge)

    def add(self, edge: _Edge) -> None:
        """Behind all others."""
        self.edges[self._number] = edge
        for ends, path in ((self.into, edge.target), (self.out_of, edge.source)):
            if path in ends:
                ends[path][self._number] = edge
        self._number += 1

    def remove(self, number: int) -> None:
        edge = self.edges.pop(number)
        for ends, path in ((self.into, edge.target), (self.out_of, edge.source)):
            ends.get(path, {}).pop(number, None)


def _dissolve_all(flat: _Flat, read: set[str]) -> None:
    """Every port that connections can stand for."""
    ends = _Ends(flat)
    gone = {path for path in list(flat.ports) if _dissolved(path, flat, read, ends)}
    flat.edges[:] = ends.edges.values()
    flat.populations[:] = [p for p in flat.populations if p.name not in gone]


def _dissolved(path: str, flat: _Flat, read: set[str], ends: _Ends) -> bool:
    """Join what arrives at a port with what leaves it, where one connection can say both; else the port stays, as a relay."""
    arriving, leaving = list(ends.into[path].values()), list(ends.out_of[path].values())
    if not arriving and path not in flat.silent:
        _part, _, name = path.rpartition("/")
        hint = f"connect it, or say so where it is added: silent=({name!r},)"
        flat.problems.append(Problem(path, "is an input that nothing is connected to", hint))
        return False
    if path in read or (arriving and not leaving):
        return False
    # copies of a connection that learns would learn each for itself
    if (len(arriving) > 1 and any(e.plasticity is not None for e in leaving)) or (
        len(leaving) > 1 and any(e.plasticity is not None for e in arriving)
    ):
        return False
    pairs = [(first, second) for first in arriving for second in leaving]
    joined = [_joined(first, second, flat.ports[path]) for first, second in pairs]
    if any(edge is None for edge in joined) or any(edge.bias is not None for edge in leaving):
        return False
    for number in [*ends.into[path], *ends.out_of[path]]:
        ends.remove(number)
    for edge in joined:
        assert edge is not None
        ends.add(edge)
    del flat.ports[path]
    return True


def _joined(first: _Edge, second: _Edge, shape: Shape) -> _Edge | None:
    """Two connections as one, through a port of that shape, or None where that cannot be said."""
    later = first.later + second.delay + second.later
    if (first.plasticity is not None and later) or (second.plasticity is not None and first.delay + first.later):
        return None  # on which side of the synapse a delay lies matters to what learns
    if second.plain:
        return replace(first, target=second.target, later=later)
    if first.plain:
        return replace(second, source=first.source, delay=first.delay, later=later)
    if any(e.special for e in (first, second)):
        return None
    operators = [s for e in (first, second) for s in e.chain if not isinstance(s, Sparse)]
    if len(operators) < len(first.chain) + len(second.chain):  # sparse synapses stand alone in a projection
        return None
    bias = None if first.bias is None else _through(second.chain, first.bias, shape)
    return _Edge(first.source, second.target, tuple(operators), first.delay, later, bias)


def _through(chain: Chain, bias: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """What a constant is behind some operators."""
    x = np.broadcast_to(bias, shape)[None]
    for synapse in chain:
        assert not isinstance(synapse, Sparse)
        x = apply_synapse(synapse, x)
    constant: NDArray[Any] = x[0]
    return constant


def _projection(edge: _Edge, flat: _Flat, relays: set[str]) -> Projection:
    latency = 0 if edge.source in relays else flat.contract.layer_latency
    delay = max(0, edge.delay - latency) + edge.later
    return Projection(
        edge.source,
        edge.target,
        edge.chain,
        delay,
        edge.bias,
        exponent=edge.exponent,
        port=edge.port,
        plasticity=edge.plasticity,
        ext=edge.ext,
    )


def probed(module: Module, prefix: str = "") -> Iterator[str]:
    """What its probes and those of its parts record, by path in the flat network."""
    for probe in module.probes:
        yield f"{_source(module, prefix, probe.port)}.{probe.what}"
    for part in module.parts.values():
        if isinstance(part, Part) and isinstance(part.module, Module):
            yield from probed(part.module, f"{prefix}{part.name}/")
