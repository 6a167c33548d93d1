"""The codec: whatever it writes it reads, and a file makes nothing but listed types of well-formed content."""

import json
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spikeport import codes
from spikeport.errors import ArchiveError
from spikeport.graph import Activation, Add, Affine, Concat, Graph, Input, Node, Quantize, Relu, Softmax, build
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    Accumulator,
    AdaptiveLIF,
    Approximation,
    Connection,
    Conv,
    CubaLI,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    ExecutionContract,
    Extension,
    Factor,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedIF,
    GradedThreshold,
    I,
    InputEncoder,
    InterpolatedLIF,
    Izhikevich,
    MaxPool,
    MaxUnit,
    NetworkOutput,
    OneToOne,
    Pad,
    PhasedIF,
    PlainIF,
    Population,
    Projection,
    RadixIF,
    RectifiedIF,
    Relay,
    Reshape,
    ResonateAndFire,
    RewardSTDP,
    SigmaDelta,
    SignedIF,
    Slice,
    Sparse,
    SpikeInput,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    SumPool,
    Term,
    Threshold,
    Trace,
    Transpose,
    UnitBank,
    Upsample,
)
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    MaxLayer,
    QuantizeOptions,
    Readout,
    StaircaseLayer,
    evaluate,
    quantize,
)
from spikeport.storage.archive import read_archive, write_archive
from spikeport.storage.codec import ARRAY, MAX_DEPTH, TYPES, decode, encode


def same(one, other):
    """Whether two values are of the same types and bits all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one) if f.init)
    if isinstance(one, float):
        return one.hex() == other.hex()
    return one == other


def through_json(value):
    structure, arrays = encode(value)
    return decode(json.loads(json.dumps(structure, allow_nan=False)), arrays)


def ints(*values):
    return np.array(values, dtype=np.int64)


POOL = MaxPool((2,), (2,), ((0, 0),), (1,))
ENCODER = InputEncoder("in", (4,), "static", np.array(0.1), -127, 127, np.array(2.0), None)
WEIGHT = ints([1, 2, 3, 4], [5, 6, 7, 8])
CONNECTIONS = (Connection("in", "h", (Dense(WEIGHT),)), Connection("h", "out", (OneToOne(ints(3)),)))
LEDGER = (Approximation("h", "weights rounded", 0.1, "of the model's units"),)
CONTRACT = ExecutionContract("signed", 7, 20, 24)
NEURON = SignedIF(ints(9, 8), ints(4, 4), ints(0, -1), -7, 7)
GRAPH = build(
    [
        Node("in", Input((4,)), (), (4,)),
        Node("fc", Dense(np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4)), ("in",), (2,), "net.py:3"),
        Node("bias", Affine(None, np.array([0.5, -0.0])), ("fc",), (2,)),
        Node("relu", Relu(6.0), ("bias",), (2,)),
    ],
    "relu",
)
SPIKING = SpikingNetwork(
    "network",
    ENCODER,
    (Population("h", (2,), NEURON), Population("out", (2,), Accumulator(ints(0), 0.25))),
    CONNECTIONS,
    "out",
    CONTRACT,
    LEDGER,
    ("softmax",),
)
INTEGER = IntegerNetwork(
    ENCODER,
    (
        CountLayer("h", (2,), ints(9, 8), ints(0, -1), ints(4, 4), -7, 7, np.array([0.5, 1e-300])),
        Readout("out", (2,), ints(0), 0.25),
    ),
    CONNECTIONS,
    weight_bits=8,
    state_bits=24,
    host_tail=(Softmax(0, log=True),),
    ledger=LEDGER,
)
LIF_NETWORK = DynamicNetwork(
    "net",
    (SpikeInput("in", (2,)),),
    (DynamicPopulation("n", (3,), LIF(tau=np.array([0.01, 0.02, 0.03]), initial=0.5)),),
    (Projection("in", "n", (Dense(np.ones((3, 2))),), 2, np.array([0.5])),),
    DynamicsContract(dt=1e-3, integrator="exponential"),
    outputs=(NetworkOutput("out", "n"),),
)
EACH_DYNAMIC = (
    IF(threshold=2.0, refractory=np.array([0.001, 0.0])),
    LI(tau=0.01),
    LIF(tau=0.01, bias=np.array([1.0, 2.0])),
    CubaLI(tau_syn=0.01, tau_mem=0.02),
    CubaLIF(tau_syn=0.01, tau_mem=0.02),
    LIF_NETWORK,
    LIF_NETWORK.populations[0],
    LIF_NETWORK.contract,
    FixedCubaLIF(du=4095, dv=ints(1, 2), threshold=64),
    GradedThreshold(threshold=3, relu=True),
    PhasedIF(ints(9), ints(4), ints(0), ints(100), 3, 10),
    PlainIF(ints(9), ints(4), ints(0)),
    LIF_NETWORK.outputs[0],
    LIF_NETWORK.projections[0],
    RadixIF(ints(9), ints(4), ints(0), 3, 2),
    I(r=2.0),
    Relay(bias=np.array([1.0])),
    RectifiedIF(threshold=2.0),
    InterpolatedLIF(tau=0.02, refractory=np.array([0.0005, 0.002]), initial_w=0.0015),
    AdaptiveLIF(tau=0.01, tau_adapt=np.array([0.1, np.inf]), increment=0.5, adapts="current"),
    Izhikevich(substeps=1, recovery="old", initial_u=-14.0),
    ResonateAndFire(tau=0.01, frequency=np.array([40.0, 80.0]), kind="rf"),
    SigmaDelta(threshold=0.5, activation="unit"),
    FixedResonateAndFire(cos=1000, sin=-70, threshold=5, kind="izhikevich"),
    FixedSigmaDelta(threshold=7, activation="unit"),
    Sparse(ints(0, 1, 2), np.array([0, 1], dtype=np.uint32), ints(3, 4), 2),
    LIF_NETWORK.inputs[0],
    StaircaseBank(ints([-4], [3]), ints(4), ints(0), 100, 2),
    StaircaseIF(ints([-4], [3]), ints(4), ints(0), -1),
    StaircaseUnit(ints([-4], [3]), ints(4), ints(0), 0, "digits", 2),
    Threshold(threshold=2.0),
    UnitBank(ints(9), ints(4), ints(0), 5, 1000, 1),
)
ONE_OF_EACH = (
    *EACH_DYNAMIC,
    Accumulator(ints(1, 2), 0.1),
    Approximation("conv1", "rounded", 1e-12, ""),
    Connection("a", "b", (Reshape((4,)), SumPool((2,), (2,), ((0, 0),)))),
    Conv(np.ones((2, 1, 3, 3), dtype=np.int8), (1, 1), ((1, 0), (0, 1)), (1, 2), 1),
    Dense(WEIGHT),
    CONTRACT,
    GradedIF(ints(9), ints(4), ints(0), 0, 7, 3),
    ENCODER,
    POOL,
    MaxUnit(POOL, None),
    OneToOne(ints(7)),
    Pad(((0, 0), (1, 2))),
    SPIKING.populations[0],
    Reshape((2, 2)),
    NEURON,
    Slice((0, 1), (4, 4), (1, 2)),
    SPIKING,
    SumPool((2, 2), (2, 2), ((0, 0), (0, 0))),
    Trace("x", "pre", None, limit=127.0),
    Factor("x", 1.0),
    Extension("loihi2", (("cores", (1, 2)), ("gain", 0.5), ("mode", "a"), ("on", True))),
    Term("step", 0.5, (Factor("x"),), per="second", every=2),
    RewardSTDP(),
    Transpose((1, 0)),
    Upsample((1, 2)),
    Activation("elu", (1.0, 1.0, 1.0)),
    Add(),
    Affine(np.array([2.0]), None),
    Concat(0),
    GRAPH,
    Input((3, 8, 8)),
    GRAPH.nodes[1],
    Quantize(),
    Relu(None),
    Softmax(0, True),
    INTEGER.layers[0],
    INTEGER,
    MaxLayer("pool", (2,), POOL, np.array([0.5])),
    INTEGER.layers[1],
    StaircaseLayer("h", (2,), ints([-4, 0], [7, 0]), ints(0, -1), -1, np.array([0.5, 1.5])),
)


# -- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("former", "neuron"),
    [
        ("ResonateAndFire", FixedResonateAndFire(cos=1000, sin=-70, threshold=5, kind="izhikevich")),
        ("SigmaDelta", FixedSigmaDelta(threshold=7, activation="unit")),
    ],
)
def test_fixed_neurons_of_older_files_are_read_by_their_former_names(former, neuron):
    structure, arrays = encode(neuron)
    ((name, content),) = structure.items()
    assert name == f"Fixed{former}"
    assert same(decode({former: content}, arrays), neuron)


def test_the_examples_are_of_every_listed_type():
    assert len(ONE_OF_EACH) == len(TYPES)
    assert {type(value) for value in ONE_OF_EACH} == set(TYPES.values())
    assert ARRAY not in TYPES


@pytest.mark.parametrize("value", ONE_OF_EACH, ids=lambda value: type(value).__name__)
def test_every_type_comes_back_as_it_was(value):
    assert same(through_json(value), value)


def test_a_round_trip_compares_what_it_should():
    assert not same(SPIKING, replace(SPIKING, ledger=()))
    assert not same(1, True)
    assert not same(Dense(WEIGHT), Dense(WEIGHT.astype(np.int32)))
    assert not same(0.0, -0.0)


numbers = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**63 - 1)
shapes = st.lists(integers, max_size=3).map(tuple)
arrays = npst.arrays(
    npst.integer_dtypes() | npst.floating_dtypes(endianness="="), npst.array_shapes(min_dims=0, max_dims=3)
)
values = st.recursive(
    st.none()
    | st.booleans()
    | integers
    | numbers
    | st.text()
    | arrays
    | st.builds(Approximation, st.text(), st.text(), numbers, st.text())
    | st.builds(Conv, arrays, shapes, st.lists(st.tuples(integers, integers), max_size=2).map(tuple), shapes, integers)
    | st.builds(Affine, st.none() | arrays, st.none() | arrays)
    | st.builds(Relu, st.none() | numbers)
    | st.builds(MaxUnit, st.builds(MaxPool, shapes, shapes, st.just(()), shapes), st.none() | integers)
    | st.builds(InputEncoder, st.text(), shapes, st.sampled_from(["static", "events"]), arrays, integers, integers),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=12,
)


@given(values)
def test_any_value_comes_back_as_it_was(value):
    assert same(through_json(value), value)


@given(values)
def test_equal_values_have_equal_structures_and_array_names(value):
    structure, found = encode(value)
    again, names = encode(through_json(value))
    assert json.dumps(structure) == json.dumps(again)
    assert list(found) == list(names) == [f"a{i}" for i in range(len(found))]


def test_an_array_used_twice_is_stored_once_and_shared_again():
    structure, found = encode((SPIKING, INTEGER))
    network, integer = decode(structure, found)
    assert sum(array is WEIGHT or np.array_equal(array, WEIGHT) for array in found.values()) == 1
    assert network.connections[0].synapses[0].weight is integer.connections[0].synapses[0].weight


def test_equal_arrays_that_are_two_objects_stay_two():
    _, found = encode((WEIGHT, WEIGHT.copy(), WEIGHT))
    assert list(found) == ["a0", "a1"]


def test_read_only_arrays_are_not_copied():
    _, found = encode(Dense(WEIGHT))
    assert decode({"Dense": {"weight": {"array": "a0"}}}, found).weight is found["a0"]


def test_numpy_numbers_become_python_numbers():
    value = through_json(Approximation("a", "b", np.float64(0.1)))
    assert type(value.error) is float
    assert value.error == 0.1
    assert same(through_json((np.int64(3), np.float32(0.5), np.bool_(True))), (3, 0.5, True))


def test_an_integer_is_a_float_where_a_float_is_meant():
    value = decode({"Relu": {"ceiling": 6}}, {})
    assert same(value, Relu(6.0))


def test_a_converted_model_computes_the_same_after_a_journey_through_a_file(tmp_path):
    rng = np.random.default_rng(5)
    nodes = [
        Node("in", Input((6,)), (), ()),
        Node("f1", Dense(rng.normal(size=(8, 6))), ("in",), ()),
        Node("r1", Relu(), ("f1",), ()),
        Node("f2", Dense(rng.normal(size=(3, 8))), ("r1",), ()),
    ]
    x = rng.normal(size=(50, 6))
    graph = build(nodes, "f2")
    integer = quantize(graph, x, QuantizeOptions(levels=15))
    network = codes.encode(integer, "graded")
    structure, found = encode((graph, integer, network))
    path = write_archive(tmp_path / "m.spk", {"model.json": json.dumps(structure).encode()}, found)
    documents, read = read_archive(path)
    again = decode(json.loads(documents["model.json"]), read)
    assert same(again, (graph, integer, network))
    assert np.array_equal(evaluate(again[1], x), evaluate(integer, x))
    structure, found = encode(again)
    second = write_archive(tmp_path / "n.spk", {"model.json": json.dumps(structure).encode()}, found)
    assert second.read_bytes() == path.read_bytes()


# -- what cannot be written -------------------------------------------------------------------------------------------


class Dense2(Dense):
    __slots__ = ()


Impostor = type("Dense", (), {})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (float("nan"), "$"),
        (Relu(float("inf")), r"\$\.Relu\.ceiling"),
        ((1, 2**63), r"\$\[1\]"),
        ([1], "$"),
        ({"a": 1}, "$"),
        (b"x", "$"),
        (Relu, "$"),
        (Dense2(WEIGHT), "Dense2"),
        (Impostor(), "Dense"),
        (Connection("a", "b", [Add()]), r"\$\.Connection\.synapses"),
    ],
)
def test_what_a_file_cannot_hold_is_not_written(value, place):
    with pytest.raises(ArchiveError, match=place):
        encode(value)


def nested(depth):
    value = ()
    for _ in range(depth):
        value = (value,)
    return value


def test_nesting_is_bounded():
    assert through_json(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    with pytest.raises(ArchiveError, match="deep"):
        encode(nested(MAX_DEPTH + 1))
    structure = []
    for _ in range(400):
        structure = [structure]
    with pytest.raises(ArchiveError, match="deep"):
        decode(structure, {})
    structure = {"Input": {"shape": []}}
    for _ in range(400):
        structure = {"Node": {"name": structure, "op": 1, "inputs": 1, "shape": 1, "source": 1}}
    with pytest.raises(ArchiveError, match="deep"):
        decode(structure, {})


# -- what cannot be read ----------------------------------------------------------------------------------------------


def conv(**changes):
    given = {"weight": {"array": "a0"}, "stride": [1], "padding": [[1, 1]], "dilation": [1], "groups": 1}
    return {"Conv": given | changes}


CONV_WEIGHT = {"a0": np.ones((1, 1, 3))}


def test_the_structure_that_the_tests_change_is_read():
    assert same(decode(conv(), CONV_WEIGHT), Conv(np.ones((1, 1, 3)), (1,), ((1, 1),), (1,), 1))


@pytest.mark.parametrize(
    ("structure", "place"),
    [
        (conv(groups=True), "$.Conv.groups: holds True, not int"),
        (conv(groups=1.0), "$.Conv.groups: holds 1.0, not int"),
        (conv(groups=None), "$.Conv.groups: holds None"),
        (conv(groups=2**63), "$.Conv.groups: holds 9223372036854775808"),
        (conv(groups=10**400), "$.Conv.groups"),
        (conv(groups=float("nan")), "$.Conv.groups"),
        (conv(stride=1), "$.Conv.stride: holds 1, not tuple[int, ...]"),
        (conv(stride=["1"]), "$.Conv.stride"),
        (conv(stride=[[1]]), "$.Conv.stride"),
        (conv(padding=[[1, 1, 1]]), "$.Conv.padding"),
        (conv(padding=[[1]]), "$.Conv.padding"),
        (conv(weight=1.0), "$.Conv.weight: holds 1.0, not an array"),
        (conv(weight={"array": "a1"}), "$.Conv.weight: needs the array 'a1', which is missing"),
        (conv(weight={"array": ["a0"]}), "$.Conv.weight: needs the array ['a0']"),
        (conv(weight={"array": {}}), "$.Conv.weight: needs the array"),
        (conv(weight={}), "$.Conv.weight: holds {}"),
        (conv(weight={"array": "a0", "more": 1}), "$.Conv.weight: holds {"),
        (conv(bias=None), "$.Conv: missing fields: none; unknown fields: 'bias'"),
        ({"Conv": {"weight": {"array": "a0"}}}, "$.Conv: missing fields: dilation, groups, padding, stride"),
        ({"Conv": [1, 2]}, "$.Conv: holds [1, 2], not its fields"),
        ([conv(), {"Popen": {"args": "ls"}}], "$[1]: 'Popen' is not a type"),
        ([conv(), {"os.system": "ls"}], "$[1]: 'os.system' is not a type"),
        ([conv(), {"__class__": {}}], "$[1]: '__class__' is not a type"),
        ([conv(), {"Problem": {"where": "a", "why": "b", "hint": ""}}], "$[1]: 'Problem' is not a type"),
        ([conv(), {1: {}}], "$[1]: 1 is not a type"),
        ([conv(), {"InputEncoder": {}}], "$[1].InputEncoder: missing fields: gain, high"),
        ([conv(), b"x"], "$[1]: holds b'x'"),
        (conv(weight=conv()), "$.Conv.weight: holds"),
    ],
)
def test_a_wrong_structure_is_refused_with_its_place(structure, place):
    with pytest.raises(ArchiveError) as caught:
        decode(structure, CONV_WEIGHT)
    assert str(caught.value).startswith(place)


def test_an_array_that_nothing_uses_is_refused():
    with pytest.raises(ArchiveError, match="does not use the arrays a1, a2"):
        decode(conv(), CONV_WEIGHT | {"a2": WEIGHT, "a1": WEIGHT})


@pytest.mark.parametrize(
    ("structure", "where"),
    [
        ({"MaxUnit": {"window": {"Reshape": {"shape": [1]}}, "fires_at": None}}, "$.MaxUnit.window"),
        ({"Population": {"name": "a", "shape": [1], "neuron": {"Add": {}}}}, "$.Population.neuron"),
        ({"Connection": {"source": "a", "target": "b", "synapses": [{"Add": {}}]}}, "$.Connection.synapses"),
        ({"Node": {"name": "a", "op": {"Add": {}}, "inputs": "abc", "shape": [1], "source": ""}}, "$.Node.inputs"),
        ({"Softmax": {"axis": 0, "log": 1}}, "$.Softmax.log"),
        ({"Softmax": {"axis": False, "log": True}}, "$.Softmax.axis"),
        ({"Relu": {"ceiling": True}}, "$.Relu.ceiling"),
        ({"Relu": {"ceiling": "6"}}, "$.Relu.ceiling"),
    ],
)
def test_a_value_of_another_kind_than_its_field_is_refused(structure, where):
    with pytest.raises(ArchiveError) as caught:
        decode(structure, {})
    assert caught.value.problems[0].where == where


@pytest.mark.parametrize(
    ("key", "value"), [("code", "burst"), ("layer_latency", False), ("layer_latency", 0.0), ("dt", "1")]
)
def test_closed_choices_stay_closed(key, value):
    structure, _ = encode(CONTRACT)
    structure["ExecutionContract"][key] = value
    with pytest.raises(ArchiveError) as caught:
        decode(structure, {})
    assert caught.value.problems[0].where == f"$.ExecutionContract.{key}"


def test_arrays_have_the_kind_that_their_field_names():
    structure, found = encode(INTEGER.layers[0])
    assert same(decode(structure, found), INTEGER.layers[0])
    for name, array in (("a0", np.ones(2)), ("a3", ints(1, 1)), ("a1", np.array(True))):
        with pytest.raises(ArchiveError, match=r"\$\.CountLayer\.\w+: holds an array of \w+, not an array of \w+"):
            decode(structure, found | {name: array})


def places(structure, path=()):
    yield path
    if isinstance(structure, dict | list):
        for key in structure if isinstance(structure, dict) else range(len(structure)):
            yield from places(structure[key], (*path, key))


def content_at(structure, path):
    for key in path:
        structure = structure[key]
    return structure


def changed(structure, path, change):
    if not path:
        return change(structure)
    copy = dict(structure) if isinstance(structure, dict) else list(structure)
    copy[path[0]] = changed(copy[path[0]], path[1:], change)
    return copy


JUNK = [
    None,
    True,
    -1,
    0,
    10**9,
    2.5,
    1e308,
    "x",
    "in",
    [],
    [[]],
    [0, 0],
    {},
    {"array": "a0"},
    {"Add": {}},
    {"Input": {"shape": [2]}},
]


@pytest.mark.parametrize("value", [GRAPH, INTEGER, SPIKING], ids=["graph", "integer", "spiking"])
def test_junk_anywhere_is_refused_or_makes_a_well_formed_value(value):
    structure, found = encode(value)
    refused = 0
    for path in places(structure):
        for junk in JUNK:
            try:
                decode(changed(structure, path, lambda _, junk=junk: junk), found)
            except ArchiveError as error:
                refused += error.problems[0].where.startswith("$")
    assert refused > 0.8 * len(JUNK) * sum(1 for _ in places(structure))


@pytest.mark.parametrize("value", [GRAPH, INTEGER, SPIKING], ids=["graph", "integer", "spiking"])
def test_no_field_may_be_missing_or_added(value):
    structure, found = encode(value)
    for path in places(structure):
        if not path or path[-1] not in TYPES:
            continue
        with pytest.raises(ArchiveError, match="unknown fields: 'more'"):
            decode(changed(structure, path, lambda content: content | {"more": 1}), found)
        for key in content_at(structure, path):
            with pytest.raises(ArchiveError, match=f"missing fields: {key}"):
                decode(changed(structure, path, lambda c, key=key: {k: v for k, v in c.items() if k != key}), found)


# -- whole networks ---------------------------------------------------------------------------------------------------


def test_a_graph_that_is_not_well_formed_is_refused_with_all_its_problems():
    structure, found = encode(GRAPH)
    nodes = structure["Graph"]["nodes"]
    nodes[1]["Node"]["shape"] = [3]
    nodes[3]["Node"]["inputs"] = ["late"]
    with pytest.raises(ArchiveError) as caught:
        decode([structure], found)
    text = str(caught.value)
    assert "$[0].Graph: fc (net.py:3): has shape (2,), not (3,)" in text
    assert "$[0].Graph: relu: reads late" in text


def test_a_graph_that_breaks_its_own_checks_is_refused_too():
    structure, found = encode(GRAPH)
    structure["Graph"]["nodes"][3]["Node"]["inputs"] = []
    with pytest.raises(ArchiveError, match=r"\$\.Graph"):
        decode(structure, found)


def test_networks_that_are_not_well_formed_are_refused_with_all_their_problems():
    structure, found = encode((SPIKING, INTEGER))
    structure[0]["SpikingNetwork"]["output"] = "nowhere"
    structure[0]["SpikingNetwork"]["populations"][0]["Population"]["neuron"]["SignedIF"]["high"] = -1
    with pytest.raises(ArchiveError) as caught:
        decode(structure, found)
    assert {p.where for p in caught.value.problems} == {"$[0].SpikingNetwork: network", "$[0].SpikingNetwork: h"}
    structure, found = encode((SPIKING, INTEGER))
    structure[1]["IntegerNetwork"]["connections"][0]["Connection"]["source"] = "nowhere"
    with pytest.raises(ArchiveError, match=r"\$\[1\]\.IntegerNetwork: nowhere -> h: `nowhere` is neither"):
        decode(structure, found)


def test_graphs_keep_the_order_of_their_nodes():
    again = through_json(GRAPH)
    assert isinstance(again, Graph)
    assert list(again.by_name) == list(GRAPH.by_name)
