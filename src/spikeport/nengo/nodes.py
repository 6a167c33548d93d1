"""What nodes give: constants, processes, and functions of time, which are called here on behalf of whoever runs the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem


@dataclass(frozen=True, slots=True)
class Source:
    """A node without inputs, or the noise of an ensemble."""

    name: str
    size: int
    begin: Callable[[], Callable[[float], Any]]
    """Makes what is called with the time of each step, from the first one on."""

    def sample(self, n_steps: int, dt: float) -> NDArray[np.float64]:
        """What it gives in each step, shape (time, 1, size), at times dt, 2 dt and so on, as in Nengo.

        Raises:
            DataError: something else than so many finite numbers.
        """
        at = self.begin()
        found = np.empty((n_steps, 1, self.size))
        for step in range(n_steps):
            time = (step + 1) * dt
            given = at(time)
            try:
                found[step, 0] = np.asarray(given, dtype=np.float64)
            except (TypeError, ValueError) as error:
                why = f"gives {given!r} at {time:g} s, and not {self.size} numbers"
                raise DataError(Problem(self.name, why)) from error
        if not np.isfinite(found).all():
            raise DataError(Problem(self.name, "gives numbers that are not finite"))
        return found


def of_function(name: str, size: int, function: Callable[[float], Any]) -> Source:
    return Source(name, size, lambda: function)


def of_process(name: str, size: int, process: Any, dt: float, rng: np.random.RandomState) -> Source:
    """A process that nothing enters, with the numbers that Nengo's simulator draws for it."""
    state = rng.get_state()

    def begin() -> Callable[[float], Any]:
        own = np.random.RandomState()
        own.set_state(state)
        memory = process.make_state((0,), (size,), dt)
        step: Callable[[float], Any] = process.make_step((0,), (size,), dt, own, memory)
        return lambda time: np.copy(step(time))

    return Source(name, size, begin)


def generators(simulator: Any) -> Iterator[tuple[Any, Any, np.random.RandomState]]:
    """Each process of a simulator with its output signal and the generator that it begins with: those without a seed of their own draw one
    from the simulator's, in the order of its steps."""
    from nengo.builder.processes import SimProcess

    rng = np.random.RandomState(simulator.seed)
    for operator in simulator.step_order:
        if isinstance(operator, SimProcess):
            yield operator.process, operator.output, operator.process.get_rng(rng)
