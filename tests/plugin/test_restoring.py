"""States that do not fit: refused as a whole and by name, by every session, which then is as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from spikeport import native
from spikeport.backends.hosts import NATIVE, REFERENCE, TORCH
from spikeport.codes import encode
from spikeport.errors import BackendError, DataError
from spikeport.plugin import Backend, SessionState
from spikeport.primitives import (
    IF,
    LIF,
    STDP,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    I,
    OneToOne,
    Projection,
    SigmaDelta,
    SpikeInput,
)
from spikeport.testing.resuming import arrays
from tests.integer_networks import random_network
from tests.states import assert_equal_states, opened

HOSTS = [REFERENCE, *([NATIVE] if native.available() else [])]
by_name: Any = {"ids": lambda backend: backend.name}


def floats() -> DynamicNetwork:
    """One population that learns both ways, and one that does not."""
    cells = DynamicPopulation("cells", (3,), LIF(tau=0.01, refractory=np.array([0, 1e-3, 2e-3])))
    plain = DynamicPopulation("plain", (2,), I())
    return DynamicNetwork(
        "floats",
        (SpikeInput("in", (2,)),),
        (cells, plain),
        (
            Projection("in", "cells", (Dense(np.full((3, 2), 0.75)),), delay=1, plasticity=STDP(w_max=1.0)),
            Projection(
                "cells",
                "cells",
                (OneToOne(np.ones(3)),),
                delay=2,
                plasticity=STDP(w_max=1.0, delays="dendritic"),
            ),
            Projection("cells", "plain", (Dense(np.ones((2, 3))),), delay=3),
        ),
        DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta"),
    )


def integers() -> DynamicNetwork:
    several = DynamicsContract(dt=1e-3, integrator="accumulate", arithmetic="integer", state_bits=8, spikes="multi")
    single = replace(several, spikes="single")
    return DynamicNetwork(
        "integers",
        (SpikeInput("in", (2,)),),
        (
            DynamicPopulation("cells", (2,), IF(threshold=3, r=2)),
            DynamicPopulation("one", (2,), IF(threshold=3), single),
            DynamicPopulation("changes", (2,), SigmaDelta(threshold=1), single),
        ),
        (
            Projection("in", "cells", (OneToOne(np.array([2, 3])),), delay=2),
            Projection("cells", "one", (OneToOne(np.array([1, 1])),), delay=1),
            Projection("cells", "changes", (OneToOne(np.array([1, 1])),), delay=1),
        ),
        several,
    )


def chip(name: Any) -> DynamicNetwork:
    neurons: list[Any] = [FixedCubaLIF(du=0, dv=0, threshold=64, refractory=3 if name == "loihi1" else 1)]
    if name == "loihi2":
        neurons += [
            FixedSigmaDelta(threshold=2, bias=1),
            FixedResonateAndFire(cos=3000, sin=2000, threshold=9),
            GradedThreshold(threshold=1),
        ]
    populations = tuple(DynamicPopulation(f"n{i}", (2,), neuron) for i, neuron in enumerate(neurons))
    projections = tuple(Projection("in", p.name, (OneToOne(np.array([2, 4])),), delay=1) for p in populations)
    if name == "loihi2":
        projections += (replace(projections[2], port="imag"),)
    contract = DynamicsContract.loihi(name)
    return DynamicNetwork(name, (SpikeInput("in", (2,)),), populations, projections, contract)


def state_of(network: DynamicNetwork, steps: int = 3) -> SessionState:
    with opened(REFERENCE, network) as session:
        session.reset(2)
        for _ in range(steps):
            session.step({"in": np.ones((2, 2), np.int64)})
        return session.snapshot()


def changed(state: SessionState, name: str, **fields: Any) -> SessionState:
    """Another state of one population or projection; functions change what was there."""
    kind = "populations" if name in state.populations else "plastic"
    given = getattr(state, kind)
    made = {key: value(getattr(given[name], key)) if callable(value) else value for key, value in fields.items()}
    return replace(state, **{kind: {**given, name: replace(given[name], **made)}})


def with_one(value: Any) -> Callable[[Any], Any]:
    """The last entry is this."""

    def put(values: Any) -> Any:
        values = values.copy()
        values[(-1,) * values.ndim] = value
        return values

    return put


IN, LOOP = "in -> cells", "cells -> cells"
WRONG_FLOATS: dict[str, tuple[Callable[[SessionState], Any], str]] = {
    "no state": (lambda s: {"step": 3}, "state: is a dict"),
    "a step before the first": (lambda s: replace(s, step=-1), "state.step: is -1"),
    "a step that is true": (lambda s: replace(s, step=True), "state.step: is True"),
    "no batch": (lambda s: replace(s, batch=2.0), "state.batch: is 2.0"),
    "another batch": (lambda s: replace(s, batch=3), r"cells.v: has shape \(2, 3\), and the network \(3, 3\)"),
    "a population is missing": (
        lambda s: replace(s, populations={"cells": s.populations["cells"]}),
        "plain: is not among the populations of the state",
    ),
    "a population too many": (
        lambda s: replace(s, populations={**s.populations, "more": s.populations["plain"]}),
        "more: is in the state, and is no population of floats",
    ),
    "no mapping": (lambda s: replace(s, plastic=()), "state.plastic: is a tuple"),
    "no neurons": (lambda s: replace(s, populations={**s.populations, "plain": 3}), "plain: its state is a int"),
    "another arithmetic": (
        lambda s: changed(s, "cells", v=lambda v: v.astype(np.float32)),
        "cells.v: is of float32, and the network's arithmetic has float64",
    ),
    "words": (lambda s: changed(s, "cells", v=np.full((2, 3), "x")), "cells.v: is of <U1"),
    "another number of neurons": (
        lambda s: changed(s, "plain", second=np.zeros((2, 3))),
        r"plain.second: has shape \(2, 3\), and the network \(2, 2\)",
    ),
    "too little on its way": (
        lambda s: changed(s, "plain", arriving=lambda a: a[:-1]),
        r"plain.arriving: has shape \(2, 2, 2\), and the network \(3, 2, 2\)",
    ),
    "deaf before any time": (
        lambda s: changed(s, "cells", refractory=with_one(-1)),
        "cells.refractory: has -1",
    ),
    "deaf for longer than a period": (
        lambda s: changed(s, "cells", refractory=with_one(3)),
        "cells.refractory: has 3",
    ),
    "deaf without a period": (lambda s: changed(s, "plain", refractory=with_one(1)), "plain.refractory: has 1"),
    "two spikes of one": (lambda s: changed(s, "cells", fired=with_one(2)), "cells.fired: has 2, and is 1 at most"),
    "less than none": (lambda s: changed(s, "cells", fired=with_one(-1)), "cells.fired: has -1, and is 0 at least"),
    "spikes of what never spikes": (lambda s: changed(s, "plain", fired=with_one(1)), "plain.fired: has 1"),
    "a second state of what has none": (
        lambda s: changed(s, "cells", second=with_one(0.5)),
        "cells.second: has 0.5, and is 0 at most",
    ),
    "a port of what has none": (
        lambda s: changed(s, "cells", imag=np.zeros((3, 2, 3))),
        "cells.imag: is in the state, and LIF has none",
    ),
    "a projection is missing": (
        lambda s: replace(s, plastic={IN: s.plastic[IN]}),
        f"{LOOP}: is not among the plastic of the state",
    ),
    "weights beyond their bound": (lambda s: changed(s, IN, weights=with_one(1.5)), f"{IN}: weights: has 1.5"),
    "too few synapses": (
        lambda s: changed(s, IN, weights=lambda w: w[:, 1:]),
        rf"{IN}: weights: has shape \(2, 5\), and the network \(2, 6\)",
    ),
    "too few traces": (lambda s: changed(s, IN, pre=()), f"{IN}: pre: has 0 traces"),
    "a trace of others": (
        lambda s: changed(s, IN, post=lambda t: (np.zeros((2, 2)),)),
        rf"{IN}: .*: has shape \(2, 2\), and the network \(2, 3\)",
    ),
    "a dendrite without what passes": (
        lambda s: changed(s, LOOP, passing=None),
        f"{LOOP}: passing: is a NoneType",
    ),
    "an axon as a dendrite": (
        lambda s: changed(s, IN, passing=np.zeros((1, 2, 3))),
        f"{IN}: passing: is in the state, and delays are axonal",
    ),
    "nothing of what was sent": (
        lambda s: replace(s, sent={"in": s.sent["in"]}),
        "cells: is not among the sent of the state",
    ),
    "too little of what was sent": (
        lambda s: replace(s, sent={**s.sent, "in": s.sent["in"][1:]}),
        r"sent\['in'\]: has shape \(1, 2, 2\), and the network \(2, 2, 2\)",
    ),
    "sent before the first step": (
        lambda s: replace(s, step=1, sent={**s.sent, "cells": np.ones((2, 2, 3))}),
        r"sent\['cells'\]: has something of before the first step",
    ),
    "half a spike": (
        lambda s: replace(s, sent={**s.sent, "cells": np.full((2, 2, 3), 0.5)}),
        r"sent\['cells'\]: has fractions of spikes",
    ),
    "no number was sent": (
        lambda s: replace(s, sent={**s.sent, "in": np.full((2, 2, 2), np.nan)}),
        r"sent\['in'\]: has values that are no numbers",
    ),
}
WRONG_INTEGERS: dict[str, tuple[Callable[[SessionState], Any], str]] = {
    "a potential beyond its bits": (lambda s: changed(s, "cells", v=with_one(128)), "cells.v: has 128"),
    "a potential below its bits": (lambda s: changed(s, "cells", v=with_one(-129)), "cells.v: has -129"),
    "more spikes than thresholds": (lambda s: changed(s, "cells", fired=with_one(129)), "cells.fired: has 129"),
    "several of one": (lambda s: changed(s, "one", fired=with_one(2)), "one.fired: has 2"),
    "a difference as spikes": (lambda s: changed(s, "changes", fired=with_one(1)), "changes.fired: has 1"),
    "more than was ever sent": (lambda s: changed(s, "changes", second=with_one(128)), "changes.second: has 128"),
    "sums that leave 64 bits": (
        lambda s: changed(s, "cells", arriving=with_one(2**61)),
        "cells.arriving: reach 2,305,843,009,213,693,952, which may leave 64 bits",
    ),
    "the smallest integer": (
        lambda s: changed(s, "cells", arriving=with_one(-(2**63))),
        "cells.arriving: reach 9,223,372,036,854,775,808",
    ),
}


def refused(backend: Backend, network: DynamicNetwork, wrong: Callable[[SessionState], Any], match: str) -> None:
    state = state_of(network)
    with opened(backend, network) as session:
        session.restore(state)
        with pytest.raises(DataError, match=match):
            session.restore(wrong(state))
        assert_equal_states(session.snapshot(), state)


@pytest.mark.parametrize("name", WRONG_FLOATS)
@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_states_of_floats_that_do_not_fit_are_refused(backend: Backend, name: str) -> None:
    refused(backend, floats(), *WRONG_FLOATS[name])


@pytest.mark.parametrize("name", WRONG_INTEGERS)
@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_states_of_integers_that_do_not_fit_are_refused(backend: Backend, name: str) -> None:
    refused(backend, integers(), *WRONG_INTEGERS[name])


@pytest.mark.parametrize(
    ("name", "population", "field", "low", "high"),
    [
        ("loihi1", "n0", "v", -(2**23) + 1, 2**23 - 1),
        ("loihi1", "n0", "second", -(2**23), 2**23 - 1),
        ("loihi1", "n0", "refractory", 0, 2),
        ("loihi2", "n0", "v", -(2**23) + 1, 2**23 - 1),
        ("loihi2", "n0", "second", -(2**31), 2**31 - 1),
        ("loihi2", "n0", "refractory", 0, 0),
        ("loihi2", "n1", "activation", -(2**31), 2**31 - 1),
        ("loihi2", "n2", "imag", -(2**31), 2**31 - 1),
        ("loihi2", "n2", "second", -(2**23) + 1, 2**23 - 1),
        ("loihi2", "n3", "v", 0, 0),
        ("loihi2", "n3", "arriving", -(2**31), 2**31 - 1),
        ("loihi2", "n3", "fired", 0, 0),
    ],
)
def test_states_of_chips_end_where_registers_do(name: str, population: str, field: str, low: int, high: int) -> None:
    network = chip(name)
    state = state_of(network)
    with opened(REFERENCE, network) as session:
        for end in (low, high):
            session.restore(changed(state, population, **{field: with_one(end)}))
            session.step()
        for beyond in (low - 1, high + 1):
            with pytest.raises(DataError, match=rf"{population}\.{field}"):
                session.restore(changed(state, population, **{field: with_one(beyond)}))


def test_nothing_is_on_its_way_to_a_port_that_nothing_leads_to() -> None:
    whole = chip("loihi2")
    network = replace(whole, projections=whole.projections[:-1])
    state = state_of(network)
    with opened(REFERENCE, network) as session, pytest.raises(DataError, match=r"n2\.imag: has something on its way"):
        session.restore(changed(state, "n2", imag=with_one(1)))


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_the_largest_integers_that_fit_are_taken(backend: Backend) -> None:
    network = integers()
    largest = changed(state_of(network), "cells", v=with_one(127), arriving=with_one(2**61 - 1), fired=with_one(128))
    with opened(backend, network) as session, opened(REFERENCE, network) as other:
        for each in (session, other):
            each.restore(largest)
            for _ in range(4):
                each.step({"in": np.full((2, 2), 2**15)})
        assert_equal_states(session.snapshot(), other.snapshot())


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_potentials_may_have_gone_to_infinity(backend: Backend) -> None:
    network = floats()
    diverged = changed(state_of(network), "plain", v=np.array([[np.inf, np.nan], [-np.inf, 1.0]]))
    with opened(backend, network) as session:
        session.restore(diverged)
        assert_equal_states(session.snapshot(), diverged)


def test_every_problem_is_told_at_once() -> None:
    network = floats()
    state = changed(state_of(network), "cells", fired=with_one(7), refractory=with_one(9))
    state = changed(changed(state, IN, weights=with_one(-2.0)), "plain", v=np.zeros(3))
    with opened(REFERENCE, network) as session, pytest.raises(DataError) as caught:
        session.restore(state)
    assert [p.where for p in caught.value.problems] == [
        "cells.refractory",
        "cells.fired",
        "plain.v",
        "in -> cells: weights",
    ]


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_late_steps_are_counted_on(backend: Backend) -> None:
    """The library notes steps of spikes in 32 bits."""
    network = floats()
    state = replace(state_of(network), step=2**32 - 2)
    with opened(backend, network) as session, opened(REFERENCE, network) as other:
        for each in (session, other):
            each.restore(state)
        spikes = {"in": np.ones((6, 2, 2), np.int64)}
        mine, theirs = session.advance(6, spikes), other.advance(6, spikes)
        for name, raster in theirs.spikes.items():
            assert np.array_equal(mine.spikes[name], raster)
        assert theirs.spikes["cells"].any()
        assert session.snapshot().step == 2**32 + 4
        assert_equal_states(session.snapshot(), other.snapshot())


def test_what_a_state_holds_cannot_be_written_to() -> None:
    state = state_of(floats())
    held = [values for name, values in arrays(state) if name != "step and batch" and values is not None]
    assert len(held) > 15
    assert not any(values.flags.writeable for values in held)


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_snapshots_stay_what_they_are(backend: Backend) -> None:
    network = floats()
    with opened(backend, network) as session:
        session.reset(2)
        session.step({"in": np.ones((2, 2))})
        before = session.snapshot()
        kept = {name: None if v is None else v.copy() for name, v in arrays(before)}
        for _ in range(5):
            session.step({"in": np.ones((2, 2))})
        session.restore(before)
        for _ in range(5):
            session.step({"in": np.ones((2, 2))})
    for name, values in arrays(before):
        assert values is None or np.array_equal(values, kept[name]), name


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_third_factors_are_told_anew(backend: Backend) -> None:
    from spikeport.primitives import RewardSTDP

    plain = floats()
    rewarded = replace(plain.projections[0], plasticity=RewardSTDP(w_max=1.0))
    network = replace(plain, projections=(rewarded, *plain.projections[1:]))
    with opened(backend, network) as session:
        session.reset(2)
        session.modulate({"reward": np.ones((2, 1))})
        session.step()
        session.restore(session.snapshot())
        with pytest.raises(DataError, match="reward"):
            session.step()


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_closed_sessions_and_converted_networks_say_so(backend: Backend) -> None:
    network = floats()
    state = state_of(network)
    session = opened(backend, network)
    session.close()
    for use in (session.snapshot, lambda: session.restore(state)):
        with pytest.raises(BackendError, match="closed"):
            use()
    converted = encode(random_network(0), "signed")
    with opened(backend, converted) as session:  # type: ignore[arg-type]  # that is the point
        with pytest.raises(BackendError, match="samples of a converted one begin anew"):
            session.snapshot()
        with pytest.raises(BackendError, match="samples of a converted one begin anew"):
            session.restore(state)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_torch_refuses_what_does_not_fit_and_stays_as_it_was() -> None:
    for name in WRONG_INTEGERS:
        refused(TORCH, integers(), *WRONG_INTEGERS[name])
