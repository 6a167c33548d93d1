"""A network as a chip sees it: populations on the chip, what reaches them, and from where. One view of both kinds of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from spikeport.lower.cut import Cut
from spikeport.lower.relation import Chain, Reach, reach_of
from spikeport.primitives import (
    DynamicNetwork,
    DynamicNeuron,
    FixedNeuron,
    MaxUnit,
    Neuron,
    Shape,
    SpikingNetwork,
    StaircaseBank,
    UnitBank,
)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A population on the chip."""

    name: str
    shape: Shape
    neuron: Neuron | DynamicNeuron | FixedNeuron
    units: int = 1
    """Units of the chip that make up one neuron of the network: one for each level under the population code."""

    @property
    def size(self) -> int:
        """Neurons of the network."""
        return prod(self.shape)

    @property
    def neurons(self) -> int:
        """Neurons of the chip."""
        return self.size * self.units


@dataclass(frozen=True, eq=False)
class Link:
    """What one population, or a line from outside, sends to a population on the chip."""

    source: str
    target: str
    synapses: Chain
    """A maximum that the target takes over a window is the last of them."""
    shape: Shape
    """Of the source."""
    delay: int = 0
    exponent: int = 0

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"

    @cached_property
    def reach(self) -> Reach:
        """Which neuron of the source reaches which of the target."""
        return reach_of(self.synapses, self.shape)


@dataclass(frozen=True, eq=False)
class Wiring:
    """Populations on the chip, in order, and all that reaches them."""

    name: str
    lines: Mapping[str, int]
    """Lines of events that enter the chip, by the name of their source: the input, or a population that stays on the host."""
    line_units: Mapping[str, int]
    """Lines for each neuron of a source, where it is not one."""
    sites: tuple[Site, ...]
    links: tuple[Link, ...]
    currents: frozenset[str]
    """Populations into which the host puts currents: those that a static input feeds."""
    outputs: tuple[str, ...]
    """Populations that are read."""

    @cached_property
    def by_name(self) -> Mapping[str, Site]:
        return {site.name: site for site in self.sites}

    @cached_property
    def _incoming(self) -> Mapping[str, tuple[Link, ...]]:
        return {site.name: tuple(link for link in self.links if link.target == site.name) for site in self.sites}

    def incoming(self, name: str) -> tuple[Link, ...]:
        """What reaches a population."""
        return self._incoming[name]

    def units(self, source: str) -> int:
        """Units of the chip, or lines, for each neuron of a source."""
        site = self.by_name.get(source)
        return self.line_units.get(source, 1) if site is None else site.units

    @property
    def neurons(self) -> int:
        """Neurons of the chip."""
        return sum(site.neurons for site in self.sites)


def wiring_of(
    network: SpikingNetwork | DynamicNetwork, cut: Cut | None = None, *, input_on_chip: bool = False
) -> Wiring:
    """What of a network is on the chip, and how it is joined.

    Args:
        network: either kind.
        cut: populations that the host keeps; the rest is on the chip.
        input_on_chip: the chip itself weighs static input; otherwise the host does, and puts currents into the populations fed.
    """
    if isinstance(network, DynamicNetwork):
        return _hand_made(network)
    host = frozenset[str]() if input_on_chip else network.on_host()
    away = host if cut is None else host | {*cut.before, *cut.after}
    sites = tuple(
        Site(p.name, p.shape, p.neuron, _units(network, p.name)) for p in network.populations if p.name not in away
    )
    links, currents, lines, line_units = list[Link](), set[str](), dict[str, int](), dict[str, int]()
    here = {site.name for site in sites}
    for connection in network.connections:
        source, target = connection.source, connection.target
        if target not in here:
            continue
        if source in host:
            currents.add(target)
            continue
        shape = network.input.shape if source == network.input.name else network[source].shape
        neuron = network[target].neuron
        window = (neuron.window,) if isinstance(neuron, MaxUnit) else ()
        links.append(Link(source, target, (*connection.synapses, *window), shape))
        if source not in here:
            line_units[source] = 1 if source == network.input.name else _units(network, source)
            lines[source] = prod(shape) * line_units[source]
    read = {c.source for c in network.connections if c.source in here and c.target not in here}
    outputs = [site.name for site in sites if site.name in read or site.name == network.output]
    return Wiring(network.name, lines, line_units, sites, tuple(links), frozenset(currents), tuple(outputs))


def _hand_made(network: DynamicNetwork) -> Wiring:
    sites = tuple(Site(p.name, p.shape, p.neuron) for p in network.populations)
    shapes = {i.name: i.shape for i in network.inputs} | {p.name: p.shape for p in network.populations}
    links = tuple(
        Link(p.source, p.target, p.synapses, shapes[p.source], p.delay, p.exponent) for p in network.projections
    )
    sending = {link.source for link in links}
    outputs = tuple(site.name for site in sites if site.name not in sending)
    return Wiring(network.name, {i.name: i.size for i in network.inputs}, {}, sites, links, frozenset(), outputs)


def _units(network: SpikingNetwork, name: str) -> int:
    """Units of one neuron: of a bank those of its levels, of a maximum those of the largest bank that it looks at."""
    neuron = network[name].neuron
    if isinstance(neuron, UnitBank | StaircaseBank):
        return neuron.units
    if isinstance(neuron, MaxUnit):
        sources = [c.source for c in network.incoming(name) if c.source != network.input.name]
        return max((_units(network, source) for source in sources), default=1)
    return 1
