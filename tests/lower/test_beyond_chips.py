"""What simulators step and no chip does is refused by name, not left out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.errors import LowerError
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    Projection,
    SpikeInput,
)

PLAIN = DynamicsContract(dt=1e-3, integrator="exponential")


def network(neuron: Any, *, own: DynamicsContract | None = None, contract: DynamicsContract = PLAIN) -> DynamicNetwork:
    populations = (DynamicPopulation("n", (2,), neuron, own), DynamicPopulation("m", (2,), LIF(tau=0.02)))
    dense = (Dense(np.array([[1.0, 0.5], [0.25, 1.0]])),)
    projections = (Projection("in", "n", dense), Projection("n", "m", dense))
    return DynamicNetwork("net", (SpikeInput("in", (2,)),), populations, projections, contract)


CASES = [
    (network(LIF(tau=0.02, v_min=-1.0)), "lowest potential"),
    (network(LIF(tau=0.02), own=replace(PLAIN, compare=">=")), "contract of its own"),
    (network(LIF(tau=0.02), contract=replace(PLAIN, spikes="multi")), "several spikes a step|computes in float64"),
    (network(LI(tau=0.02)), "n: .*LI"),
]


@pytest.mark.parametrize(("made", "why"), CASES, ids=[why for _, why in CASES])
@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_compiling_refuses_it_by_name(made: DynamicNetwork, why: str, target: str) -> None:
    with pytest.raises(LowerError, match=why):
        sp.compile(made, target)


@pytest.mark.parametrize(("made", "why"), CASES[:3], ids=[why for _, why in CASES[:3]])
@pytest.mark.parametrize("target", ["loihi2", "spinnaker1", "brainscales2"])
def test_check_says_so(made: DynamicNetwork, why: str, target: str) -> None:
    found = sp.check(made, target)
    assert any(re.search(why, reason.why) for reason in found.reasons), [str(r) for r in found.reasons]


def test_a_potential_that_is_sent_needs_numbers_in_spikes() -> None:
    found = sp.check(network(LI(tau=0.02)), "spinnaker1")
    assert any(r.where == "n" and "sends its potential" in r.why for r in found.reasons)
    read = network(LI(tau=0.02))
    read = replace(read, projections=read.projections[:1])
    assert not any("sends its potential" in r.why for r in sp.check(read, "spinnaker1").reasons)


def test_what_is_plain_goes_on() -> None:
    assert not any("of its own" in r.why or "lowest" in r.why for r in sp.check(network(IF()), "loihi2").reasons)
