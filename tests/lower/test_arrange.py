"""A placement of one's own is counted as ours is, and held to the same limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from spikeport import codes
from spikeport.errors import LowerError, OptionError
from spikeport.lower import Part, arrange, place
from tests.integer_networks import random_network
from tests.lower.targets import chip
from tests.lower.test_place import dense, hand_made

PAIR = hand_made(dense("in", "a", 6, 3), dense("a", "b", 4, 6), sizes={"in": 3, "a": 6, "b": 4})
WIDE = chip(placement="slices", cores=8, weight_bits=8)
HALVES = (Part("a", 0, 3, 0), Part("a", 3, 6, 1), Part("b", 0, 4, 1))


def problems(*parts: Part, target=WIDE, network=PAIR) -> list[str]:
    with pytest.raises(LowerError) as caught:
        arrange(network, target, parts)
    return [str(problem) for problem in caught.value.problems]


@given(st.integers(0, 10**6), st.sampled_from(["signed", "population"]), st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=30)
def test_what_was_placed_and_is_given_back_in_any_order_is_the_same_placement(seed, code, neurons, shuffled):
    try:
        network = codes.encode(random_network(seed, kind="events"), code)
        target = chip(placement="slices", cores=10_000, neurons_per_core=neurons, weight_bits=8)
        placement = place(network, target)
    except (OptionError, LowerError):  # a maximum over both signs; a neuron with more units than a core holds
        reject()
    parts = list(placement.parts)
    np.random.default_rng(shuffled).shuffle(parts)
    assert arrange(network, target, parts) == placement


def test_what_each_core_takes_is_counted() -> None:
    placement = arrange(PAIR, WIDE, reversed(HALVES))
    assert placement.parts == HALVES
    first, second = placement.loads
    assert (first.core, first.neurons, first.synapses, first.synapse_bits) == (0, 3, 9, 72)
    assert (first.axons_in, first.axons_out) == (3, 3)  # three lines in; three neurons reach the other core
    assert (second.neurons, second.synapses, second.axons_in, second.axons_out) == (7, 9 + 24, 3 + 6, 0)


def test_cores_may_be_left_empty() -> None:
    assert [load.core for load in arrange(PAIR, WIDE, (Part("a", 0, 6, 7), Part("b", 0, 4, 2))).loads] == [2, 7]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((Part("a", 0, 6, 0),), "b: neurons from 0 to 4 are on no core"),
        ((Part("a", 0, 5, 0), Part("b", 0, 4, 0)), "a: neurons from 5 to 6 are on no core"),
        ((Part("a", 0, 4, 0), Part("a", 3, 6, 1), Part("b", 0, 4, 0)), "a: a part from 3 to 6 follows neuron 4 of 6"),
        ((Part("a", 0, 7, 0), Part("b", 0, 4, 0)), "a: a part from 0 to 7 follows neuron 0 of 6"),
        ((Part("a", 1, 6, 0), Part("b", 0, 4, 0)), "a: a part from 1 to 6 follows neuron 0 of 6"),
        ((Part("a", 0, 0, 0), Part("a", 0, 6, 0), Part("b", 0, 4, 0)), "a: a part from 0 to 0 follows neuron 0 of 6"),
        ((Part("a", 0, 6, 8), Part("b", 0, 4, 0)), "a: is put on core 8\n  hint: cores are counted from 0 to 7"),
        ((Part("a", 0, 6, -1), Part("b", 0, 4, 0)), "a: is put on core -1"),
        ((*HALVES, Part("c", 0, 1, 0)), "c: is no population on the chip\n  hint: one of a, b"),
    ],
)
def test_neurons_are_on_one_core_that_there_is(parts: tuple[Part, ...], expected: str) -> None:
    (found,) = problems(*parts)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("fact", "most", "what"),
    [
        ("neurons_per_core", 7, "neurons"),
        ("synapse_bits_per_core", 33 * 8, "bits of synapses"),
        ("axons_in_per_core", 9, "axons that reach it"),
        ("axons_out_per_core", 3, "axons to other cores"),
    ],
)
def test_each_limit_holds_at_its_edge_and_not_one_beyond(fact: str, most: int, what: str) -> None:
    limited = chip(placement="slices", cores=8, weight_bits=8, **{fact: most})
    arrange(PAIR, limited, HALVES)
    (found,) = problems(*HALVES, target=chip(placement="slices", cores=8, weight_bits=8, **{fact: most - 1}))
    where, core = ("a", 0) if fact == "axons_out_per_core" else ("a, b", 1)
    assert found == (
        f"{where}: core {core} has {most} {what}, and holds {most - 1}\n  hint: move neurons to other cores"
    )
    arrange(PAIR, chip(placement="slices", weight_bits=8, hint_at=(fact,), **{fact: most - 1}), HALVES)


def test_all_that_is_wrong_comes_at_once() -> None:
    assert len(problems(Part("a", 0, 5, 9), Part("c", 0, 1, 0))) == 4


def test_cores_that_hold_a_layer_each_are_not_arranged() -> None:
    (found,) = problems(*HALVES, target=replace(chip(placement="layers"), title="Rows"))
    assert found.startswith("net: cores of Rows hold one layer each")
