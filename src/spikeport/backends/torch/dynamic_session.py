"""Sessions of hand-made networks on the torch backend: windows of any length, or whole runs as `simulate_dynamics` takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.backends.torch.dynamics import TorchStepper, make_torch_plan, simulate_dynamics
from spikeport.backends.torch.precision import exact_arithmetic
from spikeport.plugin import BackendSession, Program, Step
from spikeport.plugin.driving import dtype_of
from spikeport.plugin.inputs import checked_batch, checked_names, checked_step
from spikeport.plugin.restoring import require_state
from spikeport.plugin.running import run_hand_made, step_by_advance
from spikeport.plugin.state import SessionState
from spikeport.primitives import DynamicNetwork, DynamicRecording, SigmaDelta

Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = {}


class DynamicSession(BackendSession):
    """Of a network with dynamics, on a processor; a whole run computes where its input lies."""

    gives_second = True

    def __init__(self, program: Program, record: Collection[str], potentials: Collection[str]) -> None:
        assert isinstance(program.network, DynamicNetwork)
        checked_names(program.network, record, potentials)
        self.program, self.record, self.potentials = program, tuple(record), tuple(potentials)
        self._network = program.network
        self._stepper: TorchStepper | None = None

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        batch = checked_batch(batch)
        plan = self._stepper.plan if self._stepper else make_torch_plan(self._network, torch.device("cpu"))
        self._stepper = TorchStepper(plan, batch)

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        if self._stepper is None:
            self.reset()
        assert self._stepper is not None
        network, batch = self._network, self._stepper.batch
        given, fed = checked_step(network, batch, spikes, currents, steps=n_steps)

        def flat(values: NDArray[Any]) -> Tensor:
            return torch.tensor(values.reshape(n_steps, batch, -1).astype(dtype_of(network.contract)))

        inputs = {i: flat(given[place.name]) for i, place in enumerate(network.inputs) if place.name in given}
        with exact_arithmetic():
            sent, potentials, second = self._stepper.window(
                n_steps, inputs, {n: flat(v) for n, v in fed.items()}, self.potentials
            )

        def shaped(values: Tensor, name: str) -> NDArray[Any]:
            return values.numpy().reshape(n_steps, batch, *network[name].shape)

        def spikes_of(name: str) -> Tensor:
            return sent[name] if isinstance(network[name].neuron, SigmaDelta) else sent[name].to(torch.int64)

        return Step(
            {name: shaped(spikes_of(name), name) for name in self.record},
            {name: shaped(values, name) for name, values in potentials.items()},
            {name: shaped(values, name) for name, values in second.items()},
        )

    def snapshot(self) -> SessionState:
        self.require_open()
        if self._stepper is None:
            self.reset()
        assert self._stepper is not None
        return self._stepper.snapshot()

    def restore(self, state: SessionState) -> None:
        self.require_open()
        require_state(self._network, state)
        plan = self._stepper.plan if self._stepper else make_torch_plan(self._network, torch.device("cpu"))
        stepper = TorchStepper(plan, state.batch)
        stepper.go_on_from(state)
        self._stepper = stepper

    def run(
        self,
        x: Any = None,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> DynamicRecording:
        return run_hand_made(self, simulate_dynamics, x, record, max_steps, currents)

    def close(self) -> None:
        self.closed = True
        self._stepper = None
