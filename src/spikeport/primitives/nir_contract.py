"""What a NIR file means: how its numbers are read, and how the network that results is stepped.

A file says neither; `NirContract` says both, in the metadata of files that we write, or in the hands of whoever reads one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from spikeport.errors import OptionError, Problem
from spikeport.primitives.contract import NETWORK_WIDE, DynamicsContract

NEUTRAL: Mapping[str, float] = {"r": 1.0, "w_in": 1.0, "v_leak": 0.0, "v_reset": 0.0}
"""What parameters read as that a tool ignores."""
_HELD = {
    "CubaLI": ("r", "v_leak", "w_in"),
    "CubaLIF": ("r", "v_leak", "v_reset", "w_in"),
    "I": ("r",),
    "IF": ("r", "v_reset"),
    "LI": ("r", "v_leak"),
    "LIF": ("r", "v_leak", "v_reset"),
}
IGNORABLE = tuple(f"{kind}.{name}" for kind, names in _HELD.items() for name in names)
"""Parameters that some tool reads over."""

OWN = frozenset(f.name for f in fields(DynamicsContract)) - set(NETWORK_WIDE)
"""What of a contract a node may have for itself."""
STATED = ("refractory", "v_initial", "v_least", "bias")
"""Numbers of neurons that NIR has no place for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NirContract:
    """How a file's numbers are meant, and how what they say is stepped."""

    dynamics: DynamicsContract
    time_unit: Literal["s", "ms", "step"] = "s"
    """Of tau and delays in the file. NIR's own examples are in seconds, whatever its documentation says."""
    if_gain: Literal["dt", "step"] = "dt"
    """IF and I integrate `v = v + dt r x`, NIR's equation under forward Euler, or `v = v + r x` in each step."""
    ignores: tuple[str, ...] = ()
    """Parameters that the tool does not look at, "LIF.r" for example; r and w_in read as 1 then, v_leak and v_reset as 0."""
    v_min: Literal["none", "zero", "-threshold"] = "none"
    """At the end of a step no potential of an IF, LIF or CubaLIF is below it, where a node does not say otherwise."""
    refractory: float = 0.0
    """Seconds for which every IF, LIF and CubaLIF is deaf after a spike; a Threshold has no memory."""
    flatten: Literal["channels first", "channels last"] = "channels first"
    """In which order a Flatten reads feature maps."""
    order: tuple[str, ...] = ()
    """Update order of the nodes that keep something, and of inputs where it matters; an edge backwards in it takes a step. A linear
    node named here keeps what it adds up. Empty: from the inputs on, depth first."""
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name, what is otherwise there: fields of `DynamicsContract` that a population may have for itself, `if_gain`, `v_min`,
    `refractory`, and `v_initial`, `v_least` (a lower bound of the potential) and `bias` as arrays of the node's shape. A linear node other
    than a Delay may have a `bias`, which is added to what it gives."""

    def __post_init__(self) -> None:
        problems = [
            Problem(f"contract.{name}", f"is {getattr(self, name)!r}", f"one of {', '.join(map(repr, known))}")
            for name, known in CHOICES.items()
            if getattr(self, name) not in known
        ]
        problems += [
            Problem("contract.ignores", f"names {name!r}", f"one of {', '.join(IGNORABLE)}")
            for name in self.ignores
            if name not in IGNORABLE
        ]
        if not (isfinite(self.refractory) and self.refractory >= 0):
            problems.append(Problem("contract.refractory", f"is {self.refractory!r}", "seconds, from 0 on"))
        if self.dynamics.chip:
            problems.append(Problem("contract.dynamics", "is a chip's, whose neurons NIR does not have"))
        if problems:
            raise OptionError(problems)
        frozen = {name: MappingProxyType(dict(entries)) for name, entries in self.nodes.items()}
        object.__setattr__(self, "nodes", MappingProxyType(frozen))


CHOICES = {
    name: get_args(hint)
    for name, hint in get_type_hints(NirContract).items()
    if name in ("time_unit", "if_gain", "v_min", "flatten")
}
"""What each field may be."""
