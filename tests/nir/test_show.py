"""`nir show`, `nir diff` and `nir lint`."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import nir
import numpy as np
import pytest

from spikeport.cli import main
from spikeport.nir.diff import differences
from spikeport.nir.lint import lint_graph, lint_tree
from spikeport.nir.loops import loops
from spikeport.nir.parse import graph_from_object
from spikeport.nir.picture import layers, svg
from spikeport.nir.show import shown


def lif(n=3, tau=0.02, **changed):
    given = {"tau": tau, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changed
    return nir.LIF(**{name: np.broadcast_to(np.asarray(value, float), (n,)).copy() for name, value in given.items()})


def one(neuron=None, *, name="fc", weight=None, loop=False):
    weight = np.arange(6.0).reshape(3, 2) / 7 if weight is None else weight
    nodes = {
        "input": nir.Input(input_type={"input": np.array([2])}),
        name: nir.Affine(weight=weight, bias=np.array([0.1, 0.0, 0.0])),
        "lif": neuron or lif(),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    edges = [("input", name), (name, "lif"), ("lif", "output")]
    if loop:
        nodes["rec"] = nir.Affine(weight=np.eye(3), bias=np.ones(3))
        edges += [("lif", "rec"), ("rec", "lif")]
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def graph(*args, **kwargs):
    return graph_from_object(one(*args, **kwargs))


def found(made):
    return {(f.level, f.node, f.what) for f in lint_graph(made)}


def where(made):
    return {f.node for f in lint_graph(made)}


def test_a_graph_is_shown_with_shapes_ranges_and_loops() -> None:
    text = str(shown(graph(loop=True)))
    assert "fc      Affine  2 -> 3     weight 0..0.714286 (3x2 float64); bias 0..0.1 (3 float64)" in text
    assert "  lif -> rec\n" in text
    assert "loop: lif, rec" in text
    assert "no execution contract" in text


def test_loops_are_found_at_a_node_and_nowhere_else() -> None:
    assert loops(graph()) == ()
    assert loops(graph(loop=True)) == (("lif", "rec"),)


def test_equal_graphs_in_another_order_do_not_differ() -> None:
    made = one(loop=True)
    turned = nir.NIRGraph(dict(reversed(made.nodes.items())), made.edges[::-1], type_check=False)
    assert differences(graph_from_object(made), graph_from_object(turned)) == ()


def test_every_difference_is_named() -> None:
    weight = np.arange(6.0).reshape(3, 2) / 7
    weight[1, 1] += 0.5
    weight[2, 0] -= 0.25
    said = {str(d) for d in differences(graph(), graph(lif(v_reset=-0.5), weight=weight, loop=True))}
    assert said == {
        "parameter fc.weight: 2 of 6 values differ, by at most 0.5",
        "parameter lif.v_reset: 3 of 3 values differ, by at most 0.5",
        "node rec: Affine is only in the second",
        "edge lif -> rec: is only in the second",
        "edge rec -> lif: is only in the second",
    }


def test_a_renamed_node_is_another() -> None:
    said = {str(d) for d in differences(graph(name="fc"), graph(name="first"))}
    assert {"node fc: Affine is only in the first", "node first: Affine is only in the second"} <= said


def test_lint_names_parameters_that_simulators_drop() -> None:
    plain = where(graph())
    assert plain.isdisjoint({"lif.r", "lif.v_leak", "lif.tau", "lif.v_threshold", "rec"})
    assert "lif.r" in where(graph(lif(r=2.0)))
    assert "lif.v_leak" in where(graph(lif(v_leak=0.3)))
    assert ("warning", "lif.v_reset", "is not 0") in found(graph(lif(v_reset=-0.5)))
    assert ("warning", "lif.v_reset", "is not 0") not in found(graph())
    assert ("warning", "lif.tau", "differs between neurons") in found(graph(lif(tau=[0.02, 0.03, 0.02])))
    assert ("warning", "lif.tau", "reaches 20: too long for seconds") in found(graph(lif(tau=20.0)))
    assert ("warning", "rec", "is a bias on a loop") in found(graph(loop=True))


def test_lint_sees_thresholds_that_are_met_exactly() -> None:
    halves = np.array([[0.5, 0.25], [1.0, 0.5], [0.25, 2.0]])
    neuron = nir.IF(r=np.ones(3), v_threshold=np.ones(3), v_reset=np.zeros(3))
    made = one(neuron, weight=halves)
    made.nodes["fc"].bias = np.zeros(3)
    assert "lif.v_threshold" in where(graph_from_object(made))
    made.nodes["fc"].weight = halves + 0.1
    assert "lif.v_threshold" not in where(graph_from_object(made))


def test_lint_calls_what_cannot_be_run_an_error() -> None:
    made = one()
    del made.nodes["output"]
    made.edges.remove(("lif", "output"))
    assert ("error", "graph", "has no Output") in found(graph_from_object(made))
    made = one()
    made.nodes["output"] = nir.Output(output_type={"output": np.array([1, 3])})
    assert any(f.level == "error" and f.node == "lif -> output" for f in lint_graph(graph_from_object(made)))
    nodes = {"block": {"fc": {"type": "Linear", "weight": np.eye(2)}}}
    tree = {"node": {"type": "NIRGraph", "nodes": nodes, "edges": []}}
    assert ("error", "block/fc") in {(f.level, f.node) for f in lint_tree(tree, "x.nir")}


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(tmp_path / "a.nir"), str(tmp_path / "b.nir")
    nir.write(first, one())
    nir.write(second, one(lif(r=2.0)))
    assert main(["nir", "show", first, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [node["name"] for node in said["nodes"]] == ["fc", "input", "lif", "output"]
    assert said["nodes"][0]["output"] == [3]
    assert main(["nir", "diff", first, first]) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert main(["nir", "diff", first, second]) == 1
    assert capsys.readouterr().out == "parameter lif.r: 3 of 3 values differ, by at most 1\n"
    assert main(["nir", "lint", second, "--json"]) == 0
    assert "lif.r" in {f["node"] for f in json.loads(capsys.readouterr().out)["findings"]}


def test_the_picture_is_xml_with_every_node_and_edge() -> None:
    made = shown(graph(name="<a&b>", loop=True))
    root = ET.fromstring(svg(made))
    tag = "{http://www.w3.org/2000/svg}"
    assert [title.text for title in root.iter(f"{tag}title")] == list(made.graph.nodes)
    paths = [p for p in root.iter(f"{tag}path") if "marker-end" in p.attrib]
    assert len(paths) == len(made.graph.edges) == 5
    assert sum("stroke-dasharray" in p.attrib for p in paths) == 1


def test_layers_follow_the_longest_way_and_loops_go_back() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "b"), ("c", "c")]
    assert layers("cba", edges) == {"a": 0, "b": 1, "c": 2}
