"""Open programs: what enters as lines, what the cores send as populations, in the chip's own time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.engine import Engine, line_spikes, open_engine
from spikeport.backends.loihi.placed import LARGEST_LINE
from spikeport.backends.loihi.view import View
from spikeport.errors import DataError, Problem
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.inputs import checked_names
from spikeport.plugin.running import step_by_advance
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
        if first_step == 0 and self.view.at_once:
            once = np.zeros((n_steps, engine.samples, 1), np.int64)
            once[0] = 1
            rasters |= dict.fromkeys(self.view.at_once, once)
        lines = {name: line_spikes(raster) for name, raster in rasters.items()}
        chunk = engine.advance(n_steps, lines, **self.view.asked(self.record, self.potentials))
        return self.view.shown(chunk, first_step)

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
