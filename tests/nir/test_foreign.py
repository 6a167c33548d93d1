"""Files that others write: what they mean is worked out by hand, and what has no meaning is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError, OptionError
from spikeport.nir import declared
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_from_object, read_graph
from spikeport.nir.shapes import infer
from spikeport.primitives import DynamicNetwork, DynamicsContract, NirContract

EULER = DynamicsContract(dt=1e-3, integrator="forward_euler")


def one(value: float = 1.0, n: int = 1) -> np.ndarray:
    return np.full(n, value)


def io(n: int = 1) -> dict[str, Any]:
    return {"i": nir.Input(input_type={"input": np.array([n])}), "o": nir.Output(output_type={"output": np.array([n])})}


def graph(nodes: dict[str, Any], *edges: str) -> Any:
    """Edges as "a b"."""
    pairs = [tuple(e.split()) for e in edges]
    return nir.NIRGraph(nodes, pairs, type_check=False)


def network(made: Any, contract: Any = EULER, **choices: Any) -> DynamicNetwork:
    return network_of(graph_from_object(made), NirContract(dynamics=contract, **choices))


def values(found: DynamicNetwork, x: Any, output: int = 0) -> list[list[float]]:
    """What an output gives in each step."""
    source = found.outputs[output].source
    given = x if isinstance(x, dict) else np.array(x, dtype=float).reshape(len(x), 1, -1)
    recording = simulate_dynamics(found, given, potentials=[source])
    if source in recording.spikes:
        return recording.spikes[source].train().raster[:, 0].tolist()
    return recording.potentials[source][:, 0].tolist()


def lif(tau: float = 2e-3, r: float = 1.0, leak: float = 0.0, threshold: float = 1.0, reset: float = 0.0) -> Any:
    return nir.LIF(tau=one(tau), r=one(r), v_leak=one(leak), v_threshold=one(threshold), v_reset=one(reset))


def test_every_kind_of_neuron_as_its_equation_says() -> None:
    def alone(node: Any) -> list[float]:
        made = graph({**io(), "n": node}, "i n", "n o")
        return [row[0] for row in values(network(made), [4, 4, 0])]

    assert alone(nir.I(r=one(500))) == [2, 4, 4]
    assert alone(nir.LI(tau=one(2e-3), r=one(), v_leak=one(0))) == [2, 3, 1.5]
    assert alone(nir.LI(tau=one(2e-3), r=one(2), v_leak=one(8))) == [8, 12, 10]
    cuba = nir.CubaLI(tau_syn=one(2e-3), tau_mem=one(2e-3), r=one(), v_leak=one(0), w_in=one(2))
    assert alone(cuba) == [2, 4, 3.5]  # currents 4, 6, 3
    assert alone(lif(threshold=2.5)) == [0, 1, 0]
    assert alone(lif(threshold=2.0)) == [0, 1, 0]  # at its threshold it does not fire
    assert alone(nir.IF(r=one(1e3), v_threshold=one(3), v_reset=one(-4))) == [1, 0, 0]
    assert alone(nir.Threshold(threshold=one(3))) == [1, 1, 0]
    spiking = nir.CubaLIF(tau_syn=one(2e-3), tau_mem=one(2e-3), r=one(), v_leak=one(0), v_threshold=one(3), w_in=one(2))
    assert alone(spiking) == [0, 1, 0]


def test_linear_nodes_everywhere() -> None:
    nodes = {
        **io(2),
        "a": nir.Affine(weight=np.array([[1.0, 2], [0, -1]]), bias=np.array([1.0, 0])),
        "b": nir.Affine(weight=np.array([[2.0, 0], [1, 1]]), bias=np.array([0.0, 5])),
        "s": nir.Scale(scale=np.array([1.0, -1])),
    }
    made = network(graph(nodes, "i a", "a b", "b s", "s o"))
    assert values(made, [[1, 1], [0, 0]]) == [[8, -8], [2, -6]]
    # a sum in front of a linear node, and a value that reaches it by two ways
    made = network(graph(nodes, "i a", "i b", "a b", "b s", "s o"))
    assert values(made, [[1, 1], [0, 0]]) == [[10, -10], [2, -6]]


def test_feature_maps() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-3, 4, (4, 1, 3, 1)).astype(float)  # two groups, a kernel with two lengths
    nodes = {
        "i": nir.Input(input_type={"input": np.array([2, 5, 4])}),
        "c": nir.Conv2d(None, weight, (2, 1), (1, 0), 1, 2, np.array([1.0, 0, 0, -1])),
        "p": nir.AvgPool2d(kernel_size=np.array([3, 2]), stride=np.array([3, 2]), padding=np.array([0, 0])),
        "q": nir.SumPool2d(kernel_size=np.array([1, 2]), stride=np.array([1, 2]), padding=np.array([0, 0])),
        "f": nir.Flatten(input_type={"input": None}, start_dim=0, end_dim=-1),
        "o": nir.Output(output_type={"output": np.array([4])}),
    }
    made = graph(nodes, "i c", "c p", "p q", "q f", "f o")
    shapes = infer(graph_from_object(made))
    assert (shapes["c"].target, shapes["p"].target, shapes["q"].target) == ((4, 3, 4), (4, 1, 2), (4, 1, 1))
    x = rng.integers(-2, 3, (1, 2, 5, 4)).astype(float)
    padded = np.pad(x[0], ((0, 0), (1, 1), (0, 0)))
    expected = np.zeros((4, 3, 4))
    for channel in range(4):
        for row in range(3):
            rows = padded[channel // 2, 2 * row : 2 * row + 3]
            expected[channel, row] = (weight[channel, 0] * rows).sum(axis=0) + [1, 0, 0, -1][channel]
    found = np.array(values(network(made), {"i": x[:, None]}))[0]
    np.testing.assert_allclose(found, expected.mean(axis=1).reshape(4, 2, 2).mean(axis=2).sum(axis=1), atol=1e-12)
    # channels last reads another order
    flat = {"i": nodes["i"], "f": nodes["f"], "o": nir.Output(output_type={"output": np.array([40])})}
    for order, first in (("channels first", [0, 1]), ("channels last", [0, 20])):
        made = graph(flat, "i f", "f o")
        x = np.arange(40.0).reshape(1, 1, 2, 5, 4)
        assert values(network(made, flatten=order), {"i": x})[0][:2] == first


def test_delays() -> None:
    affine = nir.Affine(weight=np.ones((2, 1)), bias=np.array([10.0, 20]))
    nodes = {**io(2), "i": io()["i"], "a": affine, "d": nir.Delay(delay=np.array([0.0, 2e-3]))}
    made = graph(nodes, "i a", "a d", "d o")
    # what was added before the delay is late too
    assert values(network(made), [[1], [2], [3], [0]]) == [[11, 0], [12, 0], [13, 21], [10, 22]]
    with pytest.raises(NirError, match=r"d\.delay: is not a whole number of steps of 0\.001 s"):
        network(graph({**nodes, "d": nir.Delay(delay=np.array([0.0, 1.5e-3]))}, "i a", "a d", "d o"))


def test_loops_take_a_step_where_they_lead_backwards() -> None:
    rec = nir.Affine(weight=np.array([[1.0]]), bias=one(4))
    nodes = {**io(), "n": nir.IF(r=one(), v_threshold=one(9), v_reset=one()), "w": rec}
    made = graph(nodes, "w n", "n w", "i n", "n o")
    for register, expected in (("spikes", [0, 0, 1, 0]), ("weighted", [0, 0, 0, 1])):
        contract = DynamicsContract(dt=1e-3, integrator="accumulate", bias_register=register)
        assert [v for (v,) in values(network(made, contract), [0, 0, 0, 0])] == expected
    linear = graph({**io(), "s": nir.Scale(scale=one(0.5))}, "i s", "s s", "s o")
    assert values(network(linear), [[8], [0], [0]]) == [[4], [2], [1]]


def test_nested_graphs_and_several_inputs_and_outputs() -> None:
    inner = graph({**io(), "s": nir.Scale(scale=one(3))}, "i s", "s o")
    nodes = {
        "x": io()["i"],
        "y": io()["i"],
        "sub": inner,
        "z": io()["o"],
        "w": io()["o"],
        "t": nir.Threshold(threshold=one(2)),
    }
    made = network(graph(nodes, "x sub", "sub z", "y t", "sub t", "t w"))
    given = {"x": np.array([1.0, 0]).reshape(2, 1, 1), "y": np.array([0.0, 2]).reshape(2, 1, 1)}
    names = [o.name for o in made.outputs]
    assert values(made, given, names.index("z")) == [[3], [0]]
    assert values(made, given, names.index("w")) == [[1], [0]]


def test_what_a_tool_reads_otherwise() -> None:
    made = graph({**io(), "n": nir.IF(r=one(2), v_threshold=one(3), v_reset=one(1))}, "i n", "n o")

    def spikes(x: list[float], contract: Any = EULER, **choices: Any) -> list[float]:
        return [v for (v,) in values(network(made, contract, **choices), x)]

    assert spikes([2, 2, 2], if_gain="step") == [1, 1, 1]
    assert spikes([2, 2, 2], if_gain="step", ignores=("IF.r",)) == [0, 1, 0]
    assert spikes([2, 2, 0, 1], if_gain="step", ignores=("IF.r", "IF.v_reset")) == [0, 1, 0, 0]
    multi = DynamicsContract(dt=1e-3, integrator="accumulate", spikes="multi", reset="subtract")
    own = graph({**io(), "n": nir.IF(r=one(), v_threshold=one(3), v_reset=one(0))}, "i n", "n o")
    found = network(own, multi, v_min="-threshold")
    assert [v for (v,) in values(found, [7, -9, 5, 2])] == [2, 0, 0, 1]
    assert [v for (v,) in values(network(own, multi, refractory=2e-3), [7, 7, 7, 7])] == [2, 0, 0, 2]
    ledger = network(made, if_gain="step", ignores=("IF.r",)).ledger
    assert [(e.node, e.error) for e in ledger] == [("n", 1.0)]


def test_a_node_may_be_otherwise() -> None:
    nodes = {**io(), "n": lif(threshold=2.0), "m": lif(threshold=2.0)}
    made = graph(nodes, "i n", "i m", "n o")
    own = {"n": {"compare": ">=", "reset": "subtract", "v_initial": [2.0], "refractory": 0.0}}
    found = network(made, nodes=own)
    assert found.contract_of("n").compare == ">="
    assert found.contract_of("m").compare == ">"
    assert [v for (v,) in values(found, [4, 0, 0])] == [1, 0, 0]
    with pytest.raises(NirError, match=r"(?s)'x'\]: is no node.*'n'\]: has dt"):
        network(made, nodes={"x": {"compare": ">"}, "n": {"dt": 1.0}})


def test_older_files_mean_what_nir_means(tmp_path: Any) -> None:
    tree = {
        "node": {
            "type": "NIRGraph",
            "edges": [["i", "n"], ["n", "o"]],
            "nodes": {
                "i": {"type": "Input", "shape": np.array([1])},
                "n": {"type": "IF", "r": one(), "v_threshold": one()},
                "o": {"type": "Output", "shape": np.array([1])},
            },
        }
    }
    from spikeport.nir.parse import graph_of

    found = network_of(graph_of(tree, "old"), NirContract(dynamics=EULER))
    assert [str(e) for e in found.ledger] == ["n: v_reset is not in the file, which means 0"]


def test_everything_wrong_is_named_at_once() -> None:
    nodes = {
        **io(),
        "bad": nir.LIF(tau=one(-1), r=one(), v_leak=one(np.nan), v_threshold=one(), v_reset=one()),
        "odd": nir.Scale(scale=np.array(["x"])),
    }
    with pytest.raises(NirError) as caught:
        graph_from_object(graph(nodes, "i bad"))
    text = str(caught.value)
    assert "bad.tau: must be positive" in text
    assert "bad.v_leak: is not finite" in text
    assert "odd.scale: is of type" in text
    nodes = {
        **io(3),
        "a": nir.Affine(weight=np.ones((2, 4)), bias=np.ones(2)),
        "n": nir.IF(r=one(), v_threshold=one(), v_reset=one()),
    }
    with pytest.raises(NirError) as caught:
        network(graph(nodes, "i a", "a n", "n o"))
    text = str(caught.value)
    assert "i -> a: i gives shape (3,), and a takes (4,)" in text
    assert "a -> n: a gives shape (2,), and n takes (1,)\n  hint: its parameters would broadcast" in text
    with pytest.raises(NirError, match="a -> x: x is no node"):
        network(graph(nodes, "a x"))
    with pytest.raises(NirError, match="a -> n: is given twice"):
        network(graph(nodes, "a n", "a n"))
    with pytest.raises(NirError, match="n: LIF leaks, and accumulation has no leak"):
        network(graph({**io(), "n": lif()}, "i n", "n o"), DynamicsContract(dt=1e-3, integrator="accumulate"))


def test_files_need_a_meaning(tmp_path: Any) -> None:
    path = tmp_path / "net.nir"
    nir.write(path, graph({**io(), "n": lif(threshold=2.5)}, "i n", "n o"))
    with pytest.raises(NirError, match="carries no execution contract"):
        sp.from_nir(path)
    with pytest.raises(OptionError, match="is given beside a contract"):
        sp.from_nir(path, contract=EULER, like="snntorch")
    with pytest.raises(OptionError, match="is 'snn'"):
        sp.from_nir(path, like="snn")
    with pytest.raises(OptionError, match="without `like`"):
        sp.from_nir(path, dt=1e-3)
    found = sp.from_nir(path, like="spikingjelly", dt=1e-3)
    assert isinstance(found, DynamicNetwork)
    assert found.contract == replace(
        EULER, compare=">=", initial="v_reset", bias_register="weighted", arithmetic="float32"
    )
    assert found.name == "net"
    assert read_graph(path).version == nir.__version__


def test_a_contract_in_the_file_is_its_meaning(tmp_path: Any) -> None:
    contract = NirContract(
        dynamics=DynamicsContract(dt=5e-4, integrator="exponential", compare=">="),
        time_unit="ms",
        ignores=("LIF.r",),
        refractory=1e-3,
        order=("n",),
        nodes={"n": {"reset": "subtract", "v_initial": np.array([0.1]), "v_min": "zero"}},
    )
    back = declared.parse(declared.text_of(contract))
    assert declared.text_of(back) == declared.text_of(contract)
    made = graph({**io(), "n": lif(tau=2.0)}, "i n", "n o")
    made.metadata = {declared.KEY: declared.text_of(contract)}
    nir.write(tmp_path / "net.nir", made)
    found = sp.from_nir(tmp_path / "net.nir")
    assert isinstance(found, DynamicNetwork)
    assert (found.contract.dt, found.contract_of("n").reset) == (5e-4, "subtract")
    assert found["n"].neuron.tau.tolist() == [2e-3]
    for wrong, why in (
        ('"dt": 0.0005', "lacks `dt`"),
        ('"time_unit": "ms"', "lacks `time_unit`"),
        ('"compare": ">="', "is not one of"),
    ):
        text = declared.text_of(contract)
        assert wrong in text
        changed = text.replace(wrong, '"compare": 3' if "compare" in wrong else '"x": 1', 1)
        with pytest.raises(NirError, match=why):
            declared.parse(changed)
