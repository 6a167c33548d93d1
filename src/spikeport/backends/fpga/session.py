"""Open programs: what enters as beats, what the core tells as steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import make_plan
from spikeport.backends.fpga.answer import Answer, is_leaky
from spikeport.backends.fpga.beats import Frame
from spikeport.backends.fpga.hand_made import current_gain
from spikeport.backends.fpga.machine import Machine
from spikeport.errors import DataError, Problem
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.inputs import checked_names
from spikeport.plugin.presenting import as_array, encode_steps
from spikeport.plugin.running import run_converted, step_by_advance
from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording, SpikingNetwork

Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = MappingProxyType({})


class Executor(Protocol):
    """What steps a machine."""

    def reset(self, batch: int) -> None: ...

    def advance(self, frame: Frame) -> Answer: ...

    def close(self) -> None: ...


class FpgaSession(BackendSession):
    """A program on the core, simulated or modelled."""

    cycles: int = 0
    """Of the core's clock, of all samples and steps since the session was opened; 0 where the executor has no clock."""

    def __init__(
        self,
        program: Program,
        machine: Machine,
        executor: Executor,
        *,
        record: Collection[str],
        potentials: Collection[str],
        largest_current: int,
    ) -> None:
        checked_names(program.network, record, potentials)
        self.program, self.machine = program, machine
        self.record, self.potentials = tuple(record), tuple(potentials)
        self._executor, self._largest_current = executor, largest_current
        self._intake = Intake(program)
        self._frame: dict[int, NDArray[np.int64]] | None = None
        network = program.network
        self._gains: dict[str, NDArray[np.int64]] = {}
        if isinstance(network, DynamicNetwork) and not network.contract.chip:
            self._gains = {p.name: current_gain(p) for p in make_plan(network).populations}
        self.reset()

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        self._intake.reset(batch)
        self._executor.reset(self._intake.batch)
        self._steps = 0

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        given, fed = self._intake.take(spikes, currents, steps=n_steps)
        batch, places = self._intake.batch, self.machine.places
        events = {places[n]: np.asarray(v, np.int64).reshape(n_steps, batch, -1) for n, v in given.items()}
        driven = {places[n]: np.asarray(v, np.int64).reshape(n_steps, batch, -1) for n, v in fed.items()}
        self._require_held(given, fed)
        if self._frame is not None and self._steps == 0:
            # the core weighs the input itself: the same sums in the same step
            driven = {}
            for place, values in self._frame.items():
                events[place] = np.zeros((n_steps, batch, values.shape[1]), np.int64)
                events[place][0] = values
        for name, gain in self._gains.items():
            if places[name] in driven:
                driven[places[name]] = driven[places[name]] * gain
        names = self.program.network.by_name
        if batch == 0:
            answer = Answer(
                {places[n]: np.zeros((n_steps, 0, names[n].size), np.int64) for n in self.record},
                {places[n]: np.zeros((n_steps, 0, names[n].size), np.int64) for n in self.potentials},
                {
                    places[n]: np.zeros((n_steps, 0, names[n].size), np.int64)
                    for n in self.potentials
                    if self._is_leaky(n)
                },
            )
        else:
            answer = self._executor.advance(Frame(n_steps, batch, events, driven, self._report))
        self.cycles += int(answer.cycles.sum())
        self._steps += n_steps

        def shaped(values: NDArray[Any], name: str) -> NDArray[Any]:
            return values.reshape(n_steps, batch, *names[name].shape)

        return Step(
            {name: shaped(answer.spikes[places[name]], name) for name in self.record},
            {name: shaped(answer.potentials[places[name]], name) for name in self.potentials},
            {n: shaped(answer.seconds[places[n]], n) for n in self.potentials if places[n] in answer.seconds},
        )

    def run(
        self,
        x: Any = None,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> Recording | DynamicRecording:
        network = self.program.network
        if not isinstance(network, SpikingNetwork) or currents is not None or not self._weighs_input(network):
            return super().run(x, record=record, max_steps=max_steps, currents=currents)
        self.require_open()
        encoded = encode_steps(network, as_array(x))
        self._frame = {self.machine.places[network.input.name]: encoded.reshape(len(encoded), -1)}
        try:
            return run_converted(self, x, record, max_steps)
        finally:
            self._frame = None

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._executor.close()

    def _is_leaky(self, name: str) -> bool:
        return is_leaky(self.machine, self.machine.places[name])

    def _weighs_input(self, network: SpikingNetwork) -> bool:
        return network.input.kind == "static" and network.input.name in self.machine.inputs

    @property
    def _report(self) -> int:
        """What has to be told besides spikes."""
        network = self.program.network
        read = {network.output} if isinstance(network, SpikingNetwork) else set()
        return 0 if not self.potentials else 1 if set(self.potentials) <= read else 2

    def _require_held(self, given: Arrays, fed: Arrays) -> None:
        """What hand-made networks are given has no declared end, and the streams and registers of the core have one."""
        if not isinstance(self.program.network, DynamicNetwork):
            return
        ends = [(given, 2 ** (self.machine.parameters["PW"] - 1) - 1, "input"), (fed, self._largest_current, "current")]
        problems = [
            Problem(
                name,
                f"has values beyond {most:,}, for which the core has no room",
                f"compile with a larger largest_{what}",
            )
            for arrays, most, what in ends
            for name, values in arrays.items()
            if np.abs(values).max(initial=0) > most
        ]
        if problems:
            raise DataError(problems)
