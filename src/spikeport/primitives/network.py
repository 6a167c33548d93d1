"""The spiking network: populations, connections and how they are meant to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikeport.primitives.approximation import Ledger
from spikeport.primitives.contract import ExecutionContract
from spikeport.primitives.neurons import MaxUnit
from spikeport.primitives.population import InputEncoder, Population
from spikeport.primitives.synapses import Connection


@dataclass(frozen=True, slots=True)
class SpikingNetwork:
    """Populations in update order, each fed by connections from the input or from earlier populations."""

    name: str
    input: InputEncoder
    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    output: str
    """Name of the read-out population."""
    contract: ExecutionContract
    ledger: Ledger = ()
    host_tail: tuple[str, ...] = ()
    """Operations after the read-out that run on the host, for example `log_softmax`."""
    by_name: Mapping[str, Population] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {p.name: p for p in self.populations})

    def __getitem__(self, name: str) -> Population:
        return self.by_name[name]

    def incoming(self, name: str) -> tuple[Connection, ...]:
        """Connections that end at a population."""
        return tuple(c for c in self.connections if c.target == name)

    @property
    def neurons(self) -> int:
        """Number of neurons in all populations, the read-out included."""
        return sum(population.size for population in self.populations)

    def on_host(self) -> frozenset[str]:
        """Names whose values the host computes before the first spike: a static input, and maxima over it."""
        if self.input.kind == "events":
            return frozenset()
        names = {self.input.name}
        for population in self.populations:
            if isinstance(population.neuron, MaxUnit) and all(
                c.source in names for c in self.incoming(population.name)
            ):
                names.add(population.name)
        return frozenset(names)
