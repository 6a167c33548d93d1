"""Defects of files in the wild: refused with the way out that there is, and repaired when asked, each repair said."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.inline import inlined
from spikeport.nir.lint import lint_graph
from spikeport.nir.parse import graph_from_object
from spikeport.nir.repair import MAX_WRITTEN, repaired
from spikeport.nir.shapes import infer, node_shapes, propagated
from spikeport.primitives import DynamicNetwork, DynamicsContract

STEP = DynamicsContract(dt=1e-3, integrator="accumulate")


def whole(*shape: int) -> np.ndarray:
    return np.array(shape, dtype=np.int64)


def port(kind: str, *shape: int) -> NirNode:
    return NirNode(kind, {"shape": whole(*shape)})


def neuron(threshold: Any = 1.0, shape: tuple[int, ...] = (2,)) -> NirNode:
    full = {name: np.full(shape, value) for name, value in (("r", 1.0), ("v_reset", 0.0))}
    return NirNode("IF", {**full, "v_threshold": np.broadcast_to(np.asarray(threshold, float), shape)})


def linear(*rows: Any) -> NirNode:
    return NirNode("Linear", {"weight": np.array(rows, dtype=float)})


def graph(nodes: dict[str, NirNode], *edges: str) -> NirGraph:
    return NirGraph(nodes, tuple((e.split()[0], e.split()[1]) for e in edges))


def nested(inner: NirGraph) -> NirNode:
    return NirNode("NIRGraph", {}, inner)


def entries(made: NirGraph) -> list[str]:
    return [str(entry) for entry in repaired(made)[1]]


def spikes(network: Any, x: list[list[float]]) -> list[list[float]]:
    assert isinstance(network, DynamicNetwork)
    source = network.outputs[0].source
    found = simulate_dynamics(network, np.array(x, dtype=float)[:, None]).spikes[source]
    return found.train().raster[:, 0].reshape(len(x), -1).tolist()


def rockpool(path: Path) -> Path:
    """As Rockpool wrote the neuron of the NIR paper: batch and time stand in the Output."""
    one = np.ones(1)
    nodes = {
        "input": nir.Input({"input": whole(1)}),
        "0_LinearTorch": nir.Linear(np.array([[2.0]])),
        "1_LIFNeuronTorch": nir.LIF(tau=2e-3 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one),
        "output": nir.Output({"output": whole(1, 1, 1)}),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(pairwise(names)), type_check=False))
    return path


def test_a_file_is_repaired_when_asked_and_never_else(tmp_path: Path) -> None:
    path = rockpool(tmp_path / "net.nir")
    contract = DynamicsContract(dt=1e-3, integrator="forward_euler")
    with pytest.raises(
        NirError, match=r"takes \(1, 1, 1\)\n  hint: repair=True \(--repair\) does it, .*; or write \(1,\)"
    ):
        sp.from_nir(path, contract=contract)
    with pytest.raises(NirError, match="hint: repair=True"):
        sp.from_nir(path, like="spikingjelly")
    network = sp.from_nir(path, contract=contract, repair=True)
    assert [str(entry) for entry in network.ledger] == [
        "output: repaired: its shape (1, 1, 1), with axes of a batch or of time, became (1,)"
    ]
    assert spikes(network, [[1], [1], [0.5], [0]]) == [[0], [1], [0], [0]]  # 1 is not above 1; 1.5 is
    assert sp.from_nir(path, like="spikingjelly", dt=1e-3, repair=True).ledger == network.ledger


def test_nothing_is_done_to_a_graph_without_defects() -> None:
    inner = graph({"in": port("Input", 2), "n": neuron(), "out": port("Output", 2)}, "in n", "n out")
    made = graph({"i": port("Input", 2), "sub": nested(inner), "o": port("Output", 2)}, "i sub", "sub o")
    flat, ledger = repaired(made)
    assert ledger == ()
    assert flat.edges == (("sub.in", "sub.n"), ("sub.n", "sub.out"), ("i", "sub.in"), ("sub.out", "o"))
    assert flat["sub.n"] is inner["n"]


def test_missing_ends_are_added() -> None:
    made = graph({"w": linear([1, 1, 0], [0, 1, 1]), "n": neuron()}, "w n")
    flat, ledger = repaired(made)
    assert flat.edges == (("w", "n"), ("input", "w"), ("n", "output"))
    assert (flat["input"]["shape"].tolist(), flat["output"]["shape"].tolist()) == ([3], [2])
    assert [str(entry) for entry in ledger] == [
        "input: repaired: an Input of shape (3,) was added, at w, which nothing led to",
        "output: repaired: an Output of shape (2,) was added, at n, which led nowhere",
    ]
    two = graph(
        {"v": linear([1, 0], [0, 1]), "w": linear([1, 0, 0], [0, 1, 0]), "input": neuron(), "output_a": neuron()},
        "v input",
        "w output_a",
    )
    flat, _ = repaired(two)
    assert {name: node["shape"].tolist() for name, node in flat.nodes.items() if node.kind in ("Input", "Output")} == {
        "input_v": [2], "input_w": [3], "output_input": [2], "output_output_a": [2]
    }  # fmt: skip


def test_neurons_beside_an_input_run_on_what_they_have_and_others_get_one() -> None:
    made = graph({"i": port("Input", 2), "n": neuron(), "m": neuron(), "w": linear([1, 0], [0, 1]), "o": port("Output", 2)},
                 "i n", "m n", "w n", "n o")  # fmt: skip
    assert entries(made) == ["input_w: repaired: an Input of shape (2,) was added, at w, which nothing led to"]


@pytest.mark.parametrize(("shape", "entering"), [((), (2,)), ((1,), (2,)), ((1, 2), (2,)), ((3, 1, 1), (3, 2, 2))])
def test_short_parameters_are_written_out(shape: tuple[int, ...], entering: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    node = NirNode("IF", {"r": np.ones(shape), "v_threshold": np.arange(1.0, 1 + size).reshape(shape)})
    made = graph({"i": port("Input", *entering), "n": node, "o": port("Output", *entering)}, "i n", "n o")
    flat, ledger = repaired(made)
    infer(flat)
    expected = np.broadcast_to(np.arange(1.0, 1 + size).reshape(shape), (1, *entering))[0] if shape == (1, 2) else None
    wanted = np.broadcast_to(node["v_threshold"], entering) if expected is None else expected
    assert flat["n"]["v_threshold"].tolist() == wanted.tolist()
    assert [str(entry) for entry in ledger] == [
        f"n: repaired: written out for {entering}: r {shape}, v_threshold {shape}"
    ]


@pytest.mark.parametrize("shape", [(2,), (3,), (2, 2), (0,)])
def test_parameters_that_could_mean_several_things_are_left(shape: tuple[int, ...]) -> None:
    node = NirNode("IF", {"r": np.ones(shape), "v_threshold": np.ones(shape)})
    made = graph({"i": port("Input", 3, 2, 2), "n": node, "o": port("Output", 3, 2, 2)}, "i n", "n o")
    assert entries(made) == []


def test_all_or_none_of_a_nodes_parameters_are_written_out() -> None:
    node = NirNode("IF", {"r": np.ones(()), "v_threshold": np.ones(3)})
    made = graph({"i": port("Input", 2), "n": node}, "i n")
    assert "n" not in [entry.node for entry in repaired(made)[1]]
    mixed = graph({"i": port("Input", 2), "n": NirNode("IF", {"r": np.ones(2), "v_threshold": np.ones(())})}, "i n")
    assert entries(mixed)[0] == "n: repaired: written out for (2,): v_threshold ()"


def test_scalars_in_a_loop_take_the_shape_that_comes_from_outside() -> None:
    scalar = NirNode("IF", {"r": np.ones(()), "v_threshold": np.full((), 0.5)})
    nodes = {
        "a": scalar,
        "i": port("Input", 2),
        "o": port("Output", 2),
        "s": NirNode("Scale", {"scale": np.full(1, 2.0)}),
    }
    flat, ledger = repaired(graph(nodes, "a s", "s a", "i a", "a o"))
    assert flat["a"]["v_threshold"].tolist() == [0.5, 0.5]
    assert flat["s"]["scale"].tolist() == [2.0, 2.0]
    assert [entry.node for entry in ledger] == ["a", "s"]


@pytest.mark.parametrize(
    ("declared", "becomes"), [((1, 2), (2,)), ((5, 7, 2), (2,)), ((2, 1), (2, 1)), ((3,), (3,)), ((2,), (2,))]
)
def test_an_output_has_the_shape_of_what_arrives_where_that_ends_it(
    declared: tuple[int, ...], becomes: tuple[int, ...]
) -> None:
    made = graph({"i": port("Input", 2), "n": neuron(), "o": port("Output", *declared)}, "i n", "n o")
    assert tuple(repaired(made)[0]["o"]["shape"]) == becomes


@pytest.mark.parametrize(
    ("declared", "becomes"), [((1, 2), (2,)), ((1, 1, 2), (2,)), ((3, 2), (3, 2)), ((1, 3), (1, 3))]
)
def test_an_input_loses_leading_axes_of_length_1_alone(declared: tuple[int, ...], becomes: tuple[int, ...]) -> None:
    made = graph({"i": port("Input", *declared), "w": linear([1, 0]), "o": port("Output", 1)}, "i w", "w o")
    assert tuple(repaired(made)[0]["i"]["shape"]) == becomes


def two_ports() -> NirNode:
    inner = {
        "in1": port("Input", 1),
        "in2": port("Input", 1),
        "n": neuron(1.5, (1,)),
        "out": port("Output", 1),
        "s": linear([2]),
    }
    return nested(graph(inner, "in1 n", "in2 s", "s n", "n out"))


def test_edges_may_name_nodes_inside_of_nested_graphs() -> None:
    nodes = {"a": port("Input", 1), "b": port("Input", 1), "o": port("Output", 1), "sub": two_ports()}
    made = graph(nodes, "a sub.in1", "b sub.in2", "sub.out o")
    flat, ledger = repaired(made)
    assert {("a", "sub.in1"), ("b", "sub.in2"), ("sub.out", "o")} <= set(flat.edges)
    assert str(ledger[0]) == "a -> sub.in1: repaired: sub.in1, which is no node of this graph, was read as sub.in1"
    assert len(ledger) == 3
    with pytest.raises(NirError, match=r"sub\.in1 is no node .*\n  hint: it is inside of a nested graph"):
        inlined(made)
    with pytest.raises(NirError, match=r"sub\.in3 is no node"):
        repaired(graph(nodes, "a sub.in3"))
    with pytest.raises(NirError, match="sub has 2 nodes of type Input"):
        repaired(graph(nodes, "a sub"))
    inner = nested(graph({"in1": port("Input", 1), "n": neuron(1.0, (1,))}, "in1 n"))
    with pytest.raises(NirError, match=r"a -> sub\.in1: is an edge from a to sub\.in1, which is there already"):
        repaired(graph({"a": port("Input", 1), "sub": inner}, "a sub", "a sub.in1"))


def test_edges_inside_may_name_nodes_as_outside() -> None:
    inner = graph(
        {"in": port("Input", 1), "lif": neuron(1.0, (1,)), "out": port("Output", 1)}, "sub.in lif", "lif sub.out"
    )
    made = graph({"i": port("Input", 1), "o": port("Output", 1), "sub": nested(inner)}, "i sub", "sub.lif o")
    flat, _ = repaired(made)
    assert flat.edges == (("sub.in", "sub.lif"), ("sub.lif", "sub.out"), ("i", "sub.in"), ("sub.lif", "o"))


def test_a_nested_graph_without_ports_is_met_at_its_one_loose_end() -> None:
    inner = graph({"w": linear([1]), "n": neuron(1.0, (1,))}, "w n")
    made = graph({"i": port("Input", 1), "o": port("Output", 1), "sub": nested(inner)}, "i sub", "sub o")
    flat, ledger = repaired(made)
    assert flat.edges == (("sub.w", "sub.n"), ("i", "sub.w"), ("sub.n", "o"))
    assert [str(e) for e in ledger] == [
        "i -> sub: repaired: sub has no Input, and w was taken, the only node that nothing inside leads to",
        "sub -> o: repaired: sub has no Output, and n was taken, the only node that leads nowhere",
    ]
    several = nested(graph({"w": linear([1]), "v": linear([1]), "n": neuron(1.0, (1,))}, "w n", "v n"))
    with pytest.raises(NirError, match="sub has 0 nodes of type Input"):
        repaired(graph({**made.nodes, "sub": several}, "i sub", "sub o"))
    loop = nested(graph({"w": linear([1]), "n": neuron(1.0, (1,))}, "w n", "n w"))
    with pytest.raises(NirError, match="sub has 0 nodes of type Input"):
        repaired(graph({**made.nodes, "sub": loop}, "i sub", "sub o"))


def test_only_what_a_repair_mends_is_said_to_be_mended(tmp_path: Path) -> None:
    one = np.ones(1)
    nodes = {
        "i": nir.Input({"input": whole(3)}),
        "w": nir.Linear(np.ones((2, 4))),
        "n": nir.IF(r=one, v_threshold=one, v_reset=one),
        "o": nir.Output({"output": whole(2)}),
    }
    made = nir.NIRGraph(nodes, [("i", "w"), ("w", "n"), ("n", "o")], type_check=False)
    nir.write(tmp_path / "net.nir", made)
    with pytest.raises(NirError) as caught:
        sp.from_nir(tmp_path / "net.nir", contract=STEP)
    hints = {problem.where: problem.hint for problem in caught.value.problems}
    assert hints["i -> w"] == ""
    assert hints["w -> n"].startswith("repair=True (--repair) does it")
    with pytest.raises(NirError, match="i -> w") as caught:
        sp.from_nir(tmp_path / "net.nir", contract=STEP, repair=True)
    assert len(caught.value.problems) == 1
    assert graph_from_object(made)["n"]["r"].shape == (1,)  # nothing was changed in place


def test_what_would_fill_the_memory_is_refused() -> None:
    scalar = NirNode("IF", {"r": np.ones(()), "v_threshold": np.ones(())})
    made = graph({"i": port("Input", MAX_WRITTEN // 2 + 1), "n": scalar}, "i n")
    with pytest.raises(NirError, match="n: its parameters would be written out"):
        repaired(made)


def test_lint_names_a_repair_where_there_is_one() -> None:
    made = graph({"w": linear([1, 0], [0, 1]), "n": neuron()}, "w n")
    assert [f.hint.startswith("repair=True") for f in lint_graph(made) if f.what.startswith("has no")] == [True, True]
    loop = graph({"i": port("Input", 2), "w": linear([1, 0], [0, 1]), "n": neuron()}, "i n", "w n", "n w")
    assert [f.hint for f in lint_graph(loop) if f.what == "has no Output"] == [
        "add an Output where the network begins or ends"
    ]


def test_long_chains_against_the_order_of_the_file_take_one_pass() -> None:
    asked: list[str] = []
    names = [f"{n:03}" for n in range(200)]
    pool = NirNode("SumPool2d", {name: whole(1) for name in ("kernel_size", "stride")} | {"padding": whole(0)})
    made = graph(
        {**dict.fromkeys(names, pool), "z": port("Input", 1, 4, 4)}, *(f"{b} {a}" for a, b in pairwise([*names, "z"]))
    )

    def step(name: str, entering: Any) -> Any:
        asked.append(name)
        return node_shapes(made[name], entering)

    assert len(propagated(made, step)) == 201
    assert len(asked) < 3 * 201
