"""A flat network that is being put together: places in any order, sorted in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush

from spikeport.errors import NengoError, Problem
from spikeport.primitives import (
    Approximation,
    DynamicNetwork,
    DynamicNeuron,
    DynamicPopulation,
    DynamicsContract,
    Projection,
    Rule,
    Sparse,
    SpikeInput,
    Synapse,
)

Synapses = tuple[Synapse | Sparse, ...]


@dataclass
class Draft:
    """What was found so far, and everything that is in the way."""

    contract: DynamicsContract
    inputs: dict[str, SpikeInput] = field(default_factory=dict)
    populations: dict[str, DynamicPopulation] = field(default_factory=dict)
    projections: list[Projection] = field(default_factory=list)
    ledger: list[Approximation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def dt(self) -> float:
        return self.contract.dt

    def free(self, name: str) -> str:
        """The name, or that with a number, where it is taken."""
        found, number = name, 1
        while found in self.inputs or found in self.populations:
            number += 1
            found = f"{name} {number}"
        return found

    def input(self, name: str, size: int) -> str:
        self.inputs[name] = SpikeInput(name, (size,))
        return name

    def population(self, name: str, size: int, neuron: DynamicNeuron, contract: DynamicsContract | None = None) -> str:
        self.populations[name] = DynamicPopulation(name, (size,), neuron, contract)
        return name

    def size(self, name: str) -> int:
        place: SpikeInput | DynamicPopulation = self.inputs.get(name) or self.populations[name]
        return place.size

    def project(
        self, source: str, target: str, synapses: Synapses, *, delay: int = 0, plasticity: Rule | None = None
    ) -> str:
        """Add a projection; its name among those that learn."""
        made = Projection(source, target, synapses, delay, plasticity=plasticity)
        twins = sum(p.name == made.name for p in self.projections)
        self.projections.append(made)
        return made.name if not twins else f"{made.name} #{twins + 1}"

    @contextmanager
    def problems_of(self, where: str) -> Iterator[None]:
        """Keep the reason why an object cannot be carried, and go on with the next one."""
        try:
            yield
        except Refused as refused:
            if refused.why:
                self.problems.append(Problem(where, refused.why, refused.hint))

    def network(self, name: str) -> DynamicNetwork:
        """The whole, populations in an order in which what arrives within a step comes from earlier ones.

        Raises:
            NengoError: everything that is in the way.
        """
        if self.problems:
            raise NengoError(self.problems)
        order = self._order()
        populations = tuple(self.populations[name] for name in order)
        return DynamicNetwork(
            name, tuple(self.inputs.values()), populations, tuple(self.projections), self.contract, tuple(self.ledger)
        )

    def _order(self) -> list[str]:
        rank = {name: i for i, name in enumerate(self.populations)}
        now = [p for p in self.projections if p.delay == 0 and p.source in rank]
        waits = {name: sum(p.target == name for p in now) for name in rank}
        ready = [rank[name] for name, count in waits.items() if count == 0]
        names, found = list(rank), list[str]()
        while ready:
            name = names[heappop(ready)]
            found.append(name)
            for p in now:
                if p.source == name:
                    waits[p.target] -= 1
                    if waits[p.target] == 0:
                        heappush(ready, rank[p.target])
        if len(found) < len(names):
            rest = ", ".join(name for name in names if name not in found)
            raise NengoError(
                Problem(rest, "have an effect on themselves within a step", "give one connection a synapse")
            )
        return found


class Refused(Exception):  # noqa: N818  (not an error that anybody sees)
    """An object that cannot be carried; without a reason, where that of another one is enough."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.why, self.hint = why, hint
