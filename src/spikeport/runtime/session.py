"""A network that is kept open: run in pieces, changed in between, and all of it written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, DataError, OptionError, Problem
from spikeport.network import Network, with_part
from spikeport.plugin.driving import drive
from spikeport.plugin.running import go_on
from spikeport.plugin.state import SessionState
from spikeport.plugin.weighing import Gauge, Learning
from spikeport.primitives import DynamicNetwork, DynamicsContract, frozen
from spikeport.primitives.dynamic_network import WHOLE
from spikeport.runtime.carrying import Layer, Moves
from spikeport.runtime.configuration import Configuration
from spikeport.runtime.events import Event, Replace, Swap
from spikeport.runtime.inputs import going_on
from spikeport.runtime.journal import Applied, Entry, Forgotten, Journal, Planned, Ran, Restored, Snapshot, Undone
from spikeport.runtime.pieces import Pieces, piece_of
from spikeport.runtime.reconfigure import reconfigured
from spikeport.runtime.run import Run, asked_for, checked_record, default_record, nearest, taken, whole_steps
from spikeport.runtime.standing import Standing


@dataclass(frozen=True, slots=True, eq=False)
class _Past:
    """What an event changed, to undo it."""

    before: Configuration
    back: Moves
    """Where everything before comes from in what was there after."""
    state: SessionState | None
    """Of before, where the event took something away."""
    step: int


class Session:
    """A network in time. What it does is one long run, in pieces: each `run` goes on where the one before ended.

    Used by one thread at a time; closed at the end of a `with` block. Whatever is refused, or interrupted by Ctrl-C, leaves it as it was.

    >>> import spikeport as sp
    >>> net = sp.Network("demo")
    >>> x, hid = net.input("x", 4), net.population("hid", 3, sp.LIF(tau=0.02))
    >>> _ = net.connect(x, hid, sp.AllToAll(0.6))
    >>> net.output("out", hid).name
    'out'
    >>> with sp.Session(net) as session:
    ...     first = session.run({"x": sp.Poisson(400.0)}, duration=0.05)
    ...     session.apply(sp.SetParameters("hid", threshold=50.0))
    ...     second = session.run({"x": sp.Poisson(400.0)}, duration=0.05)
    >>> first.counts["hid"].any(), second.counts["hid"].any()
    (np.True_, np.False_)
    """

    def __init__(
        self,
        network: Network | DynamicNetwork,
        *,
        dt: float | None = None,
        contract: DynamicsContract | None = None,
        batch: int = 1,
        on: str | None = None,
    ) -> None:
        """Open a network in its initial state.

        Args:
            dt, contract: how it is stepped, as for `sp.run`.
            batch: samples, each with a state of its own.
            on: the backend, one that tells its state; None: the fastest on this machine that carries the network.

        Raises:
            GraphError: the network does not fit together; everything by path.
            OptionError: a backend that there is not, or no number of samples.
            LowerError: the backend cannot carry the network.
            BackendError: it cannot tell its state.
        """
        if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
            raise OptionError(Problem("batch", f"is {batch!r}", "a whole number of samples from 1 on"))
        self._probes, made = taken(network, dt, contract)
        self._written = network if isinstance(network, Network) else None
        self._first, self._batch = made, int(batch)
        self._at = Standing(Configuration(made), batch=self._batch, on=on)
        self._past: list[_Past] = []
        self._planned: list[Planned] = []
        self._entries: list[Entry] = []
        self.closed = False

    @property
    def time(self) -> float:
        """Seconds since the beginning."""
        return self._at.step * self._at.configuration.network.contract.dt

    @property
    def network(self) -> DynamicNetwork:
        """As it is now, with all gates open."""
        return self._at.configuration.network

    @property
    def gates(self) -> tuple[str, ...]:
        """Paths of those that are closed."""
        return self._at.configuration.closed

    @property
    def journal(self) -> Journal:
        """All that was done, from the beginning: `sp.replay` does it again."""
        return Journal(self._first, self._batch, tuple(self._entries))

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        duration: float,
        currents: Mapping[str, Any] | None = None,
        modulation: Mapping[str, Any] | None = None,
        record: Collection[str] | None = None,
        record_weights: Collection[str] | None = None,
        weights_every: int | None = None,
    ) -> Run:
        """Go on for some time; what was planned for it happens on the way.

        Args:
            inputs: as for `sp.run`, with times from the beginning of this run; what is given for one sample enters all of them. `Poisson` is
                drawn step by step: it is the same in one run as in several, one after the other.
            duration: seconds, a whole number of steps.
            currents, modulation, record, record_weights, weights_every: as for `sp.run`.

        Raises:
            OptionError: names that are not there, no whole number of steps, or recordings of what changes its shape on the way.
            DataError: input that does not fit.
            GraphError: something that was planned does not apply.
            BackendError: the session is closed.
        """
        self._require_open()
        network = self.network
        n_steps = whole_steps(duration, network.contract.dt)
        places = {place.name: place for place in network.inputs}
        given, problems = {}, []
        for name, spikes in (inputs or {}).items():
            if name not in places:
                problems.append(Problem(name, "is no input of this network", nearest(name, list(places))))
                continue
            try:
                given[name] = going_on(
                    places[name],
                    spikes,
                    n_steps=n_steps,
                    dt=network.contract.dt,
                    first=self._at.step,
                    batch=self._batch,
                )
            except DataError as error:
                problems.extend(error.problems)
        if problems:
            raise DataError(problems)
        asked = default_record(network, self._probes) if record is None else record
        names = tuple(dict.fromkeys(checked_record(network, asked)))
        weights = tuple(network.plastic) if record_weights is None else tuple(dict.fromkeys(record_weights))
        fed = {n: frozen(np.asarray(v)) for n, v in (currents or {}).items()}
        told = {n: frozen(np.asarray(v)) for n, v in (modulation or {}).items()}
        return self._ran(Ran(n_steps, given, fed, told, names, weights, weights_every))

    def apply(self, event: Event | Swap) -> None:
        """Change the network now, between two steps.

        Raises:
            GraphError: it does not apply; everything by path, the reason and a way out.
            LowerError, NativeError: the backend cannot carry what the network would be.
            BackendError: the session is closed.
        """
        self._require_open()
        resolved = self._resolved(event)
        self._changed(resolved)
        self._entries.append(Applied(resolved))

    def at(self, time: float, event: Event | Swap) -> None:
        """Plan a change for right before the step that begins at a time, in seconds since the beginning of the session.

        A run is cut there. Several changes for one time happen in the order in which they were planned.

        Raises:
            OptionError: a time that is past, or lies between two steps.
            GraphError: an event that is none.
        """
        self._require_open()
        dt = self.network.contract.dt
        exact = float(time) / dt if np.isfinite(time) else -1.0
        step = round(exact)
        if step < self._at.step or abs(exact - step) > WHOLE * max(1, step):
            why = f"is {time!r} s, and it is {self.time:g} s now"
            raise OptionError(Problem("time", why, f"a whole number of steps of {dt:g} s, from now on"))
        planned = Planned(step, self._resolved(event))
        self._planned.append(planned)
        self._entries.append(planned)

    def forget(self) -> None:
        """Give up what is planned and has not happened."""
        self._require_open()
        self._planned.clear()
        self._entries.append(Forgotten())

    def undo(self) -> None:
        """Take back the last event that was not taken back yet.

        The network is as it was before it. Everything that the event left goes on as it is, learned weights too; what it took away
        comes back as it was when it went.

        Raises:
            OptionError: there is none since the session was opened or restored.
        """
        self._require_open()
        if not self._past:
            raise OptionError(Problem("undo", "there is nothing to undo", "apply an event first"))
        past = self._past[-1]
        layers = [] if past.state is None else [Layer(past.state, Moves(), self._at.step - past.step)]
        self._at.go_to(past.before, [*layers, Layer(self._at.whole(), past.back)])
        self._past.pop()
        self._entries.append(Undone())

    def snapshot(self) -> Snapshot:
        """Everything between two steps; `restore` goes on from it, here or in another session."""
        self._require_open()
        return Snapshot(self.network, self.gates, self._at.whole())

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from there: its network, its gates, its state, its time. What was planned is forgotten, and nothing before can be undone.

        Raises:
            DataError: a snapshot of another contract, or a state that is not one of its network.
            OptionError: it is none.
        """
        self._require_open()
        self._restored(snapshot)
        self._entries.append(Restored(snapshot))

    def weights(self, name: str) -> NDArray[Any]:
        """Weights of a projection that learns as they are now, shape (batch, *weights of the synapse).

        Raises:
            OptionError: it is no projection that learns.
        """
        self._require_open()
        return self._at.weights(name)

    def close(self) -> None:
        """Free what it holds; closing twice is no error. The journal stays."""
        self.closed = True
        self._at.door.close()

    def play(self, entry: Entry) -> Run | None:
        """Do what a journal says, and write it down as done."""
        self._require_open()
        match entry:
            case Ran():
                return self._ran(entry)
            case Applied(event):
                self._changed(event)
            case Planned():
                self._planned.append(entry)
            case Undone():
                self.undo()
                return None
            case Forgotten():
                self._planned.clear()
            case Restored(snapshot):
                self._restored(snapshot)
        self._entries.append(entry)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self.closed:
            raise BackendError(Problem("session", "is closed", "open another one, and restore a snapshot"))

    def _changed(self, event: Event) -> None:
        """Apply an event, so that it can be undone."""
        before, whole = self._at.configuration, self._at.whole()
        change = reconfigured(before, event)
        back = change.moves.undone(before.network, whole)
        self._at.go_to(change.after, [Layer(whole, change.moves)])
        took = isinstance(event, Replace) or back.loses()
        self._past.append(_Past(before, back, whole if took else None, self._at.step))

    def _restored(self, snapshot: Snapshot) -> None:
        given: Any = snapshot
        if not isinstance(given, Snapshot):
            raise OptionError(Problem("snapshot", f"is a {type(given).__name__}", "what `snapshot` gave"))
        if snapshot.network.contract != self.network.contract:
            hint = "open a session of its network: Session(snapshot.network)"
            raise DataError(Problem("snapshot", "is of a network with another contract", hint))
        if snapshot.state.batch != self._batch:
            why = f"has {snapshot.state.batch} samples, and the session {self._batch}"
            raise DataError(Problem("snapshot", why, f"Session(..., batch={snapshot.state.batch})"))
        after = Configuration(snapshot.network, snapshot.closed)
        self._at.go_to_state(after, snapshot.state)
        self._past.clear()
        self._planned.clear()

    def _resolved(self, event: Event | Swap) -> Event:
        """An event as the journal has it."""
        if not isinstance(event, Swap):
            return event
        if self._written is None:
            hint = "open the session with the Network, or give Replace the whole flat network"
            raise OptionError(Problem(event.path, "is swapped in a flat network, which knows no ports", hint))
        swapped = with_part(self._written, event.path, event.module)
        return Replace(event.path, swapped.build(contract=self.network.contract), event.keep)

    def _ran(self, entry: Ran) -> Run:
        """Go on, or come back to where it stood."""
        before, whole, past, planned = self._at.configuration, self._at.whole(), list(self._past), list(self._planned)
        try:
            run = self._through(entry)
        except BaseException as error:
            self._at.go_to_state(before, whole)
            self._past, self._planned = past, planned
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt("interrupted; the session stands where it stood before this run") from error
            raise
        self._entries.append(entry)
        return run

    def _through(self, entry: Ran) -> Run:
        network, begin, end = self.network, self._at.step, self._at.step + entry.n_steps
        checked_record(network, entry.record)
        shown = list(dict.fromkeys(n.rpartition(".")[0] for n in entry.record if not n.endswith(".spikes")))
        trains = list(dict.fromkeys(n.rpartition(".")[0] for n in entry.record if n.endswith(".spikes")))
        self._at.show(shown)
        told = entry.modulation if network.third_factors or entry.modulation else None
        entering = drive(
            network, entry.inputs, n_steps=entry.n_steps, currents=entry.currents, modulation=told, batch=self._batch
        )
        # refuses what has no room
        Gauge(network, Learning(entry.modulation, entry.record_weights, entry.weights_every), entering)
        pieces = Pieces(entry)
        while self._at.step < end:
            self._happen()
            if self.network is not network:
                pieces.require_alike(network, self.network, entering)
            now = self._at.step
            until = min([end, *(p.step for p in self._planned if p.step > now)])
            if entry.weights_every is not None:
                until = min(until, now + entry.weights_every - (now - begin) % entry.weights_every)
            pieces.add(go_on(self._at.door, piece_of(entering, now - begin, until - begin), trains, shown))
            self._at.step = until
            if entry.weights_every is not None and (until - begin) % entry.weights_every == 0:
                pieces.look({name: self.weights(name) for name in entry.record_weights})
        unknown = [n for n in entry.record_weights if n not in self.network.plastic]
        if unknown:
            raise OptionError([Problem(n, "does not learn any more at the end", "leave it out") for n in unknown])
        recording = pieces.joined({name: self.weights(name) for name in entry.record_weights})
        return Run(self.network, asked_for(recording, entry.record), entry.record)

    def _happen(self) -> None:
        """Apply what is planned for now."""
        due = [p for p in self._planned if p.step <= self._at.step]
        for planned in due:
            self._changed(planned.event)
            self._planned.remove(planned)
