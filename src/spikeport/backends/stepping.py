"""The backends that step converted networks, by name. All of them give the same recording, field by field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec
from typing import Any, Literal, overload

from spikeport import native
from spikeport.backends import reference
from spikeport.errors import NativeError, OptionError, Problem
from spikeport.primitives import LI, CubaLI, DynamicNetwork, DynamicRecording, Recording, SpikingNetwork

On = Literal["native", "reference", "torch"]
Simulate = Callable[..., Recording]


def _native() -> Simulate:
    from spikeport.backends.native import simulate

    return simulate


def _reference() -> Simulate:
    return reference.simulate


def _torch() -> Simulate:
    if find_spec("torch") is None:
        raise OptionError(
            Problem("on", "'torch' needs torch, which is not installed", "pip install 'spikeport[torch]'")
        )
    from spikeport.backends.torch import simulate

    return simulate


STEPPERS: Mapping[str, Callable[[], Simulate]] = {"native": _native, "reference": _reference, "torch": _torch}
"""Name -> how to load the `simulate` of a backend; nothing heavy is imported before it is asked for."""


@overload
def simulate(
    network: SpikingNetwork,
    x: Any,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    on: On | None = None,
) -> Recording: ...


@overload
def simulate(
    network: DynamicNetwork,
    x: Any = None,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    on: On | None = None,
) -> DynamicRecording: ...


def simulate(
    network: SpikingNetwork | DynamicNetwork,
    x: Any = None,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    on: On | None = None,
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
        on: the backend; None takes the compiled one where it is built and carries the network, else the reference. The recording is
            the same on all of them.

    Raises:
        DataError: input that does not fit.
        OptionError: a name that is not in the network, or of no backend.
        NativeError: the compiled backend was asked for by name, and is missing or does not carry the network.
        Interrupted: Ctrl-C on the compiled backend; it holds what was finished.
    """
    if isinstance(network, DynamicNetwork):
        return _simulate_dynamics(network, x, record=record, max_steps=max_steps, currents=currents, on=on)
    if currents is not None:
        raise OptionError(Problem("currents", "a converted network has no currents to be fed", "give x alone"))
    return STEPPERS[stepped_on(network, on)]()(network, x, record=record, max_steps=max_steps)


def _simulate_dynamics(
    network: DynamicNetwork,
    x: Any,
    *,
    record: Collection[str] | None,
    max_steps: int | None,
    currents: Mapping[str, Any] | None,
    on: str | None,
) -> DynamicRecording:
    """The reference or the compiled stepper of networks with dynamics."""
    if on not in (None, "native", "reference"):
        raise OptionError(Problem("on", f"{on!r} steps no networks with dynamics", "native or reference"))
    names = list(network.by_name) if record is None else list(record)
    silent = {p.name for p in network.populations if isinstance(p.neuron, LI | CubaLI)}
    options: dict[str, Any] = {
        "n_steps": max_steps,
        "currents": currents,
        "record": [name for name in names if name not in silent],
        "potentials": names,
    }
    if on == "reference" or (on is None and (network.contract.chip or not native.available())):
        return reference.simulate_dynamics(network, x, **options)
    from spikeport.backends.native import simulate_dynamics

    return simulate_dynamics(network, x, **options)


def stepped_on(network: SpikingNetwork, on: str | None = None) -> str:
    """Name of the backend that steps a network.

    Raises:
        OptionError: a name of no backend.
    """
    if on is None:
        return "native" if _carried(network) else "reference"
    if on not in STEPPERS:
        hint = f"one of {', '.join(STEPPERS)}, or None for the fastest that is there"
        raise OptionError(Problem("on", f"{on!r} is no backend that steps networks", hint))
    return on


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
