"""Steps a `DynamicNetwork` with the compiled kernels: the spikes and potentials of the reference, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import Plan, PopulationPlan, Shared, make_plan
from spikeport.backends.native.learning import learning_of
from spikeport.backends.native.state import put_state, state_of
from spikeport.backends.reference.dynamics import chosen
from spikeport.errors import DataError, Interrupted, NativeError, OptionError, Problem
from spikeport.native import DynamicsHandle, default_threads
from spikeport.native.dynamics import NUMBERS, SECOND
from spikeport.plugin.driving import Drive, drive
from spikeport.plugin.inputs import with_second
from spikeport.plugin.restoring import require_state
from spikeport.plugin.state import SessionState
from spikeport.plugin.weighing import Gauge, Learning, checked_projections
from spikeport.primitives import (
    DynamicNetwork,
    DynamicRecording,
    SpikeEvents,
)

PIECE = 0.1
"""Seconds that one call of the library should take at most, so that Ctrl-C acts soon."""
TRIAL, AGAIN = 16, 8
"""Steps of a piece that finds out how fast another number of threads is, and after how many pieces that is asked again."""
RESETS = ("same_step", "next_step", "after_next_update")


class DynamicSession:
    """A network that is kept open, with the state of a batch of samples; a context manager.

    >>> from spikeport.primitives import LIF, DynamicNetwork, DynamicPopulation, DynamicsContract
    >>> neurons = DynamicPopulation("n", (2,), LIF(tau=0.02, bias=[1.5, 0.5]))
    >>> network = DynamicNetwork("tonic", (), (neurons,), (), DynamicsContract(dt=1e-3, integrator="exponential"))
    >>> with DynamicSession(network) as session:
    ...     session.run(n_steps=100).counts["n"].tolist()
    [[4, 0]]
    """

    def __init__(
        self, network: DynamicNetwork, *, batch: int = 1, threads: int | None = None, shared: Shared | None = None
    ) -> None:
        """Open it.

        Args:
            threads: default: processors that this process may use. Results do not depend on it.
            shared: what plans of several networks have in common.

        Raises:
            GraphError: the network's synapses do not fit.
            NativeError: there is no library, or the network has fixed-point neurons.
        """
        for name, value in (("batch", batch), ("threads", threads)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise OptionError(Problem(name, f"is {value!r}", "a whole number from 1 on"))
        self.network, self.batch = network, batch
        self._shared = shared
        self._plan = _planned(network, shared)
        self._handle = _open(self._plan, batch, threads)
        self._pace = _Pace(self._handle.threads)

    def run(
        self,
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
        """Step on from where the session is; arguments as in `spikeport.backends.reference.simulate_dynamics`.

        Projections that learn go on with the weights that they have; `reset` brings those of the network back.

        Where the same enters several times, `x` may be what `spikeport.plugin.driving.drive` made of it, as it is for this session's
        inputs, arithmetic and batch; it says the steps, the currents and the third factors too.

        Steps of the recording count from the beginning of this run, its spike counts too.

        Raises:
            DataError: input that does not fit.
            OptionError: a name that is not in the network.
            NativeError: the session is closed.
            Interrupted: Ctrl-C; it holds the recording of the steps that were finished, and the session can go on from there.
        """
        kept = chosen(self.network, record, potentials)
        if isinstance(x, Drive):
            entering = x
        else:
            entering = drive(
                self.network, x, n_steps=n_steps, currents=currents, modulation=modulation, batch=self.batch
            )
        gauge = Gauge(self.network, Learning(modulation, record_weights, weights_every), entering)
        return _run(self._handle, self._pace, self._plan, entering, kept, potentials, gauge)

    def weights(self, name: str) -> NDArray[Any]:
        """Weights of a projection that learns as they are, by its name in `DynamicNetwork.plastic`, (batch, *weights of the synapse)."""
        checked_projections(self.network, [name], None)
        return _weights(self._handle, self._plan, name)

    def snapshot(self) -> SessionState:
        """Everything between two steps; see `spikeport.plugin.BackendSession.snapshot`."""
        return state_of(self._handle, self._plan)

    def restore(self, state: SessionState) -> None:
        """Go on from there; spike counts begin again.

        Raises:
            DataError: it is the state of another network, or of another batch; the session is as before.
        """
        require_state(self.network, state)
        if state.batch != self.batch:
            why = f"is {state.batch}, and the session was opened for {self.batch}"
            raise DataError(Problem("state.batch", why, f"open it with batch={state.batch}"))
        self.go_on_from(state)

    def go_on_from(self, state: SessionState) -> None:
        """The same with a state that was looked at already."""
        put_state(self._handle, self._plan, state)

    def become(self, network: DynamicNetwork) -> bool:
        """Step another network, from its beginning, if it has the same synapses, which then are not compiled again; whether it has.

        Synapses are the same where `shared` says so: the networks hold the same objects, with the same delays.

        Raises:
            GraphError: the network's synapses do not fit.
            NativeError: the network has fixed-point neurons, or the session is closed.
        """
        plan = _planned(network, self._shared)
        if network.plastic or _wiring(plan) != _wiring(self._plan):
            return False
        for index, population in enumerate(plan.populations):
            self._handle.replace(index, *_neurons(population), slots=population.slots, constants=population.constants)
        self._handle.finish()
        self.network, self._plan = network, plan
        return True

    def reset(self) -> None:
        """Back to the state before the first step."""
        self._handle.reset()

    def close(self) -> None:
        """Give the memory back; a closed session refuses to run."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self._handle.close()


def _wiring(plan: Plan) -> tuple[Any, ...]:
    """What a session cannot change: equal where synapses are the same objects."""
    joined = tuple((p.source, p.target, p.delay, id(p.rows)) for p in plan.projections)
    return plan.dtype, plan.input_sizes, tuple(p.size for p in plan.populations), joined


def _planned(network: DynamicNetwork, shared: Shared | None = None) -> Plan:
    """The numbers of a network that these kernels carry."""
    if network.contract.chip:
        neurons = ", ".join(sorted({type(p.neuron).__name__ for p in network.populations}))
        why = f"its contract is {network.contract.integrator}'s ({neurons}), which these kernels do not step"
        raise NativeError(Problem(network.name, why, 'on="reference", or on=None'))
    return make_plan(network, shared)


def _open(plan: Plan, batch: int, threads: int | None) -> DynamicsHandle:
    """A session of the library with everything that a plan says."""
    contract, neurons = plan.contract, plan.network.neurons
    handle = DynamicsHandle(contract.arithmetic, len(plan.input_sizes), batch, threads or default_threads(), neurons)
    try:
        for population in plan.populations:
            handle.population(*_neurons(population), slots=population.slots, constants=population.constants)
        for p in plan.projections:
            if p.plastic is not None:
                handle.learn(learning_of(p, p.plastic))
                continue
            handle.projection(
                p.source,
                p.target,
                delay=p.delay,
                offsets=p.rows.offsets,
                targets=p.rows.targets,
                weights=p.rows.weights,
            )
        handle.finish()
    except BaseException:
        handle.close()
        raise
    return handle


def _run(
    handle: DynamicsHandle,
    pace: _Pace,
    plan: Plan,
    entering: Drive,
    kept: Collection[str],
    potentials: Collection[str],
    gauge: Gauge,
) -> DynamicRecording:
    names, batch = [p.name for p in plan.populations], entering.batch
    second = with_second(plan.network, potentials)
    rooms, others = (
        [np.empty((entering.n_steps, batch, p.size), plan.dtype) if p.name in names else None for p in plan.populations]
        for names in (potentials, second)
    )
    spiking = [i for i, p in enumerate(plan.populations) if p.fires]
    before = {i: handle.counts(i) for i in spiking}
    begin = handle.steps
    with suppress(KeyboardInterrupt):  # the library stops between two steps; what it did by then is whole
        _advance(handle, pace, plan, entering, rooms, others, [name in kept for name in names], gauge)
    done = handle.steps - begin
    gauge.finish(partial(_weights, handle, plan))
    shapes = [plan.network[name].shape for name in names]
    recording = DynamicRecording(
        n_steps=done,
        counts={names[i]: (handle.counts(i) - before[i]).reshape(batch, *shapes[i]) for i in spiking},
        spikes={name: _events(handle, plan, names.index(name), begin, done) for name in kept},
        potentials=_shown(names, rooms, shapes, done),
        currents=_shown(names, others, shapes, done),
        weights=gauge.last,
        weights_over_time=gauge.over_time,
    )
    if done < entering.n_steps:
        raise Interrupted(recording if done else None, done, entering.n_steps, "steps")
    return recording


def _shown(
    names: list[str], rooms: list[NDArray[Any] | None], shapes: list[tuple[int, ...]], done: int
) -> dict[str, NDArray[Any]]:
    """What was written of each population, in its shape."""
    each = zip(names, rooms, shapes, strict=True)
    return {name: room[:done].reshape(done, room.shape[1], *shape) for name, room, shape in each if room is not None}


def _advance(
    handle: DynamicsHandle,
    pace: _Pace,
    plan: Plan,
    entering: Drive,
    rooms: list[NDArray[Any] | None],
    others: list[NDArray[Any] | None],
    record: list[bool],
    gauge: Gauge,
) -> None:
    """All steps, in pieces that are short enough for Ctrl-C."""
    inputs = [(e.offsets, e.neurons, e.values) for e in entering.events]
    fed = [entering.currents.get(p.name) for p in plan.populations]
    told = [
        entering.modulation[name] for p in plan.projections if p.plastic is not None for name in p.plastic.rule.third
    ]
    done = 0
    while done < entering.n_steps:
        threads, count = pace.next(min(entering.n_steps - done, gauge.until_next(done)))
        start = time.perf_counter()
        potentials, seconds = ([None if room is None else room[done:] for room in each] for each in (rooms, others))
        handle.run(
            done,
            count,
            inputs=inputs,
            currents=fed,
            potentials=potentials,
            seconds=seconds,
            record=record,
            modulation=told,
            threads=threads,
        )
        pace.learn(threads, count, time.perf_counter() - start)
        done += count
        if gauge.every is not None:
            gauge.look(done - 1, partial(_weights, handle, plan))


def _weights(handle: DynamicsHandle, plan: Plan, name: str) -> NDArray[Any]:
    """Weights of a projection that learns, in the shape of its synapse."""
    learning = [p.plastic for p in plan.projections if p.plastic is not None]
    index = [found.name for found in learning].index(name)
    return learning[index].shaped(handle.weights(index))


@dataclass(slots=True)
class _Pace:
    """How long pieces may be, and how many threads are fastest just now.

    A step hands work over between threads, thousands of times a second. Where other programs use the processors too, that waits
    for whoever is asleep, and one thread is faster; results are the same, so the choice is free.
    """

    most: int
    rates: dict[int, float] = field(default_factory=dict)
    """Steps a second by number of threads, as last measured."""
    pieces: int = 0

    def next(self, steps: int) -> tuple[int, int]:
        """Threads and steps of the next piece, of so many steps that are left."""
        self.pieces += 1
        if not self.rates:
            return self.most, 1
        threads = max(self.rates, key=self.rates.__getitem__)
        longest = max(1, min(steps, int(PIECE * self.rates[threads])))
        if self.most > 1 and (len(self.rates) == 1 or self.pieces % AGAIN == 0):
            return self.most + 1 - threads, min(longest, TRIAL)
        return threads, longest

    def learn(self, threads: int, steps: int, seconds: float) -> None:
        """What a piece took."""
        self.rates[threads] = steps / max(seconds, 1e-9)


def _events(handle: DynamicsHandle, plan: Plan, population: int, begin: int, n_steps: int) -> SpikeEvents:
    parts = [handle.take(population, sample) for sample in range(handle.batch)]
    samples = np.repeat(np.arange(handle.batch), [len(steps) for steps, _, _ in parts])
    # the library counts in 32 bits, which sessions that are restored may have left behind; the difference has not
    first = np.uint32(begin % 2**32)
    steps = np.concatenate([steps - first for steps, _, _ in parts]).astype(np.int64)
    neurons = np.concatenate([neurons for _, neurons, _ in parts]).astype(np.int64)
    counts = [values for _, _, values in parts if values is not None]
    values = np.concatenate(counts) if counts else None
    if values is not None and (values == 1).all():
        values = None
    shape = plan.network.populations[population].shape
    return SpikeEvents(samples, steps, neurons, shape, n_steps, handle.batch, plan.contract.dt, values)


def _neurons(population: PopulationPlan) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
    """Numbers and flags of a population, as the library reads them."""
    numbers = {name: getattr(population, name) for name in NUMBERS}
    if population.v_min is None:
        numbers["v_min"] = np.zeros_like(population.threshold)
    second = {name: getattr(population.second, name.removeprefix("w_"), None) for name in SECOND}
    return numbers | {name: values for name, values in second.items() if values is not None}, _flags(population)


def _flags(population: PopulationPlan) -> dict[str, int]:
    contract = population.contract
    integer = contract.arithmetic == "integer"
    return {
        "kind": population.kind,
        "current": population.current,
        "delta": population.delta,
        "fires": population.fires,
        "refractory": bool(population.refractory.any()),
        "at_threshold": contract.compare == ">=",
        "subtract": contract.reset == "subtract",
        "reset_when": RESETS.index(contract.reset_when),
        "old_current": contract.current_order == "old",
        "state_bits": contract.state_bits if integer else 0,
        "wrap": contract.overflow == "wrap",
        "multi": population.fires and contract.spikes == "multi",
        "clipped": population.v_min is not None,
        "sends": not population.fires,
        "second": population.second is not None,
        "other": 0 if population.second is None else population.second.other,
        "substeps": 1 if population.second is None else population.second.substeps,
    }


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
    threads: int | None = None,
) -> DynamicRecording:
    """Step a batch from the initial state; as `spikeport.backends.reference.simulate_dynamics`, many times faster.

    Raises:
        NativeError: there is no library, or the network has fixed-point neurons.
    """
    kept = chosen(network, record, potentials)
    plan = _planned(network)
    entering = drive(network, x, n_steps=n_steps, currents=currents, modulation=modulation)
    gauge = Gauge(network, Learning(modulation, record_weights, weights_every), entering)
    handle = _open(plan, entering.batch, threads)
    try:
        return _run(handle, _Pace(handle.threads), plan, entering, kept, potentials, gauge)
    finally:
        handle.close()
