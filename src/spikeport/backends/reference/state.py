"""The state of the reference's steppers as `SessionState` has it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import FixedPlan, Plan
from spikeport.backends.reference.dynamics import DynamicStepper
from spikeport.backends.reference.fixed import FixedStepper, wrap
from spikeport.backends.reference.plastic import Plastic
from spikeport.plugin.state import NeuronState, PlasticState, SessionState, ahead_of, back_of, places_of
from spikeport.primitives import DynamicNetwork, FixedCubaLIF, FixedResonateAndFire, FixedSigmaDelta

Array = NDArray[Any]


def state_of(stepper: DynamicStepper | FixedStepper) -> SessionState:
    """All that it knows; the arrays are copies."""
    network, batch, step = stepper.plan.network, stepper.batch, stepper.step_index
    if isinstance(stepper, FixedStepper):
        return SessionState(step, batch, {p.name: _fixed(stepper, p.name) for p in network.populations})
    neurons = {}
    for name, held in stepper.state.items():
        arriving = rows(held.ring, step, ahead_of(network, name))
        neurons[name] = NeuronState(
            held.v.copy(), held.current.copy(), held.refractory.copy(), held.fired.copy(), arriving
        )
    learning = stepper.learning
    names = [place.name for place in places_of(network)]
    back = back_of(network)
    sent = {names[end]: rows(ring, step - 1, back, backwards=True) for end, ring in learning.sent.items()}
    return SessionState(step, batch, neurons, _learned(learning, step), sent)


def stepper_of(plan: Plan | FixedPlan, state: SessionState) -> DynamicStepper | FixedStepper:
    """One that goes on from a state, which fits the network."""
    if isinstance(plan, FixedPlan):
        return _fixed_stepper(plan, state)
    stepper = DynamicStepper(plan, state.batch)
    stepper.step_index = state.step
    _put_neurons(stepper, state)
    _put_learned(stepper, state)
    return stepper


def _put_neurons(stepper: DynamicStepper, state: SessionState) -> None:
    for name, given in state.populations.items():
        held = stepper.state[name]
        held.v, held.current = given.v.copy(), given.second.copy()
        held.refractory, held.fired = given.refractory.copy(), given.fired.copy()
        put(held.ring, state.step, given.arriving)


def _put_learned(stepper: DynamicStepper, state: SessionState) -> None:
    learning = stepper.learning
    for p, each, passing in zip(learning.places, learning.each, learning.passing, strict=True):
        assert p.plastic is not None
        found = state.plastic[p.plastic.name]
        each.w = found.weights.copy()
        each.pre, each.post, each.synapse = (
            [a.copy() for a in side] for side in (found.pre, found.post, found.synapse)
        )
        if found.passing is not None:
            put(passing, state.step, found.passing)
    names = [place.name for place in places_of(stepper.plan.network)]
    for end, ring in learning.sent.items():
        put(ring, state.step - 1, state.sent[names[end]], backwards=True)


def rows(ring: Array, first: int, count: int, *, backwards: bool = False) -> Array:
    """So many rows of a ring from one step on, forwards in time or backwards."""
    return ring[_places(ring, first, count, backwards)]


def put(ring: Array, first: int, values: Array, *, backwards: bool = False) -> None:
    """Write them."""
    ring[_places(ring, first, len(values), backwards)] = values


def _places(ring: Array, first: int, count: int, backwards: bool) -> NDArray[np.int64]:
    steps = np.arange(count)
    return (first - steps if backwards else first + steps) % len(ring)


def _learned(learning: Plastic, step: int) -> Mapping[str, PlasticState]:
    found = {}
    for p, each, passing in zip(learning.places, learning.each, learning.passing, strict=True):
        assert p.plastic is not None
        on_its_way = rows(passing, step, p.delay) if p.plastic.dendritic else None
        pre, post, synapse = (tuple(a.copy() for a in side) for side in (each.pre, each.post, each.synapse))
        found[p.plastic.name] = PlasticState(each.w.copy(), pre, post, synapse, on_its_way)
    return found


def _fixed(stepper: FixedStepper, name: str) -> NeuronState:
    network: DynamicNetwork = stepper.plan.network
    held, neuron = stepper.state[name], network[name].neuron
    ahead, nothing = ahead_of(network, name), np.zeros_like(held.v)
    return NeuronState(
        v=held.v.copy(),
        second=held.current.copy(),
        refractory=held.rest.copy() if isinstance(neuron, FixedCubaLIF) else nothing,
        fired=nothing,
        arriving=wrap(rows(held.ring, stepper.step_index, ahead), 31),
        imag=wrap(rows(held.imag, stepper.step_index, ahead), 31) if isinstance(neuron, FixedResonateAndFire) else None,
        activation=held.rest.copy() if isinstance(neuron, FixedSigmaDelta) else None,
    )


def _fixed_stepper(plan: FixedPlan, state: SessionState) -> FixedStepper:
    stepper = FixedStepper(plan, state.batch)
    stepper.step_index = state.step
    for name, given in state.populations.items():
        held = stepper.state[name]
        held.v, held.current = given.v.copy(), given.second.copy()
        held.rest = (given.refractory if given.activation is None else given.activation).copy()
        put(held.ring, state.step, given.arriving)
        if given.imag is not None:
            put(held.imag, state.step, given.imag)
    return stepper
