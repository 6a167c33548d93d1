"""Biases before and behind delays, Outputs that lead on, and what a contract states of single nodes: worked out by hand."""

from __future__ import annotations

from typing import Any, Literal

import nir
import numpy as np
import pytest

from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_from_object
from spikeport.primitives import DynamicNetwork, DynamicsContract, NirContract

Register = Literal["spikes", "weighted"]
REGISTERS: tuple[Register, ...] = ("spikes", "weighted")


def one(*values: float) -> np.ndarray:
    return np.array(values or (1.0,))


def entry(n: int = 1) -> Any:
    return nir.Input(input_type={"input": np.array([n])})


def end(n: int = 1) -> Any:
    return nir.Output(output_type={"output": np.array([n])})


def network(
    given: dict[str, Any], *edges: str, register: Register = "spikes", own: Any = None, **choices: Any
) -> DynamicNetwork:
    dynamics = DynamicsContract(dt=1.0, integrator="accumulate", bias_register=register)
    pairs = [tuple(e.split()) for e in edges]
    graph = nir.NIRGraph({"i": entry(), "o": end(), **given}, pairs, type_check=False)
    return network_of(graph_from_object(graph), NirContract(dynamics=dynamics, nodes=own or {}, **choices))


def given(found: DynamicNetwork, x: list[float], name: str = "o") -> list[Any]:
    """What an Output gives in each step; a number for a single one."""
    source = next(o.source for o in found.outputs if o.name == name)
    recording = simulate_dynamics(found, np.array(x).reshape(-1, 1, 1), potentials=[source])
    values = recording.spikes[source].train().raster if source in recording.spikes else recording.potentials[source]
    rows = values[:, 0].tolist()
    return [row[0] if len(row) == 1 else row for row in rows]


AFFINE = nir.Affine(weight=np.array([[2.0]]), bias=one(10.0))
LATE = nir.Delay(delay=one(2.0))


@pytest.mark.parametrize("register", REGISTERS)
def test_a_bias_behind_a_delay_is_there_from_the_first_step(register: Register) -> None:
    for behind in ({"a": AFFINE}, {"a": AFFINE, "s": nir.Scale(scale=one())}):
        edges = ("i d", "d a", "a o") if "s" not in behind else ("i d", "d s", "s a", "a o")
        made = network({"d": LATE, **behind}, *edges, register=register)
        assert given(made, [1, 2, 3, 0]) == [10, 10, 12, 14]


@pytest.mark.parametrize("register", REGISTERS)
def test_a_bias_before_a_delay_is_late(register: Register) -> None:
    assert given(network({"a": AFFINE, "d": LATE}, "i a", "a d", "d o", register=register), [1, 2, 0]) == [0, 0, 12]
    scale = {"s": nir.Scale(scale=one(2.0)), "d": LATE}
    made = network(scale, "i s", "s d", "d o", register=register, own={"s": {"bias": one(10.0)}})
    assert given(made, [1, 2, 0]) == [0, 0, 12]
    uneven = {"o": end(2), "a": nir.Affine(np.ones((2, 1)), one(1.0, 2.0)), "d": nir.Delay(one(0.0, 1.0))}
    made = network(uneven, "i a", "a d", "d o", register=register)
    assert given(made, [4, 0]) == [[5, 0], [1, 6]]


def test_a_delay_behind_a_kept_sum_need_not_keep_anything() -> None:
    """What was added before the sum is in it already."""
    nodes = {"a": AFFINE, "s": nir.Scale(scale=one()), "d": LATE, "n": nir.Threshold(threshold=one(11.0))}
    made = network(nodes, "i a", "a s", "d n", "s d", "n o", order=("s", "n"))
    assert [p.name for p in made.populations] == ["s", "n"]
    assert given(made, [1, 0, 0, 0]) == [0, 0, 1, 0]


def test_an_output_may_lead_on() -> None:
    nodes = {"a": AFFINE, "n": nir.Threshold(threshold=one(13.0)), "p": end()}
    made = network(nodes, "i a", "a o", "o n", "n p")
    assert [o.name for o in made.outputs] == ["o", "p"]
    assert given(made, [1, 2]) == [12, 14]
    assert given(made, [1, 2], "p") == [0, 1]
    inner = nir.NIRGraph({"i": entry(), "o": end(), "a": AFFINE}, [("i", "a"), ("a", "o")], type_check=False)
    made = network({"sub": inner}, "i sub", "sub o")
    assert [o.name for o in made.outputs] == ["o"]


def test_what_an_output_reads_is_what_a_named_node_gives() -> None:
    assert given(network({"a": AFFINE}, "i a", "a o", order=("a", "o")), [1, 2]) == [12, 14]
    assert given(network({}, "i o", order=("i", "o")), [1, 2]) == [1, 2]


def test_a_stated_bias_is_added_to_what_a_node_gives() -> None:
    nodes = {"j": nir.Scale(scale=one(3.0)), "w": nir.Linear(weight=np.array([[2.0]]))}
    for edges in (("i w", "w o"), ("i w", "i j", "j w", "w o")):
        made = network(nodes, "i j", *(e for e in edges if e != "i j"), own={"w": {"bias": one(0.5)}})
        assert given(made, [1, 0])[1] == 0.5
    plain = network({"s": nir.Scale(scale=one())}, "i s", "s o", order=("s",), own={"s": {"bias": one(0.5)}})
    assert given(plain, [1, 0]) == [1.5, 0.5]


def test_what_a_node_states_goes_before_what_all_have() -> None:
    nodes = {"n": nir.IF(r=one(), v_threshold=one(3.0), v_reset=one(0.0))}
    made = network(nodes, "i n", "n o", v_min="zero", own={"n": {"v_least": one(-2.0)}})
    assert np.asarray(made["n"].neuron.v_min).tolist() == [-2]  # type: ignore[union-attr]
    assert given(made, [-9, 5, 1]) == [0, 0, 1]


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ({"d": {"bias": one()}}, "a Delay has no bias"),
        ({"t": {"v_min": "zero"}}, "Threshold has no lower bound"),
        ({"t": {"if_gain": "dt"}}, "Threshold has no if_gain"),
        ({"n": {"v_min": "zero", "v_least": one(-1.0)}}, "has both v_min and v_least"),
        ({"n": {"if_gain": "dt", "integrator": "forward_euler"}}, "has both if_gain and integrator"),
    ],
)
def test_what_a_node_cannot_have_is_refused(own: Any, why: str) -> None:
    nodes = {"d": LATE, "t": nir.Threshold(threshold=one()), "n": nir.IF(one(), one(), v_reset=one(0.0))}
    with pytest.raises(NirError, match=why):
        network(nodes, "i d", "d t", "t n", "n o", own=own)
