"""The state of a session of the library as `SessionState` has it, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import Plan
from spikeport.native import DynamicsHandle
from spikeport.native.state import Neurons, Synapses
from spikeport.plugin.state import NeuronState, PlasticState, SessionState, back_of, ends_of, places_of


def state_of(handle: DynamicsHandle, plan: Plan) -> SessionState:
    """All that it knows; the session is as before."""
    batch, dtype = handle.batch, plan.dtype

    def room(*shape: int, kind: Any = dtype) -> NDArray[Any]:
        return np.zeros(shape, kind)

    neurons = {}
    for number, p in enumerate(plan.populations):
        each = (batch, p.size)
        found = Neurons(
            v=room(*each),
            second=room(*each),
            refractory=room(*each, kind=np.int64),
            fired=room(*each, kind=np.int64),
            arriving=room(p.slots - 1, *each),
        )
        handle.read_neurons(number, found)
        held = (found.v, found.second, found.refractory, found.fired, found.arriving)
        neurons[p.name] = NeuronState(*map(finished, held))
    plastic = {}
    for index, (delay, rule) in enumerate(_learning(plan)):
        sizes = [rule.pre_size] * len(rule.pre) + [rule.post_size] * len(rule.post)
        sizes += [len(rule.weights)] * len(rule.synapse)
        learned = Synapses(
            weights=room(batch, len(rule.weights)),
            traces=[room(batch, size) for size in sizes],
            passing=room(delay, batch, rule.post_size) if rule.dendritic else None,
        )
        handle.read_synapses(index, learned)
        traces = [finished(trace) for trace in learned.traces]
        pre, post = len(rule.pre), len(rule.pre) + len(rule.post)
        plastic[rule.name] = PlasticState(
            finished(learned.weights),
            tuple(traces[:pre]),
            tuple(traces[pre:post]),
            tuple(traces[post:]),
            None if learned.passing is None else finished(learned.passing),
        )
    sent = {}
    for name, number, size in _ends(plan):
        sent[name] = room(back_of(plan.network), batch, size)
        handle.read_sent(number, sent[name])
    return SessionState(handle.steps, batch, neurons, plastic, {n: finished(v) for n, v in sent.items()})


def put_state(handle: DynamicsHandle, plan: Plan, state: SessionState) -> None:
    """Make it what a session knows; it fits the network, and has the batch of the session."""
    handle.go_to(state.step)
    for number, p in enumerate(plan.populations):
        given = state.populations[p.name]
        handle.write_neurons(number, Neurons(given.v, given.second, given.refractory, given.fired, given.arriving))
    for index, (_, rule) in enumerate(_learning(plan)):
        learned = state.plastic[rule.name]
        traces = (*learned.pre, *learned.post, *learned.synapse)
        handle.write_synapses(index, Synapses(learned.weights, traces, learned.passing))
    for name, number, _ in _ends(plan):
        handle.write_sent(number, state.sent[name])


def finished(array: NDArray[Any]) -> NDArray[Any]:
    """Nobody writes to it any more, so that whoever keeps it need not copy it."""
    array.setflags(write=False)
    return array


def _learning(plan: Plan) -> list[tuple[int, Any]]:
    """Delay and rule of projections that learn, in the order in which the library knows them."""
    return [(p.delay, p.plastic) for p in plan.projections if p.plastic is not None]


def _ends(plan: Plan) -> list[tuple[str, int, int]]:
    """Name, number and size of the places whose sending is kept."""
    ends = set(ends_of(plan.network))
    return [(place.name, i, place.size) for i, place in enumerate(places_of(plan.network)) if place.name in ends]
