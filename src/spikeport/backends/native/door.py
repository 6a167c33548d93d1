"""Sessions of the compiled kernels: one step after the other, or whole runs as `simulate` takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport import native
from spikeport.backends.native.dynamics import DynamicSession, simulate_dynamics
from spikeport.backends.native.plan import plan
from spikeport.backends.native.simulate import simulate
from spikeport.errors import DataError, Problem
from spikeport.native.stepping import MAX_CHUNK, Run
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.driving import checked_modulators, require_modulation
from spikeport.plugin.inputs import arrival_shape, checked_batch, checked_names, checked_step
from spikeport.plugin.restoring import require_state
from spikeport.plugin.running import run_hand_made, run_whole, step_by_advance
from spikeport.plugin.state import SessionState
from spikeport.plugin.weighing import Learning
from spikeport.primitives import DynamicNetwork, DynamicRecording, MaxUnit, Recording, SpikingNetwork
from spikeport.quantize import input_problems

Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = {}


class ConvertedSession(BackendSession):
    """Of a converted network."""

    def __init__(self, program: Program, record: Collection[str], potentials: Collection[str]) -> None:
        assert isinstance(program.network, SpikingNetwork)
        checked_names(program.network, record, potentials)
        self.program, self.record, self.potentials = program, tuple(record), tuple(potentials)
        self._network = program.network
        self._plan = plan(self._network)
        self._run: Run | None = None
        self._intake = Intake(program)
        self._fed: set[str] = set()
        self._batch, self._index = 1, 0

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        batch = checked_batch(batch)
        if self._run is None or batch != self._batch:
            self._free()
            threads, traced = native.default_threads(), bool(self.record or self.potentials)
            self._run = Run(self._plan.plan, samples=batch, steps=MAX_CHUNK, threads=threads, traced=traced)
        self._batch, self._index = batch, 0
        self._intake.reset(batch)
        self._fed = set()
        shapes = {self._network.input.name: self._network.input.shape}
        shapes |= {name: self._network[name].shape for name in self._plan.host - shapes.keys()}
        silent = {
            self._plan.layers[name]: np.zeros((batch, *shape), dtype=np.int64)
            for name, shape in shapes.items()
            if name in self._plan.host
        }
        self._run.begin(batch, silent)

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        if self._run is None:  # whole runs have one of their own: state is made for who takes steps
            self.reset(self._batch)
        given, fed = self._intake.take(spikes, currents, steps=n_steps)
        events = given.get(self._network.input.name)
        pieces, done = [], 0
        while done < n_steps:
            # a current stays until it is set anew: where there is one, steps are taken one by one
            n = 1 if fed or self._fed else min(MAX_CHUNK, n_steps - done)
            pieces.append(
                self._piece(
                    n, None if events is None else events[done : done + n], {k: v[done] for k, v in fed.items()}
                )
            )
            done += n
        kinds = (tuple(p[k] for p in pieces) for k in (0, 1))
        return Step(*({n: np.concatenate([part[n] for part in parts]) for n in parts[0]} for parts in kinds))

    def _piece(self, n: int, events: NDArray[Any] | None, fed: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
        network, layers, run = self._network, self._plan.layers, self._run
        assert run is not None
        for name in {*fed, *self._fed}:
            silent = np.zeros((self._batch, *arrival_shape(network, name)), dtype=np.int64)
            # what arrives at a maximum is a layer of its own, just before it
            receiver = layers[name] - isinstance(network[name].neuron, MaxUnit)
            run.currents(receiver, fed.get(name, silent))
        self._fed = set(fed)
        if network.input.kind == "events" and events is None:
            events = np.zeros((n, self._batch, *network.input.shape), dtype=np.uint8)
        readout = np.zeros((n, self._batch, *network[network.output].shape), dtype=np.int64)
        trains = {layers[p]: np.zeros((n, self._batch, *network[p].shape), dtype=np.int32) for p in self.record}
        potentials = {layers[p]: np.zeros((n, self._batch, *network[p].shape), np.int64) for p in self.potentials}
        fired = run.step(
            self._index,
            n,
            np.ones(self._batch, dtype=np.uint8),
            readout,
            events=events,
            first_bin=self._index,
            high=network.input.high,
            trains=trains,
            potentials=potentials,
        )
        if fired is None:
            assert events is not None
            hint = "reset for a new sample, or convert with a larger input_bits"
            raise DataError(
                input_problems(network.input, events.reshape(-1, *network.input.shape))
                or [
                    Problem(
                        "input", f"holds more than {network.input.high} events in one place since the last reset", hint
                    )
                ]
            )
        self._index += n
        return {p: trains[layers[p]] for p in self.record}, {p: potentials[layers[p]] for p in self.potentials}

    def run(
        self,
        x: Any = None,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> Recording:
        return run_whole(self, simulate, x, record, max_steps, currents)

    def close(self) -> None:
        self.closed = True
        self._free()

    def _free(self) -> None:
        self._fed = set()
        if self._run is not None:
            self._run.close()
            self._run = None


class HandMadeSession(BackendSession):
    """Of a network with dynamics."""

    gives_second = True

    def __init__(self, program: Program, record: Collection[str], potentials: Collection[str]) -> None:
        assert isinstance(program.network, DynamicNetwork)
        checked_names(program.network, record, potentials)
        self.program, self.record, self.potentials = program, tuple(record), tuple(potentials)
        self._network = program.network
        self._session: DynamicSession | None = None
        self._modulation: Arrays = {}

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        batch = max(1, checked_batch(batch))
        self._modulation = {}
        if self._session is not None and batch == self._session.batch:
            self._session.reset()
            return
        if self._session is not None:
            self._session.close()
        self._session = DynamicSession(self._network, batch=batch)

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        if self._session is None:
            self.reset()
        assert self._session is not None
        given, fed = checked_step(self._network, self._session.batch, spikes, currents, steps=n_steps)
        require_modulation(self._network, self._modulation)
        found = self._session.run(
            given or None,
            n_steps=n_steps,
            currents=fed or None,
            record=self.record,
            potentials=self.potentials,
            modulation=self._modulation,
        )
        spikes = {name: events.train().raster for name, events in found.spikes.items()}
        return Step(spikes, found.potentials, found.currents)

    def run(
        self,
        x: Any = None,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> DynamicRecording:
        return run_hand_made(self, simulate_dynamics, x, record, max_steps, currents)

    def run_learning(
        self,
        x: Any = None,
        *,
        learning: Learning,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> DynamicRecording:
        told = {field.name: getattr(learning, field.name) for field in fields(learning)}
        return run_hand_made(self, simulate_dynamics, x, record, max_steps, currents, **told)

    def modulate(self, values: Arrays) -> None:
        self.require_open()
        batch = 1 if self._session is None else self._session.batch
        checked_modulators(self._network, batch, values)
        self._modulation = {name: np.asarray(v)[None] if np.ndim(v) else np.asarray(v) for name, v in values.items()}

    def weights(self, name: str) -> NDArray[Any]:
        self.require_open()
        if self._session is None:
            self.reset()
        assert self._session is not None
        return self._session.weights(name)

    def snapshot(self) -> SessionState:
        self.require_open()
        if self._session is None:
            self.reset()
        assert self._session is not None
        return self._session.snapshot()

    def restore(self, state: SessionState) -> None:
        self.require_open()
        require_state(self._network, state)
        if state.batch == 0:
            raise DataError(
                Problem("state.batch", "is 0, and these kernels step one sample at least", 'on="reference"')
            )
        before = self._session
        if before is None or before.batch != state.batch:
            self._session = DynamicSession(self._network, batch=state.batch)
            if before is not None:
                before.close()
        assert self._session is not None
        self._session.go_on_from(state)
        self._modulation = {}

    def close(self) -> None:
        self.closed = True
        if self._session is not None:
            self._session.close()


def open_session(program: Program, record: Collection[str], potentials: Collection[str]) -> BackendSession:
    """A session of either kind of network.

    Raises:
        NativeError: no native library, or a connection that has no native form.
    """
    kind = HandMadeSession if isinstance(program.network, DynamicNetwork) else ConvertedSession
    return kind(program, record, potentials)
