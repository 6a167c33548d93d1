"""A placement of one's own: the parts are given, and what they take of each core is counted and compared with its limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import LowerError, Problem
from spikeport.lower.cut import Cut
from spikeport.lower.placement import Load, Part, Placement
from spikeport.lower.verdict import Reason
from spikeport.lower.weights import pieces, register_bits
from spikeport.lower.wiring import Wiring, wiring_of
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Target

Masks = Mapping[str, NDArray[np.bool_]]


def arrange(
    network: SpikingNetwork | DynamicNetwork, target: Target, parts: Iterable[Part], *, cut: Cut | None = None
) -> Placement:
    """The placement that has these parts.

    Args:
        network: either kind.
        target: one whose `placement` is "slices" or "chip".
        parts: contiguous slices of populations, each with its core, in any order; together every neuron once.
        cut: populations that the host keeps.

    Raises:
        LowerError: neurons on no core or on two, cores that there are not, more than a core holds; all of it.
    """
    kind = target.known("placement", "chip")
    if kind == "layers":
        why = f"cores of {target.title} hold one layer each, and are matched to layers by their memories"
        raise LowerError(Reason(network.name, why, "leave out the placement", "placement"))
    wiring = wiring_of(network, cut)
    order = {site.name: i for i, site in enumerate(wiring.sites)}
    parts = sorted(parts, key=lambda part: (order.get(part.population, -1), part.start))
    problems = [*_misfits(wiring, parts), *_cores(target, parts)]
    if problems:
        raise LowerError(problems)
    loads = _loads(wiring, target, parts)
    problems = [reason for load in loads for reason in _beyond(load, target, parts)]
    if problems:
        raise LowerError(problems)
    return Placement(kind, tuple(parts), loads)


def _misfits(wiring: Wiring, parts: Sequence[Part]) -> Iterator[Problem]:
    """Populations that are not cut into parts without gap and overlap."""
    for name in dict.fromkeys(part.population for part in parts):
        if name not in wiring.by_name:
            yield Problem(name, "is no population on the chip", f"one of {', '.join(wiring.by_name)}")
    for site in wiring.sites:
        reached = 0
        for part in (part for part in parts if part.population == site.name):
            if not (part.start == reached < part.stop <= site.size):
                why = f"a part from {part.start} to {part.stop} follows neuron {reached} of {site.size}"
                yield Problem(site.name, why, "give parts that together have every neuron once")
                break
            reached = part.stop
        else:
            if reached < site.size:
                yield Problem(site.name, f"neurons from {reached} to {site.size} are on no core", "add a part for them")


def _cores(target: Target, parts: Sequence[Part]) -> Iterator[Problem]:
    there = target.limit("cores")
    for part in parts:
        if part.core < 0 or (there is not None and part.core >= there):
            cores = f"cores are counted from 0{'' if there is None else f' to {there - 1}'}"
            yield Reason(part.population, f"is put on core {part.core}", cores, "cores")


def _loads(wiring: Wiring, target: Target, parts: Sequence[Part]) -> tuple[Load, ...]:
    cores = sorted({part.core for part in parts})
    bits = {link: pieces(link, target) * register_bits(link, target) for link in wiring.links}
    degrees = {link: np.append(0, np.cumsum(link.reach.degrees())) for link in wiring.links}
    reached: dict[int, dict[str, NDArray[np.bool_]]] = {core: {} for core in cores}
    neurons, synapses, memory = (dict.fromkeys(cores, 0) for _ in range(3))
    for part in parts:
        units = wiring.by_name[part.population].units
        neurons[part.core] += (part.stop - part.start) * units
        for link in wiring.incoming(part.population):
            count = int(degrees[link][part.stop] - degrees[link][part.start]) * units * wiring.units(link.source)
            synapses[part.core] += count
            memory[part.core] += count * bits[link]
            sources = link.reach.sources(part.start, part.stop)
            known = reached[part.core].get(link.source)
            reached[part.core][link.source] = sources if known is None else known | sources
    out = dict.fromkeys(cores, 0)
    for part in parts:
        for core, masks in reached.items():
            if core != part.core and part.population in masks:
                count = int(np.count_nonzero(masks[part.population][part.start : part.stop]))
                out[part.core] += count * wiring.units(part.population)
    return tuple(
        Load(core, neurons[core], synapses[core], memory[core], _axons(wiring, reached[core]), out[core])
        for core in cores
    )


def _axons(wiring: Wiring, masks: Masks) -> int:
    return sum(int(np.count_nonzero(mask)) * wiring.units(name) for name, mask in masks.items())


def _beyond(load: Load, target: Target, parts: Sequence[Part]) -> Iterator[Reason]:
    """What one core does not hold."""
    here = ", ".join(dict.fromkeys(part.population for part in parts if part.core == load.core))
    for fact, used, what in (
        ("neurons_per_core", load.neurons, "neurons"),
        ("synapse_bits_per_core", load.synapse_bits, "bits of synapses"),
        ("axons_in_per_core", load.axons_in, "axons that reach it"),
        ("axons_out_per_core", load.axons_out, "axons to other cores"),
    ):
        limit = target.limit(fact)
        if limit is not None and used > limit:
            why = f"core {load.core} has {used:,} {what}, and holds {limit:,}"
            yield Reason(here, why, "move neurons to other cores", fact)
