"""What holds for every kind of network: operators, how populations are joined, delays, maps, lines."""

from __future__ import annotations

from spikeport.lower.findings import SMALLER, Findings
from spikeport.lower.verdict import Knob
from spikeport.lower.weights import bits_of, common_zeros, fits_memory, pieces, register_bits, span, whole
from spikeport.lower.wiring import Link, Wiring
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Sparse, SumPool
from spikeport.targets import Fact, Target

HOST: tuple[Knob, ...] = ("allow_host",)


def operators(wiring: Wiring, found: Findings) -> None:
    """Kinds of synapses, kernels, strides and windows."""
    for link in wiring.links:
        for synapse in link.synapses:
            match synapse:
                case Conv(weight, stride, padding):
                    if _offers(found.target, "convolution"):
                        why = "its kernel has an edge of {used} places, and the target takes {limit} at most"
                        found.compare("kernel_max", link.target, max(weight.shape[2:]), why, HOST)
                        why = "its kernel has an edge of {used} places, and the target offers {limit}"
                        for edge in sorted(set(weight.shape[2:])):
                            found.compare("kernels", link.target, edge, why, HOST, beyond=_missing)
                        why = "pads its map with {used} rows of zeros, and the target with {limit} at most"
                        found.compare("padding_max", link.target, max(max(pair) for pair in padding), why, HOST)
                        why = "its convolution has a stride of {used}, and the target offers {limit}"
                        for step in sorted(set(stride)):
                            found.compare("strides", link.target, step, why, HOST, beyond=_missing)
                case SumPool(kernel) | MaxPool(kernel):
                    why = "a pooling window of {used} places, and the target offers {limit}"
                    for edge in sorted(set(kernel)):
                        found.compare("pools", link.target, edge, why, HOST, beyond=_missing)
                case _:
                    pass
        for kind in sorted({_kind(synapse) for synapse in link.synapses} or {"one to one"}):
            _operator(wiring, link, kind, found)


def _operator(wiring: Wiring, link: Link, kind: str, found: Findings) -> None:
    if _offers(found.target, kind):
        return
    if kind != "max pooling" and _offers(found.target, "sparse"):
        if kind != "routing":
            found.note(f"{link.target}: its {kind} becomes synapses one by one, {link.reach.pairs:,} of them")
        return
    if kind == "max pooling":
        why, hint = "takes a maximum over a window, which the target has no operator for", "train with average pooling"
        found.compare("synapses", link.target, kind, why, ("pooling", "code", *HOST), hint, _missing)
    else:
        why = "is reached by {used} synapses, and the target offers {limit}"
        maximum = kind == "sum pooling" and _offers(found.target, "max pooling")
        helps, hint = (("pooling", *HOST), "train with max pooling") if maximum else (HOST, "")
        found.compare("synapses", link.target, kind, why, helps, hint, _missing)


def _offers(target: Target, kind: str) -> bool:
    fact: Fact[frozenset[str]] | None = target.synapses  # type: ignore[assignment]
    return fact is None or kind in fact.value


def _missing(used: object, offered: object) -> bool:
    return used not in offered  # type: ignore[operator]


def _kind(synapse: object) -> str:
    match synapse:
        case Dense():
            return "dense"
        case Sparse():
            return "sparse"
        case OneToOne():
            return "one to one"
        case Conv():
            return "convolution"
        case SumPool():
            return "sum pooling"
        case MaxPool():
            return "max pooling"
        case _:
            return "routing"


def joints(wiring: Wiring, found: Findings) -> None:
    """Who feeds whom: skips, loops, layers fed by one, fan-in."""
    place = {site.name: i for i, site in enumerate(wiring.sites)}
    fed: dict[str, set[str]] = {}
    for site in wiring.sites:
        incoming = wiring.incoming(site.name)
        sources = {link.source for link in incoming} | (
            {"the host's currents"} if site.name in wiring.currents else set()
        )
        if len(sources) > 1:
            why = f"is fed by {len(sources)} populations ({', '.join(sorted(sources))}), and the target joins one to another only"
            found.compare("skips", site.name, True, why, HOST, "train without skip connections", _unlike)
        for source in sorted({link.source for link in incoming}):
            fed.setdefault(source, set()).add(site.name)
            if source in place and place[source] >= place[site.name]:
                why = f"is fed by {source}, itself or later, and the target has no loops"
                found.compare("recurrent", site.name, True, why, beyond=_unlike, helps=())
        into = sum(link.reach.fan_in * wiring.units(link.source) * pieces(link, found.target) for link in incoming)
        why = "a neuron has {used} synapses, and the target takes {limit} at most"
        found.compare("fan_in_max", site.name, into, why, ("levels", *SMALLER))
    for source, targets in fed.items():
        if source in place:
            why = f"feeds {{used}} populations ({', '.join(sorted(targets))}), and the target allows {{limit}}"
            found.compare("fan_out_layers_max", source, len(targets), why, HOST)


def _unlike(used: object, offered: object) -> bool:
    return used != offered


def delays(wiring: Wiring, own: int, found: Findings) -> None:
    """Delays that remain beside the latency of the chip; layers are skewed in time where nothing loops.

    Args:
        wiring: populations on the chip.
        own: steps from a spike to its arrival in the network, beside the delay of a link.
        found: what is in the way.
    """
    latency = found.target.known("layer_latency", 0)
    place = {site.name: i for i, site in enumerate(wiring.sites)}
    forward = all(link.source not in place or place[link.source] < place[link.target] for link in wiring.links)
    offset: dict[str, int] = dict.fromkeys(wiring.lines, 0)
    short = {link: link.delay + own - latency for link in wiring.links}
    if forward and any(rest < 0 for rest in short.values()):
        for site in wiring.sites:
            after = [offset.get(link.source, 0) - short[link] for link in wiring.incoming(site.name)]
            offset[site.name] = max([0, *after])
    for link in wiring.links:
        rest = short[link] + offset.get(link.target, 0) - offset.get(link.source, 0)
        if rest < 0 and link.source in wiring.lines:
            continue  # what comes from outside can come sooner
        if rest < 0:
            why = f"what {link.source} sends has to arrive {-rest} steps sooner than the target can"
            found.refuse("layer_latency", link.target, why, (), "give the projection a delay")
            continue
        why = f"what {link.source} sends has to wait {{used}} steps, and the target delays by {{limit}} at most"
        found.compare("delay_max", link.target, rest, why, HOST)


def maps(wiring: Wiring, found: Findings) -> None:
    """Channels, edges of maps, number of layers, lines in and out."""
    for link in wiring.links:
        if len(link.shape) > 1 and any(isinstance(synapse, Conv | SumPool | MaxPool) for synapse in link.synapses):
            why = f"is fed by a map of {link.source} with an edge of {{used}} places, and the target takes {{limit}} at most"
            found.compare("map_edge_in_max", link.target, max(link.shape[1:]), why, HOST)
    for site in wiring.sites:
        why = "has {used} channels, and the target takes {limit} at most"
        found.compare("channels_max", site.name, site.shape[0], why)
        if len(site.shape) > 1:
            why = "is a map with an edge of {used} places, and the target takes {limit} at most"
            found.compare("map_edge_out_max", site.name, max(site.shape[1:]), why, HOST)
    why = "has {used} layers of neurons, and the target needs {limit} at least"
    found.compare("layers_min", wiring.name, len(wiring.sites), why, (), beyond=lambda used, least: used < least)
    entering = sum(wiring.lines.values())
    if wiring.currents:
        fed = sum(wiring.by_name[name].neurons for name in wiring.currents)
        why = "takes currents of the host into {used} neurons, and the target has {limit} lines from outside"
        found.compare("inputs_max", ", ".join(sorted(wiring.currents)), fed + entering, why)
    elif entering:
        why = "has {used} lines, and the target {limit}"
        found.compare("inputs_max", ", ".join(wiring.lines), entering, why)
    read = sum(wiring.by_name[name].neurons for name in wiring.outputs)
    why = "has {used} neurons that are read, and the target {limit}"
    found.compare("outputs_max", ", ".join(wiring.outputs), read, why)
    why = "has {used} neurons that are not read, and the target {limit}"
    found.compare("hidden_max", wiring.name, wiring.neurons - read, why, ("levels", *SMALLER))


def widths(wiring: Wiring, found: Findings) -> None:
    """Integer weights in the width of the target, in several synapses where powers of two scale projections."""
    target = found.target
    width = target.known("weight_bits")
    if width is None:
        return
    for link in wiring.links:
        if not whole(link):
            continue  # floats are rounded to the target's grid, or refused with the population
        low, high = span(link)
        needed = bits_of(low, high)
        if fits_memory(low, high, width, target):
            continue
        scale = target.known("weight_exponent_max")
        if scale is None:
            found.compare(
                "weight_bits", link.target, needed, _TOO_WIDE.replace("weights", _weights(link)), ("weight_bits", *HOST)
            )
            continue
        zeros = common_zeros(link)
        parts = pieces(link, target)
        shift = (parts - 1) * (width - 1) + zeros - (1 if target.known("mixed_signs") == "even" else 0)
        why = f"{_weights(link)} of {needed} bits need a power of two of {{used}}, and the target scales by {{limit}} at most"
        if not found.compare("weight_exponent_max", link.target, shift, why, ("weight_bits", *HOST)) and parts > 1:
            found.note(f"{link.target}: weights from {link.source} have {needed} bits, and are {parts} synapses each")


_TOO_WIDE = "weights take {used} bits, and the target has {limit}"


def _weights(link: Link) -> str:
    return f"weights from {link.source}"


def total_bits(wiring: Wiring, target: Target) -> int:
    """Memory of all synapses, in bits of the target's weights."""
    return sum(
        link.reach.pairs
        * wiring.by_name[link.target].units
        * wiring.units(link.source)
        * pieces(link, target)
        * register_bits(link, target)
        for link in wiring.links
    )


def total_synapses(wiring: Wiring, target: Target) -> int:
    """Synapses of the chip: all pieces of wide weights, and of all units."""
    return sum(
        link.reach.pairs * wiring.by_name[link.target].units * wiring.units(link.source) * pieces(link, target)
        for link in wiring.links
    )
