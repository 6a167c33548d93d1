"""One layer a core, in memories of different sizes: which layer goes where.

A core computes a convolution, its units and a pooling of their spikes. Its memories are addressed by bits, so that sizes count as powers of two
(the rule of sinabs for DynapCNN chips):

    weight words = c 2^(ceil(log2(kx ky)) + ceil(log2 f))          c channels in, f out, a kernel of kx x ky
    neuron words = f 2^(ceil(log2 fy) + ceil(log2 fx))              f maps of fx x fy

A matrix behind feature maps is a convolution whose kernel is the map.
"""

from __future__ import annotations

from math import prod

from spikeport.graph import output_shape
from spikeport.lower.placement import Load, Part, Placement
from spikeport.lower.verdict import Knob, Reason
from spikeport.lower.wiring import Link, Site, Wiring
from spikeport.primitives import Conv, Dense, MaxPool, Reshape, Shape, Sparse
from spikeport.targets import Target


def log2_up(n: int) -> int:
    """Bits of an address of `n` places.

    >>> [log2_up(n) for n in (1, 2, 3, 4, 5)]
    [0, 1, 2, 2, 3]
    """
    return (n - 1).bit_length()


def weight_words(channels: int, features: int, kernel: Shape) -> int:
    """Words of a core's weight memory.

    >>> weight_words(2, 20, (5, 5))
    2048
    """
    return int(channels * 2 ** (log2_up(prod(kernel)) + log2_up(features)))


def neuron_words(shape: Shape) -> int:
    """Words of a core's neuron memory for maps of shape (feature, *space).

    >>> neuron_words((20, 30, 30)), neuron_words((10,))
    (20480, 10)
    """
    return int(shape[0] * 2 ** sum(map(log2_up, shape[1:])))


def kernel_of(link: Link) -> tuple[int, int, Shape] | None:
    """Channels in, features and kernel of the convolution that a link is; None where it has no weights."""
    shape = link.shape
    maps = shape if len(shape) > 1 else (shape[0], 1)
    for synapse in link.synapses:
        match synapse:
            case Conv(weight, groups=groups):
                return weight.shape[1] * groups, len(weight), weight.shape[2:]
            case Dense(weight):
                return maps[0], len(weight), maps[1:]
            case Reshape() | Sparse() | MaxPool():
                continue
            case _:
                shape = output_shape(synapse, [shape])
                maps = shape if len(shape) > 1 else maps
    return None


def place_layers(wiring: Wiring, target: Target) -> tuple[Placement | None, list[Reason]]:
    """Each population on a core of its own, the least one that is left; None where there are too few of that size."""
    weights, neurons = target.limit("core_weight_words"), target.limit("core_neuron_words")
    sizes, count = weights if weights is not None else neurons, target.limit("cores")
    count = (len(wiring.sites) if sizes is None else len(sizes)) if count is None else count
    alike = (
        min(count, len(wiring.sites)) if sizes is None else len(sizes)
    )  # cores of one size, as many as may be filled
    weights, neurons = weights or (None,) * alike, neurons or (None,) * alike
    cores = [(w, n) for w, n in zip(weights, neurons, strict=False)][:count]
    demands = {site.name: _demand(wiring, site) for site in wiring.sites}
    fitting: dict[str, list[int]] = {}
    reasons: list[Reason] = []
    for site in wiring.sites:
        of_weights, of_neurons = demands[site.name]
        fitting[site.name] = [
            k for k, (w, n) in enumerate(cores) if (w is None or of_weights <= w) and (n is None or of_neurons <= n)
        ]
        if not fitting[site.name]:
            reasons += _too_large(site, of_weights, of_neurons, cores)
    if len(wiring.sites) > count:
        why = f"has {len(wiring.sites)} layers of neurons, and {target.title} {count} cores, one a layer"
        reasons.append(Reason(wiring.name, why, "", "cores", frozenset(["code", "allow_host"])))
    order = sorted(wiring.sites, key=lambda site: len(fitting[site.name]))
    owner = _matched([site.name for site in order], fitting, cores)
    homeless = [site.name for site in wiring.sites if site.name not in owner.values() and fitting[site.name]]
    if homeless and not reasons:
        why = "finds all cores that are large enough for it taken by other layers"
        reasons += [Reason(name, why, "", "core_weight_words", frozenset(["width", "allow_host"])) for name in homeless]
    if reasons:
        return None, reasons
    core_of = {name: core for core, name in owner.items()}
    parts = tuple(Part(site.name, 0, site.size, core_of[site.name]) for site in wiring.sites)
    loads = [_load(wiring, site, core_of[site.name], *demands[site.name]) for site in wiring.sites]
    return Placement("layers", parts, tuple(sorted(loads, key=lambda load: load.core))), []


def _demand(wiring: Wiring, site: Site) -> tuple[int, int]:
    kernels = [kernel_of(link) for link in wiring.incoming(site.name)]
    words = sum(weight_words(*kernel) for kernel in kernels if kernel is not None)
    return words * site.units, neuron_words(site.shape) * site.units


def _too_large(site: Site, weights: int, neurons: int, cores: list[tuple[int | None, int | None]]) -> list[Reason]:
    smaller: frozenset[Knob] = frozenset(["pooling", "width", "allow_host"])
    most_weights = max((w for w, _ in cores if w is not None), default=None)
    most_neurons = max((n for _, n in cores if n is not None), default=None)
    reasons = []
    if most_weights is not None and weights > most_weights:
        why = f"its kernels take {weights:,} words of weight memory, and the largest core has {most_weights:,}"
        reasons.append(Reason(site.name, why, "", "core_weight_words", smaller))
    if most_neurons is not None and neurons > most_neurons:
        why = f"its neurons take {neurons:,} words of neuron memory, and the largest core has {most_neurons:,}"
        reasons.append(Reason(site.name, why, "", "core_neuron_words", smaller))
    if not reasons:
        why = f"takes {weights:,} words of weight and {neurons:,} of neuron memory, which no single core has together"
        reasons.append(Reason(site.name, why, "", "core_neuron_words", smaller))
    return reasons


def _matched(
    names: list[str], fitting: dict[str, list[int]], cores: list[tuple[int | None, int | None]]
) -> dict[int, str]:
    """Owner of each core: a matching of as many layers as possible, by augmenting paths; small cores first."""
    size = {k: (w or 0, n or 0) for k, (w, n) in enumerate(cores)}
    owner: dict[int, str] = {}

    def settle(name: str, seen: set[int]) -> bool:
        choices = sorted(fitting[name], key=lambda k: (*size[k], k))
        for core in choices:
            if core not in owner:
                owner[core] = name
                return True
        for core in choices:
            if core in seen:
                continue
            seen.add(core)
            if settle(owner[core], seen):
                owner[core] = name
                return True
        return False

    for name in names:
        settle(name, set())
    return owner


def _load(wiring: Wiring, site: Site, core: int, weights: int, neurons: int) -> Load:
    incoming = wiring.incoming(site.name)
    synapses = sum(link.reach.pairs * site.units * wiring.units(link.source) for link in incoming)
    reaching: dict[str, int] = {}
    for link in incoming:
        reaching[link.source] = max(reaching.get(link.source, 0), int(link.reach.sources(0, site.size).sum()))
    axons = sum(count * wiring.units(name) for name, count in reaching.items())
    targets = {link.target for link in wiring.links if link.source == site.name} - {site.name}
    return Load(core, site.neurons, synapses, 0, axons, site.neurons * len(targets), weights, neurons)
