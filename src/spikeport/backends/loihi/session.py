"""Open programs: what enters as lines, what the cores send as populations, in the chip's own time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.engine import Engine, line_spikes, open_engine
from spikeport.backends.loihi.placed import LARGEST_LINE
from spikeport.backends.loihi.state import LATEST, held_of, state_of
from spikeport.backends.loihi.view import View
from spikeport.errors import BackendError, DataError, Problem
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.inputs import checked_names
from spikeport.plugin.restoring import require_state
from spikeport.plugin.running import step_by_advance
from spikeport.plugin.state import SessionState
from spikeport.primitives import DynamicNetwork

Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = MappingProxyType({})


class LoihiSession(BackendSession):
    """A program on the lockstep simulator."""

    def __init__(self, program: Program, view: View, *, record: Collection[str], potentials: Collection[str]) -> None:
        checked_names(program.network, record, potentials)
        self.program, self.view = program, view
        self.record, self.potentials = tuple(record), tuple(potentials)
        self._engine: Engine | None = None
        self._intake = Intake(program)
        self.reset()

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        self._intake.reset(batch)
        batch = self._intake.batch
        if self._engine is None:
            self._engine = open_engine(self.view.placed, batch)
        elif self._engine.samples == batch:
            self._engine.reset()
        else:
            self._engine = self._engine.with_samples(batch)

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        engine = self._engine
        assert engine is not None
        given, fed = self._intake.take(spikes, currents, steps=n_steps)
        self._require_payloads({**given, **fed})
        rasters: dict[str, NDArray[Any]] = {}
        for name, values in given.items():
            rasters |= self.view.enter(name, values)
        for name, values in fed.items():
            rasters |= self.view.feed(name, values)
        first_step = engine.step_index
        if first_step + n_steps > LATEST:
            raise DataError(
                Problem("n_steps", f"leads beyond step {LATEST}, to which the chip counts", "reset the session")
            )
        if first_step == 0 and self.view.at_once:
            once = np.zeros((n_steps, engine.samples, 1), np.int64)
            once[0] = 1
            rasters |= dict.fromkeys(self.view.at_once, once)
        lines = {name: line_spikes(raster) for name, raster in rasters.items()}
        chunk = engine.advance(n_steps, lines, **self.view.asked(self.record, self.potentials))
        return self.view.shown(chunk, first_step)

    def snapshot(self) -> SessionState:
        self.require_open()
        network = self._network_of_chip()
        assert self._engine is not None
        return state_of(self._engine, network)

    def restore(self, state: SessionState) -> None:
        self.require_open()
        network = self._network_of_chip()
        require_state(network, state)
        if state.step > LATEST:
            raise DataError(
                Problem(
                    "state.step", f"is {state.step}, and the chip counts to {LATEST}", "restore it on the reference"
                )
            )
        assert self._engine is not None
        engine = self._engine if self._engine.samples == state.batch else self._engine.with_samples(state.batch)
        engine.hold(state.step, held_of(state))
        self._engine = engine
        self._intake.reset(state.batch)

    def _network_of_chip(self) -> DynamicNetwork:
        """That of fixed-point neurons, which step as the chip's do.

        Raises:
            BackendError: another one, which the chip's neurons carry in ways of their own.
        """
        network, chip = self.program.network, self.view.placed.chip
        if isinstance(network, DynamicNetwork) and network.contract.integrator == chip:
            return network
        if not isinstance(network, DynamicNetwork):
            raise BackendError(Problem(type(self).__name__, "gives and takes no state", self._who_does))
        why = f"is carried by other neurons of {chip}, on clocks of their own, whose state is not the network's"
        raise BackendError(Problem(network.name, why, 'on="reference", native or torch'))

    def close(self) -> None:
        self.closed, self._engine = True, None

    def _require_payloads(self, arrays: Arrays) -> None:
        """Graded spikes hold so much and no more; those of Loihi 1 have no number at all."""
        low, high, what = -LARGEST_LINE, LARGEST_LINE, "which graded spikes do not hold"
        if self.view.placed.chip == "loihi1" and isinstance(self.program.network, DynamicNetwork):
            low, high, what = 0, 1, "and spikes on Loihi 1 carry no number"
        problems = [
            Problem(name, f"has values beyond {low:,}..{high:,}, {what}")
            for name, values in arrays.items()
            if values.max(initial=0) > high or values.min(initial=0) < low
        ]
        if problems:
            raise DataError(problems)
