"""Sessions of converted networks on the torch backend: windows of any length, or whole runs as `simulate` takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.backends.torch.dynamic_session import DynamicSession
from spikeport.backends.torch.fused import fastest
from spikeport.backends.torch.layers import Spikes, Stepped, plan
from spikeport.backends.torch.precision import exact_arithmetic
from spikeport.backends.torch.stepwise import of_input, on_host, simulate
from spikeport.plugin import BackendSession, Intake, Program, Step
from spikeport.plugin.inputs import checked_batch, checked_names, populations
from spikeport.plugin.running import run_whole, step_by_advance
from spikeport.primitives import DynamicNetwork, Recording, SpikingNetwork

Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = {}


class Session(BackendSession):
    """Of a converted network, on a processor; a whole run computes where its input lies."""

    def __init__(self, program: Program, record: Collection[str], potentials: Collection[str]) -> None:
        assert isinstance(program.network, SpikingNetwork)
        checked_names(program.network, record, potentials)
        self.program, self.record, self.potentials = program, tuple(record), tuple(potentials)
        self._network = program.network
        self._populations: list[Stepped] = []
        self._batch = 1
        self._intake = Intake(program)

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        self._batch, self._index = checked_batch(batch), 0
        self._intake.reset(self._batch)
        network, device = self._network, torch.device("cpu")
        layers = plan(network, network.contract.max_steps, device, None)
        scan = fastest(device.type, torch.get_num_threads())
        known = populations(network)
        self._populations = [
            Stepped(layer, self._batch, None, network.contract.presentation, device, scan)
            for layer in layers
            if layer.name in known
        ]

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        return step_by_advance(self, spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        if not self._populations:
            self.reset(self._batch)
        network, start, stop = self._network, self._index, self._index + n_steps
        given, fed = self._intake.take(spikes, currents, steps=n_steps)
        sent: dict[str, Spikes] = {}
        trains, potentials = {}, {}
        with exact_arithmetic():
            if network.input.kind == "events":
                silent = np.zeros((0, self._batch, *network.input.shape), dtype=np.int64)
                sent[network.input.name] = of_input(given.get(network.input.name, silent), n_steps, torch.device("cpu"))
            for population in self._populations:
                name = population.layer.name
                current = torch.tensor(fed[name]) if name in fed else None
                sent[name], membranes = population.step(
                    sent, start, stop, record=name in self.potentials, injected=current
                )
                if name in self.potentials:
                    assert membranes is not None
                    potentials[name] = on_host(membranes)
                if name in self.record:
                    values, shape = sent[name].values, (n_steps, self._batch, *network[name].shape)
                    trains[name] = np.zeros(shape, dtype=np.int32) if values is None else on_host(values, np.int32)
        self._index = stop
        return Step(trains, potentials)

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
        self._populations = []


def open_session(program: Program, record: Collection[str], potentials: Collection[str]) -> BackendSession:
    """A session of either kind of network."""
    kind = DynamicSession if isinstance(program.network, DynamicNetwork) else Session
    return kind(program, record, potentials)
