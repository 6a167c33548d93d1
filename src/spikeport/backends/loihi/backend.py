"""The backends `loihi1` and `loihi2`: a simulator of placed programs. Nothing here runs on a chip."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Literal, get_args

from spikeport.backends.loihi.cuba import carry
from spikeport.backends.loihi.document import read, written
from spikeport.backends.loihi.fixed import fixed
from spikeport.backends.loihi.placed import Chip, Placed
from spikeport.backends.loihi.programmable import programmable
from spikeport.backends.loihi.session import LoihiSession
from spikeport.backends.loihi.view import View
from spikeport.errors import BackendError, LowerError, OptionError, Problem
from spikeport.lower import Bill, Placement, Use, place
from spikeport.plugin import Backend, BackendSession, Program
from spikeport.primitives import DynamicNetwork, Ledger, SpikingNetwork
from spikeport.targets import Target, find_target

Neuron = Literal["programmable", "cuba_lif"]


@dataclass(frozen=True, slots=True)
class LoihiOptions:
    """What only this backend knows."""

    neuron: Neuron | None = None
    """Of converted networks: units in microcode of our own, or the CUBA-LIF units of the chip, which carry the population code. None:
    programmable ones on loihi2, CUBA-LIF on loihi1, which has no others."""
    placement: Placement | None = None
    """Which core carries what; None fills one after the other."""


class LoihiBackend(Backend):
    """One of the two chips."""

    version: ClassVar[str] = "1"
    options: ClassVar[type[Any]] = LoihiOptions

    name: Chip  # type: ignore[misc]  # of an instance: there are two of them

    def __init__(self, name: Chip) -> None:
        self.name = name

    @property
    def targets(self) -> tuple[Target, ...]:
        return (find_target(self.name),)

    def compile(
        self, network: SpikingNetwork | DynamicNetwork, target: Target, options: LoihiOptions | None = None
    ) -> Program:
        options = options or LoihiOptions()
        neuron = _chosen(network, self.name, options)
        view, ledger = _lowered(network, neuron, self.name, target)
        placement = place(network, target) if options.placement is None else options.placement
        placed = replace(view.placed, parts=view.parts(placement))
        problems = list(_placement_problems(placed, placement, target))
        if problems:
            raise LowerError(problems)
        document, arrays = written(placed, neuron)
        return Program(
            backend=self.name,
            backend_version=self.version,
            target=target.name,
            network=network,
            offsets=view.offsets,
            bill=bill(placed, placement, target),
            ledger=(*network.ledger, *ledger),
            document=document,
            arrays=arrays,
        )

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        if program.backend != self.name or program.backend_version != self.version:
            made = f"{program.backend} {program.backend_version}"
            why = f"was compiled by {made}, and this is {self.name} {self.version}"
            raise BackendError(Problem(program.network.name, why, "compile it again"))
        neuron = program.document.get("neuron")
        view, _ = _lowered(program.network, neuron, self.name, None)
        view = replace(view, placed=read(view.placed, program))
        return LoihiSession(program, view, record=record, potentials=potentials)


def _chosen(network: SpikingNetwork | DynamicNetwork, chip: str, options: LoihiOptions) -> Neuron | None:
    """Units that carry a converted network; None of hand-made ones, which bring theirs."""
    if isinstance(network, DynamicNetwork):
        if options.neuron is not None:
            raise OptionError(
                Problem("neuron", "is for converted networks; this one has neurons of its own", "leave it out")
            )
        return None
    if options.neuron not in (None, *get_args(Neuron)):
        raise OptionError(Problem("neuron", f"is {options.neuron!r}", " or ".join(get_args(Neuron))))
    if chip == "loihi1" and options.neuron == "programmable":
        raise OptionError(Problem("neuron", "is 'programmable', and loihi1 has CUBA-LIF units alone", "'cuba_lif'"))
    return options.neuron or ("cuba_lif" if chip == "loihi1" else "programmable")


def _lowered(
    network: SpikingNetwork | DynamicNetwork, neuron: str | None, chip: Chip, target: Target | None
) -> tuple[View, Ledger]:
    """The network for the chip, not placed yet, and what the ledger says of it."""
    if isinstance(network, SpikingNetwork):
        if neuron == "cuba_lif":
            return carry(network, chip, target)
        return programmable(network, target)
    return fixed(network, chip, target)


def _placement_problems(placed: Placed, placement: Placement, target: Target) -> Iterator[Problem]:
    """A placement of one's own that leaves neurons out, or has more cores than there are."""
    for group in placed.groups:
        mine = sorted((part.start, part.stop) for part in placed.parts if part.population == group.name)
        ends = [0, *(stop for _, stop in mine)]
        if ends[:-1] != [start for start, _ in mine] or ends[-1] != prod(group.shape):
            yield Problem(group.name, "has neurons on no core, or on two", "parts that cover each neuron once")
    cores = target.known("cores")
    used = {part.core for part in placement.parts}
    if cores is not None and used and not (min(used) >= 0 and max(used) < cores):
        yield Problem("placement", f"uses core {max(used)}, and {target.title} has {cores}")


def bill(placed: Placed, placement: Placement, target: Target) -> Bill:
    """What the program takes of the chip."""
    loads = placement.loads

    def use(resource: str, used: int, name: str) -> Use:
        fact = getattr(target, name)
        limit = None if fact is None else int(fact.value)
        return Use(resource, used, limit, fact is not None and fact.enforced, "" if fact is None else fact.source)

    cores = len({part.core for part in placed.parts})
    synapses = sum(load.synapses for load in loads)
    return Bill(
        (
            use("cores", cores, "cores"),
            use("neurons", sum(prod(group.shape) for group in placed.groups), "neurons_max"),
            use("synapses", synapses, "synapses_max"),
            use("neurons of the fullest core", max((load.neurons for load in loads), default=0), "neurons_per_core"),
            use(
                "synapse memory of the fullest core",
                max((load.synapse_bits for load in loads), default=0),
                "synapse_bits_per_core",
            ),
        )
    )


LOIHI1 = LoihiBackend("loihi1")
LOIHI2 = LoihiBackend("loihi2")
