"""Populations onto cores: contiguous slices that fill one core after the other, deterministic, each neuron once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import LowerError
from spikeport.lower.cut import Cut
from spikeport.lower.layers import place_layers
from spikeport.lower.placement import Load, Part, Placement
from spikeport.lower.verdict import Knob, Reason
from spikeport.lower.weights import pieces, register_bits
from spikeport.lower.wiring import Link, Site, Wiring, wiring_of
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Target

Limits = Literal["known", "enforced"]
SMALLER_CORES: frozenset[Knob] = frozenset(["levels", "weight_bits", "width", "allow_host"])
BEYOND = 4
"""A network that needs so many times the cores that there are is not placed; how many it needs at least is known without."""
ROUNDS = 16
"""Times that slices are halved until their neurons reach no more cores than they may."""


def place(network: SpikingNetwork | DynamicNetwork, target: Target, *, cut: Cut | None = None) -> Placement:
    """Where every neuron of a network goes.

    Args:
        network: either kind.
        target: by its `placement`: "slices" onto equal cores, "layers" onto cores of different memories, "chip".
        cut: populations that the host keeps.

    Raises:
        LowerError: it does not fit; everything that is in the way.
    """
    layout = lay_out(wiring_of(network, cut, input_on_chip=weighs_input(target)), target)
    if layout.reasons or layout.placement is None:
        raise LowerError(layout.reasons)
    return layout.placement


def weighs_input(target: Target) -> bool:
    """Whether whole frames enter the chip, rather than events or currents of the host."""
    return target.known("execution") == "frames"


@dataclass(frozen=True, slots=True)
class Layout:
    """A placement, or how much it would take."""

    placement: Placement | None
    """None where the network is far too large to be placed, or a neuron too large for any core."""
    cores: int
    exact: bool
    """Whether it takes so many cores, or at least so many."""
    reasons: tuple[Reason, ...] = ()


def lay_out(wiring: Wiring, target: Target, limits: Limits = "known") -> Layout:
    """The placement, and what is in its way.

    Cores are filled to all limits that are known. If that takes more cores than there are, only enforced limits decide whether
    it is refused.
    """
    read = target.known if limits == "known" else target.limit
    kind = target.known("placement", "chip")
    if kind == "layers":
        return _layers(wiring, target)
    per_core = _PerCore(
        neurons=read("neurons_per_core") if kind == "slices" else None,
        bits=read("synapse_bits_per_core") if kind == "slices" else None,
        axons_in=read("axons_in_per_core") if kind == "slices" else None,
        axons_out=read("axons_out_per_core") if kind == "slices" else None,
    )
    available = target.known("cores")
    bits = {link: pieces(link, target) * register_bits(link, target) for link in wiring.links}
    least = _least_cores(wiring, per_core, bits)
    if available is not None and least > BEYOND * available:
        layout = Layout(None, least, False, _too_many(wiring, target, least, "at least "))
    else:
        placement, reasons = _Filling(wiring, per_core, bits, kind, available).run()
        cores = placement.cores
        over = available is not None and cores > available
        layout = Layout(placement, cores, True, (*reasons, *(_too_many(wiring, target, cores, "") if over else ())))
    if limits == "known" and layout.reasons:
        hard = lay_out(wiring, target, "enforced")
        return hard if hard.reasons else replace(layout, reasons=())
    if limits == "enforced" and target.limit("cores") is None:
        return replace(layout, reasons=tuple(r for r in layout.reasons if r.fact != "cores"))
    return layout


@dataclass(frozen=True, slots=True)
class _PerCore:
    neurons: int | None
    bits: int | None
    axons_in: int | None
    axons_out: int | None


def _least_cores(wiring: Wiring, per_core: _PerCore, bits: Mapping[Link, int]) -> int:
    least = 1
    if per_core.neurons:
        least = max(least, ceil(wiring.neurons / per_core.neurons))
    if per_core.bits:
        total = sum(
            link.reach.pairs * bits[link] * wiring.by_name[link.target].units * wiring.units(link.source)
            for link in wiring.links
        )
        least = max(least, ceil(total / per_core.bits))
    return least


def _too_many(wiring: Wiring, target: Target, cores: int, least: str) -> tuple[Reason, ...]:
    available = target.known("cores")
    why = f"needs {least}{cores:,} cores, and {target.title} has {available:,}"
    return (Reason(wiring.name, why, "", "cores", SMALLER_CORES),)


@dataclass
class _Core:
    """A core as it fills."""

    index: int
    neurons: int = 0
    bits: int = 0
    synapses: int = 0
    held: dict[str, int] = field(default_factory=dict)
    """Neurons of each population."""
    reached_by: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Neurons of each source that reach it."""


class _Filling:
    """Fills cores in the order of populations."""

    def __init__(
        self, wiring: Wiring, per_core: _PerCore, bits: Mapping[Link, int], kind: str, available: int | None
    ) -> None:
        self.wiring, self.per_core, self.bits, self.kind, self.available = wiring, per_core, bits, kind, available
        self.most: dict[str, int] = {}
        """Most neurons of a population on one core, where they would reach too many cores otherwise."""
        self.cost: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        """Synapses, and their bits, of all neurons of a population before each; one entry more than neurons."""
        for site in wiring.sites:
            synapses = np.zeros(site.size + 1, dtype=np.int64)
            memory = np.zeros(site.size + 1, dtype=np.int64)
            for link in wiring.incoming(site.name):
                each = np.cumsum(link.reach.degrees()) * site.units * wiring.units(link.source)
                synapses[1:] += each
                memory[1:] += each * bits[link]
            self.cost[site.name] = synapses, memory

    def run(self) -> tuple[Placement, list[Reason]]:
        for _ in range(ROUNDS):
            cores, parts, reasons = self._fill()
            out = self._axons_out(cores, parts)
            limit = self.per_core.axons_out
            crowded = [core for core in cores if limit is not None and out[core.index] > limit]
            used_up = self.available is not None and len(cores) > self.available
            if not crowded or used_up or not self._narrow(crowded):
                break
        for core in crowded:
            name = next(part.population for part in parts if part.core == core.index)
            why = f"its neurons reach other cores {out[core.index]:,} times from one core, which can {limit:,} times"
            reasons.append(Reason(name, why, "", "axons_out_per_core", SMALLER_CORES))
        loads = tuple(
            Load(
                core.index,
                core.neurons,
                core.synapses,
                core.bits,
                self._axons_in(core.reached_by),
                out[core.index],
            )
            for core in cores
        )
        return Placement(self.kind, tuple(parts), loads), reasons

    def _fill(self) -> tuple[list[_Core], list[Part], list[Reason]]:
        cores, parts, reasons = [_Core(0)], list[Part](), list[Reason]()
        for site in self.wiring.sites:
            start = 0
            while start < site.size:
                stop = self._furthest(cores[-1], site, start)
                if stop == start and cores[-1].neurons:
                    cores.append(_Core(len(cores)))
                    continue
                if stop == start:  # an empty core, and not one neuron fits
                    reasons += self._too_large(site, start)
                    stop = site.size
                self._take(cores[-1], site, start, stop)
                parts.append(Part(site.name, start, stop, cores[-1].index))
                start = stop
        return cores, parts, reasons

    def _furthest(self, core: _Core, site: Site, start: int) -> int:
        """Where a slice that begins at `start` has to end."""
        most = self.most.get(site.name, site.size)
        stop = min(site.size, start + max(0, most - core.held.get(site.name, 0)))
        if self.per_core.neurons is not None:
            stop = min(stop, start + max(0, self.per_core.neurons - core.neurons) // site.units)
        if self.per_core.bits is not None:
            memory = self.cost[site.name][1]
            room = self.per_core.bits - core.bits + int(memory[start])
            stop = min(stop, int(np.searchsorted(memory, room, side="right")) - 1)
        if self.per_core.axons_in is None or stop <= start:
            return max(start, stop)
        ends = range(start + 1, stop + 1)
        limit = self.per_core.axons_in
        fitting = bisect_right(ends, limit, key=lambda end: self._axons_in(self._reached(core, site, start, end)))
        return start + fitting

    def _reached(self, core: _Core, site: Site, start: int, stop: int) -> dict[str, NDArray[np.bool_]]:
        """Neurons that reach a core once a slice is on it, by source."""
        found = dict(core.reached_by)
        for link in self.wiring.incoming(site.name):
            sources = link.reach.sources(start, stop)
            found[link.source] = found[link.source] | sources if link.source in found else sources
        return found

    def _axons_in(self, reached_by: Mapping[str, NDArray[np.bool_]]) -> int:
        return sum(int(np.count_nonzero(mask)) * self.wiring.units(name) for name, mask in reached_by.items())

    def _take(self, core: _Core, site: Site, start: int, stop: int) -> None:
        synapses, memory = self.cost[site.name]
        core.neurons += (stop - start) * site.units
        core.held[site.name] = core.held.get(site.name, 0) + stop - start
        core.synapses += int(synapses[stop] - synapses[start])
        core.bits += int(memory[stop] - memory[start])
        core.reached_by = self._reached(core, site, start, stop)

    def _too_large(self, site: Site, neuron: int) -> Iterator[Reason]:
        """Why not even one neuron of a population fits into a core."""
        per_core, (_, memory) = self.per_core, self.cost[site.name]
        one = f"one neuron of {site.units} units" if site.units > 1 else "one neuron"
        smaller: frozenset[Knob] = SMALLER_CORES
        if per_core.neurons is not None and site.units > per_core.neurons:
            why = f"{one} is more than a core holds, {per_core.neurons:,}"
            yield Reason(site.name, why, "", "neurons_per_core", smaller)
        needed = int(memory[neuron + 1] - memory[neuron])
        if per_core.bits is not None and needed > per_core.bits:
            why = f"the synapses of {one} take {needed:,} bits, and a core holds {per_core.bits:,}"
            yield Reason(site.name, why, "", "synapse_bits_per_core", smaller)
        reaching = self._axons_in(self._reached(_Core(0), site, neuron, neuron + 1))
        if per_core.axons_in is not None and reaching > per_core.axons_in:
            why = f"{one} is reached by {reaching:,} axons, and a core by {per_core.axons_in:,} at most"
            yield Reason(site.name, why, "", "axons_in_per_core", smaller)

    def _axons_out(self, cores: list[_Core], parts: list[Part]) -> list[int]:
        """Of each core the pairs of one of its neurons and another core that it reaches."""
        times: dict[str, NDArray[np.int64]] = {}
        """Cores that each neuron of a population reaches, its own among them."""
        for core in cores:
            for name, mask in core.reached_by.items():
                if name in self.wiring.by_name:
                    times[name] = times[name] + mask if name in times else mask.astype(np.int64)
        out = [0] * len(cores)
        for part in parts:
            if part.population in times:
                whole = int(times[part.population][part.start : part.stop].sum())
                own = cores[part.core].reached_by.get(part.population)
                at_home = 0 if own is None else int(np.count_nonzero(own[part.start : part.stop]))
                out[part.core] += (whole - at_home) * self.wiring.units(part.population)
        return out

    def _narrow(self, crowded: list[_Core]) -> bool:
        """Halve the slices of crowded cores for the next round; False if they are of one neuron already."""
        widest: dict[str, int] = {}
        for core in crowded:
            for name, count in core.held.items():
                widest[name] = max(widest.get(name, 0), count)
        halved = {name: width // 2 for name, width in widest.items() if width > 1}
        self.most |= halved
        return bool(halved)


def _layers(wiring: Wiring, target: Target) -> Layout:
    placement, reasons = place_layers(wiring, target)
    return Layout(placement, len(wiring.sites) if placement is None else placement.cores, True, tuple(reasons))
