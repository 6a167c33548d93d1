"""`code="auto"`: the first code that a target suffices for and that carries the network, with the reasons."""

from dataclasses import replace

import numpy as np
import pytest

from spikeport import codes
from spikeport.codes import Choice, Feature
from spikeport.errors import OptionError
from spikeport.quantize import IntegerNetwork, StaircaseLayer
from tests.integer_networks import random_network


def chosen(network: IntegerNetwork, features: list[Feature] | None) -> Choice:
    return codes.choose(network, features, lambda name: codes.encode(network, name))


def plain() -> IntegerNetwork:
    """Dense and convolutional layers of three levels, without maxima."""
    return random_network(3, everything=False, digits=True)


@pytest.mark.parametrize(
    ("features", "code"),
    [
        (None, "graded"),
        (["payload", "signed events"], "graded"),
        (["clock", "halving threshold", "subtract reset"], "radix"),
        (["signed events", "counter", "subtract reset", "clock"], "signed"),
        (["signed events", "counter", "table"], "staircase"),
        (["clock", "subtract reset"], "phased"),
        (["many units"], "population"),
    ],
)
def test_the_first_code_that_is_offered_all_it_needs_is_taken(features: list[Feature] | None, code: str) -> None:
    found = chosen(plain(), features)
    assert found.code == code
    missed = list(codes.NEEDS)[: list(codes.NEEDS).index(found.code)]
    for other in missed:  # each code preferred to it says what it lacks
        lacking = sorted(codes.NEEDS[other] - set(features or ()))
        assert f"not {other}: needs {', '.join(lacking)}" in found.why


def test_a_code_that_refuses_the_network_is_passed_over() -> None:
    network = plain()
    odd = [replace(layer, high=5) if hasattr(layer, "threshold") else layer for layer in network.layers]
    found = chosen(replace(network, layers=tuple(odd)), ["clock", "halving threshold", "subtract reset"])
    assert found.code == "phased"
    assert "not radix: " in found.why
    assert "has 5 levels" in found.why


def test_tables_are_asked_for_where_there_are_staircases() -> None:
    network = plain()
    first = network.layers[0]
    table = np.arange(3).reshape(3, *(1,) * len(first.shape))
    curved = StaircaseLayer(first.name, first.shape, table, np.zeros((), np.int64), 0, np.ones(()))
    network = replace(network, layers=(curved, *network.layers[1:]))
    assert codes.needs("graded", network) == {"payload", "table"}
    assert codes.needs("population", network) == {"many units"}
    assert chosen(network, ["payload", "many units"]).code == "population"
    assert chosen(network, ["payload", "table"]).code == "graded"


def test_a_target_that_suffices_for_nothing_is_told_what_each_code_lacks() -> None:
    with pytest.raises(OptionError) as caught:
        chosen(plain(), [])
    assert [p.where for p in caught.value.problems] == list(codes.NEEDS)
    assert [p.where for p in codes.feature_problems(["payload", "wings"])] == ["features"]
    assert codes.feature_problems(None) == []


def test_every_code_says_what_it_needs() -> None:
    assert set(codes.NEEDS) == {*codes.CODES, *codes.STATISTICAL}
    assert list(codes.NEEDS)[-1] == "rate"  # only where nothing exact can be had
