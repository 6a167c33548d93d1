"""Steps a program of example8 in numpy: in the place of the driver of a chip."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.plugin import BackendSession, Intake, Program, Step, checked_names, split
from spikeport.primitives import Accumulator, DynamicNetwork, SignedIF

Arrays = Mapping[str, NDArray[Any]]


class Session(BackendSession):
    """The state of a batch of samples; arrays are (batch, neuron) inside."""

    def __init__(self, program: Program, record: Collection[str], potentials: Collection[str]) -> None:
        network = program.network
        checked_names(network, record, potentials)
        self.program, self.record, self.potentials = program, tuple(record), tuple(potentials)
        self.hand_made = isinstance(network, DynamicNetwork)
        joints = network.projections if self.hand_made else network.connections
        host = frozenset() if self.hand_made else network.on_host()
        self.populations = [p for p in network.populations if p.name not in host]
        self.incoming = {p.name: [] for p in self.populations}
        self.intake = Intake(program)
        for number, weights in program.arrays.items():
            joint = joints[int(number)]
            delay, bias = getattr(joint, "delay", 0), getattr(joint, "bias", None)
            self.incoming[joint.target].append((joint.source, weights, delay, bias))
        self.reset()

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        self.intake.reset(batch)
        self.batch, self.t = batch, 0
        self.past: list[dict[str, NDArray[np.int64]]] = []
        self.v = {p.name: self._whole(getattr(p.neuron, "initial", 0), p) for p in self.populations}
        self.sent = {p.name: np.zeros((self.batch, p.size), np.int64) for p in self.populations}

    def step(self, spikes: Arrays = {}, currents: Arrays = {}) -> Step:  # noqa: B006
        self.require_open()
        events, fed = self.intake.take(spikes, currents)
        now = {name: values.reshape(self.batch, -1) for name, values in events.items()}
        self.past.insert(0, now)
        for p in self.populations:
            x = fed[p.name].reshape(self.batch, -1).copy() if p.name in fed else np.zeros_like(self.v[p.name])
            for source, weights, delay, bias in self.incoming[p.name]:
                if delay < len(self.past) and source in self.past[delay]:
                    x += self.past[delay][source] @ weights.T
                x += self._whole(bias, p)
            now[p.name] = self._plain(p, x) if self.hand_made else self._counting(p, x)
        del self.past[16:]
        self.t += 1
        shapes = {p.name: (self.batch, *p.shape) for p in self.populations}
        return Step(
            {name: now[name].reshape(shapes[name]) for name in self.record},
            {name: self.v[name].reshape(shapes[name]).copy() for name in self.potentials},
        )

    def _plain(self, p: Any, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """IF: add, saturate, fire where v >= threshold, subtract it."""
        neuron, high = p.neuron, 2 ** (self.program.network.contract.state_bits - 1) - 1
        threshold = self._whole(neuron.threshold, p)
        v = np.clip(self.v[p.name] + self._whole(neuron.r, p) * (x + self._whole(neuron.bias, p)), -high - 1, high)
        fires = v >= threshold
        self.v[p.name] = np.clip(v - fires * threshold, -high - 1, high)
        return fires.astype(np.int64)

    def _counting(self, p: Any, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """SignedIF, PlainIF, and the read-out, which never fires."""
        neuron, v, sent = p.neuron, self.v[p.name], self.sent[p.name]
        v += x + split(self._whole(neuron.bias, p), self.t, self.program.network.contract.presentation)
        if isinstance(neuron, Accumulator):
            return np.zeros_like(sent)
        threshold = self._whole(neuron.threshold, p)
        if isinstance(neuron, SignedIF):
            fires = ((v >= threshold) & (sent < neuron.high)).astype(np.int64)
            fires -= (v < 0) & (sent > neuron.low)
        else:
            fires = (v >= threshold).astype(np.int64)
        v -= fires * threshold
        sent += fires
        return fires

    def _whole(self, values: Any, p: Any) -> NDArray[np.int64]:
        """A parameter for every neuron of every sample; 0 where nothing is said."""
        each = np.broadcast_to(np.asarray(0 if values is None else values).astype(np.int64), (self.batch, *p.shape))
        return each.reshape(self.batch, p.size).copy()

    def close(self) -> None:
        self.closed = True
