"""Which code carries a network on a target: by what each needs and what is offered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import get_args

from spikeport.errors import OptionError, Problem
from spikeport.primitives import Code, SpikingNetwork
from spikeport.quantize import IntegerNetwork, StaircaseLayer
from spikeport.targets import Feature

NEEDS: Mapping[Code, frozenset[Feature]] = {
    "graded": frozenset(["payload"]),
    "radix": frozenset(["clock", "halving threshold", "subtract reset"]),
    "signed": frozenset(["counter", "signed events", "subtract reset"]),
    "staircase": frozenset(["counter", "signed events", "table"]),
    "phased": frozenset(["clock", "subtract reset"]),
    "population": frozenset(["many units"]),
    "rate": frozenset(["subtract reset"]),
}
"""Of each code, for layers of counts; in the order in which `choose` prefers them."""
WITH_TABLES: frozenset[Code] = frozenset(["graded", "phased", "radix", "signed"])
"""Codes that carry layers of curved activations with a table besides."""
STRENGTH: Mapping[Code, str] = {
    "graded": "one event a neuron and one step a layer, the fewest of all exact codes",
    "radix": "as many steps a layer as a count has binary digits",
    "signed": "exact in any order of arrival, usually quiet after about two steps a level",
    "staircase": "exact in any order of arrival, with no reset",
    "phased": "exact with plain units of one sign, in as many steps a layer as there are levels",
    "population": "exact in one wave for any threshold unit, with as many units a neuron as there are levels",
    "rate": "statistical, never exact: nothing else can be carried",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A code, and why it and none of those preferred to it."""

    code: Code
    why: str


def needs(code: Code, network: IntegerNetwork) -> frozenset[Feature]:
    """What a target must offer for this network under a code."""
    tables = code in WITH_TABLES and any(isinstance(layer, StaircaseLayer) for layer in network.layers)
    return NEEDS[code] | (frozenset[Feature](["table"]) if tables else frozenset())


def choose(
    network: IntegerNetwork,
    features: Collection[Feature] | None,
    encode: Callable[[Code], SpikingNetwork],
) -> Choice:
    """The first code, in the order of `NEEDS`, that a target offers all of and that carries the network.

    Args:
        network: what is to be carried.
        features: what the target offers; None is everything.
        encode: carries the network by a code, or refuses with an `OptionError`.

    Raises:
        OptionError: no code; what each lacks.
    """
    offered = frozenset(get_args(Feature) if features is None else features)
    passed: list[Problem] = []
    for code in NEEDS:
        missing = sorted(needs(code, network) - offered)
        if missing:
            passed.append(Problem(code, f"needs {', '.join(missing)}"))
            continue
        try:
            encode(code)
        except OptionError as error:
            first, rest = error.problems[0], len(error.problems) - 1
            passed.append(Problem(code, f"{first.where} {first.why}{f', and {rest} more' if rest else ''}"))
            continue
        why = STRENGTH[code]
        if passed:
            why += "; " + "; ".join(f"not {p.where}: {p.why}" for p in passed)
        return Choice(code, why)
    raise OptionError(passed)


def feature_problems(features: Collection[str] | None) -> list[Problem]:
    """Names of features that there are not."""
    known = get_args(Feature)
    hint = f"some of {', '.join(known)}"
    return [Problem("features", f"{name!r} is no known feature", hint) for name in features or () if name not in known]
