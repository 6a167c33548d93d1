"""Run a hand-made network for a time, and what comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.stepping import through_the_door
from spikeport.errors import BackendError, DataError, OptionError, Problem
from spikeport.network import Network, probed
from spikeport.plugin.inputs import second_state, spiking
from spikeport.plugin.weighing import Learning
from spikeport.primitives import DynamicNetwork, DynamicRecording, DynamicsContract, Recording, SpikeEvents
from spikeport.primitives.dynamic_network import WHOLE
from spikeport.runtime.figures import Figure, Panel, figure
from spikeport.runtime.inputs import entering

if TYPE_CHECKING:
    import neo

KINDS = {"spikes": "spikes", "v": "potentials", "i": "currents", "w": "currents", "u": "currents"}
"""What may be recorded, and where a recording has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What was recorded, by name: `run["hid.spikes"]` are `SpikeEvents`, `run["hid.v"]` potentials, shape (time, batch, *population)."""

    network: DynamicNetwork
    recording: DynamicRecording
    names: tuple[str, ...]
    """What was asked for, in that order."""

    @property
    def dt(self) -> float:
        """Seconds of a step."""
        return self.network.contract.dt

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.recording.n_steps * self.dt

    @property
    def counts(self) -> Mapping[str, NDArray[Any]]:
        """Spikes of every neuron that can spike, by population, shape (batch, *population)."""
        return self.recording.counts

    @property
    def weights(self) -> Mapping[str, NDArray[Any]]:
        """At the end, of projections that learn, by name: `run.weights["a -> b"]`, shape (batch, *weight)."""
        return self.recording.weights

    @property
    def weights_over_time(self) -> Mapping[str, NDArray[Any]]:
        """At the end of every `weights_every` steps, shape (time, batch, *weight)."""
        return self.recording.weights_over_time

    def __getitem__(self, name: str) -> Any:
        """One recording.

        Raises:
            OptionError: nothing of that name was recorded.
        """
        if name not in self.names:
            hint = f"recorded are {', '.join(self.names) or 'none'}: name it in `record`"
            raise OptionError(Problem(name, "was not recorded", hint))
        path, _, what = name.rpartition(".")
        return getattr(self.recording, KINDS[what])[path]

    def rates(self, path: str) -> NDArray[np.float64]:
        """Mean firing rate of each neuron of a population in hertz, shape (batch, *population).

        Raises:
            OptionError: it is no population that spikes.
        """
        if path not in self.counts:
            raise OptionError(Problem(path, "is no population that spikes", nearest(path, list(self.counts))))
        rates: NDArray[np.float64] = self.counts[path] / self.duration
        return rates

    def plot(self, *names: str, sample: int = 0) -> Figure:
        """A picture of recordings over time: spikes as dots by neuron, potentials as lines.

        Args:
            names: in this order from top to bottom; none: all.

        Raises:
            OptionError: nothing of that name was recorded, or there is no such sample.
        """
        chosen = names or self.names
        if not chosen:
            raise OptionError(
                Problem("plot", "nothing was recorded", "name it in `record`, or give the network outputs")
            )
        panels = []
        for name in chosen:
            content = self[name]
            batch = content.batch if isinstance(content, SpikeEvents) else content.shape[1]
            if not 0 <= sample < batch:
                raise OptionError(Problem("sample", f"is {sample!r}", f"0 to {batch - 1}"))
            if not isinstance(content, SpikeEvents):
                content = content[:, sample].reshape(len(content), -1)
            panels.append(Panel(name, content, sample))
        return figure(panels, n_steps=self.recording.n_steps, dt=self.dt)

    def to_nirdata(self, path: str | Path) -> Path:
        """Write it as NIRData, the container of `nir` for recordings.

        Raises:
            DataError: nothing was recorded.
            FileError: it cannot be written.
        """
        from spikeport.nir.recording import write_nirdata  # h5py and nir load only when they are used

        return write_nirdata(self.recording, path, dt=self.dt)

    def to_neo(self) -> neo.Block:
        """It as an object of Neo, which tools of electrophysiology read: a segment a sample, a spike train a neuron, a signal a potential.

        Spikes stand at the end of their step. Needs `pip install 'spikeport[neo]'`.

        Raises:
            OptionError: Neo is not installed.
        """
        from spikeport.runtime.to_neo import block_of

        return block_of(self.recording, self.names, self.dt, self.network.name)


def run(
    network: Network | DynamicNetwork,
    inputs: Mapping[str, Any] | None = None,
    *,
    duration: float,
    dt: float | None = None,
    contract: DynamicsContract | None = None,
    currents: Mapping[str, Any] | None = None,
    modulation: Mapping[str, Any] | None = None,
    record: Collection[str] | None = None,
    record_weights: Collection[str] | None = None,
    weights_every: int | None = None,
    on: str | None = None,
) -> Run:
    """Run a network from its initial state.

    Args:
        inputs: by name of the input: a raster (time, *input) or (time, batch, *input), where a value counts that many spikes,
            `SpikeEvents`, `SpikeTimes` or `Poisson`; an input without is silent.
        duration: seconds, a whole number of steps.
        dt: seconds of a step; default: 1 ms, or that of the contract.
        contract: how it is stepped; default: `spikeport.network.default_contract`. A network that was built has one.
        currents: by path of the population: what flows in besides, constant, or (batch, *population), or (time, batch, *population).
        modulation: third factors of plasticity, by name: a number, or (time, batch), or (time, batch, *target).
        record: `"path.spikes"`, `"path.v"`, and the second state of neurons that have one: `"path.i"`, the current of CubaLIF and CubaLI and of
            fixed-point neurons, `"path.w"` of AdaptiveLIF, ResonateAndFire and SigmaDelta, `"path.u"` of Izhikevich; None: the network's probes,
            and its outputs.
        record_weights: projections whose weights at the end are kept, `"source -> target"`; None: all that learn.
        weights_every: those weights at the end of every so many steps are kept besides.
        on: the backend; None: the fastest on this machine that carries it.

    Raises:
        GraphError: the network does not fit together; everything by path.
        OptionError: names that are not there, or a duration of no whole number of steps.
        DataError: input that does not fit.
        LowerError: the backend cannot carry the network.
        BackendError: second states that the backend does not give.
    """
    probes, made = taken(network, dt, contract)
    n_steps = whole_steps(duration, made.contract.dt)
    names = tuple(dict.fromkeys(checked_record(made, default_record(made, probes) if record is None else record)))
    given, problems = {}, []
    places = {place.name: place for place in made.inputs}
    for name, spikes in (inputs or {}).items():
        if name not in places:
            problems.append(Problem(name, "is no input of this network", nearest(name, list(places))))
            continue
        try:
            given[name] = entering(places[name], spikes, n_steps=n_steps, dt=made.contract.dt)
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    shown = list(dict.fromkeys(n.rpartition(".")[0] for n in names if not n.endswith(".spikes")))
    with through_the_door(made, on, shown) as session:
        if made.plastic or modulation or record_weights or weights_every is not None:
            learning = Learning(modulation, made.plastic if record_weights is None else record_weights, weights_every)
            found: Recording | DynamicRecording = session.run_learning(
                given, learning=learning, max_steps=n_steps, currents=currents
            )
        else:
            found = session.run(given, max_steps=n_steps, currents=currents)
    assert isinstance(found, DynamicRecording)
    return Run(made, asked_for(found, names), names)


def asked_for(found: DynamicRecording, names: Collection[str]) -> DynamicRecording:
    """A recording of what was asked for alone.

    Raises:
        BackendError: second states that the backend does not give.
    """
    wanted: dict[str, dict[str, str]] = {kind: {} for kind in KINDS.values()}
    for name in names:
        path, _, what = name.rpartition(".")
        wanted[KINDS[what]][path] = name
    missing = [name for path, name in wanted["currents"].items() if path not in found.currents]
    if missing:
        hint = 'on="native", "reference" or "torch"'
        raise BackendError([Problem(name, "is not given by this backend", hint) for name in missing])
    kept: dict[str, Any] = {
        kind: {n: v for n, v in getattr(found, kind).items() if n in paths} for kind, paths in wanted.items()
    }
    return replace(found, **kept)


def taken(
    network: Network | DynamicNetwork, dt: float | None, contract: DynamicsContract | None
) -> tuple[list[str], DynamicNetwork]:
    """What its probes record, and what is stepped.

    Raises:
        GraphError: the network does not fit together.
        OptionError: it is none, or it was built with another contract.
    """
    if isinstance(network, Network):
        return list(probed(network)), network.build(dt=dt, contract=contract)
    if not isinstance(network, DynamicNetwork):
        raise OptionError(
            Problem("network", f"is a {type(network).__name__}", "a Network, or what `build` or `from_nir` gave")
        )
    if (dt is not None and dt != network.contract.dt) or (contract is not None and contract != network.contract):
        why = "is that of a network that was built, and cannot be changed here"
        raise OptionError(Problem("contract", why, "leave dt and contract out, or build with them"))
    return [], network


def whole_steps(duration: float, dt: float) -> int:
    """A duration in steps.

    Raises:
        OptionError: it is no positive number of them.
    """
    exact = float(duration) / dt
    steps = round(exact) if np.isfinite(exact) else 0
    if steps < 1 or abs(exact - steps) > WHOLE * max(1, steps):
        hint = f"a positive number of steps of {dt:g} s"
        raise OptionError(Problem("duration", f"is {duration!r} s", hint))
    return steps


def default_record(network: DynamicNetwork, probes: Collection[str]) -> list[str]:
    """What is recorded where nobody says."""
    fires = set(spiking(network))
    outputs = [f"{o.source}.{'spikes' if o.source in fires else 'v'}" for o in network.outputs]
    return [*probes, *outputs]


def checked_record(network: DynamicNetwork, record: Collection[str]) -> list[str]:
    """Names of recordings.

    Raises:
        OptionError: what this network does not have.
    """
    if isinstance(record, str):
        raise OptionError(Problem("record", f"is the text {record!r}", f"a list: [{record!r}]"))
    fires = set(spiking(network))
    known = [f"{p}.spikes" for p in fires] + [f"{p}.v" for p in network.by_name]
    known += [f"{p}.{second_state(network, p)}" for p in network.by_name if second_state(network, p)]
    problems = [
        Problem(n, "is nothing to record of this network", _recordable(n, known)) for n in record if n not in known
    ]
    if problems:
        raise OptionError(problems)
    return list(record)


def _recordable(name: str, known: list[str]) -> str:
    """What there is in place of it: of its population, or of the nearest name."""
    path = f"{str(name).rpartition('.')[0]}."
    own = sorted(n for n in known if n.startswith(path) and "." not in n.removeprefix(path))
    # one letter for another is another quantity, and no slip
    slip = get_close_matches(str(name), known, n=1, cutoff=0.9)
    return f"there are {', '.join(own)}" if own and not slip else nearest(name, known)


def nearest(name: str, known: list[str]) -> str:
    """The way out of a name that there is not."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(sorted(known)[:20])}{' ...' if len(known) > 20 else ''}" if known else "there is none"
