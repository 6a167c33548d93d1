"""An imported network with everything that runs it as Nengo does: its inputs over time, its probes, and errors that it learns by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.stepping import through_the_door
from spikeport.errors import DataError, OptionError, Problem
from spikeport.nengo.nodes import Source
from spikeport.nengo.probes import Readout, What
from spikeport.primitives import DynamicNetwork, DynamicRecording, Ledger, SpikeEvents

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A third factor that the network itself computes: what arrives at a place, one step after it was sent."""

    name: str
    size: int
    terms: tuple[tuple[str, NDArray[np.float64]], ...]
    """Populations, and the matrices through which what they send arrives."""
    direct: tuple[tuple[str, NDArray[np.float64]], ...]
    """Inputs, whose values arrive within the step."""


@dataclass(frozen=True, slots=True, eq=False)
class NengoRun:
    """What the probes recorded: `run[probe]` is what `sim.data[probe]` is in Nengo, of shape (time, line)."""

    times: Values
    """Seconds at the end of each step, as `sim.trange()`."""
    data: Mapping[Any, Values]
    spikes: Mapping[str, Values]
    """Spikes of each ensemble whose neurons are recorded, by path, shape (time, neuron)."""

    def __getitem__(self, probe: Any) -> Values:
        """The recording of a probe.

        Raises:
            OptionError: it is none of this network, or is not recorded; the ledger says why.
        """
        if probe not in self.data:
            raise OptionError(Problem(str(probe), "was not recorded", "the ledger says why, if it is of this network"))
        return self.data[probe]


@dataclass(frozen=True, slots=True, eq=False)
class NengoModel:
    """A network of Nengo as one of ours, and what goes in and comes out of it."""

    network: DynamicNetwork
    """To be checked, compiled, and stepped by any backend, or added to a network by hand."""
    sources: Mapping[str, Source]
    """What enters, by name of the input."""
    paths: Mapping[Any, str]
    """Names of ensembles and nodes among the populations and inputs."""
    readouts: Mapping[Any, Readout]
    """By probe."""
    told: tuple[Told, ...] = ()

    @property
    def ledger(self) -> Ledger:
        """What is not as in Nengo."""
        return self.network.ledger

    def inputs(self, duration: float) -> dict[str, Values]:
        """What enters in each step of so many seconds, by name, shape (time, 1, line).

        Functions of nodes are called once a step, in the order of time, for each input one after the other.

        Raises:
            OptionError: a duration of no step.
            DataError: a function that gives something else than finite numbers.
        """
        n_steps = self._steps(duration)
        return {name: source.sample(n_steps, self.network.contract.dt) for name, source in self.sources.items()}

    def run(self, duration: float, *, inputs: Mapping[str, Any] | None = None, on: str | None = None) -> NengoRun:
        """Run from the beginning, as `sim.run(duration)` of a simulator that was just built.

        Args:
            duration: seconds, rounded to steps as Nengo does.
            inputs: values in place of those of a node, by name, shape (time, line) or (time, 1, line).
            on: the backend; None takes the fastest on this machine. Networks that learn are stepped one step after the other.

        Raises:
            OptionError: a name that is no input, or a duration of no step.
            DataError: input that does not fit.
            LowerError: the backend cannot carry the network.
        """
        n_steps, dt = self._steps(duration), self.network.contract.dt
        given = self._given(inputs or {}, n_steps)
        for name, source in self.sources.items():
            if name not in given:
                given[name] = source.sample(n_steps, dt)
        found = self._learning(given, n_steps, on) if self.network.plastic else self._whole(given, n_steps, on)
        data = {r.probe: r.shaped(self._values(r, found, given, n_steps)) for r in self.readouts.values()}
        return NengoRun(
            times=np.arange(1, n_steps + 1, dtype=np.float64) * dt,
            data=data,
            spikes={r.place: found[r.place] for r in self.readouts.values() if r.what == "spikes"},
        )

    def _steps(self, duration: float) -> int:
        steps = round(float(duration) / self.network.contract.dt) if isfinite(duration) else 0
        if steps < 1:
            hint = f"a positive number of steps of {self.network.contract.dt:g} s"
            raise OptionError(Problem("duration", f"is {duration!r} s", hint))
        return steps

    def _given(self, inputs: Mapping[str, Any], n_steps: int) -> dict[str, Values]:
        unknown = [name for name in inputs if name not in self.sources]
        if unknown:
            hint = f"inputs are {', '.join(self.sources) or 'none'}"
            raise OptionError([Problem(name, "is no input of this network", hint) for name in unknown])
        given = {}
        for name, values in inputs.items():
            size = self.sources[name].size
            found = np.asarray(values, dtype=np.float64)
            if found.shape not in ((n_steps, size), (n_steps, 1, size)):
                why = f"has shape {found.shape}, and the run needs {(n_steps, size)}"
                raise DataError(Problem(name, why))
            given[name] = found.reshape(n_steps, 1, size)
        return given

    def _recorded(self, *what: What) -> list[str]:
        return list(dict.fromkeys(r.place for r in self.readouts.values() if r.what in what))

    def _values(self, r: Readout, found: Mapping[str, Values], given: Mapping[str, Values], n_steps: int) -> Values:
        match r.what:
            case "input":
                return given[r.place][:, 0]
            case "constant":
                assert r.constant is not None
                return np.broadcast_to(r.constant, (n_steps, *r.constant.shape))
            case "v":
                return found[f"{r.place}.v"]
            case _:
                return found[r.place]

    def _whole(self, given: Mapping[str, Values], n_steps: int, on: str | None) -> dict[str, Values]:
        """All steps at once."""
        shown = self._recorded("v")
        with through_the_door(self.network, on, shown) as session:
            made = session.run(dict(given) or None, max_steps=n_steps)
        assert isinstance(made, DynamicRecording)
        found = {f"{name}.v": made.potentials[name][:, 0] for name in shown}
        return found | {name: raster(made.spikes[name]) for name in self._recorded("spikes")}

    def _learning(self, given: Mapping[str, Values], n_steps: int, on: str | None) -> dict[str, Values]:
        """Step by step: an error that the network computes is told to its rule in the step in which it arrives there."""
        shown, fires, weights = self._recorded("v"), self._recorded("spikes"), self._recorded("weights")
        sending = {name for told in self.told for name, _ in told.terms}
        found: dict[str, list[Values]] = {name: [] for name in (*fires, *weights, *(f"{name}.v" for name in shown))}
        sent = {name: np.zeros(self.network[name].size) for name in sending}
        with through_the_door(self.network, on, list(dict.fromkeys([*shown, *sending]))) as session:
            session.reset(1)
            for step in range(n_steps):
                now = {name: values[step] for name, values in given.items()}
                session.modulate({told.name: _arriving(told, sent, now)[None] for told in self.told})
                made = session.step(now)
                sent = {name: made.potentials[name][0] for name in sending}
                for name in shown:
                    found[f"{name}.v"].append(made.potentials[name][0])
                for name in fires:
                    found[name].append(made.spikes[name][0])
                for name in weights:
                    found[name].append(session.weights(name)[0])
        return {name: np.array(values, dtype=np.float64) for name, values in found.items()}


def _arriving(told: Told, sent: Mapping[str, Values], now: Mapping[str, Values]) -> Values:
    total = np.zeros(told.size)
    for name, matrix in told.terms:
        total = total + matrix @ sent[name]
    for name, matrix in told.direct:
        total = total + matrix @ now[name][0]
    return total


def raster(events: SpikeEvents) -> Values:
    """Spikes of the first sample, shape (time, neuron)."""
    found = np.zeros((events.n_steps, int(np.prod(events.shape))))
    found[events.steps, events.neurons] = 1 if events.values is None else events.values
    return found
