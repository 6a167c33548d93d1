"""What simulators behind PyNN do within a step, where they differ: which step a time means, and what equal to the threshold is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem

Floats = NDArray[np.float64]
Like = Literal["nest", "brian2"]
TICS = 1000
"""Of a millisecond: NEST counts time in microseconds. Times here are milliseconds, as PyNN has them."""
NEARLY = 1e-3
"""Of a step: how far below a step Brian2 still means that one."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """How a simulator steps; step n goes from n dt to (n + 1) dt."""

    name: Like
    compare: Literal[">", ">="]
    source_step: Callable[[Floats, float, float], NDArray[np.int64]]
    """The step in which a source has to spike for times, given dt and the least delay; all in milliseconds."""
    deaf: Callable[[Floats, float], NDArray[np.int64]]
    """Steps after that of a spike in which a neuron stays at its reset, for a `tau_refrac`."""
    recorded: int
    """A spike of step n is recorded at (n + this) dt."""
    late_jumps: bool
    """What makes the potential jump comes after the comparison of its step, and not before."""


def _stamped(times: Floats, dt: float, min_delay: float) -> NDArray[np.int64]:
    """Steps at whose end a spike generator of NEST spikes: up to a whole step, where a multiple of dt in float64 says what is below.

    pyNN.nest sets a generator off earlier, by the delay with which its spikes reach the cells that PyNN knows.
    """
    early = times - min_delay
    steps = np.trunc(early * TICS).astype(np.int64) // round(dt * TICS)
    steps += steps * dt < early
    return steps + round(min_delay / dt)


def _held(times: Floats, dt: float) -> NDArray[np.int64]:
    """Steps of a duration in NEST: to the nearest tic, and up to a whole step."""
    steps: NDArray[np.int64] = -(-np.floor(times * TICS + 0.5).astype(np.int64) // round(dt * TICS))
    return steps


def _down(times: Floats, dt: float) -> NDArray[np.int64]:
    """Steps of Brian2."""
    steps: NDArray[np.int64] = np.floor(times / dt + NEARLY).astype(np.int64)
    return steps


NEST = Simulator(
    "nest",
    ">=",
    # what spikes at the end of step n has the time (n + 1) dt there
    source_step=lambda times, dt, min_delay: _stamped(times, dt, min_delay) - 1,
    deaf=_held,
    recorded=1,
    late_jumps=False,
)
BRIAN2 = Simulator(
    "brian2",
    ">",
    source_step=lambda times, dt, min_delay: _down(times, dt),
    # it may fire again so many steps after a spike: the step of the spike is one of them
    deaf=lambda times, dt: np.maximum(_down(times, dt) - 1, 0),
    recorded=0,
    late_jumps=True,
)
SIMULATORS: dict[str, Simulator] = {"nest": NEST, "brian2": BRIAN2}


def module_of(part: Any) -> Any:
    """The module that a network was built with, such as `pyNN.nest`."""
    package = ".".join(type(part).__module__.split(".")[:2])
    return sys.modules.get(package)


def simulator_of(module: Any, like: str | None) -> tuple[Simulator, str]:
    """How a network of a module is meant, and what is to be said about it.

    Raises:
        OptionError: `like` is none of those known.
    """
    if like is not None:
        if like not in SIMULATORS:
            raise OptionError(Problem("like", f"is {like!r}", f"one of {', '.join(map(repr, SIMULATORS))}, or None"))
        return SIMULATORS[like], ""
    name = getattr(module, "__name__", "").rpartition(".")[2]
    if name in SIMULATORS:
        return SIMULATORS[name], ""
    return (
        NEST,
        f"built with pyNN.{name or 'an unknown module'}, and stepped as NEST steps its like: like='brian2' is the other choice",
    )
