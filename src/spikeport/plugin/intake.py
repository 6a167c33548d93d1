"""What has entered a session since its reset, held to what the network was converted for.

Networks written by hand declare nothing: of theirs, each step is checked for itself. A proof speaks of one presentation of a declared input. What is beyond it would meet integers of 32 bits here, of 64 there and of 24 on a chip,
each with another answer: so it is refused by all alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.plugin.exact import largest_payload, reach
from spikeport.plugin.inputs import arrival_shape, checked_batch, checked_step, fed_populations
from spikeport.plugin.program import Program
from spikeport.primitives import SpikingNetwork

Arrays = Mapping[str, NDArray[Any]]
_HINT = "reset for a new sample, or convert with a larger input_bits"


class Intake:
    """Checks what a session is given, one step or many at a time."""

    def __init__(self, program: Program) -> None:
        network = program.network
        self._network, self._offsets = network, program.offsets
        # spikes of a population on the host are of both signs, in any step, and bounded by that population
        self._of_host = program.cut is not None and bool(program.cut.before)
        self._most: dict[str, int] = {}
        """Largest sum of currents that a static input gives, by population."""
        if isinstance(network, SpikingNetwork):
            host = network.on_host()
            for name in fed_populations(network):
                into = [c for c in network.incoming(name) if c.source in host]
                self._most[name] = sum(reach(c, largest_payload(network, c.source)) for c in into)
        self.reset(1)

    def reset(self, batch: int) -> None:
        """Begin a new presentation of so many samples.

        Raises:
            OptionError: that is no number of samples.
        """
        self.batch, self._index = checked_batch(batch), 0
        self._entered: dict[str, NDArray[np.int64]] = {}

    def take(self, spikes: Arrays, currents: Arrays, *, steps: int | None = None) -> tuple[Arrays, Arrays]:
        """What enters, as `checked_step` gives it; counted, unless it is refused.

        Raises:
            DataError: what does not fit, all of it by name.
        """
        given, fed = checked_step(self._network, self.batch, spikes, currents, steps=steps)
        if not isinstance(self._network, SpikingNetwork):
            return given, fed
        problems: list[Problem] = []
        entered: dict[str, NDArray[np.int64]] = {}
        for name, values in {**given, **fed}.items():
            timed = values[None] if steps is None else values
            self._check(self._network, name, timed, name in given, entered, problems)
        if problems:
            raise DataError(problems)
        self._entered |= entered
        self._index += 1 if steps is None else steps
        return given, fed

    def _check(
        self,
        network: SpikingNetwork,
        name: str,
        values: NDArray[Any],
        events: bool,
        entered: dict[str, NDArray[np.int64]],
        problems: list[Problem],
    ) -> None:
        """Values of some steps, time first."""
        most = network.input.high if events else self._most[name]
        least = 0 if events and not self._of_host else -most
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        if low < least or high > most:
            hint = "counts of events" if events else "shares of an input"
            beyond = low if low < least else high
            problems.append(Problem(name, f"has a value of {beyond}, and those of this network end at {most}", hint))
            return
        if events and self._of_host:
            return
        steps = network.contract.presentation + (0 if events else self._offsets.get(name, 0))
        if values[max(0, steps - self._index) :].any():
            what = "events" if events else "currents"
            hint = f"give them in the first {steps} steps, and reset for a new sample"
            problems.append(Problem(name, f"has {what} after the presentation", hint))
            return
        shape = network.input.shape if events else arrival_shape(network, name)
        before = self._entered.get(name, np.zeros((self.batch, *shape), dtype=np.int64))
        total = before + values.sum(axis=0)
        if total.size and (total.max() > most or -total.min() > most):
            what = f"more than {most} events" if events else f"a current of more than {most}"
            problems.append(Problem(name, f"holds {what} in one place since the last reset", _HINT))
        entered[name] = total
