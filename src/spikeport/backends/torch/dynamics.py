"""Steps a `DynamicNetwork` on tensors of a CPU or a GPU, a whole batch at once.

Populations that no loop joins take a window of time each, one after the other: what they hear in the window is one product a
projection, with time folded into the batch. Those in a loop take its steps together. What arrives later waits in a room that
reaches as far beyond the window as the longest delay.

Integers are those of the reference, bit for bit. Floating-point sums are added in another order than the reference's, and nothing
else differs: spikes are equal unless a potential lies within rounding of its threshold, and potentials agree to `CLOSE`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.backends.dynamics.plan import PopulationPlan, population_plans
from spikeport.backends.reference.dynamics import chosen
from spikeport.backends.torch.neurons import Neurons, copied
from spikeport.backends.torch.precision import exact_arithmetic
from spikeport.backends.torch.routes import TORCH_DTYPES, Route, make_routes
from spikeport.errors import DataError, Problem
from spikeport.plugin.driving import Drive, drive, dtype_of
from spikeport.plugin.inputs import spiking, with_second
from spikeport.plugin.state import NeuronState, SessionState
from spikeport.primitives import DynamicNetwork, DynamicRecording, SigmaDelta, SpikeEvents

CLOSE = {"float64": 1e-12, "float32": 1e-5, "integer": 0.0}
"""By arithmetic, how far potentials may be from those of the reference, relative to the largest one in the network, before its reset:
what sums in another order differ by. Where large numbers cancel or a loop amplifies them, more is lost, by both."""
WINDOW = 128
"""Longest window, in steps."""
WINDOW_VALUES = 2**23
"""Values of the largest population in a window, samples times steps times neurons, by which it is shortened."""


@dataclass(frozen=True, eq=False)
class TorchPlan:
    """Everything a stepper needs; constants lie on the device."""

    network: DynamicNetwork
    populations: tuple[PopulationPlan, ...]
    routes: tuple[Route, ...]
    groups: tuple[tuple[int, ...], ...]
    """Populations by number, those of a loop together, in the order in which they take windows."""
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return TORCH_DTYPES[self.network.contract.arithmetic]


def make_torch_plan(network: DynamicNetwork, device: torch.device) -> TorchPlan:
    """The numbers of a network.

    Raises:
        GraphError: what the reference refuses.
    """
    problems: list[Problem] = []
    populations = population_plans(network, problems)
    routes = make_routes(network, populations, problems, device)
    inputs = len(network.inputs)
    edges = [(r.source - inputs, r.target - inputs) for r in routes if r.source >= inputs]
    return TorchPlan(network, populations, routes, _groups(len(populations), edges), device)


def _groups(n: int, edges: Collection[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Nodes that reach each other together, each group after all that reach it."""
    reaches = np.eye(n, dtype=np.float32)
    for source, target in edges:
        reaches[source, target] = 1
    while True:
        further = ((reaches @ reaches) > 0).astype(np.float32)
        if (further == reaches).all():
            break
        reaches = further
    together = (reaches > 0) & (reaches.T > 0)
    # whatever reaches a group, and is not in it, is reached by fewer nodes
    before = reaches.sum(axis=0)
    found = {tuple(map(int, np.flatnonzero(row))) for row in together}
    return tuple(sorted(found, key=lambda group: (before[group[0]], group)))


class TorchStepper:
    """A network and the state of a batch of samples."""

    def __init__(self, plan: TorchPlan, batch: int) -> None:
        self.plan, self.batch, self.index = plan, batch, 0
        self._inputs = len(plan.network.inputs)
        self.neurons = [Neurons(p, batch, plan.dtype, plan.device) for p in plan.populations]
        self._waiting = [self._silence(p.slots - 1, p.size) for p in plan.populations]
        """What arrives after the last window, by step."""

    def _silence(self, steps: int, size: int) -> Tensor:
        return torch.zeros((steps, self.batch, size), dtype=self.plan.dtype, device=self.plan.device)

    def window(
        self,
        steps: int,
        inputs: Mapping[int, Tensor],
        fed: Mapping[str, Tensor],
        potentials: Collection[str] = (),
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Step on; what populations sent, and the potentials that were asked for and their second states, shape (time, batch, neuron).

        Args:
            inputs: values by number of the input, shape (time, batch, line).
            fed: currents by name of the population, broadcastable to (time, batch, neuron); time is 1 where they stay.
        """
        rooms = [self._silence(steps + p.slots - 1, p.size) for p in self.plan.populations]
        for room, waiting in zip(rooms, self._waiting, strict=True):
            room[: len(waiting)] = waiting
        for number, values in inputs.items():
            for route in self.plan.routes:
                if route.source == number:
                    self._send(route, values, 0, rooms)
        sent: dict[int, Tensor] = {}
        kept: dict[int, Tensor] = {}
        second: dict[int, Tensor] = {}
        names = [p.name for p in self.plan.populations]
        for k in (names.index(name) for name in with_second(self.plan.network, potentials)):
            second[k] = self._silence(steps, self.plan.populations[k].size)
        for group in self.plan.groups:
            self._group(group, steps, rooms, fed, potentials, sent, kept, second)
        self._waiting = [room[steps:].clone() for room in rooms]
        self.index += steps
        by_name = ({names[k]: v for k, v in found.items()} for found in (sent, kept, second))
        return next(by_name), next(by_name), next(by_name)

    def snapshot(self) -> SessionState:
        """All that it knows; what waits for the next steps is as the reference has it."""
        names = [p.name for p in self.plan.populations]
        found = {
            name: NeuronState(**each.held(), arriving=copied(waiting))
            for name, each, waiting in zip(names, self.neurons, self._waiting, strict=True)
        }
        return SessionState(self.index, self.batch, found)

    def go_on_from(self, state: SessionState) -> None:
        """Take over a state of this network and batch."""
        self.index = state.step
        for each, population in zip(self.neurons, self.plan.populations, strict=True):
            each.hold(state.populations[population.name])
        device = self.plan.device
        self._waiting = [torch.tensor(state.populations[p.name].arriving, device=device) for p in self.plan.populations]

    def _group(
        self,
        group: tuple[int, ...],
        steps: int,
        rooms: list[Tensor],
        fed: Mapping[str, Tensor],
        potentials: Collection[str],
        sent: dict[int, Tensor],
        kept: dict[int, Tensor],
        second: dict[int, Tensor],
    ) -> None:
        """A window of populations that reach each other."""
        populations, first = self.plan.populations, self._inputs
        leaving = [r for r in self.plan.routes if r.source - first in group]
        inside = [r for r in leaving if r.target - first in group]
        for k in group:
            sent[k] = self._silence(steps, populations[k].size)
            if populations[k].name in potentials:
                kept[k] = torch.empty_like(sent[k])
        for t in range(steps):
            for k in group:
                current = fed.get(populations[k].name)
                now = None if current is None else current[min(t, len(current) - 1)]
                sent[k][t] = self.neurons[k].step(self.index + t, rooms[k][t], now)
                if k in kept:
                    kept[k][t] = self.neurons[k].v
                if k in second:
                    second[k][t] = self.neurons[k].current
                for route in inside:
                    if route.source - first == k:
                        self._send(route, sent[k][t : t + 1], t, rooms)
        for k in group:
            if not populations[k].fires and not bool(torch.isfinite(sent[k]).all()):
                why = "its potential has left the range of the arithmetic"
                raise DataError(Problem(populations[k].name, why, 'smaller weights, or step it on="reference"'))
        for route in leaving:
            if route not in inside:
                self._send(route, sent[route.source - first], 0, rooms)

    def _send(self, route: Route, values: Tensor, at: int, rooms: list[Tensor]) -> None:
        """Put what values, shape (time, batch, neuron), of the steps from `at` on are worth into the room of their target."""
        steps, batch, size = values.shape
        if self.plan.device.type == "cpu" and not bool(values.any()):
            return
        arriving = route.through(values.reshape(steps * batch, size)).reshape(steps, batch, -1)
        rooms[route.target - self._inputs][at + route.delay : at + route.delay + steps] += arriving


def simulate_dynamics(
    network: DynamicNetwork,
    x: Any = None,
    *,
    n_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    record: Collection[str] | None = None,
    potentials: Collection[str] = (),
    device: torch.device | str | None = None,
) -> DynamicRecording:
    """Step a batch from the initial state; as `spikeport.backends.reference.simulate_dynamics`.

    Args:
        device: where to compute; None takes the device of `x`.

    Raises:
        GraphError: the network's synapses do not fit.
        DataError: input that does not fit, or floating-point potentials that leave their range on the way to others.
        OptionError: a name that is not in the network.
    """
    kept = chosen(network, record, potentials)
    place = torch.device(device if device is not None else _device_of(x))
    plan = make_torch_plan(network, place)
    entering = drive(network, x, n_steps=n_steps, currents=currents)
    widest = max([p.size for p in network.populations] + [i.size for i in network.inputs], default=1)
    longest = max(1, min(WINDOW, WINDOW_VALUES // max(1, widest * entering.batch)))
    found = _Found(network, entering.batch, kept)
    with exact_arithmetic():
        stepper = TorchStepper(plan, entering.batch)
        for start in range(0, entering.n_steps, longest):
            steps = min(longest, entering.n_steps - start)
            inputs = {i: _entering(network, entering, i, start, steps, place) for i in range(len(network.inputs))}
            fed = {
                n: torch.tensor(v[start : start + steps] if len(v) > 1 else v, device=place)
                for n, v in entering.currents.items()
            }
            found.add(start, *stepper.window(steps, inputs, fed, potentials))
    return found.recording(entering.n_steps)


def _device_of(x: Any) -> Any:
    values = x.values() if isinstance(x, Mapping) else [x]
    return next((v.device for v in values if isinstance(v, Tensor)), "cpu")


def _entering(
    network: DynamicNetwork, entering: Drive, number: int, start: int, steps: int, device: torch.device
) -> Tensor:
    """What enters by an input in a window, shape (time, batch, line)."""
    events = entering.events[number]
    values = np.zeros((steps, entering.batch, network.inputs[number].size), dtype_of(network.contract))
    for sample, offsets in enumerate(events.offsets[:, start : start + steps + 1]):
        part = slice(offsets[0], offsets[-1])
        values[np.repeat(np.arange(steps), np.diff(offsets)), sample, events.neurons[part]] = events.values[part]
    return torch.from_numpy(values).to(device)


@dataclass
class _Found:
    """What was seen, window by window, on the host."""

    network: DynamicNetwork
    batch: int
    record: tuple[str, ...]
    counts: dict[str, Tensor] = field(default_factory=dict)
    events: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    """Sample, step, neuron: one row each."""
    values: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    """What each was."""
    potentials: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    second: dict[str, list[NDArray[Any]]] = field(default_factory=dict)

    @property
    def graded(self) -> frozenset[str]:
        """Those that send numbers with spikes."""
        return frozenset(p.name for p in self.network.populations if isinstance(p.neuron, SigmaDelta))

    def add(
        self,
        start: int,
        sent: Mapping[str, Tensor],
        potentials: Mapping[str, Tensor],
        second: Mapping[str, Tensor],
    ) -> None:
        for name in spiking(self.network):
            spikes = sent[name]
            multi = self.network.contract_of(name).spikes == "multi"
            count = spikes.to(torch.int64).sum(0) if multi else spikes.count_nonzero(0)
            self.counts[name] = self.counts[name] + count if name in self.counts else count
            if name in self.record:
                step, sample, neuron = spikes.nonzero(as_tuple=True)
                rows = torch.stack([sample, step + start, neuron])
                self.events.setdefault(name, []).append(rows.numpy(force=True))
                values = spikes[step, sample, neuron]
                if name not in self.graded:
                    values = values.to(torch.int64)
                self.values.setdefault(name, []).append(values.numpy(force=True))
        for kept, given in ((self.potentials, potentials), (self.second, second)):
            for name, values in given.items():
                kept.setdefault(name, []).append(values.numpy(force=True))

    def recording(self, n_steps: int) -> DynamicRecording:
        shapes = {p.name: p.shape for p in self.network.populations}

        def over_time(kept: Mapping[str, list[NDArray[Any]]]) -> dict[str, NDArray[Any]]:
            whole = {name: np.concatenate(parts) for name, parts in kept.items()}
            return {name: values.reshape(n_steps, self.batch, *shapes[name]) for name, values in whole.items()}

        return DynamicRecording(
            n_steps=n_steps,
            counts={n: c.numpy(force=True).reshape(self.batch, *shapes[n]) for n, c in self.counts.items()},
            spikes={name: self._events(name, n_steps) for name in self.record},
            potentials=over_time(self.potentials),
            currents=over_time(self.second),
        )

    def _events(self, name: str, n_steps: int) -> SpikeEvents:
        rows = np.concatenate(self.events[name], axis=1)
        order = np.argsort(rows[0], kind="stable")
        sample, step, neuron = rows[:, order]
        values = np.concatenate(self.values[name])[order]
        payloads = None if (values == 1).all() else values
        shape, dt = self.network[name].shape, self.network.contract.dt
        return SpikeEvents(sample, step, neuron, shape, n_steps, self.batch, dt, payloads)
