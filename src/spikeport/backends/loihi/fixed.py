"""Networks of fixed-point neurons, which are written for the chip, as placed programs: nothing changes but who is where."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.digits import digits, trailing_zeros
from spikeport.backends.loihi.placed import Group, Placed, with_weights
from spikeport.backends.loihi.weights import effective_weights
from spikeport.errors import LowerError, Problem
from spikeport.lower import Part
from spikeport.primitives import Conv, Dense, DynamicNetwork, OneToOne, Projection, Sparse, Synapse


def place_fixed(network: DynamicNetwork, parts: tuple[Part, ...] = ()) -> Placed:
    """The network as it is."""
    integrator = network.contract.integrator
    assert integrator in ("loihi1", "loihi2")
    groups = tuple(Group(p.name, p.shape, p.neuron) for p in network.populations)  # type: ignore[arg-type]  # of a chip's contract
    return Placed(integrator, network.inputs, groups, network.projections, parts)


def lower_fixed(network: DynamicNetwork) -> Placed:
    """The network with weights that the synapse memory holds: its own where it does, else the same sums from others.

    Twice the weights and an exponent that is one less give the same sum, shifted the same, rounded down the same. Digits of wider
    weights add up to it where none of them is shifted right.

    Raises:
        LowerError: weights that have no such form, by projection.
    """
    links, problems = list[Projection](), list[Problem]()
    for p in network.projections:
        weighted = [s for s in p.synapses if isinstance(s, Dense | Conv | OneToOne | Sparse)]
        if len(weighted) > 1:
            problems.append(Problem(p.name, "has weights twice in a chain of synapses", "fold them into one"))
            continue
        made = tuple(_held(p, weighted[0])) if weighted else (p,)
        if not made:
            why = "has weights of more than 8 bits, which are several synapses, and their sums would be rounded one by one"
            problems.append(Problem(p.name, why, "an exponent of 0 or more, or weights of 8 bits"))
        links += made
    if problems:
        raise LowerError(problems)
    return replace(place_fixed(network), links=tuple(links))


def _held(p: Projection, synapse: Dense | Conv | OneToOne | Sparse) -> list[Projection]:
    """The projection as one or several, all of weights that the memory holds; none if there is no way."""
    weights, exponent = np.asarray(synapse.weights if isinstance(synapse, Sparse) else synapse.weight), p.exponent
    if np.array_equal(effective_weights(weights), weights):
        return [p]
    if exponent < 0:  # zeros that all weights end in are what is shifted out
        fewer = min(-exponent, trailing_zeros(weights))
        weights, exponent = weights >> fewer, exponent + fewer
        if np.array_equal(effective_weights(weights), weights):
            return [_with(p, synapse, weights, exponent)]
    parts = digits(weights)
    # a convolution hands over 24 bits of each projection, not of their sum
    if len(parts) > 1 and (exponent < 0 or isinstance(synapse, Conv)):
        return []
    return [_with(p, synapse, part.weights, exponent + part.exponent) for part in parts]


def _with(p: Projection, synapse: Synapse | Sparse, weights: NDArray[Any], exponent: int) -> Projection:
    chain = tuple(with_weights(s, lambda _: weights) if s is synapse else s for s in p.synapses)
    return replace(p, synapses=chain, exponent=exponent)
