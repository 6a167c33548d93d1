"""Open programs: what enters as lines, what the cores send as populations, in the chip's own time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.engine import Engine, line_spikes, open_engine
from spikeport.backends.loihi.placed import LARGEST_LINE
from spikeport.backends.loihi.view import View
from spikeport.errors import BackendError, DataError, Problem
from spikeport.plugin import BackendSession, Program, Step

_EMPTY: Mapping[str, NDArray[Any]] = MappingProxyType({})


class LoihiSession(BackendSession):
    """A program on the lockstep simulator."""

    def __init__(self, program: Program, view: View, *, record: Collection[str], potentials: Collection[str]) -> None:
        self.program, self.view = program, view
        self.record, self.potentials = tuple(record), tuple(potentials)
        self.closed = False
        self._engine: Engine | None = None
        problems = list(view.problems(self.record, self.potentials))
        if problems:
            raise BackendError(problems)
        self.reset()

    def reset(self, batch: int = 1) -> None:
        self._require_open()
        if self._engine is not None and self._engine.samples == batch:
            self._engine.reset()
        else:
            self._engine = open_engine(self.view.placed, batch)

    def step(self, spikes: Mapping[str, NDArray[Any]] = _EMPTY, currents: Mapping[str, NDArray[Any]] = _EMPTY) -> Step:
        made = self.advance(
            1,
            {n: np.asarray(v)[None] for n, v in spikes.items()},
            {n: np.asarray(v)[None] for n, v in currents.items()},
        )
        kinds = {field.name: getattr(made, field.name) for field in fields(made)}
        return Step(**{kind: {name: values[0] for name, values in given.items()} for kind, given in kinds.items()})

    def advance(
        self,
        n_steps: int,
        spikes: Mapping[str, NDArray[Any]] = _EMPTY,
        currents: Mapping[str, NDArray[Any]] = _EMPTY,
    ) -> Step:
        self._require_open()
        assert self._engine is not None
        view, batch = self.view, self._engine.samples
        problems: list[Problem] = []
        rasters: dict[str, NDArray[Any]] = {}
        for given, shapes, what in (
            (spikes, view.inputs, "an input"),
            (currents, view.fed, "a population that the host feeds"),
        ):
            for name, values in given.items():
                if name not in shapes:
                    known = ", ".join(shapes) or "there is none"
                    problems.append(Problem(name, f"is not {what} of this program", known))
                    continue
                array = np.asarray(values)
                if array.shape != (n_steps, batch, *shapes[name]):
                    why = f"has shape {array.shape[1:]}, and the session steps {(batch, *shapes[name])}"
                    problems.append(Problem(name, why))
                elif array.dtype.kind not in "iub" and (array != np.rint(array)).any():
                    problems.append(Problem(name, "has values that are not whole numbers"))
                elif array.size and np.abs(array.astype(np.float64)).max() > LARGEST_LINE:
                    problems.append(Problem(name, f"has values beyond {LARGEST_LINE:,}"))
                else:
                    enters = view.enter if what == "an input" else view.feed
                    rasters |= enters(name, array.astype(np.int64))
        if problems:
            raise DataError(problems)
        if self._engine.step_index == 0:
            first = np.zeros((n_steps, batch, 1), np.int64)
            first[0] = 1
            rasters |= dict.fromkeys(view.at_once, first)
        lines = {name: line_spikes(raster) for name, raster in rasters.items()}
        first_step = self._engine.step_index
        chunk = self._engine.advance(n_steps, lines, **view.asked(self.record, self.potentials))
        return view.shown(chunk, first_step)

    def close(self) -> None:
        self.closed, self._engine = True, None

    def _require_open(self) -> None:
        if self.closed:
            raise BackendError(Problem("session", "is closed", "open the program again"))
