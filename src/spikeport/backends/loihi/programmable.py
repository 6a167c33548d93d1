"""Converted networks on Loihi 2: each population as programmable units of our own, each connection as synapses of 8 bits.

The units are the neurons of `spikeport.primitives.neurons`, with a clock that begins at their depth (`spikeport.backends.loihi.skew`).
What a static input is worth to the populations that it feeds is computed by the host, and enters as graded spikes, one line a neuron,
sent a step ahead.
"""

from __future__ import annotations

from spikeport.backends.loihi.digits import split_chain
from spikeport.backends.loihi.placed import Group, Placed
from spikeport.backends.loihi.skew import Edge, delay_of, delay_problems, depths
from spikeport.backends.loihi.view import View
from spikeport.errors import LowerError, Problem
from spikeport.lower import Part
from spikeport.plugin.inputs import arrival_shape, fed_populations, populations
from spikeport.primitives import (
    Approximation,
    Connection,
    Conv,
    Dense,
    Ledger,
    OneToOne,
    Projection,
    SpikeInput,
    SpikingNetwork,
)
from spikeport.primitives.dynamic_network import MAX_EXPONENT
from spikeport.targets import Target

LIMITS = 2**15, MAX_EXPONENT
"""Longest delay of a synapse and largest exponent, where no target says."""


def limits(target: Target | None) -> tuple[int, int]:
    """Longest delay of a synapse, and largest exponent of a link."""
    if target is None:
        return LIMITS
    return target.limit("delay_max", LIMITS[0]), target.limit("weight_exponent_max", LIMITS[1])


def line_of(population: str) -> str:
    """Name of the lines through which the host's current enters a population."""
    return f"{population} (current)"


def fed_by_host(network: SpikingNetwork) -> tuple[str, ...]:
    """Populations that values from the host enter, in order."""
    fed = fed_populations(network)
    return tuple(name for name in populations(network) if name in fed)


def on_chip(network: SpikingNetwork) -> tuple[Connection, ...]:
    """Connections whose spikes the chip carries."""
    host = network.on_host()
    return tuple(c for c in network.connections if c.source not in host and c.target not in host)


def place_programmable(network: SpikingNetwork, target: Target | None = None, parts: tuple[Part, ...] = ()) -> Placed:
    """The network with its clocks; `Placed.groups` have the depths as offsets.

    Raises:
        LowerError: weights or delays that the chip does not have.
    """
    host, fed = network.on_host(), fed_by_host(network)
    kept = [p for p in network.populations if p.name not in host]
    connections = on_chip(network)
    edges = [Edge(c.source, c.target, 0) for c in connections]
    events = network.input.kind == "events"
    lines = [SpikeInput(network.input.name, network.input.shape)] if events else []
    lines += [SpikeInput(line_of(name), arrival_shape(network, name)) for name in fed]
    edges += [Edge(line_of(name), name, 0) for name in fed]
    depth = depths([line.name for line in lines], [p.name for p in kept], edges)
    # the host sends a current a step ahead, so that it arrives in the step for which it is computed: step 1 at the earliest
    longest, largest = limits(target)
    problems = delay_problems(edges[: len(connections)], depth, longest)
    links: list[Projection] = []
    for connection, edge in zip(connections, edges, strict=False):
        weighted = [s for s in connection.synapses if isinstance(s, Dense | Conv | OneToOne)]
        if len(weighted) > 1:
            problems.append(Problem(connection.name, "has weights twice in a chain of synapses", "fold them into one"))
            continue
        for chain, exponent in split_chain(connection.synapses):
            if exponent > largest:
                why = (
                    f"has weights that need the exponent {exponent} in synapses of 8 bits, and the largest is {largest}"
                )
                problems.append(Problem(connection.name, why, "fewer weight_bits, or fewer levels where it is a skip"))
                break
            delay = delay_of(edge, depth)
            links.append(Projection(connection.source, connection.target, chain, delay=delay, exponent=exponent))
    links += [Projection(line_of(name), name, ()) for name in fed]
    if problems:
        raise LowerError(problems)
    return Placed(
        "loihi2",
        tuple(lines),
        tuple(Group(p.name, p.shape, p.neuron, depth[p.name]) for p in kept),
        tuple(links),
        parts,
        prompt=frozenset(line_of(name) for name in fed),
        presentation=network.contract.presentation,
        state_bits=network.contract.state_bits,
    )


def programmable(network: SpikingNetwork, target: Target | None) -> tuple[View, Ledger]:
    """The network for the chip, and who computes what, and what nobody else has confirmed."""
    placed = place_programmable(network, target)
    view = View(
        placed,
        current_lines={name: line_of(name) for name in fed_by_host(network)},
        offsets={group.name: group.offset for group in placed.groups},
    )
    return view, (*remarks(network), *uncertain(placed, target))


def uncertain(placed: Placed, target: Target | None) -> Ledger:
    """Links that use more of the chip than is known of it, where that is not enforced."""
    known = None if target is None else target.known("weight_exponent_max")
    most: dict[str, int] = {}
    for link in placed.links:
        most[link.name] = max(most.get(link.name, 0), link.exponent)
    return tuple(
        Approximation(
            name, f"weights with the exponent {exponent}, and not more than {known} is known of the chip", 0.0
        )
        for name, exponent in most.items()
        if known is not None and exponent > known
    )


def remarks(network: SpikingNetwork) -> Ledger:
    """What the ledger has to say of programmable units."""
    units = sorted({type(p.neuron).__name__ for p in network.populations if p.name not in network.on_host()})
    own = Approximation(
        network.name, f"{', '.join(units)}: programmable-neuron definition of our own: no external oracle", 0.0
    )
    fed = tuple(Approximation(name, "its static input is weighed by the host", 0.0) for name in fed_by_host(network))
    return own, *fed
