"""Sessions that stop and go on: what they know, taken in any step, brings back what followed, on every backend of the same numerics."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport import native
from spikeport.backends.hosts import NATIVE, REFERENCE, TORCH
from spikeport.backends.loihi.backend import LOIHI1, LOIHI2
from spikeport.backends.loihi.engine import Engine, line_spikes, open_engine
from spikeport.backends.loihi.fixed import place_fixed
from spikeport.backends.loihi.state import LATEST, held_of
from spikeport.backends.loihi.state import state_of as of_chip
from spikeport.backends.native import DynamicSession
from spikeport.errors import BackendError, DataError, GraphError, LowerError
from spikeport.plugin import Backend
from spikeport.primitives import (
    IF,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    OneToOne,
    Projection,
    SpikeInput,
)
from tests.backends.loihi_networks import fixed_networks, parts_of
from tests.dynamic_networks import simulations
from tests.learning_networks import learners, recurrent
from tests.states import Driver, assert_equal_states, assert_equal_steps, opened

EXACT: list[Backend] = [REFERENCE, *([NATIVE] if native.available() else [])]
"""They compute the same bits."""
HAS_TORCH = find_spec("torch") is not None


def check_cuts(network: DynamicNetwork, drive: Driver, cuts: list[int], on: list[Backend] = EXACT) -> None:
    """Every backend gives the same states, and goes on from any of them, be it its own or another's."""
    expected, states = [], {}
    try:
        first = opened(on[0], network)
        first.reset()
    except GraphError as refused:  # drawn integers that may leave 64 bits: all say so
        for backend in on[1:]:
            with pytest.raises(GraphError, match=re.escape(str(refused))):
                opened(backend, network).reset()
        return
    with first:
        first.reset(drive.batch)
        for t in range(drive.n_steps):
            states[t] = first.snapshot()
            expected += drive.drive(first, t, t + 1)
        states[drive.n_steps] = first.snapshot()
    for backend in on:
        with opened(backend, network) as session:
            session.reset(drive.batch)
            assert_equal_states(session.snapshot(), states[0])
            assert_equal_steps(drive.drive(session, 0, drive.n_steps), expected)
            assert_equal_states(session.snapshot(), states[drive.n_steps])
            for cut in cuts:
                session.restore(states[cut])
                assert_equal_states(session.snapshot(), states[cut])
                assert_equal_steps(drive.drive(session, cut, drive.n_steps), expected[cut:])
                assert_equal_states(session.snapshot(), states[drive.n_steps])
        with opened(backend, network) as fresh:  # which was open for another batch
            fresh.restore(states[cuts[-1]])
            assert_equal_steps(drive.drive(fresh, cuts[-1], drive.n_steps), expected[cuts[-1] :])


@settings(max_examples=30, deadline=None)
@given(simulations(), st.data())
@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")  # drawn loops grow to infinity
def test_networks_go_on_from_any_step(case: tuple[DynamicNetwork, dict[str, Any]], data: Any) -> None:
    network, arguments = case
    batch = next((len(v[0]) for v in (arguments["x"] or {}).values()), 2)
    for values in arguments["currents"].values():
        lead = np.ndim(values) - len(network.populations[0].shape)
        batch = np.shape(values)[lead - 1] if lead else batch
    cuts = [data.draw(st.integers(0, arguments["n_steps"]), label="cut") for _ in range(2)]
    integer = network.contract.arithmetic == "integer"
    drive = Driver(network, batch, arguments["n_steps"], arguments)
    check_cuts(network, drive, cuts, [*EXACT, TORCH] if integer and HAS_TORCH else EXACT)
    if HAS_TORCH and not integer:  # whose sums are its own, and so are its states
        with suppress(DataError):  # potentials that leave their range on the way to others
            check_cuts(network, drive, cuts, [TORCH])


@settings(max_examples=40, deadline=None)
@given(learners(), st.data())
def test_networks_that_learn_go_on_from_any_step(case: tuple[DynamicNetwork, dict[str, Any]], data: Any) -> None:
    network, arguments = case
    n_steps, batch, _ = arguments["x"].shape
    cuts = [data.draw(st.integers(0, n_steps), label="cut") for _ in range(2)]
    check_cuts(network, Driver(network, batch, n_steps, arguments), cuts)


@pytest.mark.skipif(not native.available(), reason=native.why_missing())
@pytest.mark.parametrize("delays", ["axonal", "dendritic"])
@pytest.mark.parametrize("arithmetic", ["float64", "integer"])
def test_states_do_not_depend_on_threads(arithmetic: Any, delays: Any) -> None:
    """Large enough to be cut into parts, which keep traces of their own."""
    network = recurrent(arithmetic, delays)
    rng = np.random.default_rng(1)
    drive = rng.integers(0, 60, (12, 1, 1500)) if arithmetic == "integer" else rng.random((12, 1, 1500)) * 4
    reward = np.where(np.arange(12) % 5 == 0, 2, -1)[:, None]

    def steps(session: Any, begin: int, end: int) -> None:
        part = slice(begin, end)
        session.run(n_steps=end - begin, currents={"n": drive[part]}, modulation={"reward": reward[part]})

    with DynamicSession(network, threads=1) as one, DynamicSession(network, threads=2) as two:
        steps(one, 0, 7)
        middle = one.snapshot()
        steps(one, 7, 12)
        assert one.snapshot().populations["n"].fired.any()
        two.restore(middle)
        assert_equal_states(two.snapshot(), middle)
        steps(two, 7, 12)
        assert_equal_states(two.snapshot(), one.snapshot())
        two.reset()
        steps(two, 0, 7)
        assert_equal_states(two.snapshot(), middle)
        one.restore(two.snapshot())
        steps(one, 7, 12)
        steps(two, 7, 12)
        assert_equal_states(one.snapshot(), two.snapshot())
    with DynamicSession(network, batch=2) as pair:
        of_two = pair.snapshot()
    with (
        DynamicSession(network) as two,
        pytest.raises(DataError, match=r"state\.batch: is 2, and the session was opened"),
    ):
        two.restore(of_two)


ENGINES = ["numpy", *(["native"] if native.available() else [])]


@settings(max_examples=40, deadline=None)
@given(fixed_networks(), st.integers(0, 2**32), st.data())
def test_chips_go_on_from_any_step(case: tuple[DynamicNetwork, dict[str, Any]], seed: int, data: Any) -> None:
    network, x = case
    n_steps, batch = next(iter(x.values())).shape[:2]
    placed = place_fixed(network, parts_of(network.populations, np.random.default_rng(seed)))
    drive = Driver(network, batch, n_steps, {"x": x})
    with opened(REFERENCE, network) as session:
        session.reset(batch)
        states = [session.snapshot()]
        for t in range(n_steps):
            drive.drive(session, t, t + 1)
            states.append(session.snapshot())
        for cut in (0, data.draw(st.integers(0, n_steps), label="cut")):
            session.restore(states[cut])
            drive.drive(session, cut, n_steps)
            assert_equal_states(session.snapshot(), states[n_steps])

    def steps(engine: Engine, begin: int, end: int) -> None:
        engine.advance(end - begin, {name: line_spikes(values[begin:end]) for name, values in x.items()})

    for on in ENGINES:
        engine = open_engine(placed, batch, on=on, threads=1)
        for t in range(n_steps):
            assert_equal_states(of_chip(engine, network), states[t])
            steps(engine, t, t + 1)
        assert_equal_states(of_chip(engine, network), states[n_steps])
        cut = data.draw(st.integers(0, n_steps), label="cut")
        engine.hold(cut, held_of(states[cut]))
        assert_equal_states(of_chip(engine, network), states[cut])
        if cut < n_steps:
            steps(engine, cut, n_steps)
        assert_equal_states(of_chip(engine, network), states[n_steps])


@settings(max_examples=25, deadline=None)
@given(fixed_networks(), st.data())
def test_sessions_of_chips_go_on(case: tuple[DynamicNetwork, dict[str, Any]], data: Any) -> None:
    network, x = case
    backend = {"loihi1": LOIHI1, "loihi2": LOIHI2}[network.contract.integrator]
    n_steps, batch = next(iter(x.values())).shape[:2]
    clipped = {name: np.clip(values, 0, 1) for name, values in x.items()}
    try:
        opened(backend, network).close()
    except LowerError:
        return
    cuts = [data.draw(st.integers(0, n_steps), label="cut") for _ in range(2)]
    check_cuts(network, Driver(network, batch, n_steps, {"x": clipped}), cuts, [REFERENCE, backend])


@pytest.mark.parametrize("backend", [LOIHI1, LOIHI2], ids=lambda b: b.name)
def test_what_chips_do_not_step_as_it_is_has_no_state(backend: Backend) -> None:
    carried = DynamicNetwork(
        "carried",
        (SpikeInput("in", (2,)),),
        (DynamicPopulation("n", (2,), IF(threshold=3)),),
        (Projection("in", "n", (OneToOne(np.array([2, 4])),)),),
        DynamicsContract(
            dt=1e-3,
            integrator="accumulate",
            arithmetic="integer",
            state_bits=24,
            compare=">",
            reset="to_value",
            layer_latency=1,
        ),
    )
    state = REFERENCE.open(
        REFERENCE.compile(carried, REFERENCE.targets[0], REFERENCE.options()), record=(), potentials=()
    ).snapshot()
    with opened(backend, carried) as session:
        for use in (session.snapshot, lambda: session.restore(state)):
            with pytest.raises(BackendError, match="carried: is carried by other neurons"):
                use()


@pytest.mark.parametrize("backend", [LOIHI1, LOIHI2], ids=lambda b: b.name)
def test_chips_count_to_the_end_of_their_register(backend: Any) -> None:
    neuron = FixedCubaLIF(du=0, dv=0, threshold=64)
    network = DynamicNetwork(
        "cells",
        (SpikeInput("in", (2,)),),
        (DynamicPopulation("n", (2,), neuron),),
        (Projection("in", "n", (OneToOne(np.array([2, 4])),), delay=1),),
        DynamicsContract.loihi(backend.name),
    )
    with opened(backend, network) as session, opened(REFERENCE, network) as other:
        last = replace(other.snapshot(), step=LATEST - 2)
        for each in (session, other):
            each.restore(last)
            each.step({"in": np.ones((1, 2))})
            each.step()
        assert_equal_states(session.snapshot(), other.snapshot())
        with pytest.raises(DataError, match="beyond step"):
            session.step()
        with pytest.raises(DataError, match=r"state\.step"):
            session.restore(replace(last, step=LATEST + 1))
