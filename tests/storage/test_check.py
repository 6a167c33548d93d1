"""A network from outside: every defect is named, all of them at once, and what the library makes passes."""

from dataclasses import replace

import numpy as np
import pytest

from spikeport import codes
from spikeport.errors import ArchiveError
from spikeport.graph import Add, Concat, Input, Node, Quantize, Relu, Softmax, build
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    ExecutionContract,
    GradedIF,
    InputEncoder,
    MaxPool,
    MaxUnit,
    OneToOne,
    Pad,
    Population,
    Reshape,
    SignedIF,
    Slice,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    SumPool,
    Transpose,
    Upsample,
)
from spikeport.quantize import CountLayer, IntegerNetwork, MaxLayer, QuantizeOptions, Readout, StaircaseLayer, quantize
from spikeport.storage.check import check_network, network_problems

POOL = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
ONE = np.array(1)
CONV = Conv(np.ones((2, 1, 3, 3), dtype=np.int64), (1, 1), ((1, 1), (1, 1)), (1, 1))
DENSE = Dense(np.ones((3, 8), dtype=np.int64))
ENCODER = InputEncoder("in", (1, 4, 4), "static", np.array(0.5), -127, 127)
CONNECTIONS = (
    Connection("in", "conv", (CONV,)),
    Connection("conv", "pool", ()),
    Connection("pool", "out", (Reshape((8,)), DENSE)),
)
CONTRACT = ExecutionContract("signed", presentation=7, max_steps=20, state_bits=24)
NEURON = SignedIF(np.full((2, 1, 1), 5), np.full((2, 1, 1), 2), np.zeros((2, 1, 1), dtype=np.int64), 0, 7)
SPIKING = SpikingNetwork(
    "network",
    ENCODER,
    (
        Population("conv", (2, 4, 4), NEURON),
        Population("pool", (2, 2, 2), MaxUnit(POOL)),
        Population("out", (3,), Accumulator(np.zeros(3, dtype=np.int64), 0.25)),
    ),
    CONNECTIONS,
    "out",
    CONTRACT,
)
INTEGER = IntegerNetwork(
    ENCODER,
    (
        CountLayer("conv", (2, 4, 4), ONE, ONE, ONE, 0, 7, np.array(0.1)),
        MaxLayer("pool", (2, 2, 2), POOL, np.array(0.1)),
        Readout("out", (3,), ONE, 0.25),
    ),
    CONNECTIONS,
    weight_bits=8,
    state_bits=24,
    host_tail=(Softmax(0),),
)


def with_unit(index, **changes):
    """The spiking network with fields of one population changed."""
    parts = list(SPIKING.populations)
    parts[index] = replace(parts[index], **changes)
    return replace(SPIKING, populations=tuple(parts))


def with_neuron(**changes):
    return with_unit(0, neuron=replace(NEURON, **changes))


def with_layer(index, **changes):
    parts = list(INTEGER.layers)
    parts[index] = replace(parts[index], **changes)
    return replace(INTEGER, layers=tuple(parts))


def with_chain(*synapses, source="in", target="conv"):
    return replace(SPIKING, connections=(Connection(source, target, synapses), *CONNECTIONS[1:]))


def with_input(**changes):
    return replace(SPIKING, input=replace(ENCODER, **changes))


def test_well_formed_networks_have_no_problems():
    assert network_problems(SPIKING) == []
    assert network_problems(INTEGER) == []
    check_network(SPIKING)
    graded = GradedIF(NEURON.threshold, NEURON.initial, NEURON.bias, -7, 7, fires_at=0)
    assert network_problems(with_unit(0, neuron=graded)) == []


TABLE = np.array([-3, 0, 0, 9]).reshape(4, 1, 1, 1)
ZERO = np.zeros((), dtype=np.int64)


def with_table(table, *, low=-1, bias=ZERO):
    """The integer network with a staircase in place of its counting layer."""
    layer = StaircaseLayer("conv", (2, 4, 4), table, bias, low, np.array(0.1))
    return replace(INTEGER, layers=(layer, *INTEGER.layers[1:]))


def test_well_formed_tables_have_no_problems():
    assert network_problems(with_table(TABLE)) == []
    assert network_problems(with_table(np.broadcast_to(TABLE, (4, 2, 1, 1)))) == []
    for neuron in (
        StaircaseIF(TABLE, ZERO, ZERO, -1),
        StaircaseUnit(TABLE, ZERO, ZERO, 0, "digits", 3),
        StaircaseBank(TABLE, ZERO, ZERO, 99, 0),
    ):
        assert network_problems(with_unit(0, neuron=neuron)) == []


@pytest.mark.parametrize(
    ("table", "options", "why"),
    [
        (TABLE[::-1], {}, "its steps fall somewhere"),
        (TABLE.reshape(4, 1, 1, 1, 1), {}, "its steps of shape (4, 1, 1, 1, 1) do not broadcast"),
        (np.broadcast_to(TABLE, (4, 3, 1, 1)), {}, "its steps of shape (4, 3, 1, 1) do not broadcast"),
        (TABLE * 2**61, {}, "beyond every membrane"),
        (np.full((2, 1), -(2**63)), {}, "beyond every membrane"),
        (TABLE.astype(np.float64), {}, "its steps has dtype float64"),
        (np.zeros((2**14 + 1, 1), dtype=np.int64), {}, "has 16385 steps"),
        (np.zeros((0, 1), dtype=np.int64), {"low": 0}, "its counts lie in 0..0"),
        (TABLE, {"low": 1}, "its counts lie in 1..5"),
        (TABLE, {"low": -4}, "its counts lie in -4..0"),
        (TABLE, {"bias": np.zeros(5, dtype=np.int64)}, "its bias of shape (5,) does not broadcast"),
    ],
)
def test_a_table_that_is_no_staircase_is_named(table, options, why):
    assert any(p.where == "conv" and why in p.why for p in network_problems(with_table(table, **options)))
    if "bias" not in options and options.get("low", -1) != 1:
        neuron = StaircaseIF(table, ZERO, ZERO, options.get("low", -1))
        assert any(why in p.why for p in network_problems(with_unit(0, neuron=neuron)))


def defect(network, *fragments):
    return pytest.param(network, fragments)


@pytest.mark.parametrize(
    ("network", "fragments"),
    [
        # names and order
        defect(with_unit(0, name="pool"), "pool: is a name used twice"),
        defect(with_unit(0, name="in"), "in: is a name used twice"),
        defect(with_chain(CONV, source="x"), "x -> conv: `x` is neither the input nor an earlier population"),
        defect(with_chain(source="conv"), "conv -> conv: `conv` is neither the input nor an earlier population"),
        defect(with_chain(source="pool"), "pool -> conv: `pool` is neither the input nor an earlier population"),
        defect(with_chain(CONV, target="x"), "in -> x: `x` can receive no spikes", "conv: has no connection into it"),
        defect(with_chain(CONV, target="in"), "in -> in: `in` can receive no spikes"),
        defect(replace(SPIKING, connections=CONNECTIONS[1:]), "conv: has no connection into it"),
        defect(replace(SPIKING, output="x"), "network: its output `x` is not one of its populations"),
        defect(replace(SPIKING, output="conv"), "conv: is the output, but no read-out"),
        defect(replace(SPIKING, populations=(), connections=()), "its output `out` is not one of its populations"),
        defect(
            replace(SPIKING, connections=(*CONNECTIONS, Connection("out", "late", ()))), "out -> late: `late` can receive"
        ),
        defect(
            replace(
                SPIKING,
                populations=(*SPIKING.populations, Population("late", (3,), Accumulator(np.array(0), 1.0))),
                connections=(*CONNECTIONS, Connection("out", "late", ())),
            ),
            "out -> late: `out` is a read-out, which sends nothing",
        ),
        # shapes
        defect(with_unit(1, shape=(2, 4, 4)), "conv -> pool: ends in shape (2, 2, 2), but `pool` has shape (2, 4, 4)"),
        defect(with_unit(0, shape=(2, 0, 4)), "conv: has shape (2, 0, 4), which holds no neuron"),
        defect(with_unit(0, shape=()), "conv: has shape (), which holds no neuron"),
        defect(with_unit(0, shape=(2, 2**16, 2**16)), "conv: has shape (2, 65536, 65536)"),
        defect(with_chain(DENSE), "in -> conv: Dense 0: does not fit: weight of shape (3, 8)"),
        defect(with_chain(CONV, Transpose((0, 1, 2, 3))), "in -> conv: Transpose 1: does not fit"),
        defect(with_chain(Dense(np.ones(8, dtype=np.int64))), "Dense 0: its weight has 1 axes"),
        defect(with_chain(replace(CONV, stride=(0, 1))), "Conv 0: its stride"),
        defect(with_chain(replace(CONV, stride=(1,))), "Conv 0: does not fit"),
        defect(with_chain(replace(CONV, groups=0)), "Conv 0: its stride, dilation, groups"),
        defect(with_chain(replace(CONV, padding=((-1, 1), (1, 1)))), "Conv 0: its stride"),
        defect(with_chain(Conv(np.ones((2, 1), dtype=int), (), (), ())), "Conv 0: its weight has shape (2, 1)"),
        defect(with_chain(SumPool((), (), ())), "SumPool 0: its kernel"),
        defect(with_chain(SumPool((9, 9), (1, 1), ((0, 0), (0, 0)))), "SumPool 0: does not fit"),
        defect(with_chain(Reshape((-4, -4))), "Reshape 0: its shape (-4, -4) is not positive"),
        defect(with_chain(Reshape((17,))), "Reshape 0: does not fit"),
        defect(with_chain(Slice((0, 0, 0), (1, 4, 4), (1, -1, 1))), "Slice 0: its bounds"),
        defect(with_chain(Slice((0, 0, -1), (1, 4, 4), (1, 1, 1))), "Slice 0: its bounds"),
        defect(with_chain(Slice((0, 4, 0), (1, 4, 4), (1, 1, 1))), "Slice 0: does not fit: an empty slice"),
        defect(with_chain(Slice((0,), (1, 4), (1,))), "Slice 0: its bounds"),
        defect(with_chain(Pad(((0, 0), (0, -1), (0, 0)))), "Pad 0: its width is negative"),
        defect(with_chain(Pad(((0, 2**40), (0, 0), (0, 0)))), "Pad 0: has shape", "values at most"),
        defect(with_chain(Upsample((1, 0, 1))), "Upsample 0: its factor"),
        defect(with_unit(1, neuron=MaxUnit(replace(POOL, padding=((2, 0), (0, 0))))), "padding alone"),
        defect(with_unit(1, neuron=MaxUnit(replace(POOL, dilation=(0, 1)))), "MaxPool 0: its kernel"),
        # arrays
        defect(with_chain(replace(CONV, weight=CONV.weight * 0.5)), "Conv 0: its weight has dtype float64"),
        defect(with_chain(OneToOne(np.array(True))), "OneToOne 0: its weight has dtype bool"),
        defect(with_chain(OneToOne(np.array(1, dtype=np.uint64))), "OneToOne 0: its weight has dtype uint64"),
        defect(with_neuron(threshold=np.array([[[3]], [[0]]])), "conv: its threshold is not positive everywhere"),
        defect(with_neuron(threshold=np.array(1.5)), "conv: its threshold has dtype float64"),
        defect(with_neuron(initial=np.array(1.5)), "conv: its initial has dtype float64"),
        defect(with_neuron(bias=np.zeros(3, dtype=int)), "its bias of shape (3,) does not broadcast to (2, 4, 4)"),
        defect(with_neuron(bias=np.zeros((1, 2, 4, 4), dtype=int)), "does not broadcast to (2, 4, 4)"),
        defect(with_neuron(bias=np.zeros((2, 0, 4), dtype=int)), "does not broadcast to (2, 4, 4)"),
        defect(with_neuron(low=1), "conv: its counts lie in 1..7"),
        defect(with_neuron(high=0), "conv: its counts lie in 0..0"),
        defect(with_unit(1, neuron=MaxUnit(POOL, fires_at=-1)), "pool: fires in step -1"),
        defect(with_unit(2, neuron=Accumulator(np.array(0), 0.0)), "out: its scale 0.0 is not a positive number"),
        defect(with_unit(2, neuron=Accumulator(np.array(0.0), 1.0)), "out: its bias has dtype float64"),
        # input
        defect(with_input(scale=np.array([[[0.0]]])), "in: its scale is not positive"),
        defect(with_input(scale=np.array(np.nan)), "in: its scale holds NaN"),
        defect(with_input(scale=np.array(True)), "in: its scale has dtype bool"),
        defect(with_input(gain=np.ones(3)), "in: its gain of shape (3,) does not broadcast to (1, 4, 4)"),
        defect(with_input(shift=np.array(np.inf)), "in: its shift holds NaN or infinite"),
        defect(with_input(low=5, high=4), "in: its range 5..4"),
        defect(with_input(kind="events"), "in: its range -127..127 holds no events input"),
        # contract
        defect(replace(SPIKING, contract=replace(CONTRACT, presentation=0)), "contract: its presentation is 0"),
        defect(replace(SPIKING, contract=replace(CONTRACT, max_steps=0)), "contract: its max_steps is 0"),
        defect(replace(SPIKING, contract=replace(CONTRACT, state_bits=65)), "contract: its state_bits is 65"),
        defect(replace(SPIKING, contract=replace(CONTRACT, dt=0.0)), "contract: its dt is 0.0"),
        # integer networks
        defect(with_layer(0, threshold=np.array(0)), "conv: its threshold is not positive everywhere"),
        defect(with_layer(0, offset=np.array(0.5)), "conv: its offset has dtype float64"),
        defect(with_layer(0, scale=np.array([0.1, 0.1, 0.1])), "conv: its scale of shape (3,) does not broadcast"),
        defect(with_layer(0, scale=np.array(-0.1)), "conv: its scale is negative"),
        defect(with_layer(1, scale=np.array(np.inf)), "pool: its scale holds NaN or infinite"),
        defect(with_layer(2, scale=-1.0), "out: its scale -1.0 is not a positive number"),
        defect(replace(INTEGER, layers=()), "network: its last layer is no read-out"),
        defect(replace(INTEGER, layers=INTEGER.layers[:2]), "network: its last layer is no read-out"),
        defect(
            replace(INTEGER, layers=(*INTEGER.layers, INTEGER.layers[0])),
            "its last layer is no read-out", "out: is a read-out before the end",
        ),
        defect(replace(INTEGER, host_tail=(Softmax(1),)), "out: the softmax after it has an axis that it lacks"),
        defect(replace(INTEGER, weight_bits=0), "network: its weight_bits is 0"),
    ],
)  # fmt: skip
def test_a_defect_is_named(network, fragments):
    text = "\n".join(map(str, network_problems(network)))
    for fragment in fragments:
        assert fragment in text
    with pytest.raises(ArchiveError):
        check_network(network)


def test_all_problems_are_raised_at_once_with_the_place_before_them():
    network = replace(with_neuron(threshold=np.array(0), low=3), output="x")
    with pytest.raises(ArchiveError) as caught:
        check_network(network, where="$[2]")
    assert [p.where for p in caught.value.problems] == ["$[2]: conv", "$[2]: conv", "$[2]: network"]


def image_graph():
    """Convolution, maximum, a branch that is concatenated, a residual sum, softmax."""
    rng = np.random.default_rng(3)
    conv = Conv(rng.normal(size=(4, 2, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    same = Conv(rng.normal(size=(4, 4, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    nodes = [
        Node("in", Input((2, 6, 6)), (), (2, 6, 6)),
        Node("c1", conv, ("in",), ()),
        Node("r1", Relu(), ("c1",), ()),
        Node("m1", MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), ("r1",), ()),
        Node("c2", same, ("m1",), ()),
        Node("s2", Add(), ("c2", "m1"), ()),
        Node("r2", Relu(), ("s2",), ()),
        Node("cat", Concat(0), ("m1", "r2"), ()),
        Node("c3", Conv(rng.normal(size=(3, 8, 1, 1)), (1, 1), ((0, 0), (0, 0)), (1, 1)), ("cat",), ()),
        Node("q3", Quantize(), ("c3",), ()),
        Node("p3", SumPool((3, 3), (3, 3), ((0, 0), (0, 0))), ("q3",), ()),
        Node("flat", Reshape((3,)), ("p3",), ()),
        Node("soft", Softmax(0, log=True), ("flat",), ()),
    ]
    return build(nodes, "soft")


@pytest.mark.parametrize("kind", ["static", "events"])
def test_what_the_library_makes_is_well_formed(kind):
    x = np.random.default_rng(0).poisson(2.0, size=(20, 2, 6, 6)).astype(np.float32)
    network = quantize(image_graph(), x, QuantizeOptions(levels=7, input=kind))
    assert network_problems(network) == []
    for code in codes.CODES:
        assert network_problems(codes.encode(network, code)) == []
