"""Run a batch through the native stepper: the recording of `spikeport.backends.reference.simulate`, field by field.

Layers are taken one after the other, each over a chunk of steps, since spikes only ever go forward. Samples are independent, and go
in groups through one call for each chunk, so that an interruption is seen between calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport import native
from spikeport.backends.native.plan import NetworkPlan, plan
from spikeport.errors import Interrupted
from spikeport.graph import apply, apply_synapse
from spikeport.native.stepping import ITEMS, Run
from spikeport.plugin.presenting import as_array, checked_request, encode_steps, last_scheduled_step
from spikeport.primitives import Accumulator, MaxUnit, Recording, SpikeTrain, SpikingNetwork

CHUNK = 32
"""Steps taken at once, at most."""
CHUNK_BYTES = 2**26
"""Memory of what crosses layers in a chunk, by which it is shortened."""
GROUP_BYTES = 2**28
"""Memory of the state of a group of samples, at most."""
GROUP_WORK = 2**23
"""Neurons times steps of a group: some tens of milliseconds, so that an interruption loses little."""


def simulate(
    network: SpikingNetwork,
    x: Any,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    threads: int | None = None,
) -> Recording:
    """Step a batch until no sample fires any more; the arguments, and every field of the result, are those of the reference.

    Args:
        threads: processors to use; None takes all that this process may use. Results never depend on it.

    Raises:
        DataError: input that does not fit.
        OptionError: a name that is not in the network.
        NativeError: no native library, or a network that the native stepper does not carry.
        Interrupted: Ctrl-C; it holds the recording of the samples that were finished.
    """
    known, record, limit = checked_request(network, record, max_steps)
    planned = plan(network)
    source = _Source(planned, as_array(x))
    threads = native.default_threads() if threads is None else max(1, threads)
    chunk = max(1, min(CHUNK, limit, CHUNK_BYTES // planned.step_bytes))
    work = network.neurons * min(limit, max(chunk, last_scheduled_step(network)))
    group = max(1, min(source.batch, GROUP_BYTES // planned.once_bytes, max(2 * threads, GROUP_WORK // work)))
    group = max(group - group % threads, 1) if group < source.batch else group
    stepping = _Stepping(planned, source, record, limit, chunk)
    parts: list[_Part] = []
    try:
        with planned.plan.run(samples=group, steps=chunk, threads=threads, traced=bool(record)) as run:
            for first in range(0, source.batch, group):
                parts.append(stepping.group(run, first, min(group, source.batch - first)))
            if not parts:  # no samples: the clock runs all the same
                parts.append(stepping.group(run, 0, 0))
    except KeyboardInterrupt:
        done = sum(part.samples for part in parts)
        finished = _recording(stepping, parts, known) if parts else None
        raise Interrupted(finished, done, source.batch) from None
    return _recording(stepping, parts, known)


class _Source:
    """The input of a batch: bins of events, or values of host sources that enter once."""

    def __init__(self, planned: NetworkPlan, x: NDArray[Any]) -> None:
        network = planned.network
        self.events: NDArray[Any] | None = None
        self.values: dict[int, NDArray[np.int64]] = {}
        self.given = x
        self.network = network
        if network.input.kind == "events":
            self.events = _bins(network, x)
            self.batch = self.events.shape[1]
        else:
            values = {network.input.name: encode_steps(network, x)}
            self.batch = len(values[network.input.name])
            _host_maxima(planned, values)
            self.values = {planned.layers[name]: value for name, value in values.items()}

    def refuse(self) -> None:
        """Raise what is wrong with events that the stepper refused."""
        encode_steps(self.network, self.given)
        raise AssertionError("the stepper refused events that the reference accepts")


def _bins(network: SpikingNetwork, x: NDArray[Any]) -> NDArray[Any]:
    """Events as (time, batch, *input), as they are if the stepper can read and check them itself."""
    shape = network.input.shape
    if x.shape[2:] != shape or len(x) > network.contract.presentation or x.dtype.kind not in "fiub":
        return encode_steps(network, x)  # a frame to be split, or something to be refused
    if x.dtype == np.bool_:
        x = x.view(np.uint8)
    if x.dtype not in ITEMS:
        x = x.astype(np.float32 if x.dtype == np.float16 else np.float64 if x.dtype.kind == "f" else np.int64)
    if x.size and x[0, 0].flags.c_contiguous and x.flags.aligned and not any(s % x.itemsize for s in x.strides[:2]):
        return x  # bins of samples may lie anywhere: a slice of a recording is read where it is
    return native.plain(x, x.dtype)


def _host_maxima(planned: NetworkPlan, values: dict[str, NDArray[np.int64]]) -> None:
    """Maxima over static input, which the host computes once."""
    for population in planned.network.populations:
        if population.name not in planned.host:
            continue
        assert isinstance(population.neuron, MaxUnit)
        total: Any = 0
        for connection in planned.network.incoming(population.name):
            part = values[connection.source]
            for synapse in connection.synapses:
                part = apply_synapse(synapse, part)
            total = total + part
        values[population.name] = apply(population.neuron.window, [total])


@dataclass(eq=False)
class _Part:
    """What one group of samples did; arrays are cut to the steps that it took."""

    samples: int
    steps: int
    last_fired: NDArray[np.int64]
    """Steps after which each sample fired no more, 0 if it never did."""
    readout: NDArray[np.int64]
    n_spikes: dict[str, NDArray[np.int64]]
    trains: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    potentials: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def _room(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.int64]]:
    """Arrays that are not filled yet, side by side: fresh memory in one piece comes in large pages, a fault for megabytes at once."""
    ends = np.cumsum([0, *(prod(shape) for shape in shapes.values())])
    whole = np.empty(int(ends[-1]), dtype=np.int64)
    parts = zip(shapes.items(), ends[:-1], ends[1:], strict=True)
    return {name: whole[begin:end].reshape(shape) for (name, shape), begin, end in parts}


class _Stepping:
    """What all groups of a batch share."""

    def __init__(self, planned: NetworkPlan, source: _Source, record: list[str], limit: int, chunk: int) -> None:
        self.planned, self.source, self.limit, self.chunk = planned, source, limit, chunk
        self.network = planned.network
        self.waits_until = last_scheduled_step(self.network)
        self.record = record
        self.senders = [
            p.name for p in self.network.populations if p.name not in planned.host and p.name != self.network.output
        ]
        self.counts = _room({name: (source.batch, *self.network[name].shape) for name in self.senders})

    def group(self, run: Run, first: int, samples: int) -> _Part:
        """Step some samples of the batch until they are quiet."""
        run.begin(samples, {index: value[first : first + samples] for index, value in self.source.values.items()})
        events = None if self.source.events is None else self.source.events[:, first : first + samples]
        shape = self.network[self.network.output].shape
        last_fired = np.zeros(samples, dtype=np.int64)
        wanted = np.ones(samples, dtype=np.uint8)
        readouts: list[NDArray[np.int64]] = []
        trains: list[dict[int, NDArray[np.int32]]] = []
        potentials: list[dict[int, NDArray[np.int64]]] = []
        done = 0
        while done < self.limit and (done <= self.waits_until or wanted.any()):
            steps = min(self.chunk, self.limit - done)
            readout = np.empty((steps, samples, *shape), dtype=np.int64)
            if readouts:
                readout[:] = readouts[-1][-1]
            spikes, membranes = self._recorders(steps, samples, potentials[-1] if potentials else None)
            fired = run.step(
                done,
                steps,
                wanted,
                readout,
                events=events,
                high=self.network.input.high,
                trains=spikes,
                potentials=membranes,
            )
            if fired is None:
                self.source.refuse()
            assert fired is not None
            readouts.append(readout)
            trains.append(spikes)
            potentials.append(membranes)
            for i in np.flatnonzero(fired[:samples]):
                last_fired[i] = done + int(fired[i]).bit_length()
            done += steps
            wanted[:] = done < np.maximum(self.waits_until, last_fired) + 1
        quiet = int(np.maximum(self.waits_until, last_fired).max(initial=self.waits_until)) + 1
        steps = min(self.limit, quiet)
        layers = self.planned.layers
        population = self.network.contract.code == "population"
        sent = run.charges if population else run.spikes
        for name, counts in self.counts.items():
            run.counts(layers[name], samples, counts[first : first + samples])
        return _Part(
            samples,
            steps,
            last_fired,
            np.concatenate(readouts)[:steps],
            {n: sent[:samples, layers[n]].copy() for n in self.senders},
            {n: np.concatenate([part[layers[n]] for part in trains])[:steps] for n in self.record},
            {
                n: np.concatenate([p[layers[n]] for p in potentials])[:steps]
                for n in self.record
                if self._has_membrane(n)
            },
        )

    def _has_membrane(self, name: str) -> bool:
        return not isinstance(self.network[name].neuron, MaxUnit)

    def _recorders(
        self, steps: int, samples: int, before: Mapping[int, NDArray[np.int64]] | None
    ) -> tuple[dict[int, NDArray[np.int32]], dict[int, NDArray[np.int64]]]:
        """Arrays for a chunk; samples that are quiet by now keep their last potentials."""
        trains, potentials = {}, {}
        for name in self.record:
            index, shape = self.planned.layers[name], (steps, samples, *self.network[name].shape)
            trains[index] = np.zeros(shape, dtype=np.int32)
            if self._has_membrane(name):
                potentials[index] = np.empty(shape, dtype=np.int64)
                if before is not None:
                    potentials[index][:] = before[index][-1]
        return trains, potentials


def _recording(stepping: _Stepping, parts: list[_Part], known: list[str]) -> Recording:
    """The groups of a batch that were finished, together."""
    network, record = stepping.network, stepping.record
    done = sum(part.samples for part in parts)
    steps = max(part.steps for part in parts)
    last_fired = np.concatenate([part.last_fired for part in parts])
    fired = last_fired == steps
    complete = steps > last_scheduled_step(network) and not fired.any()
    quiet_after = np.maximum(last_fired, min(network.contract.presentation, steps))
    if not complete and steps < network.contract.max_steps:
        quiet_after[fired] = -1
    neuron = network[network.output].neuron
    assert isinstance(neuron, Accumulator)
    readout = _joined([part.readout for part in parts], steps, last=True)
    senders = [name for name in known if name != network.output]
    return Recording(
        n_steps=steps,
        quiet_after=quiet_after,
        readout=readout,
        output=readout[-1] * neuron.scale,
        counts={name: stepping.counts[name][:done] for name in senders},
        n_spikes={name: np.concatenate([part.n_spikes[name] for part in parts]) for name in senders},
        spikes={
            name: SpikeTrain(_joined([part.trains[name] for part in parts], steps, last=False), network.contract.dt)
            for name in record
        },
        potentials={
            name: _joined([part.potentials[name] for part in parts], steps, last=True)
            for name in record
            if not isinstance(network[name].neuron, MaxUnit)
        },
    )


def _joined(parts: list[NDArray[Any]], steps: int, *, last: bool) -> NDArray[Any]:
    """Groups side by side; those that were quiet earlier go on with zeros, or with what was last."""
    if len(parts) == 1:
        return parts[0]
    whole = np.zeros((steps, sum(p.shape[1] for p in parts), *parts[0].shape[2:]), dtype=parts[0].dtype)
    first = 0
    for part in parts:
        here = whole[:, first : first + part.shape[1]]
        here[: len(part)] = part
        if last:
            here[len(part) :] = part[-1]
        first += part.shape[1]
    return whole
