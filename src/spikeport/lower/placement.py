"""Where neurons are on a chip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Neurons of one population on one core: flat indices `start` to `stop`."""

    population: str
    start: int
    stop: int
    core: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one core carries."""

    core: int
    neurons: int
    """Of the chip: all units of the population code count."""
    synapses: int
    synapse_bits: int
    axons_in: int
    """Distinct neurons and lines that reach the core."""
    axons_out: int
    """Its neurons that reach other cores, once for each of them."""
    weight_words: int = 0
    """Of its weight memory, where a core holds one layer."""
    neuron_words: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Every neuron on one core. Populations in update order, and within each from the first neuron to the last."""

    kind: str
    """As the target's `placement`."""
    parts: tuple[Part, ...]
    loads: tuple[Load, ...]
    """One for each core in use, by core."""

    @property
    def cores(self) -> int:
        """Cores in use."""
        return len(self.loads)

    def of(self, population: str) -> tuple[Part, ...]:
        """The parts of one population.

        >>> Placement("slices", (Part("a", 0, 2, 0), Part("b", 0, 1, 0), Part("a", 2, 3, 1)), ()).of("a")
        (Part(population='a', start=0, stop=2, core=0), Part(population='a', start=2, stop=3, core=1))
        """
        return tuple(part for part in self.parts if part.population == population)
