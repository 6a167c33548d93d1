"""Learning rules as values: what is refused, all of it at once, and what the known rules are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeport.errors import GraphError, OptionError
from spikeport.primitives import (
    IF,
    PES,
    STDP,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    Factor,
    Oja,
    OneToOne,
    Projection,
    Reshape,
    RewardSTDP,
    Rule,
    Sparse,
    SpikeInput,
    SynapticScaling,
    Term,
    Trace,
)

X, Y = Trace("x", "pre", 0.02), Trace("y", "post", 0.02)
UP, DOWN = Term("post", 0.1, (Factor("x"),)), Term("pre", -0.1, (Factor("y"),))
PAIRS = Rule("pairs", (X, Y), (UP, DOWN), w_min=0.0, w_max=1.0)


def whys(error: pytest.ExceptionInfo[Any]) -> list[str]:
    return [problem.where for problem in error.value.problems]


def test_all_problems_of_a_rule_are_named_at_once() -> None:
    traces = (replace(X, tau=-1.0), replace(Y, name="w"), Trace("idle", "pre", 0.1), Trace("e", "synapse", 1.0, 2.0))
    terms = (
        Term("post", float("nan"), (Factor("x"),)),
        Term("pre", 1.0, (Factor("missing"), Factor("x", float("inf")))),
        Term("pre", 1.0, (Factor("e"),), into="x"),
        Term("post", 1.0, every=3),
        Term("sometimes", 1.0),  # type: ignore[arg-type]
    )
    with pytest.raises(GraphError) as error:
        Rule("bad", traces, terms, w_min=2.0, w_max=1.0, seed=-1, rounding="up")  # type: ignore[arg-type]
    found = "\n".join(map(str, error.value.problems))
    for said in (
        "bad.x.tau: is -1.0",
        "'w' is the name of two things",
        "bad.idle: is used by no term",
        "bad.e: is a trace of synapses, which events do not drive",
        "bad.terms[0].coefficient: is nan",
        "'missing' is no trace",
        "bad.terms[1].x: its constant is inf",
        "bad.terms[2]: adds to 'x'",
        'bad.terms[3]: is on "post", which has no rhythm',
        "bad.terms[4].on: is 'sometimes'",
        "bad.w_min: is 2, above w_max, 1",
        "bad.seed: is -1",
        "bad.rounding: is 'up'",
    ):
        assert said in found


@pytest.mark.parametrize(
    "change",
    [{"terms": ()}, {"traces": [X, Y]}, {"terms": (UP, "pre")}, {"name": ""}, {"delays": "none"}, {"third": ("x",)}],
)
def test_a_rule_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        replace(PAIRS, **change)


def test_known_rules_are_rules() -> None:
    for rule in (STDP(), STDP(mu=(1, 2), nearest=True), RewardSTDP(), PES(), Oja(), SynapticScaling(target=5.0)):
        assert replace(rule) == rule
    assert RewardSTDP(reward="dopamine").third == ("dopamine",)
    assert STDP(nearest=True).traces[0].kind == "set"


@pytest.mark.parametrize("mu", [0.5, -1, 4, True, (1, 0.5), (1, 1, 1)])
def test_a_power_that_is_no_product_is_refused(mu: Any) -> None:
    with pytest.raises(OptionError, match=r"STDP\.mu"):
        STDP(mu=mu)


def test_an_empty_range_is_refused_where_changes_depend_on_it() -> None:
    with pytest.raises(OptionError, match="not above w_min"):
        STDP(mu=1, w_min=1.0, w_max=1.0)


def network(*synapses: Any, delay: int = 1, rule: Any = PAIRS, latency: Any = 0) -> DynamicNetwork:
    contract = DynamicsContract(dt=1e-3, integrator="accumulate", layer_latency=latency)
    projection = Projection("in", "n", synapses, delay=delay, plasticity=rule)
    return DynamicNetwork(
        "one", (SpikeInput("in", (2,)),), (DynamicPopulation("n", (2,), IF()),), (projection,), contract
    )


def test_what_learns_has_a_weight_for_each_synapse() -> None:
    dense = Dense(np.full((2, 2), 0.5))
    assert network(dense).plastic == {"in -> n": 0}
    assert network(Reshape((2,)), OneToOne(np.array(0.5))).plastic
    for chain in (
        (),
        (dense, dense),
        (dense, OneToOne(np.array(1.0))),
        (Conv(np.ones((1, 1, 1)), (1,), ((0, 0),), (1,)),),
    ):
        with pytest.raises(GraphError, match="in -> n: learns by pairs"):
            network(*chain)
    with pytest.raises(GraphError, match="its plasticity is a str"):
        network(dense, rule="STDP")


def test_weights_begin_within_their_bounds() -> None:
    network(Dense(np.array([[0.0, 1.0], [1.0, 0.0]])))
    with pytest.raises(GraphError) as error:
        network(Dense(np.array([[-0.125, 1.0], [1.5, 0.0]])))
    assert "down to -0.125" in str(error.value)
    assert "up to 1.5" in str(error.value)


def test_a_dendrite_needs_a_delay() -> None:
    slow = replace(PAIRS, delays="dendritic")
    one = Dense(np.full((2, 2), 0.5))
    network(one, rule=slow, delay=1)
    network(one, rule=slow, delay=0, latency=1)
    with pytest.raises(GraphError, match="what passes a dendrite arrives in a later step"):
        network(one, rule=slow, delay=0)


def test_projections_that_learn_have_names_of_their_own() -> None:
    one = network(Sparse([0, 1, 1], [0], [0.5], post=2))
    (first,) = one.projections
    still = replace(first, plasticity=None)
    twice = replace(one, projections=(still, first, first))
    assert twice.plastic == {"in -> n #2": 1, "in -> n #3": 2}
    assert replace(one, projections=(replace(first, plasticity=RewardSTDP()),)).third_factors == {"reward": ("n",)}
