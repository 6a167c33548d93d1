"""Each limit at its edge and one beyond; the node, the fact, and all reasons at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from spikeport import codes
from spikeport.errors import OptionError
from spikeport.lower import legalize
from spikeport.lower.examine import Bounds, carry, verdict_of
from spikeport.lower.membranes import held
from spikeport.lower.wiring import wiring_of
from spikeport.primitives import (
    IF,
    LIF,
    Connection,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    InputEncoder,
    MaxPool,
    OneToOne,
    Projection,
    Reshape,
    SpikeInput,
    SumPool,
)
from spikeport.quantize import CountLayer, IntegerNetwork, MaxLayer, Readout, StaircaseLayer, bits, partial_sums
from spikeport.targets import FACTS, find_target
from tests.integer_networks import random_network
from tests.lower.targets import chip
from tests.lower.test_place import tables


def integers(*, kind: str = "events", high: int = 7, low: int = 0, skip: int | None = None) -> IntegerNetwork:
    """Two feature maps by a convolution, pooled sums into three neurons, and a read-out of two; perhaps a shortcut besides."""
    encoder = InputEncoder("in", (2, 6, 6), kind, np.ones(()), 0 if kind == "events" else -8, 7)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    conv = Conv(rng.integers(-5, 6, (2, 2, 3, 3)), (1, 1), ((0, 0), (0, 0)), (1, 1))
    conv.weight.setflags(write=True)
    conv.weight[0, 0, 0, 0] = 7
    pool = SumPool((2, 2), (2, 2), ((0, 0), (0, 0)))
    dense = Dense(np.clip(rng.integers(-8, 8, (3, 8)), -8, 7))
    threshold = np.array([[[9]], [[12]]])
    layers: list[Any] = [
        CountLayer("a", (2, 4, 4), threshold, np.array([[[3]], [[-4]]]), threshold // 2, 0, high, np.ones(())),
        CountLayer(
            "b", (3,), np.array([10, 20, 33]), np.array([5, 0, -6]), np.array([5, 10, 16]), low, high, np.ones(())
        ),
        Readout("out", (2,), np.array([1, -2]), 0.5),
    ]
    connections = [
        Connection("in", "a", (conv,)),
        Connection("a", "b", (pool, Reshape((8,)), dense)),
        Connection("b", "out", (Dense(np.array([[1, 2, 3], [-1, -2, -3]])),)),
    ]
    if skip is not None:
        connections.append(Connection("a", "out", (Reshape((32,)), Dense(np.full((2, 32), skip)))))
    return IntegerNetwork(encoder, tuple(layers), tuple(connections), 8, 24)


def reasons(network: Any, target: Any) -> list[tuple[str, str]]:
    return [(reason.where, reason.fact) for reason in legalize(network, target).reasons]


SIGNED = codes.encode(integers(), "signed")
GRADED = codes.encode(integers(), "graded")
GRADED_BOTH = codes.encode(integers(low=-7), "graded")
POPULATION = codes.encode(integers(), "population")
SKIPPING = codes.encode(integers(skip=1), "graded")
WIDE = codes.encode(integers(skip=301), "graded")
AT_ONCE = codes.encode(integers(), "graded", steps=1)
WIDTH = {name: bits(one.membrane) for name, one in held(SIGNED).items()}

EDGES: dict[str, tuple[Any, str, Any, Any, str]] = {
    # fact: network, facts besides, at the edge, beyond, node
    "kernel_max": (SIGNED, {}, 3, 2, "a"),
    "kernels": (SIGNED, {}, (1, 3), (1, 5), "a"),
    "strides": (SIGNED, {}, (1,), (2,), "a"),
    "padding_max": (SIGNED, {}, 0, -1, "a"),
    "pools": (SIGNED, {}, (2,), (4,), "b"),
    "map_edge_in_max": (SIGNED, {}, 6, 5, "a"),
    "map_edge_out_max": (SIGNED, {}, 4, 3, "a"),
    "channels_max": (SIGNED, {}, 3, 2, "b"),
    "skips": (SKIPPING, {}, True, False, "out"),
    "fan_out_layers_max": (SKIPPING, {}, 2, 1, "a"),
    "fan_in_max": (SIGNED, {}, 32, 31, "b"),
    "delay_max": (SKIPPING, {"layer_latency": 1}, 1, 0, "out"),
    "layers_min": (SIGNED, {}, 3, 4, "network"),
    "inputs_max": (SIGNED, {}, 72, 71, "in"),
    "outputs_max": (SIGNED, {}, 2, 1, "out"),
    "hidden_max": (SIGNED, {}, 35, 34, "network"),
    "neurons_max": (POPULATION, {}, 35 * 7 + 2, 35 * 7 + 1, "network"),
    "synapses_max": (SIGNED, {}, 32 * 18 + 96 + 6, 32 * 18 + 96 + 5, "network"),
    "shared_memory": (SIGNED, {"weight_bits": 4}, (32 * 18 + 96 + 6) // 2, (32 * 18 + 96 + 6) // 2 - 1, "network"),
    "weight_bits": (WIDE, {}, 10, 9, "out"),
    "weight_exponent_max": (WIDE, {"weight_bits": 8}, 7, 6, "out"),
    "payload_max": (GRADED, {}, 7, 6, "a"),
    "payload_min": (GRADED_BOTH, {}, -7, -6, "b"),
    "payload_caps": (GRADED, {}, (3, 7), (3, 15), "a"),
    "state_bits": (SIGNED, {}, max(WIDTH.values()), max(WIDTH.values()) - 1, max(WIDTH, key=lambda name: WIDTH[name])),
    "threshold_bits": (SIGNED, {}, 6, 5, "b"),
    "bias_bits": (AT_ONCE, {}, 4, 3, "a"),
    "input_bits": (SIGNED, {}, 3, 2, "in"),
    "features": (GRADED, {}, ("payload",), ("clock",), "a"),
    "synapses": (
        SIGNED,
        {},
        ("convolution", "dense", "sum pooling", "routing"),
        ("convolution", "dense", "routing"),
        "b",
    ),
}


@pytest.mark.parametrize("fact", EDGES)
def test_each_limit_at_its_edge_and_one_beyond(fact: str) -> None:
    network, besides, edge, beyond, node = EDGES[fact]
    assert reasons(network, chip(**besides, **{fact: edge})) == []
    assert (node, fact) in reasons(network, chip(**besides, **{fact: beyond}))
    assert {found for _, found in reasons(network, chip(**besides, **{fact: beyond}))} == {fact}


@pytest.mark.parametrize("fact", EDGES)
def test_a_limit_that_is_not_enforced_is_a_note(fact: str) -> None:
    network, besides, _, beyond, node = EDGES[fact]
    found = legalize(network, chip(**besides, **{fact: beyond}, hint_at=(fact,)))
    assert found.reasons == []
    if fact not in ("features", "weight_exponent_max"):
        assert any(note.startswith(f"{node}: ") for note in found.notes)


def test_every_fact_that_is_read_is_one_of_a_target() -> None:
    assert EDGES.keys() <= FACTS.keys()


def test_nothing_known_refuses_nothing() -> None:
    for code in codes.NEEDS:
        assert reasons(codes.encode(integers(), code), chip()) == []


def test_all_reasons_at_once_by_node() -> None:
    target = chip(kernel_max=2, pools=(4,), outputs_max=1, neurons_max=36, state_bits=4, features=("payload",))
    found = reasons(SIGNED, target)
    assert {("a", "kernel_max"), ("b", "pools"), ("out", "outputs_max"), ("network", "neurons_max")} <= set(found)
    assert {("a", "state_bits"), ("b", "state_bits"), ("a", "features"), ("b", "features")} <= set(found)
    assert len(found) == len(set(found))


def test_fractions_take_bits_of_states_that_the_chip_itself_computes() -> None:
    wide = {name: bits(one.membrane) for name, one in held(POPULATION).items()}
    width = max(wide.values())
    assert reasons(POPULATION, chip(state_bits=width + 6, fraction_bits=6)) == []
    assert {fact for _, fact in reasons(POPULATION, chip(state_bits=width + 5, fraction_bits=6))} == {"state_bits"}
    programs = {"fraction_bits": 6, "reset": ("to zero", "programmable")}
    assert reasons(SIGNED, chip(state_bits=max(WIDTH.values()), **programs)) == []
    assert reasons(SIGNED, chip(state_bits=max(WIDTH.values()), fraction_bits=6)) != []


def test_arrivals_of_one_step_have_a_width_of_their_own() -> None:
    width = max(bits(one.arriving) for one in held(POPULATION).values())
    assert reasons(POPULATION, chip(arrival_bits=width)) == []
    assert {fact for _, fact in reasons(POPULATION, chip(arrival_bits=width - 1))} == {"arrival_bits"}


def test_a_bias_may_be_scaled_and_is_split_over_the_steps() -> None:
    assert reasons(codes.encode(integers(), "signed", steps=7), chip(bias_bits=2)) == []
    assert {fact for _, fact in reasons(AT_ONCE, chip(bias_bits=3))} == {"bias_bits"}
    assert reasons(AT_ONCE, chip(bias_bits=3, bias_exponent_max=1)) == []


def test_static_input_is_a_current_of_the_host_unless_frames_enter() -> None:
    static = codes.encode(integers(kind="static"), "graded")
    assert ("a", "inputs_max") in reasons(static, chip(inputs_max=31))
    assert reasons(static, chip(inputs_max=32, kernel_max=1)) == []
    frames = chip(execution="frames", input_bits=4, kernel_max=3)
    assert reasons(static, frames) == []
    assert ("a", "kernel_max") in reasons(static, chip(execution="frames", kernel_max=2))
    assert reasons(static, chip(execution="frames", input_bits=3)) == [("in", "input_bits")]
    assert reasons(static, chip(execution="frames", input_signed=False)) == [("in", "input_signed")]


def test_operators_without_a_form_become_single_synapses_where_there_are_any() -> None:
    found = legalize(SIGNED, chip(synapses=("sparse",)))
    assert found.reasons == []
    assert "a: its convolution becomes synapses one by one, 576 of them" in found.notes


def test_a_maximum_needs_an_operator() -> None:
    plain = integers()
    window = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    layers = (plain["a"], MaxLayer("max", (2, 2, 2), window, np.ones(())), *plain.layers[1:])
    connections = (
        plain.connections[0],
        Connection("a", "max", ()),
        replace(plain.connections[1], source="max", synapses=plain.connections[1].synapses[1:]),
        plain.connections[2],
    )
    network = codes.encode(replace(plain, layers=layers, connections=connections), "graded")
    [reason] = legalize(network, chip(synapses=("sparse", "convolution", "routing", "dense"))).reasons
    assert (reason.where, reason.fact, reason.hint) == ("max", "synapses", "train with average pooling")
    assert "pooling" in reason.helps


def test_wide_weights_of_both_signs_and_of_one() -> None:
    assert reasons(WIDE, chip(weight_bits=9, mixed_signs="even")) == []
    assert reasons(WIDE, chip(weight_bits=9, mixed_signs="any")) == [("out", "weight_bits")]
    found = legalize(WIDE, chip(weight_bits=8, weight_exponent_max=7))
    assert found.reasons == []
    assert "out: weights from a have 10 bits, and are 2 synapses each" in found.notes
    assert found.bill["synapses"].used == 32 * 18 + 96 + 6 + 2 * 64


def dynamic(
    neuron: Any = None, *, delay: int = 0, weight: Any = 3, loop: bool = False, **contract: Any
) -> DynamicNetwork:
    settled = {"dt": 1e-3, "integrator": "accumulate", "arithmetic": "integer", "layer_latency": 1} | contract
    chosen = DynamicsContract(**settled)
    neuron = neuron or IF(threshold=100)
    populations = (DynamicPopulation("a", (2,), neuron), DynamicPopulation("b", (2,), neuron))
    projections = [
        Projection("in", "a", (Dense(np.full((2, 3), weight)),), delay),
        Projection("a", "b", (OneToOne(np.full(2, weight)),)),
    ]
    if loop:
        projections.append(Projection("b", "a", (OneToOne(np.full(2, weight)),)))
    return DynamicNetwork("net", (SpikeInput("in", (3,)),), populations, tuple(projections), chosen)


def test_neurons_loops_and_delays_of_hand_made_networks() -> None:
    known = {"neurons": ("IF",), "arithmetic": "integer"}
    assert reasons(dynamic(), chip(**known)) == []
    assert reasons(dynamic(), chip(neurons=("LIF",))) == [("a", "neurons"), ("b", "neurons")]
    assert reasons(dynamic(loop=True), chip(recurrent=True)) == []
    assert reasons(dynamic(loop=True), chip(recurrent=False)) == [("a", "recurrent")]
    assert reasons(dynamic(delay=62), chip(layer_latency=1, delay_max=62)) == []
    assert reasons(dynamic(delay=63), chip(layer_latency=1, delay_max=62)) == [("a", "delay_max")]
    assert sorted(reasons(dynamic(loop=True, delay=0), chip(layer_latency=2))) == [
        ("a", "layer_latency"),
        ("b", "layer_latency"),
    ]
    assert reasons(dynamic(IF(threshold=9, refractory=3e-3)), chip(refractory_max=3)) == []
    beyond = chip(refractory_max=2)
    assert reasons(dynamic(IF(threshold=9, refractory=3e-3)), beyond) == [
        ("a", "refractory_max"),
        ("b", "refractory_max"),
    ]
    assert reasons(dynamic(reset="subtract"), chip(reset=("to zero",))) == [("net", "reset")]
    assert reasons(dynamic(), chip(reset=("subtract",), arithmetic="integer")) == [("a", "reset"), ("b", "reset")]
    assert reasons(dynamic(), chip(dt_min=1e-3)) == []
    assert reasons(dynamic(), chip(dt_min=2e-3)) == [("net", "dt_min")]


def fixed(neuron: Any = None, *, weight: Any = 3, exponent: int = 0, integrator: Any = "loihi2", **own: Any) -> Any:
    """A network of fixed-point neurons; parameters are those of FixedCubaLIF."""
    neuron = neuron or FixedCubaLIF(**{"du": 0, "dv": 0, "threshold": 64} | own)
    made = dynamic(IF(threshold=1))
    populations = tuple(DynamicPopulation(p.name, p.shape, neuron) for p in made.populations)
    first = replace(made.projections[0], synapses=(Dense(np.resize(weight, (2, 3))),), exponent=exponent)
    contract = DynamicsContract.loihi(integrator)
    return replace(made, populations=populations, projections=(first, made.projections[1]), contract=contract)


def refused(network: Any, target: Any) -> set[str]:
    """Facts that refuse a network."""
    return {fact for _, fact in reasons(network, target)}


LOIHI1, LOIHI2 = find_target("loihi1"), find_target("loihi2")


def test_thresholds_of_cuba_are_mantissas_of_17_bits() -> None:
    for chip_, integrator in ((LOIHI1, "loihi1"), (LOIHI2, "loihi2")):
        assert reasons(fixed(threshold=(2**17 - 1) << 6, integrator=integrator), chip_) == []
        assert reasons(fixed(threshold=0, integrator=integrator), chip_) == []
        both = [("a.threshold", "threshold_bits"), ("b.threshold", "threshold_bits")]
        assert reasons(fixed(threshold=2**23, integrator=integrator), chip_) == both
        assert reasons(fixed(threshold=np.array([64, 32]), integrator=integrator), chip_) == both
    assert verdict_outcome(fixed(), LOIHI2) == "faithful"
    assert reasons(fixed(), LOIHI1) == [("net", "integrators")]


@pytest.mark.parametrize(
    "made",
    [
        lambda threshold: FixedSigmaDelta(threshold=threshold, state_exp=6),
        lambda threshold: FixedResonateAndFire(cos=1, sin=1, threshold=min(threshold, 2**23), state_exp=6),
        lambda threshold: GradedThreshold(threshold=threshold),
    ],
)
def test_thresholds_of_programs_are_as_wide_as_their_state(made: Any) -> None:
    for threshold in (0, 1, 2**17, 2**23 - 1):
        assert reasons(fixed(made(threshold)), LOIHI2) == []
    for threshold in (2**23, 2**24):
        assert reasons(fixed(made(threshold)), LOIHI2) == [("a.threshold", "state_bits"), ("b.threshold", "state_bits")]


def test_every_neuron_has_a_mantissa_and_an_exponent_of_its_bias() -> None:
    for bias in (
        [4095, -4096],
        [1, 4095 << 7],  # exponents of their own
        [4094 << 7, -(4096 << 7)],
        [4095 << 3, -4095],
        [0, -(4097 << 1) + 2],
    ):
        assert reasons(fixed(bias=np.array(bias)), LOIHI2) == []
    for bias in ([0, 4097], [-4097, 0], [4096 << 7, 1], [-(4097 << 7), 1], [8191, 64], [(4095 << 7) + 64, 0]):
        assert reasons(fixed(bias=np.array(bias)), LOIHI2) == [("a.bias", "bias_bits"), ("b.bias", "bias_bits")]
    assert reasons(fixed(bias=4096), LOIHI2) == []  # 2048 << 1
    assert refused(fixed(bias=4096), chip(bias_bits=13)) == {"bias_bits"}
    assert refused(fixed(bias=-4096), chip(bias_bits=13)) == set()
    one = {"integrator": "loihi1"}
    assert reasons(fixed(bias=-(4095 << 7), **one), LOIHI1) == []
    assert reasons(fixed(bias=-4096, **one), LOIHI1) == []  # -2048 << 1
    assert reasons(fixed(bias=-(4096 << 7), **one), LOIHI1) == [("a.bias", "bias_least"), ("b.bias", "bias_least")]


def test_ends_of_the_potential_are_powers_of_two_less_one() -> None:
    def ends(low: int, high: int) -> set[str]:
        return refused(fixed(v_min=low, v_max=high, integrator="loihi1"), LOIHI1)

    assert ends(0, 511) == ends(-1, 2047) == ends(1 - 2**23, 2**23 - 1) == set()
    assert ends(-2, 511) == ends(-8, 511) == {"potential_floors"}
    assert ends(0, 510) == ends(0, 1023) == ends(0, 0) == {"potential_ceilings"}
    [reason, _] = legalize(fixed(v_min=-1000, integrator="loihi1"), LOIHI1).reasons
    assert (reason.where, reason.hint) == ("a.v_min", "-1,023 is the nearest")


def test_weights_of_projections_as_the_memory_holds_them() -> None:
    for weight in ([-256, 254], [-127, 126], [-128, 127], [255, 0], [-255, 0], [-256, -2]):
        assert reasons(fixed(weight=weight, exponent=-6), LOIHI2) == []
    for weight in ([-256, 253], [256, 1], [-256, -1], [-129, 1]):
        assert reasons(fixed(weight=weight), LOIHI2) == []  # two synapses each
        assert ("in -> a", "weight_bits") in reasons(fixed(weight=weight, exponent=-1), LOIHI2)
    exponents = chip(weight_bits=8, mixed_signs="even", weight_exponent_min=-7, weight_exponent_max=7)
    assert refused(fixed(weight=[-2, 2], exponent=-7), exponents) == set()
    assert refused(fixed(weight=[-2, 1], exponent=-6), exponents) == set()
    assert refused(fixed(weight=[-2, 1], exponent=-7), exponents) == {"weight_exponent_min"}
    assert refused(fixed(weight=[2, 1], exponent=-7), exponents) == set()
    assert refused(fixed(weight=[2, 1], exponent=-8), exponents) == {"weight_exponent_min"}
    assert refused(fixed(weight=[2, 1], exponent=7), exponents) == set()
    assert refused(fixed(weight=[2, 1], exponent=8), exponents) == {"weight_exponent_max"}


def verdict_outcome(network: Any, target: Any) -> str:
    from spikeport.check import check

    return check(network, target).outcome


def test_floats_on_a_grid_are_approximate_and_say_how_much() -> None:
    network = dynamic(LIF(tau=0.02), weight=0.3, integrator="exponential", arithmetic="float64")
    target = chip(
        neurons=("FixedCubaLIF",), arithmetic="integer", decay="multiply 12 bit", weight_bits=8, threshold_bits=17
    )
    found = legalize(network, target)
    assert found.reasons == []
    losses = {loss.node: loss.error for loss in found.losses}
    unit = 2.0 ** np.ceil(np.log2(0.3 / 127))
    assert losses["in -> a"] == pytest.approx(abs(round(0.3 / unit) * unit - 0.3) / 0.3)
    leak = 1 - np.exp(-1e-3 / 0.02)
    assert losses["a.tau"] == pytest.approx(abs(round(leak * 4096) / 4096 - leak) / leak)
    shifted = chip(neurons=("LIF",), arithmetic="integer", decay="shift, at least 1", weight_bits=8)
    assert {loss.node: loss.error for loss in legalize(network, shifted).losses}["a.tau"] == pytest.approx(
        1 / 16 / leak - 1
    )
    assert verdict_outcome(network, target) == "approximate"
    assert legalize(network, chip(neurons=("FixedSigmaDelta",), arithmetic="integer")).reasons[0].where == "a"


def test_integers_are_exact_on_integers() -> None:
    target = chip(neurons=("FixedCubaLIF",), arithmetic="integer", reset=("to zero",), weight_bits=8)
    assert verdict_outcome(dynamic(), target) == "faithful"
    assert verdict_outcome(dynamic(), replace(target, arithmetic=None)) == "faithful"


def test_execution_without_steps_is_approximate_and_frames_hold_no_state() -> None:
    assert verdict_outcome(GRADED, chip(execution="steps")) == "faithful"
    assert verdict_outcome(GRADED, chip(execution="asynchronous")) == "approximate"
    unseen = {"arithmetic": "fixed point", "dynamics_simulator": False}
    assert verdict_outcome(GRADED, chip(**unseen)) == "approximate"
    assert verdict_outcome(GRADED, chip(**unseen | {"arithmetic": "integer"})) == "faithful"
    assert verdict_outcome(GRADED, chip(**unseen | {"dynamics_simulator": True})) == "faithful"
    assert verdict_outcome(dynamic(), chip(neurons=("FixedCubaLIF",), **unseen)) == "approximate"
    assert verdict_outcome(GRADED, chip(execution="analog")) == "approximate"
    assert verdict_outcome(dynamic(), chip(execution="frames")) == "impossible"
    assert verdict_outcome(codes.encode(integers(), "rate"), chip(execution="steps")) == "approximate"


def test_the_first_code_that_fits_is_taken() -> None:
    everything = [f for f in FACTS if f == "features"] and frozenset().union(*codes.NEEDS.values())
    assert carry(integers(), chip(features=everything)).code == "graded"
    assert carry(integers(), chip(features=everything, payload_max=6)).code == "radix"
    assert carry(integers(low=-7), chip(features=["many units"])).code == "population"
    assert carry(integers(), chip(features=["subtract reset"])).code == "rate"


def test_without_a_fit_the_nearest_code_is_named() -> None:
    found = carry(integers(), chip(features=["payload", "many units"], payload_max=6, state_bits=4))
    assert not found.fits
    assert found.code in ("graded", "population")
    nothing = verdict_of(carry(integers(), chip(features=["table"])), chip(features=["table"]))
    assert nothing.outcome == "impossible"
    assert {reason.fact for reason in nothing.reasons} == {"features"}


def test_bounds_are_those_of_the_certificate() -> None:
    integer = integers(low=-7)
    for code in ("signed", "graded", "radix", "population", "phased", "staircase"):
        network = codes.encode(integer, code)
        sums = partial_sums(codes.carried(integer, code))
        for name, one in held(network).items():
            assert np.array_equal(np.broadcast_to(one.sums.high, network[name].shape), sums[name].high), (code, name)
            assert np.array_equal(np.broadcast_to(one.sums.low, network[name].shape), sums[name].low), (code, name)


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(sorted(codes.NEEDS)))
def test_bounds_of_one_code_give_those_of_the_others(seed: int, curved: bool, code: Any) -> None:
    integer = random_network(seed, kind="events", curved=curved, digits=True)
    shared = Bounds()
    for other in ("signed", "phased", code):
        try:
            network = codes.encode(integer, other)
        except OptionError:
            continue
        for name, one in shared.of(network).items():
            alone = held(network)[name]
            for field in ("arriving", "sums", "membrane"):
                a, b = getattr(one, field), getattr(alone, field)
                assert np.array_equal(a.low, b.low), (other, name, field)
                assert np.array_equal(a.high, b.high), (other, name, field)


@given(st.integers(0, 10**6), st.sampled_from(["signed", "population"]))
def test_the_bill_counts_neurons_and_synapses_one_by_one(seed: int, code: str) -> None:
    try:
        network = codes.encode(random_network(seed, kind="events"), code)
    except OptionError:
        reject()
    bill = legalize(network, chip(weight_bits=8)).bill
    wiring, joins = wiring_of(network), tables(network)
    units = {site.name: site.units for site in wiring.sites}
    assert bill["neurons"].used == sum(p.size * units[p.name] for p in network.populations)
    pairs = sum(
        int(table.sum()) * units[name] * wiring.units(source)
        for name, by_source in joins.items()
        for source, each in by_source.items()
        for table in each
    )
    assert bill["synapses"].used == pairs


def test_a_hundred_million_synapses_are_refused_with_their_bill() -> None:
    size = 10_000
    weight = np.broadcast_to(np.ones((), np.int8), (size, size))
    threshold = np.array([1000])
    layer = CountLayer("a", (size,), threshold, np.zeros(1, np.int64), threshold // 2, 0, 7, np.ones(()))
    integer = IntegerNetwork(
        InputEncoder("in", (size,), "events", np.ones(()), 0, 7),
        (layer, Readout("out", (1,), np.zeros(1, np.int64), 1.0)),
        (Connection("in", "a", (Dense(weight),)), Connection("a", "out", (Dense(np.ones((1, size), np.int8)),))),
        8,
        24,
    )
    features = frozenset().union(*codes.NEEDS.values())
    facts = {"placement": "slices", "synapse_bits_per_core": 2**20, "neurons_per_core": 256, "axons_in_per_core": 2**14}
    target = chip(features=features, cores=128, synapses_max=50_000_000, weight_bits=8, **facts)
    verdict = verdict_of(carry(integer, target), target)
    assert verdict.outcome == "impossible"
    assert {reason.fact for reason in verdict.reasons} >= {"cores", "synapses_max"}
    assert verdict.bill["synapses"].used == size * size + size
    assert verdict.bill["cores"].used >= 763
    assert not verdict.bill["cores"].exact


def test_a_staircase_needs_its_table() -> None:
    plain = integers()
    table = StaircaseLayer(
        "a", (2, 4, 4), np.arange(1, 6).reshape(-1, 1, 1, 1), np.zeros((1, 1, 1), np.int64), 0, np.ones(())
    )
    network = codes.encode(replace(plain, layers=(table, *plain.layers[1:])), "graded")
    assert reasons(network, chip(features=["payload", "table"])) == []
    assert reasons(network, chip(features=["payload"])) == [("a", "features")]


def test_a_code_that_refuses_the_network_still_has_its_bill() -> None:
    narrow = replace(integers(), state_bits=8)
    found = carry(narrow, chip(features=["many units"], neurons_max=100))
    assert "bits of membrane under the population code" in found.found.reasons[0].why
    assert found.found.bill["neurons"].used == 35 * 7 + 2
    assert ("network", "neurons_max") in [(reason.where, reason.fact) for reason in found.found.reasons]
