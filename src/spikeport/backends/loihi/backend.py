"""The backends `loihi1` and `loihi2`: a simulator of placed programs. Nothing here runs on a chip."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from spikeport.backends.loihi.cuba import carry
from spikeport.backends.loihi.document import read, written
from spikeport.backends.loihi.fit import carried
from spikeport.backends.loihi.fixed import lower_fixed
from spikeport.backends.loihi.placed import Chip
from spikeport.backends.loihi.programmable import programmable
from spikeport.backends.loihi.session import LoihiSession
from spikeport.backends.loihi.settings import (
    LoihiPopulation,
    LoihiProjection,
    chosen_cores,
    placed_on,
    with_weights_held,
)
from spikeport.backends.loihi.view import View
from spikeport.errors import BackendError, LowerError, OptionError, Problem
from spikeport.lower import Placement, arrange, legalize
from spikeport.lower.bill import bill_of
from spikeport.lower.place import Layout, lay_out
from spikeport.lower.wiring import wiring_of
from spikeport.plugin import Backend, BackendSession, Program
from spikeport.primitives import Approximation, DynamicNetwork, Ledger, SpikingNetwork
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
    population_settings: ClassVar[type[Any] | None] = LoihiPopulation
    projection_settings: ClassVar[type[Any] | None] = LoihiProjection

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
        given: object = options.placement
        if not isinstance(given, Placement | None):
            why = f"is a {type(given).__name__}"
            raise OptionError(Problem("placement", why, "a Placement, as spikeport.lower.arrange gives it"))
        cut: Ledger = ()
        cores = dict[str, tuple[int, ...]]()
        if isinstance(network, DynamicNetwork):
            network, cut = with_weights_held(network, self)
            cores = chosen_cores(network, self)
        if cores and options.placement is not None:
            where = ", ".join(cores)
            raise OptionError(Problem("placement", f"is given beside cores in ext, of {where}", "give one of the two"))
        problems: list[Problem] = list(legalize(network, target).reasons)
        if options.placement is not None or cores:  # that of the user decides what fits onto cores
            problems = [p for p in problems if getattr(p, "fact", "") != "cores"]
        if any(getattr(p, "fact", "") in ("neurons_max", "synapses_max") for p in problems):
            raise LowerError(problems)  # before copies of weights are made that memory may not hold
        try:
            view, ledger = _lowered(network, neuron, self.name, target)
        except LowerError as error:
            named = {problem.where for problem in problems}
            raise LowerError([*problems, *(p for p in error.problems if p.where not in named)]) from None
        if problems:
            raise LowerError(problems)
        if options.placement is None:
            placement, remarks = _placement(network, target)
            if cores and isinstance(network, DynamicNetwork):
                placement = placed_on(network, target, placement, cores)
        else:
            placement, remarks = arrange(network, target, options.placement.parts), ()
        placed = replace(view.placed, parts=view.parts(placement))
        bill = bill_of(wiring_of(network), target, Layout(placement, placement.cores, exact=True))
        document, arrays = written(placed, neuron)
        return Program(
            backend=self.name,
            backend_version=self.version,
            target=target.name,
            network=network,
            offsets=view.offsets,
            bill=bill,
            ledger=(*network.ledger, *cut, *ledger, *remarks),
            document=document,
            arrays=arrays,
        )

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        if program.backend != self.name or program.backend_version != self.version:
            made = f"{program.backend} {program.backend_version}"
            why = f"was compiled by {made}, and this is {self.name} {self.version}"
            raise BackendError(Problem(program.network.name, why, "compile it again"))
        neuron = program.document.get("neuron")
        if neuron not in (None, *get_args(Neuron)) or (neuron is None) != isinstance(program.network, DynamicNetwork):
            why = f"does not belong to its network: its units are {neuron!r}"
            raise BackendError(Problem(program.network.name, why, "compile it again"))
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
    if network.contract.integrator == chip:
        return View(lower_fixed(network)), ()
    return carried(network, chip), ()


def _placement(network: SpikingNetwork | DynamicNetwork, target: Target) -> tuple[Placement, Ledger]:
    """One core after the other, filled to what is known of a core; where that takes more cores than there are, to what is sure."""
    wiring, cores = wiring_of(network), target.known("cores")
    full = lay_out(wiring, target, "known")
    if full.reasons:
        raise LowerError(full.reasons)
    if full.placement is not None and (cores is None or full.cores <= cores):
        return full.placement, ()
    sure = lay_out(wiring, target, "enforced")
    if sure.reasons or sure.placement is None:
        raise LowerError(sure.reasons)
    takes = f"{full.cores}" if full.exact else f"at least {full.cores}"
    what = f"placed without the limits of a core that nobody is sure of, by which it takes {takes} cores of {cores}"
    return sure.placement, (Approximation(network.name, what, 0.0),)


LOIHI1 = LoihiBackend("loihi1")
LOIHI2 = LoihiBackend("loihi2")
