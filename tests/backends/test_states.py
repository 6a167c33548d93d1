"""Sessions that stop and go on: what they know, taken in any step, brings back what followed, on every backend of the same numerics."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport import native
from spikeport.backends.hosts import NATIVE, REFERENCE, TORCH
from spikeport.errors import DataError, GraphError
from spikeport.plugin import Backend
from spikeport.primitives import DynamicNetwork
from tests.dynamic_networks import simulations
from tests.learning_networks import learners
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
