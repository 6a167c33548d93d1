import json
from dataclasses import replace

import h5py
import nir
import numpy as np
import pytest

from spikeport.errors import FileError, NirError
from spikeport.nir import from_nir, to_nir
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    MaxPool,
    MaxUnit,
    OneToOne,
    Population,
    Reshape,
    SumPool,
    Transpose,
    Upsample,
)
from tests.nir.networks import integers, network, residual


def refused(before, folder):
    """Where and why, for a network that cannot be written; nothing is left behind."""
    with pytest.raises(NirError) as caught:
        to_nir(before, folder / "network.nir")
    assert list(folder.iterdir()) == []
    return {p.where: p.why for p in caught.value.problems}


def test_everything_that_nir_cannot_say_is_named_at_once(tmp_path):
    rng = np.random.default_rng(0)
    before = network(rng, (4, 4, 4), [[(Transpose((0, 2, 1)),)], [(Upsample((1, 2, 2)),)], [(Reshape((2, 2, 8, 8)),)]])
    window = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    last = before.populations[2]
    populations = (*before.populations[:2], replace(last, neuron=MaxUnit(window)), before.populations[3])
    problems = refused(replace(before, populations=populations), tmp_path)
    assert "permutation" in problems["in/put -> block.0/neuron"]
    assert "upsampling" in problems["block.0/neuron -> block.1/neuron"]
    assert "reshape" in problems["block.1/neuron -> block.2/neuron"]
    assert "maximum" in problems["block.2/neuron"]
    assert len(problems) == 4


def test_every_refusal_says_what_to_try(tmp_path):
    before = network(np.random.default_rng(0), (2, 3, 4), [[(Transpose((0, 2, 1)),)]])
    with pytest.raises(NirError) as caught:
        to_nir(before, tmp_path / "network.nir")
    assert all(problem.hint for problem in caught.value.problems)


def test_three_spatial_axes_are_refused(tmp_path):
    pool = SumPool((2, 2, 2), (2, 2, 2), ((0, 0),) * 3)
    problems = refused(network(np.random.default_rng(0), (2, 4, 4, 4), [[(pool,)]]), tmp_path)
    assert "no convolution" in problems["in/put -> block.0/neuron"]


def changed(before, index, **fields):
    populations = list(before.populations)
    populations[index] = replace(populations[index], neuron=replace(populations[index].neuron, **fields))
    return replace(before, populations=tuple(populations))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"threshold": np.array([0])}, "below 1"),
        ({"threshold": np.array([1.5])}, "integers"),
        ({"threshold": np.array([1, 2])}, "does not fit"),
        ({"bias": np.array([2**60])}, "integers of at most"),
        ({"initial": np.array([], dtype=np.int64)}, "does not fit"),
        ({"low": 1}, "do not hold zero"),
    ],
)
def test_parameters_that_make_no_neuron_are_refused(fields, why, tmp_path):
    before = network(np.random.default_rng(0), (3,), [[()]])
    assert why in refused(changed(before, 0, **fields), tmp_path)["block.0/neuron"]


def test_real_weights_are_refused(tmp_path):
    before = network(np.random.default_rng(0), (3,), [], readout=(Dense(np.full((2, 3), 0.5)),))
    assert "not integers" in refused(before, tmp_path)["in/put -> out"]


def test_a_population_that_nothing_reads_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    before = network(rng, (3,), [[()]])
    dead = Population("dead", (3,), before.populations[0].neuron)
    idle = Population("idle", (3,), before.populations[0].neuron)
    before = replace(
        before,
        populations=(dead, idle, *before.populations),
        connections=(*before.connections, Connection("in/put", "dead", ()), Connection("idle", "block.0/neuron", ())),
    )
    problems = refused(before, tmp_path)
    assert "no outgoing" in problems["dead"]
    assert "no incoming" in problems["idle"]


def test_a_network_that_is_not_well_formed_is_refused_with_all_its_problems(tmp_path):
    rng = np.random.default_rng(0)
    before = network(rng, (3,), [[()]])
    wrong = replace(
        before,
        connections=(
            *before.connections,
            Connection("block.0/neuron", "block.0/neuron", ()),
            Connection("nowhere", "out", ()),
            Connection("in/put", "out", (Dense(integers(rng, 2, 4)),)),
        ),
        contract=replace(before.contract, presentation=0),
    )
    problems = refused(wrong, tmp_path)
    assert {"block.0/neuron -> block.0/neuron", "nowhere -> out", "in/put -> out", "contract"} <= set(problems)


def test_a_second_readout_is_refused(tmp_path):
    before = network(np.random.default_rng(0), (3,), [[()]])
    neuron = Accumulator(np.array([0]), 1.0)
    before = replace(before, populations=(replace(before.populations[0], neuron=neuron), before.populations[1]))
    assert "one read-out" in refused(before, tmp_path)["out"]


def test_weights_that_are_too_many_are_refused_before_they_are_made(tmp_path):
    rng = np.random.default_rng(0)
    conv = Conv(integers(rng, 16384, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 16384)
    before = network(rng, (16384, 1, 1), [[(conv,)]], readout=(SumPool((1, 1), (1, 1), ((0, 0), (0, 0))),))
    assert "too many" in refused(before, tmp_path)["in/put -> block.0/neuron"]


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    before = network(np.random.default_rng(0), (3,), [])
    problems = refused(replace(before, name="\ud800", host_tail=("x" * 2000,)), tmp_path)
    assert set(problems) == {"contract.name", "contract.host_tail[0]"}


def test_a_folder_that_does_not_exist_is_a_file_error(tmp_path):
    with pytest.raises(FileError):
        to_nir(network(np.random.default_rng(0), (3,), []), tmp_path / "missing" / "network.nir")


def test_a_refused_network_leaves_an_older_file_alone(tmp_path):
    path = tmp_path / "network.nir"
    path.write_bytes(b"older")
    with pytest.raises(NirError):
        to_nir(network(np.random.default_rng(0), (2, 3, 4), [[(Upsample((1, 2, 2)),)]]), path)
    assert path.read_bytes() == b"older"


# Files whose graph and contract disagree


@pytest.fixture
def written(tmp_path):
    """A file, and the graph that nir reads from it."""
    to_nir(residual(np.random.default_rng(0)), tmp_path / "network.nir")
    return tmp_path / "network.nir", nir.read(tmp_path / "network.nir")


def reread(path, graph):
    nir.write(path, graph)
    with pytest.raises(NirError) as caught:
        from_nir(path)
    return str(caught.value)


def test_a_file_without_a_contract_is_refused(written):
    path, graph = written
    graph.metadata.clear()
    assert "no execution contract" in reread(path, graph)


def test_a_foreign_file_is_refused(tmp_path):
    neuron = nir.IF(r=np.ones(3), v_threshold=np.ones(3))
    graph = nir.NIRGraph.from_list(nir.Affine(weight=np.ones((3, 2)), bias=np.zeros(3)), neuron)
    assert "no execution contract" in reread(tmp_path / "foreign.nir", graph)


@pytest.mark.parametrize("change", [0.5, 1.0])
def test_changed_weights_are_refused(change, written):
    path, graph = written
    graph.nodes["output_linear"].weight = graph.nodes["output_linear"].weight + np.float32(change)
    assert ("no integers" if change == 0.5 else "other numbers") in reread(path, graph)


@pytest.mark.parametrize("change", [0.5, 1.0])
def test_changed_thresholds_are_refused(change, written):
    path, graph = written
    graph.nodes["block_0_neuron"].v_threshold = graph.nodes["block_0_neuron"].v_threshold + np.float32(change)
    assert ("no integers" if change == 0.5 else "other numbers") in reread(path, graph)


def test_one_changed_threshold_is_refused(written):
    path, graph = written
    graph.nodes["block_0_neuron"].v_threshold[3, 1, 1] += 1
    assert "block_0_neuron: its `v_threshold`" in reread(path, graph)


def test_a_changed_bias_is_refused(written):
    path, graph = written
    graph.nodes["block_0_neuron_conv"].bias[2] += np.float32(0.01)
    assert "block_0_neuron_conv: its `bias`" in reread(path, graph)


@pytest.mark.parametrize("field", ["r", "v_reset"])
def test_neurons_that_are_not_plain_any_more_are_refused(field, written):
    path, graph = written
    getattr(graph.nodes["block_0_neuron"], field)[:] = 2
    assert f"block_0_neuron: its `{field}`" in reread(path, graph)


def test_a_changed_stride_is_refused(written):
    path, graph = written
    graph.nodes["block_0_neuron_conv"].dilation = np.array([1, 2])
    with h5py.File(path, "r+") as file:
        file["node/nodes/block_0_neuron_conv/dilation"][1] = 2
    with pytest.raises(NirError, match="its `dilation`"):
        from_nir(path)


def test_a_removed_edge_is_refused(written):
    path, _ = written
    with h5py.File(path, "r+") as file:
        edges = file["node/edges"][()]
        del file["node/edges"]
        file["node"].create_dataset("edges", data=edges[1:], dtype=h5py.string_dtype())
    with pytest.raises(NirError, match="other edges than its contract: input -> block_0_neuron_conv"):
        from_nir(path)


def test_an_added_node_is_refused(written):
    path, graph = written
    graph.nodes["more"] = nir.Scale(scale=np.ones((4, 6, 6)))
    graph.edges.append(("input", "more"))
    assert "other nodes than its contract: more" in reread(path, graph)


def test_a_missing_node_is_refused(written):
    path, _ = written
    with h5py.File(path, "r+") as file:
        del file["node/nodes/output_linear"]
    with pytest.raises(NirError, match="output_linear"):
        from_nir(path)


def test_a_node_of_another_kind_is_refused(written):
    path, graph = written
    linear = graph.nodes["output_linear"]
    graph.nodes["output_linear"] = nir.Linear(weight=linear.weight)
    assert "output_linear: is not the Affine node" in reread(path, graph)


def test_a_newer_contract_is_refused(written):
    path, graph = written
    graph.metadata["spikeport"] = graph.metadata["spikeport"].replace("spikeport.nir/1", "spikeport.nir/2")
    assert "use the spikeport that wrote it" in reread(path, graph)


def test_all_problems_of_a_contract_are_raised_at_once(written):
    path, graph = written
    content = json.loads(graph.metadata["spikeport"])
    content["contract"]["reset"] = "zero"
    content["contract"]["dt"] = "fast"
    content["populations"][0]["neuron"]["low"] = 3
    content["connections"][0]["synapses"][0]["stride"] = [1, "2"]
    content["unheard_of"] = 1
    graph.metadata["spikeport"] = json.dumps(content)
    nir.write(path, graph)
    with pytest.raises(NirError) as caught:
        from_nir(path)
    assert {p.where for p in caught.value.problems} == {
        "contract",
        "contract.contract.reset",
        "contract.contract.dt",
        "contract.populations[0].neuron.low",
        "contract.connections[0].synapses[0].stride[1]",
    }


def test_a_coefficient_that_the_graph_contradicts_is_refused(written):
    path, _ = written
    with h5py.File(path, "r+") as file:
        arrays = file["node/metadata/spikeport_arrays"]
        name = next(name for name in arrays if name.startswith("weight"))
        arrays[name][3] += 1
    with pytest.raises(NirError, match="block_0_neuron_conv_2: its `weight`"):
        from_nir(path)


def test_a_changed_initial_potential_is_refused(written):
    path, _ = written
    with h5py.File(path, "r+") as file:
        arrays = file["node/metadata/spikeport_arrays"]
        name = next(name for name in arrays if name.startswith("initial"))
        arrays[name][0] += 1
    with pytest.raises(NirError, match="other numbers"):
        from_nir(path)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("contract", "dt"), 1e-3),
        (("populations", 0, "neuron", "high"), 1),
        (("host_tail",), []),
        (("input", "low"), -1),
    ],
    ids=str,
)
def test_a_contract_that_was_edited_is_refused(at, value, written):
    path, graph = written
    content = json.loads(graph.metadata["spikeport"])
    parent = content
    for key in at[:-1]:
        parent = parent[key]
    assert parent[at[-1]] != value
    parent[at[-1]] = value
    graph.metadata["spikeport"] = json.dumps(content)
    assert "other numbers" in reread(path, graph)


def test_a_scalar_coefficient_is_no_channel_coefficient(tmp_path):
    """The shape that a weight had is part of the contract, and its node must have that structure."""
    rng = np.random.default_rng(0)
    to_nir(network(rng, (3,), [[(OneToOne(np.asarray(3)),)]]), tmp_path / "network.nir")
    graph = nir.read(tmp_path / "network.nir")
    graph.nodes["block_0_neuron_scale"].scale[1] = 4
    assert "block_0_neuron_scale: its `scale`" in reread(tmp_path / "network.nir", graph)
