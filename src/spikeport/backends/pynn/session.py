"""Open programs: a run is one process of the simulator; stepping runs it again from the beginning, to the step that is asked for."""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends import programs
from spikeport.backends.pynn.written import Simulator, written
from spikeport.errors import BackendError, DataError, Problem
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.driving import drive
from spikeport.plugin.inputs import checked_names
from spikeport.plugin.running import counts_of, events_of, run_hand_made, step_by_advance
from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording

Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = MappingProxyType({})
SCRIPT = Path(__file__).with_name("script.py")
PACKAGES = {"nest": "PyNN nest-simulator", "brian2": "PyNN Brian2 'numpy<2'"}


class PyNNSession(BackendSession):
    """A network in a simulator."""

    def __init__(
        self,
        program: Program,
        simulator: Simulator,
        python: str | None,
        seconds: float,
        *,
        record: Collection[str],
        potentials: Collection[str],
    ) -> None:
        checked_names(program.network, record, potentials)
        assert isinstance(program.network, DynamicNetwork)
        self.program, self.network = program, program.network
        self.record, self.potentials = tuple(record), tuple(potentials)
        self.simulator, self._seconds = simulator, seconds
        self._python = python or _own_python(simulator)
        self._script = written(self.network, simulator)
        self._intake = Intake(program)
        self.reset()

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        self._intake.reset(batch)
        self._past: dict[str, list[NDArray[Any]]] = {place.name: [] for place in self.network.inputs}
        self._steps = 0

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        given, fed = self._intake.take(spikes, currents, steps=n_steps)
        batch = self._intake.batch
        _refuse_currents(fed)
        past = {}
        for place in self.network.inputs:
            values = given.get(place.name, np.zeros((n_steps, batch, *place.shape)))
            past[place.name] = [*self._past[place.name], np.asarray(values).reshape(n_steps, batch, place.size)]
        total = self._steps + n_steps
        found = self._run({name: np.concatenate(parts) for name, parts in past.items()}, total, batch)
        self._past, self._steps = past, total

        def shown(values: NDArray[Any], name: str) -> NDArray[Any]:
            return values[-n_steps:].reshape(n_steps, batch, *self.network[name].shape)

        return Step(
            {name: shown(found[name][0], name) for name in self.record},
            {name: shown(found[name][1], name) for name in self.potentials},
        )

    def run(
        self,
        x: Any = None,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> Recording | DynamicRecording:
        return run_hand_made(self, self._whole, x, record, max_steps, currents)

    def close(self) -> None:
        self.closed = True

    def _whole(
        self,
        network: DynamicNetwork,
        x: Any,
        *,
        n_steps: int | None,
        currents: Mapping[str, Any] | None,
        record: Collection[str],
        potentials: Collection[str],
    ) -> DynamicRecording:
        entering = drive(network, x, n_steps=n_steps, currents=currents)
        _refuse_currents(entering.currents)
        steps, batch = entering.n_steps, entering.batch
        rasters = {}
        for place, events in zip(network.inputs, entering.events, strict=True):
            values = rasters[place.name] = np.zeros((steps, batch, place.size))
            for sample in range(batch):
                for step in range(steps):
                    part = slice(events.offsets[sample, step], events.offsets[sample, step + 1])
                    values[step, sample, events.neurons[part]] = events.values[part]
        found = self._run(rasters, steps, batch, potentials)
        spikes = {name: np.ascontiguousarray(sent.transpose(1, 0, 2)) for name, (sent, _) in found.items()}
        shapes = {p.name: p.shape for p in network.populations}
        return DynamicRecording(
            n_steps=steps,
            counts={name: counts_of(network, name, raster) for name, raster in spikes.items()},
            spikes={name: events_of(spikes[name], shapes[name], network.contract.dt) for name in record},
            potentials={name: found[name][1].reshape(steps, batch, *shapes[name]) for name in potentials},
            currents={},
        )

    def _run(
        self, rasters: Arrays, n_steps: int, batch: int, potentials: Collection[str] | None = None
    ) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """Spikes and potentials of each population, (time, batch, neuron), of a run from the beginning."""
        shown = self.potentials if potentials is None else potentials
        arrays = dict(self._script.arrays)
        for i, place in enumerate(self.network.inputs):
            values = rasters[place.name]
            most = 1 if self.simulator == "brian2" else 2**16
            if (values != np.floor(values)).any() or values.min(initial=0) < 0 or values.max(initial=0) > most:
                why = f"has values that are no numbers of spikes from 0 to {most:,} a step"
                raise DataError(Problem(place.name, why, "spikes of PyNN carry no number"))
            for sample in range(batch):
                steps, lines = np.nonzero(values[:, sample])
                times = values[:, sample][steps, lines].astype(np.int64)
                arrays |= {
                    f"steps.{i}.{sample}": np.repeat(steps, times),
                    f"lines.{i}.{sample}": np.repeat(lines, times),
                }
        populations = [
            {**place, "potentials": name in shown}
            for name, place in zip(self.network.by_name, self._script.document["populations"], strict=True)
        ]
        document = {**self._script.document, "populations": populations, "n_steps": n_steps, "batch": batch}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            given, answer = folder / "network.npz", folder / "answer.npz"
            members: dict[str, Any] = {**arrays, "document": np.array(json.dumps(document))}
            np.savez(given, **members)
            command = [self._python, str(SCRIPT), self.simulator, str(given), str(answer)]
            said = programs.run(command, folder, seconds=self._seconds, what=f"pynn ({self.simulator})")
            try:
                with np.load(answer, allow_pickle=False) as found:
                    return {
                        name: self._answered(dict(found), i, n_steps, batch, name in shown)
                        for i, name in enumerate(self.network.by_name)
                    }
            except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
                why = f"ended without the answer that was asked for ({error}); it said:\n{said[-2000:] or '(nothing)'}"
                raise BackendError(Problem(f"pynn ({self.simulator})", why)) from None

    def _answered(
        self, found: Mapping[str, NDArray[Any]], i: int, n_steps: int, batch: int, potentials: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        size = self._script.document["populations"][i]["size"]
        sent = np.zeros((n_steps, batch, size), dtype=np.int64)
        v = np.zeros((n_steps if potentials else 0, batch, size))
        for sample in range(batch):
            sent[found[f"steps.{i}.{sample}"], sample, found[f"cells.{i}.{sample}"]] = 1
            if potentials:
                v[:, sample] = found[f"v.{i}.{sample}"]
        return sent, v


def _refuse_currents(fed: Arrays) -> None:
    problems = [
        Problem(name, "is fed a current, which is not written as PyNN yet", "give the neurons a bias")
        for name, values in fed.items()
        if np.any(values)
    ]
    if problems:
        raise DataError(problems)


def _own_python(simulator: Simulator) -> str:
    """This Python, if PyNN and the simulator are there; nothing of them is imported.

    Raises:
        BackendError: they are not; names the packages.
    """
    needed = {"nest": "nest", "brian2": "brian2"}[simulator]
    missing = [name for name in ("pyNN", needed) if find_spec(name) is None]
    if missing:
        why = f"needs {' and '.join(map(repr, missing))}, not installed here"
        hint = f"pip install {PACKAGES[simulator]} into an environment of its own, and give its Python: python='.../bin/python'"
        raise BackendError(Problem("pynn", why, hint))
    return sys.executable
