"""Codes carry the integers of an `IntegerNetwork` by spikes; each file states its lemma and proof."""

from collections.abc import Callable, Mapping
from typing import Any

from spikeport.codes import graded, phased, population, radix, signed, staircase
from spikeport.codes.unsigned import of_layer, split_signs
from spikeport.errors import OptionError, Problem
from spikeport.primitives import SpikingNetwork
from spikeport.quantize import IntegerNetwork

CODES: Mapping[str, Callable[..., SpikingNetwork]] = {
    "graded": graded.encode,
    "phased": phased.encode,
    "population": population.encode,
    "radix": radix.encode,
    "signed": signed.encode,
    "staircase": staircase.encode,
}

UNSIGNED = frozenset(["phased", "population", "radix"])
"""Codes whose spikes have one sign."""


def encode(network: IntegerNetwork, code: str, **options: Any) -> SpikingNetwork:
    """The integer network carried by the named code.

    Raises:
        OptionError: an unknown code.
    """
    if code not in CODES:
        raise OptionError(Problem("code", f"{code!r} is not known", f"one of {', '.join(sorted(CODES))}"))
    return CODES[code](network, **options)


def carried(network: IntegerNetwork, code: str) -> IntegerNetwork:
    """The integer network with one layer for each population of a code: two for counts of both signs where spikes have one."""
    return split_signs(network, code) if code in UNSIGNED else network


__all__ = ["CODES", "carried", "encode", "of_layer", "split_signs"]
