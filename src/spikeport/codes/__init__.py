"""Codes carry the integers of an `IntegerNetwork` by spikes; each file states its lemma and proof."""

from collections.abc import Callable, Mapping
from typing import Any

from spikeport.codes import graded, phased, population, radix, rate, signed, staircase
from spikeport.codes.choice import NEEDS, STRENGTH, Choice, choose, feature_problems, needs
from spikeport.codes.unsigned import of_layer, split_signs
from spikeport.errors import OptionError, Problem
from spikeport.primitives import SpikingNetwork
from spikeport.quantize import IntegerNetwork
from spikeport.targets import Feature

CODES: Mapping[str, Callable[..., SpikingNetwork]] = {
    "graded": graded.encode,
    "phased": phased.encode,
    "population": population.encode,
    "radix": radix.encode,
    "signed": signed.encode,
    "staircase": staircase.encode,
}
"""Codes with a lemma, by name."""

STATISTICAL: Mapping[str, Callable[..., SpikingNetwork]] = {"rate": rate.encode}
"""Codes without one: what they carry is close to the integers, and how close is measured."""

UNSIGNED = frozenset(["phased", "population", "radix"])
"""Codes whose spikes have one sign."""


def encode(network: IntegerNetwork, code: str, **options: Any) -> SpikingNetwork:
    """The integer network carried by the named code.

    Raises:
        OptionError: an unknown code.
    """
    known = {**CODES, **STATISTICAL}
    if code not in known:
        raise OptionError(Problem("code", f"{code!r} is not known", f"one of {', '.join(sorted(known))}"))
    return known[code](network, **options)


def carried(network: IntegerNetwork, code: str) -> IntegerNetwork:
    """The integer network with one layer for each population of a code: two for counts of both signs where spikes have one."""
    return split_signs(network, code) if code in UNSIGNED | STATISTICAL.keys() else network


__all__ = [
    "CODES",
    "NEEDS",
    "STATISTICAL",
    "STRENGTH",
    "Choice",
    "Feature",
    "carried",
    "choose",
    "encode",
    "feature_problems",
    "needs",
    "of_layer",
    "rate",
    "split_signs",
]
