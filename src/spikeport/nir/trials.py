"""Short runs of many networks on one input, each going on only as long as nothing deviates: what a search spends its time with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport import native
from spikeport.backends.dynamics import Shared
from spikeport.backends.native import DynamicSession
from spikeport.backends.reference import simulate_dynamics
from spikeport.plugin.driving import Drive, drive
from spikeport.primitives import DynamicNetwork, DynamicRecording
from spikeport.primitives.dynamic_neurons import Analog

FIRST, GROWTH = 4, 4
"""Steps of the first piece, and how many times longer each next one is: most contracts deviate in the first steps."""
ALONE = 20_000
"""Neurons below which one thread steps a network: runs are so short that waiting for a second thread costs more."""
MAX_SESSIONS = 8
"""Kept open: each has a copy of the synapses."""


def pieces(n_steps: int) -> tuple[tuple[int, int], ...]:
    """All steps in growing pieces, each from its first step to the one after its last."""
    found, begin, length = [], 0, FIRST
    while begin < n_steps:
        found.append((begin, min(n_steps, begin + length)))
        begin, length = begin + length, length * GROWTH
    return tuple(found)


class Trials:
    """Runs networks that are one graph under several contracts; whoever makes one closes it.

    Compiled sessions are kept: a network with the synapses of one before it, object for object, only brings its neurons.
    """

    def __init__(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """On inputs of shape (time, 1, *shape), by name."""
        self.inputs = inputs
        self.compiled = native.available()
        self.sessions: dict[tuple[int, ...], DynamicSession] = {}
        """By latency and projections, which their networks hold on to."""
        self.drives: dict[tuple[int, int], Drive] = {}
        self.shared = Shared()

    def start(self, network: DynamicNetwork) -> Trial:
        """A network before its first step; what was started before ends."""
        return Trial(self, network, self._session(network) if self.compiled else None)

    def _session(self, network: DynamicNetwork) -> DynamicSession:
        wiring = network.contract.layer_latency, *map(id, network.projections)
        session = self.sessions.get(wiring)
        if session is not None and session.become(network):
            return session
        if len(self.sessions) == MAX_SESSIONS:
            self.sessions.pop(next(iter(self.sessions))).close()
        threads = 1 if network.neurons < ALONE else None
        self.sessions[wiring] = DynamicSession(network, threads=threads, shared=self.shared)
        return self.sessions[wiring]

    def entering(self, network: DynamicNetwork, begin: int, end: int) -> Drive:
        """The inputs of some steps; all networks have the same, and float64."""
        if (begin, end) not in self.drives:
            part = {name: values[begin:end] for name, values in self.inputs.items()}
            self.drives[begin, end] = drive(network, part or None, n_steps=end - begin)
        return self.drives[begin, end]

    def close(self) -> None:
        """Give the memory of all sessions back."""
        for session in self.sessions.values():
            session.close()
        self.sessions.clear()


class Trial:
    """One network, step by step."""

    def __init__(self, trials: Trials, network: DynamicNetwork, session: DynamicSession | None) -> None:
        self.trials, self.network, self.session = trials, network, session

    def outputs(self, begin: int, end: int) -> dict[str, NDArray[Any]]:
        """What each output gives in the next steps, (time, neuron): spikes, or potentials where it does not fire."""
        if self.session is None:  # from the beginning: the reference keeps no state
            part = {name: values[:end] for name, values in self.trials.inputs.items()}
            return {
                name: values[begin:] for name, values in outputs(self.network, part, end, simulate_dynamics).items()
            }
        entering = self.trials.entering(self.network, begin, end)
        return _outputs(self.network, end - begin, partial(self.session.run, entering))


def outputs(
    network: DynamicNetwork, inputs: Mapping[str, NDArray[Any]], n_steps: int, run: Callable[..., DynamicRecording]
) -> dict[str, NDArray[Any]]:
    """What each output gives in all steps, (time, neuron).

    Args:
        run: a `simulate_dynamics`.
    """
    return _outputs(network, n_steps, partial(run, network, inputs or None, n_steps=n_steps))


def _outputs(network: DynamicNetwork, n_steps: int, run: Callable[..., DynamicRecording]) -> dict[str, NDArray[Any]]:
    sources = {output.source for output in network.outputs}
    analog = {name for name in sources if isinstance(network[name].neuron, Analog)}
    with np.errstate(all="ignore"):  # a wrong contract may let potentials grow without end
        found = run(record=sorted(sources - analog), potentials=sorted(analog))
    values = {}
    for output in network.outputs:
        name = output.source
        raw = found.potentials[name][:, 0] if name in analog else found.spikes[name].train().raster[:, 0]
        values[output.name] = raw.reshape(n_steps, -1)
    return values
