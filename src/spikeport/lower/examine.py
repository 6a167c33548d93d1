"""Which code carries a network on a target, and what stands in the way if none does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from spikeport import codes
from spikeport.certify.bounds import held_by
from spikeport.errors import OptionError
from spikeport.lower.cut import Cut
from spikeport.lower.findings import Findings
from spikeport.lower.legalize import legalize
from spikeport.lower.membranes import Held, held
from spikeport.lower.verdict import Knob, Outcome, Reason, Suggestion, Verdict
from spikeport.primitives import Accumulator, Code, DynamicNetwork, MaxUnit, SpikingNetwork
from spikeport.primitives.contract import MAX_STATE_BITS
from spikeport.quantize import IntegerNetwork
from spikeport.targets import Target

Encode = Callable[[Code], SpikingNetwork]
REFUSED: frozenset[Knob] = frozenset(["code", "levels", "weight_bits", "state_bits", "pooling", "width"])
"""What may help where a code refuses a network."""


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A network under one code against a target; without a network where the code refuses it."""

    code: Code | None
    network: SpikingNetwork | DynamicNetwork | None
    found: Findings
    cut: Cut | None = None

    @property
    def fits(self) -> bool:
        return not self.found.reasons


@dataclass
class Bounds:
    """Intervals of the same integers under several codes: they differ in the membranes alone, where no layer is split."""

    known: dict[tuple[bool, tuple[str, ...]], dict[str, Held]] = field(default_factory=dict)

    def of(self, network: SpikingNetwork) -> dict[str, Held]:
        key = network.contract.code in codes.STATISTICAL, tuple(network.by_name)
        if key not in self.known:
            self.known[key] = held(network)
            return self.known[key]
        found = {}
        for population in network.populations:
            one = self.known[key][population.name]
            passive = isinstance(population.neuron, MaxUnit | Accumulator)
            membrane = one.sums if passive else held_by(population.neuron, one.sums)
            found[population.name] = replace(one, membrane=membrane)
        return found


def carry(
    integer: IntegerNetwork,
    target: Target,
    *,
    only: Iterable[Code] = get_args(Code),
    encode: Encode | None = None,
    bounds: Bounds | None = None,
) -> Carried:
    """The first code, in the order of preference, that fits; without one the nearest, which has the fewest reasons.

    Args:
        integer: what is to be carried.
        target: facts of a chip.
        only: codes to try.
        encode: carries the integers by a code, or refuses with an `OptionError`.
        bounds: intervals, kept for further calls.
    """
    encode = encode or (lambda code: codes.encode(integer, code))
    bounds = bounds or Bounds()
    order = [code for code in codes.NEEDS if code in set(only)]
    tried: list[Carried] = []
    for code in [code for code in order if not lacking(code, integer, target)]:
        tried.append(_tried(code, integer, encode, target, bounds))
        if tried[-1].fits:
            return tried[-1]
        if any("code" not in reason.helps for reason in tried[-1].found.reasons):
            break  # what is in the way there is in the way of every code
    if not tried:  # none is offered: everything that is in the way of the one that lacks least
        code = min(order, key=lambda name: len(lacking(name, integer, target)))
        tried.append(_tried(code, integer, encode, target, bounds))
    return min(tried, key=lambda one: len(one.found.reasons))


def lacking(code: Code, integer: IntegerNetwork, target: Target) -> frozenset[str]:
    """What a code needs for these integers and the target is known not to have."""
    offered = target.limit("features")
    return frozenset() if offered is None else codes.needs(code, integer) - offered


def _tried(code: Code, integer: IntegerNetwork, encode: Encode, target: Target, bounds: Bounds) -> Carried:
    try:
        network = encode(code)
    except OptionError as error:
        refused = [Reason(p.where, p.why, p.hint, "", REFUSED) for p in error.problems]
        try:  # what else is in the way, and what it would take, with membranes as wide as the code wants them
            wide = codes.encode(replace(integer, state_bits=MAX_STATE_BITS), code)
        except OptionError:
            return Carried(code, None, Findings(target, refused))
        found = legalize(wide, target, bounds=bounds.of(wide))
        found.reasons[:0] = refused
        return Carried(code, None, found)
    return Carried(code, network, legalize(network, target, bounds=bounds.of(network)))


def verdict_of(
    carried: Carried, target: Target, *, notes: Sequence[str] = (), suggestions: Sequence[Suggestion] = ()
) -> Verdict:
    """What was found, as a verdict."""
    found = carried.found
    outcome: Outcome = "impossible" if found.reasons else "approximate" if found.losses else "faithful"
    name = carried.network.name if carried.network is not None else "network"
    return Verdict(
        network=name,
        target=target.name,
        outcome=outcome,
        code=carried.code,
        reasons=tuple(found.reasons),
        losses=() if found.reasons else tuple(found.losses),
        notes=(*notes, *found.notes),
        bill=found.bill,
        suggestions=tuple(suggestions),
        cut=carried.cut,
    )
