"""Steps a `DynamicNetwork` in numpy: the oracle of every other stepper, written to be read.

Each operation is one numpy operation in the contract's dtype, in the order that `DynamicsContract` states; sums are added
one by one in its order of sending. So the result is one number, not one of many roundings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import FixedPlan, Kind, Plan, PopulationPlan, make_fixed_plan, make_plan
from spikeport.backends.dynamics.plan import Current
from spikeport.backends.reference.fixed import FixedStepper
from spikeport.backends.reference.plastic import Plastic
from spikeport.backends.reference.second import advance, after_spikes, deaf_until, difference, fit, is_beyond
from spikeport.errors import OptionError, Problem
from spikeport.plugin.driving import Drive, drive
from spikeport.plugin.inputs import spiking, with_second
from spikeport.plugin.presenting import require_names
from spikeport.plugin.running import counts_of, events_of
from spikeport.plugin.weighing import Gauge, Learning
from spikeport.primitives import DynamicNetwork, DynamicRecording


@dataclass
class _State:
    """Arrays of shape (batch, neuron)."""

    v: NDArray[Any]
    current: NDArray[Any]
    """Or another second state: w of the contract."""
    refractory: NDArray[np.int64]
    """Steps for which the unit is still deaf."""
    fired: NDArray[np.int64]
    """How many spikes in the step before."""
    ring: NDArray[Any]
    """What arrives in each of the next steps, shape (slot, batch, neuron)."""


LARGEST_COUNT = 2.0**53
"""Spikes that a unit sends in one step at most."""


class DynamicStepper:
    """A network and the state of a batch of samples."""

    def __init__(self, plan: Plan, batch: int) -> None:
        self.plan = plan
        self.batch = batch
        self.step_index = 0
        self.state = {p.name: self._initial(p) for p in plan.populations}
        self.learning = Plastic(plan, batch)

    def step(
        self,
        inputs: Mapping[int, NDArray[Any]],
        currents: Mapping[str, NDArray[Any]],
        modulation: Mapping[str, NDArray[Any]] = MappingProxyType({}),
    ) -> dict[str, NDArray[Any]]:
        """One step; what each population that can fire sends, shape (batch, neuron).

        Args:
            inputs: values by number of the input, shape (batch, line).
            currents: by name of the population, broadcastable to (batch, neuron).
            modulation: by name of the third factor, broadcastable to (batch, target).
        """
        for number, values in inputs.items():
            self._send(number, values)
        spikes = {}
        for i, population in enumerate(self.plan.populations):
            state = self.state[population.name]
            slot = state.ring[self.step_index % population.slots]
            arrived = slot.copy()
            slot[...] = 0
            for brought in self.learning.arriving(len(self.plan.input_sizes) + i, self.step_index):
                arrived = arrived + brought
            for begin, constant in reversed(population.constants):
                if begin <= self.step_index:
                    arrived = arrived + constant
                    break
            c = np.broadcast_to(population.bias, state.v.shape)
            if population.name in currents:
                c = c + currents[population.name]
            sent = update(population, state, arrived, c)
            if population.fires:
                spikes[population.name] = sent
            self._send(len(self.plan.input_sizes) + i, sent.astype(self.plan.dtype))
        self.learning.learn(self.step_index, modulation)
        self.step_index += 1
        return spikes

    def _send(self, source: int, values: NDArray[Any]) -> None:
        """Put what spikes are worth into the rings of their targets, one after the other."""
        self.learning.remember(source, self.step_index, values)
        for projection in self.plan.projections:
            if projection.source != source or projection.plastic is not None:
                continue
            population = self.plan.populations[projection.target - len(self.plan.input_sizes)]
            slot = self.state[population.name].ring[(self.step_index + projection.delay) % population.slots]
            rows = projection.rows
            for sample, neuron in zip(*np.nonzero(values), strict=True):
                entries = slice(rows.offsets[neuron], rows.offsets[neuron + 1])
                match rows.weights.ndim:
                    case 0:
                        weight = rows.weights
                    case 1:
                        weight = rows.weights[entries]
                    case _:
                        weight = rows.weights[neuron]
                # add.at adds one by one, also where a target comes twice
                np.add.at(slot[sample], rows.targets[entries], weight * values[sample, neuron])

    def _initial(self, population: PopulationPlan) -> _State:
        shape, second = (self.batch, population.size), population.second
        return _State(
            v=np.array(np.broadcast_to(population.initial, shape)),
            current=np.zeros(shape, self.plan.dtype) + (0 if second is None else second.initial),
            refractory=np.zeros(shape, np.int64),
            fired=np.zeros(shape, np.int64),
            ring=np.zeros((population.slots, *shape), self.plan.dtype),
        )


def update(p: PopulationPlan, state: _State, x: NDArray[Any], c: NDArray[Any]) -> NDArray[Any]:
    """One step of the neurons of a population; changes `state`, returns what each sends: spikes, or its potential."""
    contract, old = p.contract, state.current
    match p.current:
        case Current.NONE:
            i = c if p.delta else c + x
        case Current.EULER_CURRENT:
            state.current = old + p.current_rate * (p.w_in * x - old)
        case Current.EULER_DELTA:
            state.current = (old - p.current_rate * old) + p.w_in * x
        case Current.EXPONENTIAL_CURRENT:
            state.current = p.current_decay * old + p.current_rate * (p.w_in * x)
        case Current.EXPONENTIAL_DELTA:
            state.current = p.current_decay * old + p.w_in * x
    if p.current is not Current.NONE:
        i = c + (state.current if contract.current_order == "new" else old)
    if contract.reset_when == "next_step":
        _reset(p, state, state.fired)
    v, arriving = state.v, x if p.delta else None
    if p.second is None:
        after = _integrated(p, v, i)
    else:
        if p.kind in (Kind.RESONATE, Kind.INTERPOLATED):
            arriving = None  # at the other half, or not while it is deaf
        after, state.current = advance(p, p.second, v, state.current, x, i)
    if arriving is not None:
        after = after + arriving
    after = fit(contract, after)
    active = state.refractory == 0
    state.v = np.where(active, after, v)
    state.refractory = np.where(active, state.refractory, state.refractory - 1)
    if contract.reset_when == "after_next_update":
        _reset(p, state, state.fired)
    if p.second is not None and p.graded:
        sent, state.current = difference(p, p.second, state.v, state.current, c)
        return sent
    if not p.fires:
        return state.v
    if p.by_phase:
        beyond = is_beyond(contract, state.current, p.threshold) & (state.v >= 0) & (v < 0)
    else:
        beyond = is_beyond(contract, state.v, p.threshold + state.current if p.adapts else p.threshold)
    if p.second is not None and p.kind is Kind.INTERPOLATED:
        active = active & (state.current < p.second.constant)
    fires = beyond & active
    times = _thresholds(state.v, p.threshold) if contract.spikes == "multi" else np.ones_like(state.v)
    spikes = np.where(fires, times, 0).astype(np.int64)
    if p.second is not None and p.kind is Kind.INTERPOLATED:
        state.current = np.where(fires, deaf_until(p, p.second, state.v, i), state.current)
    if contract.reset_when == "same_step":
        _reset(p, state, spikes)
    if p.v_min is not None:
        state.v = np.maximum(state.v, p.v_min)
    state.refractory = np.where(fires, p.refractory, state.refractory)
    state.fired = spikes
    return spikes


def _integrated(p: PopulationPlan, v: NDArray[Any], i: NDArray[Any]) -> NDArray[Any]:
    match p.kind:
        case Kind.FORWARD_EULER:
            return v + p.rate * ((p.v_leak - v) + p.gain * i)
        case Kind.EXPONENTIAL:
            return p.decay * v + p.rate * (p.v_leak + p.gain * i)
        case Kind.MEMORYLESS:
            return i
        case Kind.RECTIFIED:
            return v + p.gain * np.maximum(i, 0)
        case _:
            return v + p.gain * i


def _thresholds(v: NDArray[Any], threshold: NDArray[Any]) -> NDArray[Any]:
    """How many thresholds there are in a potential."""
    if v.dtype.kind == "i":
        return v // threshold
    with np.errstate(over="ignore", invalid="ignore"):
        return np.minimum(np.floor(v / threshold), LARGEST_COUNT)


def _reset(p: PopulationPlan, state: _State, spikes: NDArray[np.int64]) -> None:
    """Reset the neurons that sent so many spikes."""
    if not p.resets:
        return
    contract, v, fired = p.contract, state.v, spikes != 0
    if contract.reset == "to_value":
        state.v = np.where(fired, p.v_reset, v)
    else:
        state.v = np.where(fired, fit(contract, v - spikes.astype(v.dtype) * p.threshold), v)
    if p.second is not None:
        state.current = after_spikes(p, p.second, state.current, fired)


def simulate_dynamics(
    network: DynamicNetwork,
    x: Any = None,
    *,
    n_steps: int | None = None,
    currents: Mapping[str, Any] | None = None,
    record: Collection[str] | None = None,
    potentials: Collection[str] = (),
    modulation: Mapping[str, Any] | None = None,
    record_weights: Collection[str] = (),
    weights_every: int | None = None,
) -> DynamicRecording:
    """Step a batch from the initial state.

    Args:
        x, n_steps, currents, modulation: see `spikeport.plugin.driving.drive`.
        record: populations whose spikes are kept; None keeps all.
        potentials: populations whose membrane potentials are kept.
        record_weights: projections that learn, whose weights at the end are kept.
        weights_every: their weights at the end of every so many steps are kept besides.

    Raises:
        GraphError: the network's synapses do not fit.
        DataError: input that does not fit.
        OptionError: a name that is not in the network.
    """
    chip = network.contract.chip
    plan = make_fixed_plan(network) if chip else make_plan(network)
    kept = chosen(network, record, potentials)
    entering = drive(network, x, n_steps=n_steps, currents=currents, modulation=modulation)
    batch = entering.batch
    gauge = Gauge(network, Learning(modulation, record_weights, weights_every), entering)
    stepper: DynamicStepper | FixedStepper = (
        FixedStepper(plan, batch) if isinstance(plan, FixedPlan) else DynamicStepper(plan, batch)
    )
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in spiking(network)}
    membranes: dict[str, list[NDArray[Any]]] = {name: [] for name in potentials}
    seconds: dict[str, list[NDArray[Any]]] = {name: [] for name in with_second(network, potentials)}
    for step in range(entering.n_steps):
        fed = {name: values[min(step, len(values) - 1)] for name, values in entering.currents.items()}
        if isinstance(stepper, DynamicStepper):
            told = {name: values[min(step, len(values) - 1)] for name, values in entering.modulation.items()}
            spikes = stepper.step(_inputs(plan, entering, step), fed, told)
            gauge.look(step, stepper.learning.weights)
        else:
            spikes = stepper.step(_inputs(plan, entering, step), fed)
        for name, values in spikes.items():
            found[name].append(values)
        for name in membranes:
            membranes[name].append(stepper.state[name].v)
        for name in seconds:
            seconds[name].append(stepper.state[name].current)
    rasters = {name: np.array(found[name]).transpose(1, 0, 2) for name in spiking(network)}
    shapes = {p.name: p.shape for p in network.populations}

    def over_time(values: list[NDArray[Any]], name: str) -> NDArray[Any]:
        return np.array(values).reshape(entering.n_steps, batch, *shapes[name])

    return DynamicRecording(
        n_steps=entering.n_steps,
        counts={name: counts_of(network, name, r) for name, r in rasters.items()},
        spikes={name: events_of(rasters[name], shapes[name], network.contract.dt) for name in kept},
        potentials={name: over_time(values, name) for name, values in membranes.items()},
        currents={name: over_time(values, name) for name, values in seconds.items()},
        weights=gauge.last,
        weights_over_time=gauge.over_time,
    )


def _inputs(plan: Plan | FixedPlan, entering: Drive, step: int) -> dict[int, NDArray[Any]]:
    values = {}
    for number, (size, events) in enumerate(zip(plan.input_sizes, entering.events, strict=True)):
        values[number] = np.zeros((entering.batch, size), plan.dtype)
        for sample in range(entering.batch):
            part = slice(events.offsets[sample, step], events.offsets[sample, step + 1])
            values[number][sample, events.neurons[part]] = events.values[part]
    return values


def chosen(network: DynamicNetwork, record: Collection[str] | None, potentials: Collection[str]) -> tuple[str, ...]:
    """Names of the populations whose spikes are kept.

    Raises:
        OptionError: names that are not in the network, or populations that never spike.
    """
    require_names(record, "record")
    require_names(potentials, "potentials")
    fire = spiking(network)
    problems = [
        Problem(n, "is not a population of this network")
        for n in sorted({*(record or ()), *potentials} - set(network.by_name))
    ]
    silent = sorted((set(record or ()) & set(network.by_name)) - set(fire))
    problems += [Problem(n, "never spikes", "record its potential") for n in silent]
    if problems:
        raise OptionError(problems)
    return tuple(fire if record is None else dict.fromkeys(record))
