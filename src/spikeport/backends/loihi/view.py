"""A placed program as the network that it carries: which lines an input becomes, and what of the cores is a population's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.engine import Chunk
from spikeport.backends.loihi.placed import Placed
from spikeport.lower import Part, Placement
from spikeport.plugin import Step
from spikeport.primitives import Accumulator, FixedNeuron, GradedThreshold, MaxUnit

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """Groups are the populations, under their names; lines are inputs, or carry the host's currents."""

    placed: Placed
    current_lines: Mapping[str, str] = field(default_factory=dict)
    """Lines through which the host's current enters a population, by population."""
    offsets: Mapping[str, int] = field(default_factory=dict)
    """Steps by which populations run behind the network's time."""
    at_once: frozenset[str] = frozenset()
    """Lines that send 1 in step 0 of the chip, in every sample."""

    def parts(self, placement: Placement) -> tuple[Part, ...]:
        """Parts of groups, from a placement of populations."""
        return placement.parts

    def enter(self, name: str, payloads: Integers) -> dict[str, Integers]:
        """Lines of an input."""
        return {name: payloads}

    def feed(self, name: str, currents: Integers) -> dict[str, Integers]:
        """Lines of a current."""
        return {self.current_lines[name]: currents}

    def asked(self, record: Collection[str], potentials: Collection[str]) -> dict[str, Any]:
        """What an engine has to show for it."""
        groups = self.placed.by_name
        fixed = [n for n in potentials if isinstance(groups[n].neuron, FixedNeuron)]
        return {
            "record": [n for n in record if not isinstance(groups[n].neuron, Accumulator)],
            "potentials": [n for n in potentials if not isinstance(groups[n].neuron, MaxUnit)],
            "seconds": [n for n in fixed if not isinstance(groups[n].neuron, GradedThreshold)],
        }

    def shown(self, chunk: Chunk, first: int) -> Step:
        """What the populations did in a chunk, which began with this step of the chip."""
        return Step(chunk.rasters, chunk.potentials, chunk.seconds)
