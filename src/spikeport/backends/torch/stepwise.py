"""Steps a `SpikingNetwork` on tensors of a CPU or a GPU; the recording of the reference backend, field by field.

Layer by layer, a window of time at once: the steps of a window are folded into the batch axis of one product a connection, and one
scan over time applies the rule of the neurons. Layers have no latency, so what a population sends in a step depends on earlier steps
only through its own state, and windows of any length give the same spikes. The one-pass evaluator is never called.

A network that nothing is due to reach and in which nobody fires stays as it is, whatever its rules: membranes do not move
without input. So steps that a window takes after the last spike change nothing, and are left out of the recording.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.backends.torch.fused import Scan, fastest
from spikeport.backends.torch.layers import Layer, Spikes, Stepped, host_currents, plan
from spikeport.backends.torch.precision import exact_arithmetic, require_exact_products
from spikeport.plugin.presenting import as_array, checked_request, encode_steps, last_scheduled_step
from spikeport.primitives import Accumulator, MaxUnit, Recording, SpikeTrain, SpikingNetwork


@dataclass(frozen=True, slots=True)
class Chunks:
    """How much is held at once; results do not depend on it."""

    values: int = 2**22
    """Spikes of the largest population in one window, samples times steps."""
    steps: int = 32
    """Longest window."""
    drain: int = 8
    """Longest window once nothing more is due, when the end may be near."""


def simulate(
    network: SpikingNetwork,
    x: Any,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
    device: torch.device | str | None = None,
    explicit: bool | None = None,
    chunks: Chunks = Chunks(),
    scan: Scan | None = None,
) -> Recording:
    """Step a batch until no sample fires any more; what `spikeport.backends.reference.simulate` gives, in every field.

    Args:
        x, record, max_steps: as there.
        device: where to compute; None takes the device of `x`.
        explicit: whether convolutions are products of matrices; None: on every device but a CPU.
        chunks: how much is held at once.
        scan: how neurons go through time; None: the fastest one for the device.

    Raises:
        DataError: input that does not fit.
        OptionError: a name that is not in the network, fewer than one step, a device without exact products.
        QuantizeError: sums beyond exact arithmetic.
    """
    known, record, limit = checked_request(network, record, max_steps)
    place = torch.device(device if device is not None else getattr(x, "device", "cpu"))
    encoded = encode_steps(network, as_array(x))
    with exact_arithmetic():
        if place.type != "cpu":
            require_exact_products(place)
        scan = fastest(place.type, torch.get_num_threads()) if scan is None else scan
        run = _Run(network, known, record, limit, plan(network, limit, place, explicit), place, chunks, scan)
        events = network.input.kind == "events"
        batch = encoded.shape[1] if events else len(encoded)
        each = max(1, chunks.values // (run.widest * min(chunks.steps, limit)))
        starts = range(0, max(1, batch), each)
        parts = [run.part(encoded[:, i : i + each] if events else encoded[i : i + each]) for i in starts]
    return run.together(parts)


@dataclass
class _Part:
    """What some samples did until all of them were quiet; lists hold one array a window, time first."""

    readout: list[NDArray[np.int64]] = field(default_factory=list)
    trains: dict[str, list[NDArray[np.int32]]] = field(default_factory=dict)
    potentials: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    fired: list[NDArray[np.bool_]] = field(default_factory=list)
    n_spikes: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Run:
    network: SpikingNetwork
    known: list[str]
    record: list[str]
    limit: int
    layers: tuple[Layer, ...]
    device: torch.device
    chunks: Chunks
    scan: Scan

    @property
    def widest(self) -> int:
        return max(int(np.prod(self.network.input.shape)), *(layer.population.size for layer in self.layers))

    def part(self, encoded: NDArray[np.int64]) -> _Part:
        """Step some samples through window after window until they are quiet."""
        network, part = self.network, _Part()
        events = network.input.kind == "events"
        batch = encoded.shape[1] if events else len(encoded)
        currents: dict[str, Tensor] = {}
        if not events:
            currents = host_currents(network, self.layers, torch.tensor(encoded, device=self.device))
        presentation = network.contract.presentation
        stepped = [
            Stepped(layer, batch, currents.get(layer.name), presentation, self.device, self.scan)
            for layer in self.layers
            if layer.name in self.known
        ]
        for start, stop in self._windows(part):
            spikes: dict[str, Spikes] = {}
            if events:
                spikes[network.input.name] = of_input(encoded[start:stop], stop - start, self.device)
            fired = np.zeros((stop - start, batch), dtype=np.bool_)
            for population in stepped:
                self._step(population, spikes, start, stop, part, fired)
            part.fired.append(fired)
        for population in stepped:
            if population.layer.name != network.output:
                part.counts[population.layer.name] = on_host(population.sent)
        return part

    def _windows(self, part: _Part) -> Iterator[tuple[int, int]]:
        """First and last step of each window, until nobody fires after everything that is due is over."""
        waits_until = last_scheduled_step(self.network)
        start = 0
        while start < self.limit and (start <= waits_until or part.fired[-1][-1].any()):
            ahead = waits_until + 1 - start
            longest = min(self.chunks.steps, ahead) if ahead > 0 else self.chunks.drain
            stop = min(self.limit, start + longest)
            yield start, stop
            start = stop

    def _step(
        self,
        population: Stepped,
        spikes: dict[str, Spikes],
        start: int,
        stop: int,
        part: _Part,
        fired: NDArray[np.bool_],
    ) -> None:
        network, name = self.network, population.layer.name
        banks = network.contract.code == "population"
        recorded, is_output = name in self.record, name == network.output
        sent, potentials = population.step(
            spikes, start, stop, record=recorded or is_output, payload=banks and not is_output
        )
        spikes[name] = sent
        if is_output:
            assert potentials is not None
            part.readout.append(on_host(potentials))
        else:
            # the payload of a bank is its number of units that fired, one spike each
            events = sent.payload if sent.payload is not None else sent.events
            part.n_spikes[name] = part.n_spikes.get(name, 0) + events.sum(axis=0)
            fired |= events > 0
        if recorded:
            shape = (stop - start, population.batch, *network[name].shape)
            train = np.zeros(shape, dtype=np.int32) if sent.values is None else on_host(sent.values, np.int32)
            part.trains.setdefault(name, []).append(train)
            if potentials is not None:
                part.potentials.setdefault(name, []).append(on_host(potentials))

    def together(self, parts: list[_Part]) -> Recording:
        """One recording of all samples, as long as the last of them is not quiet."""
        network, presentation = self.network, self.network.contract.presentation
        waits_until = last_scheduled_step(network)
        fired = [np.concatenate(part.fired) for part in parts]
        ends = [1 + int(max(np.flatnonzero(f.any(axis=1)), default=-1)) for f in fired]  # steps up to the last spike
        n_steps = min(self.limit, max(waits_until, *ends) + 1)
        whole = np.concatenate([_stretched(f, n_steps, still=False) for f in fired], axis=1)
        moments = np.arange(1, n_steps + 1)[:, None]
        quiet_after = np.max(whole * moments, axis=0, initial=0).astype(np.int64)
        quiet_after = np.maximum(quiet_after, min(presentation, n_steps))
        if n_steps < network.contract.max_steps:
            quiet_after[whole[-1]] = -1
        neuron = network[network.output].neuron
        assert isinstance(neuron, Accumulator)

        def joined(name: str, kind: str, *, still: bool) -> NDArray[Any]:
            arrays = [getattr(p, kind) if kind == "readout" else getattr(p, kind)[name] for p in parts]
            return np.concatenate([_stretched(np.concatenate(a), n_steps, still=still) for a in arrays], axis=1)

        readout = joined(network.output, "readout", still=True)
        spiking = [name for name in self.known if name != network.output]
        return Recording(
            n_steps=n_steps,
            quiet_after=quiet_after,
            readout=readout,
            output=readout[-1] * neuron.scale,
            counts={name: np.concatenate([p.counts[name] for p in parts]) for name in spiking},
            n_spikes={name: np.concatenate([p.n_spikes[name] for p in parts]) for name in spiking},
            spikes={name: SpikeTrain(joined(name, "trains", still=False), network.contract.dt) for name in self.record},
            potentials={
                name: joined(name, "potentials", still=True)
                for name in self.record
                if not isinstance(network[name].neuron, MaxUnit)
            },
        )


def of_input(bins: NDArray[np.int64], steps: int, device: torch.device) -> Spikes:
    """Events of a window; after the presentation there are none."""
    events = np.count_nonzero(bins, axis=tuple(range(2, bins.ndim)))
    missing = steps - len(bins)
    if missing:
        bins = np.concatenate([bins, np.zeros((missing, *bins.shape[1:]), dtype=bins.dtype)])
        events = np.concatenate([events, np.zeros((missing, bins.shape[1]), dtype=np.int64)])
    return Spikes(torch.tensor(bins, device=device) if events.any() else None, events)


def on_host(values: Tensor, dtype: type[Any] = np.int64) -> NDArray[Any]:
    return values.numpy(force=True).astype(dtype)


def _stretched(values: NDArray[Any], steps: int, *, still: bool) -> NDArray[Any]:
    """The first `steps` steps; where there are fewer, the last one stays (`still`) or nothing more happens."""
    missing = steps - len(values)
    if missing <= 0:
        return values[:steps]
    rest = np.repeat(values[-1:], missing, axis=0) if still else np.zeros((missing, *values.shape[1:]), values.dtype)
    return np.concatenate([values, rest])
