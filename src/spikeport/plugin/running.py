"""A whole run of an open session: input encoded and presented, offsets taken back, and the recording that `sp.simulate` gives.

A population of offset k does in step t + k of the chip what it does in step t of the network. So input enters as the network has it,
a current for a population k steps later, and what a population gives is read k steps later. Steps beyond the last one of the
recording change nothing in it: they are taken in pieces, and cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, OptionError, Problem
from spikeport.plugin.driving import Drive, drive, dtype_of
from spikeport.plugin.exact import static_currents
from spikeport.plugin.inputs import populations, spiking, with_second
from spikeport.plugin.pieces import joined
from spikeport.plugin.presenting import (
    as_array,
    checked_request,
    encode_steps,
    last_scheduled_step,
    require_names,
    split,
)
from spikeport.plugin.weighing import Gauge, Learning
from spikeport.primitives import (
    Accumulator,
    DynamicNetwork,
    DynamicRecording,
    MaxUnit,
    Recording,
    Shape,
    SpikeEvents,
    SpikeTrain,
    SpikingNetwork,
)

if TYPE_CHECKING:
    from spikeport.plugin.backend import BackendSession, Step

PIECE = 32
"""Most steps taken at once."""
DRAIN = 8
"""The same when nothing more is due and the end may be near."""
PIECE_VALUES = 2**23
"""Neurons times samples times steps of a piece, by which it is shortened."""

Arrays = Mapping[str, NDArray[Any]]


Simulate = Callable[..., Recording]
"""`simulate(network, x, *, record, max_steps)` of a backend that takes whole runs."""


def step_by_advance(session: BackendSession, spikes: Arrays, currents: Arrays) -> Step:
    """One step of a session that takes several at once."""
    made = session.advance(
        1, {n: np.asarray(v)[None] for n, v in spikes.items()}, {n: np.asarray(v)[None] for n, v in currents.items()}
    )
    kinds = (made.spikes, made.potentials, made.currents)
    return type(made)(*({name: values[0] for name, values in kind.items()} for kind in kinds))


def run_hand_made(
    session: BackendSession,
    simulate: Callable[..., DynamicRecording],
    x: Any,
    record: Collection[str] | None,
    max_steps: int | None,
    currents: Mapping[str, Any] | None,
    **learning: Any,
) -> DynamicRecording:
    """`BackendSession.run` of a network with dynamics, for a session whose backend takes whole runs faster than steps."""
    session.require_open()
    network = session.program.network
    assert isinstance(network, DynamicNetwork)
    names = session.record if record is None else [n for n in record if n in spiking(network)]
    kept = [n for n in network.by_name if n in session.potentials] if record is None else list(record)
    return simulate(network, x, n_steps=max_steps, currents=currents, record=names, potentials=kept, **learning)


def run_whole(
    session: BackendSession,
    simulate: Simulate,
    x: Any,
    record: Collection[str] | None,
    max_steps: int | None,
    currents: Mapping[str, Any] | None,
) -> Recording:
    """`BackendSession.run` of a converted network, for a session whose backend takes whole runs faster than steps."""
    session.require_open()
    network = session.program.network
    assert isinstance(network, SpikingNetwork)
    if currents is not None:
        raise OptionError(Problem("currents", "a converted network has no currents to be fed", "give x alone"))
    kept = [n for n in populations(network) if n in session.record or n in session.potentials]
    found = simulate(network, x, record=kept if record is None else record, max_steps=max_steps)
    if record is not None:
        return found
    return replace(found, potentials={n: v for n, v in found.potentials.items() if n in session.potentials})


def run_converted(session: BackendSession, x: Any, record: Collection[str] | None, max_steps: int | None) -> Recording:
    """See `BackendSession.run`."""
    network, offsets = session.program.network, session.program.offsets
    assert isinstance(network, SpikingNetwork)
    known, wanted, limit = checked_request(network, record, max_steps)
    sending = [name for name in known if name != network.output]
    if record is None:
        wanted = [name for name in known if name in session.record or name in session.potentials]
    kept = [name for name in wanted if not isinstance(network[name].neuron, MaxUnit)]
    if record is None:
        kept = [name for name in kept if name in session.potentials]
    _require(session, sending, [network.output, *kept])
    source = _Input(network, offsets, encode_steps(network, as_array(x)))
    waits_until, latest = last_scheduled_step(network), max(offsets.values(), default=0)
    session.reset(source.batch)
    stream = _Stream(network, source.batch, offsets, sending, {*kept, network.output})
    counts = {name: np.zeros((source.batch, *network[name].shape), dtype=np.int64) for name in sending}
    n_spikes = {name: np.zeros(source.batch, dtype=np.int64) for name in sending}
    trains: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted}
    potentials: dict[str, list[NDArray[Any]]] = {name: [] for name in {*kept, network.output}}
    quiet_after = np.zeros(source.batch, dtype=np.int64)
    fired = np.ones(source.batch, dtype=np.bool_)
    done = taken = 0
    longest = max(1, PIECE_VALUES // max(1, network.neurons * source.batch))
    while done < limit and (done <= waits_until or fired.any()):
        ahead = waits_until + 1 + latest - taken
        n = max(1, min(longest, min(PIECE, ahead) if ahead > 0 else DRAIN, limit + latest - taken))
        stream.add(session.advance(n, *source.piece(taken, n)), n)
        taken += n
        ready = taken - latest - done
        if ready <= 0:
            continue
        piece = stream.take(ready)
        events = {name: _events_of(network, piece.spikes[name]) for name in sending}
        busy = np.zeros((ready, source.batch), dtype=np.bool_)
        for found in events.values():
            busy |= found > 0
        steps = 0
        while steps < ready and done < limit and (done <= waits_until or fired.any()):
            fired = busy[steps]
            steps, done = steps + 1, done + 1
            quiet_after[fired] = done
        for name in sending:
            counts[name] += piece.spikes[name][:steps].sum(axis=0, dtype=np.int64)
            n_spikes[name] += events[name][:steps].sum(axis=0)
        for name in wanted:
            silent = np.zeros((steps, source.batch, *network[name].shape), dtype=np.int32)
            trains[name].append(piece.spikes[name][:steps].astype(np.int32) if name in events else silent)
        for name in potentials:
            potentials[name].append(piece.potentials[name][:steps].astype(np.int64))
    complete = done > waits_until and not fired.any()
    quiet_after = np.maximum(quiet_after, min(network.contract.presentation, done))
    if not complete and done < network.contract.max_steps:
        quiet_after[fired] = -1
    neuron = network[network.output].neuron
    assert isinstance(neuron, Accumulator)
    readout = np.concatenate(potentials[network.output])
    return Recording(
        n_steps=done,
        quiet_after=quiet_after,
        readout=readout,
        output=readout[-1] * neuron.scale,
        counts=counts,
        n_spikes=n_spikes,
        spikes={name: SpikeTrain(np.concatenate(trains[name]), network.contract.dt) for name in wanted},
        potentials={name: np.concatenate(potentials[name]) for name in kept},
    )


def run_dynamic(
    session: BackendSession,
    x: Any,
    record: Collection[str] | None,
    n_steps: int | None,
    currents: Mapping[str, Any] | None,
    learning: Learning | None = None,
) -> DynamicRecording:
    """See `BackendSession.run` and `run_learning`."""
    network = session.program.network
    assert isinstance(network, DynamicNetwork)
    fire = spiking(network)
    require_names(record, "record")
    unknown = sorted(set(record or ()) - set(network.by_name))
    if unknown:
        raise OptionError([Problem(name, "is not a population of this network") for name in unknown])
    trains = [n for n in (fire if record is None else dict.fromkeys(record)) if n in fire]
    kept = [n for n in network.by_name if n in session.potentials] if record is None else list(dict.fromkeys(record))
    if record is None:
        trains = [name for name in trains if name in session.record]
    _require(session, fire, kept)
    asked = learning or Learning()
    entering = drive(network, x, n_steps=n_steps, currents=currents, modulation=asked.modulation)
    gauge = Gauge(network, asked, entering)
    session.reset(entering.batch)
    found = go_on(session, entering, trains, kept, gauge)
    return replace(found, weights=gauge.last, weights_over_time=gauge.over_time)


def go_on(
    session: BackendSession,
    entering: Drive,
    trains: Collection[str],
    kept: Collection[str],
    gauge: Gauge | None = None,
) -> DynamicRecording:
    """Steps of a network with dynamics from where its session stands; what it was opened for is what can be kept.

    Args:
        trains: populations whose spikes are kept.
        kept: those whose potentials are.
        gauge: looks at weights meanwhile.
    """
    network, offsets = session.program.network, session.program.offsets
    assert isinstance(network, DynamicNetwork)
    fire = spiking(network)
    batch, total, latest = entering.batch, entering.n_steps, max(offsets.values(), default=0)
    seconds = with_second(network, kept) if network.contract.chip or session.gives_second else []
    stream = _Stream(network, batch, offsets, fire, kept, seconds)
    counts = {name: np.zeros((batch, *network[name].shape), np.int64) for name in fire}
    events: dict[str, list[SpikeEvents]] = {name: [] for name in trains}
    potentials: dict[str, list[NDArray[Any]]] = {name: [] for name in kept}
    second: dict[str, list[NDArray[Any]]] = {name: [] for name in seconds}
    longest = max(1, PIECE_VALUES // max(1, network.neurons * batch))
    done = taken = 0
    while done < total:
        n = min(longest, PIECE, total + latest - taken)
        if gauge is not None and network.plastic:
            n = min(n, gauge.until_next(taken))
        if entering.modulation:
            n = 1 if any(len(values) > 1 for values in entering.modulation.values()) else n
            session.modulate({name: v[min(taken, len(v) - 1)] for name, v in entering.modulation.items()})
        stream.add(session.advance(n, *_driven(network, offsets, entering, taken, n)), n)
        taken += n
        if gauge is not None and gauge.names:
            gauge.look(taken - 1, session.weights)
        ready = taken - latest - done
        if ready <= 0:
            continue
        piece = stream.take(ready)
        for name in fire:
            raster = piece.spikes[name].reshape(ready, batch, -1).transpose(1, 0, 2)
            counts[name] += counts_of(network, name, raster)
            if name in events:
                events[name].append(events_of(raster, network[name].shape, network.contract.dt))
        for name in kept:
            potentials[name].append(piece.potentials[name])
        for name in seconds:
            second[name].append(piece.currents[name])
        done += ready
    dtype = dtype_of(network.contract)

    def over_time(parts: list[NDArray[Any]], name: str) -> NDArray[Any]:
        return np.concatenate(parts).astype(dtype, copy=False).reshape(total, batch, *network[name].shape)

    return DynamicRecording(
        n_steps=total,
        counts=counts,
        spikes={name: joined(parts) for name, parts in events.items()},
        potentials={name: over_time(parts, name) for name, parts in potentials.items()},
        currents={name: over_time(parts, name) for name, parts in second.items()},
    )


def counts_of(network: DynamicNetwork, name: str, raster: NDArray[Any]) -> NDArray[np.int64]:
    """Spikes of each neuron of a raster (batch, time, neuron), shape (batch, *population); graded ones are one spike each."""
    multi = network.contract_of(name).spikes == "multi"
    counts = raster.sum(axis=1, dtype=np.int64) if multi else np.count_nonzero(raster, axis=1)
    return np.asarray(counts, dtype=np.int64).reshape(len(raster), *network[name].shape)


def events_of(raster: NDArray[Any], shape: Shape, dt: float) -> SpikeEvents:
    """Spikes of a raster (batch, time, neuron) of payloads."""
    samples, steps, neurons = np.nonzero(raster)
    values = raster[samples, steps, neurons]
    payloads = None if (values == 1).all() else values
    return SpikeEvents(samples, steps, neurons, shape, raster.shape[1], raster.shape[0], dt, payloads)


def _require(session: BackendSession, spiking: Collection[str], potentials: Collection[str]) -> None:
    """Refuse a session that was opened for less than a run needs."""
    hint = "leave `record` and `potentials` out when opening, or take single steps"
    problems = [
        Problem(name, f"its {what} are not recorded by this session", hint)
        for what, needed, there in (
            ("spikes", spiking, session.record),
            ("potentials", dict.fromkeys(potentials), session.potentials),
        )
        for name in needed
        if name not in there
    ]
    if problems:
        raise OptionError(problems)


def _events_of(network: SpikingNetwork, sent: NDArray[Any]) -> NDArray[np.int64]:
    """How many spikes, shape (time, batch)."""
    flat = sent.reshape(*sent.shape[:2], int(np.prod(sent.shape[2:])))
    # the payload of a bank is its number of units that fired, one spike each
    if network.contract.code == "population":
        units: NDArray[np.int64] = flat.sum(axis=2, dtype=np.int64)
        return units
    return np.count_nonzero(flat, axis=2)


class _Input:
    """What enters a converted network, by step of the chip."""

    def __init__(self, network: SpikingNetwork, offsets: Mapping[str, int], encoded: NDArray[np.int64]) -> None:
        self.network, self.offsets = network, offsets
        self.events = encoded if network.input.kind == "events" else None
        self.totals = static_currents(network, encoded) if self.events is None else {}
        self.batch = encoded.shape[1] if self.events is not None else len(encoded)

    def piece(self, start: int, n: int) -> tuple[Arrays, Arrays]:
        """Spikes and currents of n steps, time first; nothing where all is silent."""
        spikes: dict[str, NDArray[Any]] = {}
        if self.events is not None and start < len(self.events):
            part = self.events[start : start + n]
            rest = np.zeros((n - len(part), *part.shape[1:]), dtype=part.dtype)
            spikes[self.network.input.name] = np.concatenate([part, rest])
        presentation, currents = self.network.contract.presentation, {}
        for name, total in self.totals.items():
            first = start - self.offsets.get(name, 0)
            if first < presentation and first + n > 0:
                currents[name] = np.stack([split(total, t, presentation) for t in range(first, first + n)])
        return spikes, currents


def _driven(
    network: DynamicNetwork, offsets: Mapping[str, int], entering: Drive, start: int, n: int
) -> tuple[Arrays, Arrays]:
    """The same for a network with dynamics."""
    spikes: dict[str, NDArray[Any]] = {}
    for place, events in zip(network.inputs, entering.events, strict=True):
        values = np.zeros((n, entering.batch, place.size), dtype_of(network.contract))
        for t in range(start, min(start + n, entering.n_steps)):
            for sample in range(entering.batch):
                part = slice(events.offsets[sample, t], events.offsets[sample, t + 1])
                values[t - start, sample, events.neurons[part]] = events.values[part]
        if values.any():
            spikes[place.name] = values.reshape(n, entering.batch, *place.shape)
    currents = {}
    for name, fed in entering.currents.items():
        shape = (entering.batch, *network[name].shape)
        rows = []
        for t in range(start - offsets.get(name, 0), start + n - offsets.get(name, 0)):
            row = fed[min(max(t, 0), len(fed) - 1)] if t >= 0 else np.zeros_like(fed[0])
            rows.append(np.broadcast_to(row, (entering.batch, row.shape[-1])).reshape(shape))
        currents[name] = np.stack(rows)
    return spikes, currents


@dataclass(frozen=True)
class _Piece:
    """Some steps of the network; arrays of shape (time, batch, *population) by name."""

    spikes: Arrays
    potentials: Arrays
    currents: Arrays


class _Stream:
    """What the populations gave, from their own step 0 on, and not taken yet."""

    def __init__(
        self,
        network: SpikingNetwork | DynamicNetwork,
        batch: int,
        offsets: Mapping[str, int],
        spikes: Collection[str],
        potentials: Collection[str],
        currents: Collection[str] = (),
    ) -> None:
        self.network, self.batch = network, batch
        self.kinds = "iub" if isinstance(network, SpikingNetwork) else "iufb"
        self.offsets, self.steps = offsets, 0
        names = {"spikes": spikes, "potentials": potentials, "currents": currents}
        self.kept: dict[str, dict[str, list[NDArray[Any]]]] = {k: {n: [] for n in v} for k, v in names.items()}

    def add(self, step: Step, n: int) -> None:
        """n steps of the chip."""
        for kind, lists in self.kept.items():
            given = getattr(step, kind, {})
            missing = [Problem(name, f"the session gives no {kind} of it") for name in lists if name not in given]
            if missing:
                raise BackendError(missing)
            self._require_shapes(kind, lists, given, n)
            for name, parts in lists.items():
                before = max(0, self.offsets.get(name, 0) - self.steps)
                if before < n:
                    parts.append(given[name][before:])
        self.steps += n

    def _require_shapes(self, kind: str, names: Collection[str], given: Arrays, n: int) -> None:
        """Refuse what would be taken for other samples, steps or numbers than it is."""
        problems = []
        for name in names:
            values, shape = given[name], (n, self.batch, *self.network[name].shape)
            if not isinstance(values, np.ndarray) or values.shape != shape:
                found = (
                    f"of shape {values.shape}"
                    if isinstance(values, np.ndarray)
                    else f"that are a {type(values).__name__}"
                )
                problems.append(Problem(name, f"the session gives {kind} {found}", f"of {n} steps: {shape}"))
            elif values.dtype.kind not in self.kinds:
                problems.append(Problem(name, f"the session gives {kind} of type {values.dtype}, and counts are whole"))
        if problems:
            raise BackendError(problems)

    def take(self, n: int) -> _Piece:
        """The next n steps of the network."""
        return _Piece(*(dict(self._taken(lists, n)) for lists in self.kept.values()))

    def _taken(self, lists: dict[str, list[NDArray[Any]]], n: int) -> Iterator[tuple[str, NDArray[Any]]]:
        for name, parts in lists.items():
            whole = np.concatenate(parts) if len(parts) > 1 else parts[0]
            lists[name] = [whole[n:]]
            yield name, whole[:n]
