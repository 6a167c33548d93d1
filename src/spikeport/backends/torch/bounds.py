"""How large the integers of a `SpikingNetwork` can get, by the rules of its neurons alone.

Nothing here rests on a lemma of a code, so that a network written by hand is stepped as exactly as an encoded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from spikeport.plugin.exact import gain
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    PhasedIF,
    PlainIF,
    RadixIF,
    SignedIF,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    Synapse,
    UnitBank,
)


def reach(synapses: Sequence[Synapse], value: int) -> int:
    """Largest absolute sum, on the way too, that values up to `value` deliver through a chain of synapses."""
    largest = value
    for synapse in synapses:
        value *= gain(synapse)
        largest = max(largest, value)
    return largest


@dataclass
class Bounds:
    """Largest absolute values in a network that is stepped `steps` times, by population; the input is one of the names."""

    network: SpikingNetwork
    steps: int
    once: dict[str, int] = field(init=False, default_factory=dict)
    """What one neuron sends in one step."""
    ever: dict[str, int] = field(init=False, default_factory=dict)
    """The sum of what one neuron has sent, at every moment."""
    arriving: dict[str, int] = field(init=False, default_factory=dict)
    """What reaches one neuron in one step: spikes, and its shares of bias and constant current."""
    state: dict[str, int] = field(init=False, default_factory=dict)
    """Membrane potential and everything it is compared with."""

    def __post_init__(self) -> None:
        encoder = self.network.input
        self.once[encoder.name] = self.ever[encoder.name] = max(-encoder.low, encoder.high)
        for population in self.network.populations:
            name, neuron = population.name, population.neuron
            incoming = self.network.incoming(name)
            step = sum(reach(c.synapses, self.once[c.source]) for c in incoming)
            total = sum(reach(c.synapses, self.ever[c.source]) for c in incoming)
            constant = 0 if isinstance(neuron, MaxUnit) else _largest(neuron.bias)
            self.once[name], self.ever[name] = self._sent(neuron, step, total)
            self.arriving[name] = step + constant
            self.state[name] = total + constant
            if isinstance(neuron, StaircaseIF | StaircaseUnit | StaircaseBank):
                self.state[name] += _largest(neuron.initial) + 1  # tables are cut one beyond what sums can reach
            elif not isinstance(neuron, MaxUnit | Accumulator):
                own = _largest(neuron.threshold) * max(1, self.ever[name]) + _largest(neuron.initial)
                self.state[name] += own + (_largest(neuron.release) if isinstance(neuron, PhasedIF) else 0)

    def _sent(self, neuron: object, step: int, total: int) -> tuple[int, int]:
        match neuron:
            case SignedIF(low=low, high=high):
                return 1, max(-low, high)
            case GradedIF(low=low, high=high):
                return max(-low, high), max(-low, high)
            case PhasedIF() | PlainIF():
                return 1, self.steps
            case RadixIF(bits=bits):
                return 2 ** (bits - 1), 2**bits - 1
            case UnitBank() | StaircaseBank():
                return neuron.units, neuron.units
            case StaircaseIF():
                return 1, max(-neuron.low, neuron.high)
            case StaircaseUnit(sends="payload"):
                return max(-neuron.low, neuron.high), max(-neuron.low, neuron.high)
            case StaircaseUnit(sends="thermometer"):
                return 1, len(neuron.steps)
            case StaircaseUnit():
                return 2 ** (neuron.duration - 1), len(neuron.steps)
            case MaxUnit(fires_at=None):  # a maximum moves by no more than the input that moves most
                return step, total
            case MaxUnit():
                return total, total
            case Accumulator():
                return 0, 0
        raise TypeError(f"{type(neuron).__name__} has no bound")


def _largest(array: np.ndarray) -> int:
    return int(np.abs(np.asarray(array)).max(initial=0))
