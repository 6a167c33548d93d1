"""The state of an engine that steps a network of fixed-point neurons, as `SessionState` has it, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.engine import Engine, Held
from spikeport.plugin.state import NeuronState, SessionState, ahead_of
from spikeport.primitives import DynamicNetwork, FixedCubaLIF, FixedResonateAndFire, FixedSigmaDelta
from spikeport.primitives.dynamic_network import MAX_DELAY

LATEST = 2**31 - 1 - MAX_DELAY
"""Steps that the simulators count to: a step of arrival still fits 32 bits."""


def state_of(engine: Engine, network: DynamicNetwork) -> SessionState:
    """All that it knows."""
    neurons = {}
    for name, held in engine.held().items():
        neuron, ahead, nothing = network[name].neuron, ahead_of(network, name), np.zeros_like(held.v)
        neurons[name] = NeuronState(
            v=held.v,
            second=held.second,
            refractory=held.third if isinstance(neuron, FixedCubaLIF) else nothing,
            fired=nothing,
            arriving=_in_register(held.arriving[:ahead]),
            imag=_in_register(held.imag[:ahead]) if isinstance(neuron, FixedResonateAndFire) else None,
            activation=held.third if isinstance(neuron, FixedSigmaDelta) else None,
        )
    return SessionState(engine.step_index, engine.samples, neurons)


def held_of(state: SessionState) -> dict[str, Held]:
    """For an engine; it fits the network."""
    return {
        name: Held(
            given.v,
            given.second,
            given.refractory if given.activation is None else given.activation,
            given.arriving,
            np.zeros_like(given.arriving) if given.imag is None else given.imag,
        )
        for name, given in state.populations.items()
    }


def _in_register(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lower 32 bits, the highest of them as the sign."""
    return sums.astype(np.int32).astype(np.int64)
