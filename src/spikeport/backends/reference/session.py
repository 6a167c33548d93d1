"""Sessions of the reference: its steppers, one step at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import FixedPlan, make_fixed_plan, make_plan
from spikeport.backends.reference.dynamics import DynamicStepper
from spikeport.backends.reference.fixed import FixedStepper
from spikeport.backends.reference.state import state_of, stepper_of
from spikeport.backends.reference.stepper import Stepper
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.driving import checked_modulators, dtype_of, require_modulation
from spikeport.plugin.inputs import checked_batch, checked_names, checked_step, with_second
from spikeport.plugin.restoring import require_state
from spikeport.plugin.state import SessionState
from spikeport.plugin.weighing import checked_projections
from spikeport.primitives import DynamicNetwork, SpikingNetwork

Arrays = Mapping[str, NDArray[Any]]


class _Session(BackendSession):
    def __init__(self, program: Program, record: Collection[str], potentials: Collection[str]) -> None:
        checked_names(program.network, record, potentials)
        self.program, self.record, self.potentials = program, tuple(record), tuple(potentials)
        self.reset()

    def close(self) -> None:
        self.closed = True


class ConvertedSession(_Session):
    """Of a converted network."""

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        network, batch = self.program.network, checked_batch(batch)
        assert isinstance(network, SpikingNetwork)
        lead = (0, batch) if network.input.kind == "events" else (batch,)
        if not hasattr(self, "stepper"):
            self.stepper = Stepper(network, np.zeros((*lead, *network.input.shape), dtype=np.int64))
            self.intake = Intake(self.program)
        self.stepper.reset(batch)
        self.intake.reset(batch)

    def step(self, spikes: Arrays = {}, currents: Arrays = {}) -> Step:  # noqa: B006  (never changed)
        self.require_open()
        network, stepper = self.stepper.network, self.stepper
        events, fed = self.intake.take(spikes, currents)
        sent = stepper.fed(events.get(network.input.name), fed)
        return Step(
            {name: sent[name] for name in self.record},
            {name: stepper.state[name].v.copy() for name in self.potentials},
        )


class DynamicSession(_Session):
    """Of a network with dynamics."""

    gives_second = True

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        network = self.program.network
        assert isinstance(network, DynamicNetwork)
        if not hasattr(self, "plan"):
            self.plan = make_fixed_plan(network) if network.contract.chip else make_plan(network)
        batch = checked_batch(batch)
        self.stepper: DynamicStepper | FixedStepper = (
            FixedStepper(self.plan, batch) if isinstance(self.plan, FixedPlan) else DynamicStepper(self.plan, batch)
        )
        self.modulation: Arrays = {}

    def modulate(self, values: Arrays) -> None:
        self.require_open()
        self.modulation = checked_modulators(self.plan.network, self.stepper.batch, values)

    def weights(self, name: str) -> NDArray[Any]:
        self.require_open()
        checked_projections(self.plan.network, [name], None)
        assert isinstance(self.stepper, DynamicStepper)
        return self.stepper.learning.weights(name)

    def snapshot(self) -> SessionState:
        self.require_open()
        return state_of(self.stepper)

    def restore(self, state: SessionState) -> None:
        self.require_open()
        require_state(self.plan.network, state)
        self.stepper = stepper_of(self.plan, state)
        self.modulation = {}

    def step(self, spikes: Arrays = {}, currents: Arrays = {}) -> Step:  # noqa: B006
        self.require_open()
        network, stepper, dtype = self.plan.network, self.stepper, dtype_of(self.plan.contract)
        given, fed = checked_step(network, stepper.batch, spikes, currents)
        inputs = {
            i: given[place.name].astype(dtype).reshape(stepper.batch, place.size)
            if place.name in given
            else np.zeros((stepper.batch, place.size), dtype)
            for i, place in enumerate(network.inputs)
        }
        currents = {n: v.astype(dtype).reshape(stepper.batch, -1) for n, v in fed.items()}
        if isinstance(stepper, FixedStepper):
            sent = stepper.step(inputs, currents)
        else:
            require_modulation(network, self.modulation)
            sent = stepper.step(inputs, currents, self.modulation)

        def shaped(values: NDArray[Any], name: str) -> NDArray[Any]:
            return values.reshape(stepper.batch, *network[name].shape)

        return Step(
            {name: shaped(sent[name], name) for name in self.record},
            {name: shaped(stepper.state[name].v, name) for name in self.potentials},
            {n: shaped(stepper.state[n].current, n) for n in with_second(network, self.potentials)},
        )


def open_session(program: Program, record: Collection[str], potentials: Collection[str]) -> BackendSession:
    """A session of either kind of network."""
    kind = DynamicSession if isinstance(program.network, DynamicNetwork) else ConvertedSession
    return kind(program, record, potentials)
