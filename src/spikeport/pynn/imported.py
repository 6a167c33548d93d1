"""What a network of PyNN becomes: a network of ours, and what it is fed and recorded with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem
from spikeport.network import Network
from spikeport.primitives import DynamicNetwork, DynamicsContract, Ledger
from spikeport.pynn.simulators import Simulator
from spikeport.runtime import Poisson, Run, SpikeTimes, run

MS = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Of a SpikeSourceArray: steps and lines, in order of time."""

    steps: NDArray[np.int64]
    lines: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Of a SpikeSourcePoisson: hertz, and the seconds within which it spikes; one value a line."""

    rate: NDArray[np.float64]
    start: NDArray[np.float64]
    stop: NDArray[np.float64]
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A current source: nanoamperes from each of these steps on."""

    population: str
    cells: NDArray[np.int64]
    steps: NDArray[np.int64]
    amplitudes: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A network that was built with PyNN: `network` is one like those written by hand, potentials in millivolts, weights in nanoamperes.

    `run(duration=0.1)` runs it with all that its sources send; `inputs` and `currents` are the same for `spikeport.run`.
    """

    network: Network
    contract: DynamicsContract
    """Stepped as the simulator steps it."""
    ledger: Ledger
    """What differs from the simulator, and remarks."""
    simulator: Simulator
    names: Mapping[int, str]
    """Of the cells of PyNN, by `id(population)`."""
    sources: Mapping[str, Spikes | Rates]
    """By name of the input."""
    flows: tuple[Flow, ...]

    def build(self) -> DynamicNetwork:
        """The flat network, with its ledger."""
        built = self.network.build(contract=self.contract)
        return replace(built, ledger=(*built.ledger, *self.ledger))

    def name_of(self, population: Any) -> str:
        """What a population of PyNN is called here: its label, but for signs that paths are made of.

        Raises:
            OptionError: it is none of this network.
        """
        if id(population) not in self.names:
            hint = f"one of {', '.join(self.names.values())}"
            raise OptionError(Problem(str(getattr(population, "label", population)), "was not imported", hint))
        return self.names[id(population)]

    def inputs(self, duration: float) -> dict[str, Any]:
        """What the sources send in so many seconds, for `spikeport.run`. Poisson sources draw numbers of their own."""
        n_steps, found = round(duration / self.contract.dt), dict[str, Any]()
        for name, source in self.sources.items():
            if isinstance(source, Spikes):
                within = source.steps < n_steps
                # the middle of a step is that step, however seconds are rounded
                found[name] = SpikeTimes((source.steps[within] + 0.5) * self.contract.dt, source.lines[within])
            elif (source.start <= 0).all() and (source.stop >= duration).all():
                found[name] = Poisson(source.rate, source.seed)
            else:
                found[name] = _drawn(source, duration)
        return found

    def currents(self, duration: float) -> dict[str, NDArray[np.float64]]:
        """What current sources let flow in, by population, shape (time, 1, cell), for `spikeport.run`."""
        n_steps, found = round(duration / self.contract.dt), dict[str, NDArray[np.float64]]()
        for flow in self.flows:
            (size,) = self.network.parts[flow.population].shape  # type: ignore[union-attr]  # it is no part: those have no cells
            values = found.setdefault(flow.population, np.zeros((n_steps, 1, size)))
            ends = [*flow.steps[1:], n_steps]
            for begin, end, amplitude in zip(flow.steps, ends, flow.amplitudes, strict=True):
                values[begin:end, :, flow.cells] += amplitude
        return found

    def run(self, duration: float, *, record: Collection[str] | None = None, on: str | None = None) -> Run:
        """Run it for so many seconds.

        Args:
            record: as in `spikeport.run`; None: what PyNN was told to record, of whole populations.
            on: the backend; None: the fastest on this machine that carries it.

        Raises:
            GraphError: the network does not fit together.
            OptionError: names that are not there, or a duration of no whole number of steps.
        """
        if record is None:
            record = [probe.name for probe in self.network.probes]
        return run(
            self.build(),
            self.inputs(duration),
            duration=duration,
            currents=self.currents(duration),
            record=record,
            on=on,
        )

    def spike_times(self, found: Run, name: str) -> list[NDArray[np.float64]]:
        """Spikes of a run as the simulator has them: milliseconds, one array a cell.

        Raises:
            OptionError: they were not recorded.
        """
        events = found[f"{name}.spikes"]
        times = (events.steps + self.simulator.recorded) * (self.contract.dt / MS)
        return [times[events.neurons == cell] for cell in range(int(np.prod(events.shape)))]


def _drawn(source: Rates, duration: float) -> SpikeTimes:
    rng = np.random.default_rng(source.seed)
    start, stop = np.clip(source.start, 0, duration), np.clip(source.stop, 0, duration)
    lines = np.repeat(np.arange(len(source.rate)), rng.poisson(source.rate * np.maximum(stop - start, 0)))
    return SpikeTimes(start[lines] + rng.random(len(lines)) * (stop - start)[lines], lines)
