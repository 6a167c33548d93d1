"""Sessions that stop and go on: what a backend has to hold to that gives snapshots of hand-made networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from spikeport.backends.hosts import REFERENCE
from spikeport.errors import BackendError, DataError
from spikeport.plugin import BackendSession, SessionState, Step
from spikeport.plugin.inputs import spiking, with_membrane
from spikeport.plugin.restoring import state_problems
from spikeport.primitives import (
    IF,
    STDP,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    OneToOne,
    Projection,
    SpikeInput,
)
from spikeport.testing import cases
from spikeport.testing.carrying import Run, UnderTest

KINDS = ("spikes", "potentials", "currents")
MOST = 3
"""About how many networks of each kind are run."""


def runs(under_test: UnderTest) -> Iterator[Run]:
    """Every kind of neuron, delays, loops and learning, as far as a target carries them."""
    target = under_test.target
    found: list[Iterator[Run]] = [cases.neurons(kind, target) for kind in cases.NEURONS]
    found += [cases.structure(kind, target) for kind in cases.STRUCTURES]
    if "rule" in target.known("plasticity", frozenset()):
        found.append(iter([_learning("axonal"), _learning("dendritic")]))
    for each in found:
        carried = [
            run
            for run in each
            if isinstance(run.network, DynamicNetwork)
            and not under_test.refused(run.network)
            and not under_test.approximated(run.network)
        ]
        yield from carried[:: max(1, len(carried) // MOST)]  # contracts and parameters of all sorts


def _learning(delays: Any) -> Run:
    """A loop that learns, beside an input that does."""
    rule = STDP(a_plus=0.25, a_minus=0.125, w_max=2.0, delays=delays)
    network = DynamicNetwork(
        "learning",
        (SpikeInput("in", (4,)),),
        (DynamicPopulation("cells", (3,), IF(threshold=1.0)),),
        (
            Projection("in", "cells", (Dense(np.linspace(0.125, 1.0, 12).reshape(3, 4)),), delay=1, plasticity=rule),
            Projection("cells", "cells", (OneToOne(np.full(3, 0.5)),), delay=3, plasticity=rule),
        ),
        DynamicsContract(dt=1e-3, integrator="accumulate", layer_latency=1),
    )
    x = (np.random.default_rng(0).random((12, 3, 4)) < 0.5).astype(np.int64)
    return Run(network, {"in": x}, {"max_steps": 12}, f"a loop that learns, with {delays} delays")


def gives_states(session: BackendSession) -> bool:
    """Whether it does at all: nobody has to."""
    try:
        session.snapshot()
    except BackendError:
        return False
    return True


def check(under_test: UnderTest, run: Run) -> bool:
    """Hold a backend to the states that it gives; whether it gives any."""
    program = under_test.compile(run.network)
    network = program.network
    assert isinstance(network, DynamicNetwork)
    about, n_steps = run.about, run.arguments["max_steps"]
    batch = next((values.shape[1] for values in (run.x or {}).values()), 2)
    cut = n_steps // 2

    def steps(session: BackendSession, begin: int, end: int) -> Step:
        spikes = {name: values[begin:end] for name, values in (run.x or {}).items()}
        currents = {
            name: np.broadcast_to(values, (n_steps, batch, *network[name].shape))[begin:end]
            for name, values in run.arguments.get("currents", {}).items()
        }
        return session.advance(end - begin, spikes, currents)

    with under_test.open(program) as session:
        session.reset(batch)
        if not gives_states(session):
            return False
        steps(session, 0, cut)
        middle = session.snapshot()
        wrong = [str(problem) for problem in state_problems(network, middle)]
        assert not wrong, f"{about}: its snapshot is no state of the network: {'; '.join(wrong)}"
        expected = steps(session, cut, n_steps)
        end = session.snapshot()
        assert end.step == middle.step + n_steps - cut, f"{about}: its snapshot miscounts steps"
        _goes_on(session, middle, end, lambda s: steps(s, cut, n_steps), expected, about)
        _refuses(session, middle, network, about)
    with under_test.open(program) as fresh:  # open for another batch
        _goes_on(fresh, middle, end, lambda s: steps(s, cut, n_steps), expected, f"{about}, in a new session")
        if network.contract.arithmetic == "integer":
            with _reference(network) as other:
                other.reset(batch)
                steps(other, 0, cut)
                of_reference = other.snapshot()
            told = difference(middle, of_reference)
            assert told is None, f"{about}: its snapshot is not the reference's: {told}"
            _goes_on(
                fresh, of_reference, end, lambda s: steps(s, cut, n_steps), expected, f"{about}, from the reference"
            )
    return True


def _goes_on(
    session: BackendSession, state: SessionState, end: SessionState, steps: Any, expected: Step, about: str
) -> None:
    """A restored session does what the one did that the state was taken of."""
    session.restore(state)
    told = difference(session.snapshot(), state)
    assert told is None, f"{about}: restored, its snapshot is another: {told}"
    found = steps(session)
    for kind in KINDS:
        for name, values in getattr(expected, kind).items():
            mine = getattr(found, kind)[name]
            assert mine.dtype == values.dtype, f"{about}: restored, {kind} of {name} are of {mine.dtype}"
            assert mine.tobytes() == values.tobytes(), f"{about}: restored, {name} has other {kind}"
    told = difference(session.snapshot(), end)
    assert told is None, f"{about}: restored and stepped on, its snapshot is another: {told}"


def _refuses(session: BackendSession, state: SessionState, network: DynamicNetwork, about: str) -> None:
    """What does not fit is a `DataError`, after which the session is as before."""
    session.restore(state)
    name = network.populations[-1].name
    short = {**state.populations, name: replace(state.populations[name], v=state.populations[name].v[:, 1:])}
    others = {key: value for key, value in state.populations.items() if key != name}
    for what, wrong in (
        ("a population too short", replace(state, populations=short)),
        ("a population that is missing", replace(state, populations=others)),
        ("a step before the first", replace(state, step=-1)),
    ):
        try:
            session.restore(wrong)
        except DataError:
            told = difference(session.snapshot(), state)
            assert told is None, f"{about}: changed by a state that it refused, with {what}: {told}"
        else:
            raise AssertionError(f"{about}: took a state with {what}")


def _reference(network: DynamicNetwork) -> BackendSession:
    program = REFERENCE.compile(network, REFERENCE.targets[0], REFERENCE.options())
    return REFERENCE.open(program, record=tuple(spiking(network)), potentials=tuple(with_membrane(network)))


def arrays(state: SessionState) -> Iterator[tuple[str, Any]]:
    """All that a state holds, by a name for messages."""
    yield "step and batch", np.array([state.step, state.batch])
    parts: tuple[Mapping[str, Any], ...] = (state.populations, state.plastic)
    for each in parts:
        for name, part in each.items():
            for field in fields(part):
                held = getattr(part, field.name)
                for i, values in enumerate(held if isinstance(held, tuple) else (held,)):
                    yield f"{name}.{field.name}[{i}]", values
    for name, values in state.sent.items():
        yield f"sent[{name}]", values


def difference(found: SessionState, expected: SessionState) -> str | None:
    """The first thing that is other, bit for bit, the signs of zeros too."""
    mine, theirs = dict(arrays(found)), dict(arrays(expected))
    if mine.keys() != theirs.keys():
        return f"holds {', '.join(sorted(mine.keys() ^ theirs.keys()))}, or does not"
    for name, values in theirs.items():
        have = mine[name]
        if (have is None) != (values is None):
            return f"{name} is there, or is not"
        if values is None:
            continue
        if (have.dtype, have.shape) != (values.dtype, values.shape):
            return f"{name} is {have.dtype} {have.shape}, not {values.dtype} {values.shape}"
        if have.tobytes() != values.tobytes():
            places = np.argwhere(have != values)
            where = f" at {tuple(places[0].tolist())}" if len(places) else ", in the sign of a zero"
            return f"{name} differs{where}: {have[tuple(places[0])] if len(places) else ''}"
    return None
