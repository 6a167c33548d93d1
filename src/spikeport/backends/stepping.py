"""Simulation on any installed backend, by name. All of them give the same recording, field by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, overload

from spikeport import native
from spikeport.backends.hosts import NATIVE, REFERENCE
from spikeport.errors import LowerError, NativeError, OptionError, Problem
from spikeport.plugin import Backend, BackendSession, Target, find, installed
from spikeport.plugin.extending import refuse_extensions
from spikeport.plugin.inputs import populations, spiking, with_membrane
from spikeport.plugin.learning import learning_problems
from spikeport.plugin.presenting import require_names
from spikeport.plugin.weighing import Learning
from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording, SpikingNetwork

BUILT_IN = ("native", "reference", "torch")
"""Those that step on this machine, and give one recording."""


@overload
def simulate(
    network: SpikingNetwork,
    x: Any,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    on: str | None = None,
) -> Recording: ...


@overload
def simulate(
    network: DynamicNetwork,
    x: Any = None,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    modulation: Mapping[str, Any] | None = None,
    record_weights: Collection[str] = (),
    weights_every: int | None = None,
    on: str | None = None,
) -> DynamicRecording: ...


def simulate(
    network: SpikingNetwork | DynamicNetwork,
    x: Any = None,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    modulation: Mapping[str, Any] | None = None,
    record_weights: Collection[str] = (),
    weights_every: int | None = None,
    on: str | None = None,
) -> Recording | DynamicRecording:
    """Step a batch: a converted network until no sample fires any more, one with dynamics as long as its input.

    Args:
        x: array or tensor of values, shape (batch, *input); for event input also (time, batch, *input), one time bin a step. A summed
            frame is split evenly over the contract's time bins. Of a network with dynamics: spikes, (time, batch, *input) or
            `SpikeEvents`, by name of the input where there are several.
        record: names of populations whose spike trains and membrane potentials are kept; None keeps all.
        max_steps: steps at most, default: the proved bound; of a network with dynamics how many there are, default: those of the input.
        currents: of a network with dynamics, by name of the population: constant, or (batch, *population), or
            (time, batch, *population).
        modulation: third factors of plasticity, by name: a number, or (time, batch), or (time, batch, *target).
        record_weights: projections that learn ("source -> target"), whose weights at the end are kept.
        weights_every: their weights at the end of every so many steps are kept besides.
        on: any installed backend, by name or as "backend:target"; None takes the compiled one where it is built and carries the
            network, else the reference. The recording is the same on all of them.

    Raises:
        DataError: input that does not fit.
        OptionError: a name that is not in the network, or of no backend.
        LowerError: the backend cannot carry the network; everything that is in the way.
        BackendError: the backend cannot be loaded.
        NativeError: the compiled backend was asked for by name, and is missing or does not carry the network.
        Interrupted: Ctrl-C on the compiled backend; it holds what was finished.
    """
    if isinstance(network, SpikingNetwork) and currents is not None:
        raise OptionError(Problem("currents", "a converted network has no currents to be fed", "give x alone"))
    require_names(record, "record")
    names = populations(network) if record is None else list(record)
    told = modulation is not None or weights_every is not None or bool(record_weights)
    with through_the_door(network, on, names) as session:
        if not told:
            return session.run(x, record=names, max_steps=max_steps, currents=currents)
        learning = Learning(modulation, record_weights, weights_every)
        return session.run_learning(x, learning=learning, record=names, max_steps=max_steps, currents=currents)


def through_the_door(
    network: SpikingNetwork | DynamicNetwork, on: str | None, potentials: Collection[str] = ()
) -> BackendSession:
    """A session of a backend, opened for whole runs.

    Args:
        on: its name; None takes the fastest one on this machine.
        potentials: populations whose membrane potentials are given.

    Raises:
        OptionError: a name of no backend, one that steps no such networks, or names of no populations.
        LowerError: what the backend cannot carry.
        NativeError: the compiled backend is missing or does not carry the network.
    """
    return opened_by(network, *chosen_backend(network, on), potentials)


def chosen_backend(network: SpikingNetwork | DynamicNetwork, on: str | None) -> tuple[Backend, Target]:
    """The backend of that name and its target, or the fastest one on this machine that carries the network.

    Raises:
        OptionError: a name of no backend.
    """
    return _fastest(network) if on is None else _found(on)


def opened_by(
    network: SpikingNetwork | DynamicNetwork, found: Backend, target: Target, potentials: Collection[str] = ()
) -> BackendSession:
    """`through_the_door` of a backend that was found."""
    if isinstance(network, DynamicNetwork) and not (target.neurons is None or target.neurons.value):
        raise OptionError(
            Problem("on", f"{found.name!r} steps no networks with dynamics", "native, reference or torch")
        )
    unknown = [n for n in dict.fromkeys(potentials) if n not in populations(network)]
    if unknown:
        raise OptionError([Problem(name, "is not a population of this network") for name in unknown])
    try:
        refuse_extensions(network, found, learning_problems(network, target, found.name))
        program = found.compile(network, target, found.options())
    except LowerError as error:
        if found.name == "native":
            raise NativeError(error.problems) from error
        raise
    shown = with_membrane(network)
    kept = [name for name in shown if name in potentials or name == getattr(network, "output", None)]
    return found.open(program, record=spiking(network), potentials=kept)


def _fastest(network: SpikingNetwork | DynamicNetwork) -> tuple[Backend, Target]:
    """The compiled backend where it is built and carries the network, else the reference."""
    if isinstance(network, DynamicNetwork):
        carried = native.available() and not network.contract.chip
    else:
        carried = _carried(network)
    found: Backend = NATIVE if carried else REFERENCE
    return found, found.targets[0]


def _found(on: str) -> tuple[Backend, Target]:
    claims = installed()
    if not isinstance(on, str) or on.partition(":")[0] not in claims:
        hint = f"one of {', '.join(claims)}, or None for the fastest that is there"
        raise OptionError(Problem("on", f"{on!r} is no backend that steps networks", hint))
    return find(on)


def stepped_on(network: SpikingNetwork, on: str | None = None) -> str:
    """Name of the backend that steps a network.

    Raises:
        OptionError: a name of no backend.
    """
    found, _ = _fastest(network) if on is None else _found(on)
    return found.name


def _carried(network: SpikingNetwork) -> bool:
    """Whether the compiled backend is there and has a plan for the network."""
    if not native.available():
        return False
    from spikeport.backends.native import plan

    try:
        plan(network)
    except NativeError:
        return False
    return True
