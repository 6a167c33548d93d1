"""One population of a stepped network: its connections in the arithmetic that is exact for them, its state, its window.

A window of time is held as a `Spikes`: what every neuron of a population sent in each step, time folded into the batch axis of the
products, and which samples sent anything in which step. Silent steps of silent samples are left out of every product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.backends.torch.bounds import Bounds, reach
from spikeport.backends.torch.fused import Scan, active
from spikeport.backends.torch.operations import TorchOperations
from spikeport.backends.torch.precision import exact_dtype
from spikeport.backends.torch.scan import Rule, on_clock, rule_of
from spikeport.errors import Problem, QuantizeError
from spikeport.graph import output_shape
from spikeport.plugin.presenting import split
from spikeport.primitives import (
    Accumulator,
    Connection,
    MaxPool,
    MaxUnit,
    OneToOne,
    Population,
    Shape,
    SpikingNetwork,
    SumPool,
    Weighted,
)

INT32_EXACT = 2**31


@dataclass(frozen=True)
class Spikes:
    """What a population sent in a window of time."""

    values: Tensor | None
    """Shape (time, batch, *population), whole numbers; None: nothing at all."""
    events: NDArray[np.int64]
    """How many neurons sent something, shape (time, batch)."""
    payload: NDArray[np.int64] | None = None
    """Sum of what they sent, shape (time, batch), where it was asked for."""


@dataclass(frozen=True)
class Route:
    """A connection with the operations in which its sums are exact."""

    connection: Connection
    operations: TorchOperations

    def through(self, x: Tensor) -> Tensor:
        x = x.to(self.operations.dtype)
        for synapse in self.connection.synapses:
            x = self.operations.synapse(synapse, x)
        return x

    @property
    def routing_only(self) -> bool:
        """Whether the result may be a view of what came in."""
        return not any(isinstance(s, Weighted | SumPool) for s in self.connection.synapses)


@dataclass(frozen=True)
class Layer:
    """What stepping a population needs, made once for a network."""

    population: Population
    routes: tuple[Route, ...]
    rule: Rule | None
    arriving: torch.dtype
    """In which what arrives in one step is exact."""
    state: torch.dtype
    pool: TorchOperations | None
    """For a maximum: operations in which sums of what was sent are exact."""
    integrates: Shape
    """Shape of what arrives: the population's own, but for a maximum, which keeps its whole input."""

    @property
    def name(self) -> str:
        return self.population.name


def plan(network: SpikingNetwork, steps: int, device: torch.device, explicit: bool | None) -> tuple[Layer, ...]:
    """The populations as layers, in the narrowest exact arithmetic for a run of at most `steps` steps.

    Raises:
        QuantizeError: sums beyond exact arithmetic, all of them by name.
    """
    bounds = Bounds(network, steps)
    on_host = network.on_host()
    operations = {
        dtype: TorchOperations(device=device, dtype=dtype, explicit=explicit)
        for dtype in (torch.float32, torch.float64)
    }
    layers, problems = [], []
    for population in network.populations:
        name = population.name
        routes = []
        reached = [bounds.arriving[name], bounds.state[name]]
        for connection in network.incoming(name):
            sends = bounds.ever if connection.source in on_host else bounds.once  # a host value enters whole
            reached.append(reach(connection.synapses, sends[connection.source]))
            dtype = exact_dtype(reached[-1])
            if dtype is not None:
                routes.append(Route(connection, operations[dtype]))
        arriving, pool = exact_dtype(bounds.arriving[name]), exact_dtype(bounds.state[name])
        if arriving is None or pool is None or len(routes) < len(network.incoming(name)):
            why = f"its sums reach {max(reached)}, beyond exact arithmetic"
            problems.append(Problem(name, why, 'convert with fewer state_bits, or step it on="reference"'))
            continue
        state = torch.int32 if bounds.state[name] < INT32_EXACT else torch.int64
        layers.append(
            Layer(
                population,
                tuple(routes),
                rule_of(population, reach=bounds.state[name], dtype=state, device=device),
                arriving,
                state,
                operations[pool] if isinstance(population.neuron, MaxUnit) else None,
                _integrates(network, population),
            )
        )
    if problems:
        raise QuantizeError(problems)
    return tuple(layers)


def _integrates(network: SpikingNetwork, population: Population) -> Shape:
    if not isinstance(population.neuron, MaxUnit):
        return population.shape
    first = network.incoming(population.name)[0]
    shape = network.input.shape if first.source == network.input.name else network[first.source].shape
    for synapse in first.synapses:
        shape = output_shape(synapse, [shape])
    return shape


class Stepped:
    """The state of one population for one batch of samples."""

    def __init__(
        self,
        layer: Layer,
        batch: int,
        current: Tensor | None,
        presentation: int,
        device: torch.device,
        scan: Scan,
    ) -> None:
        """`current` is the total that the host sends it, shape (batch, *population)."""
        self.layer = layer
        self._scan = scan
        self.batch = batch
        self.device = device
        self.presentation = presentation
        self._share = None if current is None else _Share(current, presentation)
        neuron = layer.population.neuron
        initial = 0 if isinstance(neuron, MaxUnit | Accumulator) else neuron.initial
        self.v = torch.tensor(np.broadcast_to(initial, (batch, *layer.integrates)), dtype=layer.state, device=device)
        self.sent = torch.zeros((batch, *layer.population.shape), dtype=layer.state, device=device)
        self._at_rest = False

    def step(
        self,
        sources: Mapping[str, Spikes],
        start: int,
        stop: int,
        *,
        record: bool = False,
        payload: bool = False,
        injected: Tensor | None = None,
    ) -> tuple[Spikes, Tensor | None]:
        """Spikes in the steps `start` to `stop - 1`, and if `record` the membranes after each of them.

        `injected` is a current besides, shape (time, batch, *population).
        """
        arriving = self._arriving(sources, start, stop, injected)
        neuron = self.layer.population.neuron
        due = self.layer.rule is not None and on_clock(self.layer.rule, start, stop)
        if isinstance(neuron, MaxUnit) and neuron.fires_at is not None:
            due = start <= neuron.fires_at < stop
        if arriving is None and self._at_rest and not due:
            potentials = self.v.expand(stop - start, *self.v.shape) if record else None
            silent = np.zeros((stop - start, self.batch), dtype=np.int64)
            return Spikes(None, silent, silent if payload else None), potentials
        if arriving is None:
            shape = (stop - start, *self.v.shape)
            arriving = torch.zeros(shape, dtype=self.layer.arriving, device=self.device)
        if isinstance(neuron, MaxUnit):
            changes = self._maxima(neuron, arriving, start)
            return self._spikes(changes, active(changes), payload), None
        if isinstance(neuron, Accumulator):
            sums = self.v + arriving.to(self.layer.state).cumsum(0, dtype=self.layer.state)
            self.v = sums[-1].clone()
            silent = np.zeros((stop - start, self.batch), dtype=np.int64)
            return Spikes(None, silent, silent if payload else None), sums
        assert self.layer.rule is not None
        potentials = torch.empty(arriving.shape, dtype=self.layer.state, device=self.device) if record else None
        events = self._scan(self.layer.rule, self.v, self.sent, arriving, start, potentials)
        return self._spikes(arriving, events, payload), potentials

    def _spikes(self, values: Tensor, events: NDArray[np.int64], payload: bool) -> Spikes:
        self._at_rest = not events[-1].any()
        total = None
        if payload:
            total = values.flatten(2).sum(dim=2, dtype=torch.float64).numpy(force=True).astype(np.int64)
        return Spikes(values if events.any() else None, events, total)

    def _maxima(self, unit: MaxUnit, arriving: Tensor, start: int) -> Tensor:
        """Changes of the maxima of what the inputs have sent, in each step."""
        assert self.layer.pool is not None
        sums = self.v + arriving.to(self.layer.state).cumsum(0, dtype=self.layer.state)
        self.v = sums[-1].clone()
        if unit.fires_at is None:
            largest = _maximum(unit.window, self.layer.pool, sums)
            before = torch.cat([self.sent[None], largest[:-1]])
            self.sent = largest[-1].clone()
            return (largest - before).to(self.layer.arriving)
        spikes = torch.zeros((len(arriving), *self.sent.shape), dtype=self.layer.state, device=self.device)
        index = unit.fires_at - start
        if 0 <= index < len(arriving):
            spikes[index] = _maximum(unit.window, self.layer.pool, sums[index : index + 1])[0] - self.sent
            self.sent += spikes[index]
        return spikes.to(self.layer.pool.dtype)

    def _arriving(self, sources: Mapping[str, Spikes], start: int, stop: int, injected: Tensor | None) -> Tensor | None:
        """What reaches every neuron in each step, in a tensor of its own; None: nothing."""
        steps = stop - start
        total: Tensor | None = None
        for route in self.layer.routes:
            source = sources.get(route.connection.source)  # what the host computes comes as a current
            if source is None or source.values is None:
                continue
            rows = np.flatnonzero(source.events)
            folded = source.values.flatten(0, 1)
            if len(rows) == steps * self.batch:
                total = _add(total, route, folded, self.layer.arriving)
                continue
            chosen = torch.from_numpy(rows).to(self.device)
            part = route.through(folded.index_select(0, chosen)).to(self.layer.arriving)
            if total is None:
                total = torch.zeros((len(folded), *part.shape[1:]), dtype=part.dtype, device=self.device)
                total[chosen] = part
            else:
                total.index_add_(0, chosen, part)
        if total is not None:
            total = total.reshape(steps, self.batch, *total.shape[1:])
        neuron = self.layer.population.neuron
        shares = [] if injected is None else [injected]
        if start < self.presentation:
            if self._share is not None:
                shares.append(self._share.of(start, stop))
            if not isinstance(neuron, MaxUnit) and np.any(neuron.bias):
                bias = np.stack([split(np.asarray(neuron.bias), t, self.presentation) for t in range(start, stop)])
                bias = bias.reshape(steps, 1, *(1,) * (len(self.v.shape) - bias.ndim), *bias.shape[1:])
                shares.append(torch.tensor(bias, device=self.device))
        for share in shares:
            share = share.to(self.layer.arriving)
            total = share.expand(steps, *self.v.shape).clone() if total is None else total.add_(share)
        return None if total is None else total.contiguous()  # a scan may read the memory as it lies


def host_currents(network: SpikingNetwork, layers: Sequence[Layer], encoded: Tensor) -> dict[str, Tensor]:
    """Total current into each population from values that the host computes once: a static input, and maxima over it."""
    on_host = network.on_host()
    values = {network.input.name: encoded}
    totals: dict[str, Tensor] = {}
    for layer in layers:
        parts = [r.through(values[r.connection.source]) for r in layer.routes if r.connection.source in on_host]
        if parts:
            totals[layer.name] = torch.stack([part.to(torch.int64) for part in parts]).sum(0)
        if layer.name in on_host:
            neuron = layer.population.neuron
            assert isinstance(neuron, MaxUnit)
            assert layer.pool is not None
            values[layer.name] = _maximum(neuron.window, layer.pool, totals.pop(layer.name)[None])[0]
    return totals


class _Share:
    """A total that is injected over the steps of a presentation: floor((t + 1) a / P) - floor(t a / P) in step t."""

    def __init__(self, total: Tensor, steps: int) -> None:
        self._steps = steps
        self._each = torch.div(total, steps, rounding_mode="floor")
        self._rest = total - self._each * steps

    def of(self, start: int, stop: int) -> Tensor:
        """Shares of the steps `start` to `stop - 1`, shape (time, *total)."""
        moments = torch.arange(start, stop + 1, device=self._rest.device).clamp_(max=self._steps)
        moments = moments.reshape(-1, *(1,) * self._rest.ndim)
        given = torch.div(self._rest * moments, self._steps, rounding_mode="floor")
        shares = given.diff(dim=0)
        shares[: max(0, self._steps - start)] += self._each
        return shares


def _add(total: Tensor | None, route: Route, x: Tensor, dtype: torch.dtype) -> Tensor:
    *before, last = route.connection.synapses or (None,)
    operations = route.operations
    if total is not None and isinstance(last, OneToOne) and dtype == operations.dtype:
        x = x.to(dtype)
        for synapse in before:
            x = operations.synapse(synapse, x)
        return total.addcmul_(x, operations.constant(last.weight))
    part = route.through(x)
    if total is not None:
        return total.add_(part)
    part = part.to(dtype)
    return part.clone() if route.routing_only else part  # a view of the source's spikes must not be written to


def _maximum(window: MaxPool, operations: TorchOperations, sums: Tensor) -> Tensor:
    folded = sums.flatten(0, 1).to(operations.dtype)
    largest = operations.apply(window, [folded])
    return largest.to(sums.dtype).reshape(*sums.shape[:2], *largest.shape[1:])
