"""The lemmas of the codes, on random networks: stepped counts and read-outs equal the integer network's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from spikeport import codes
from spikeport.backends import reference
from spikeport.codes.signed import drain_bound
from spikeport.errors import OptionError
from spikeport.primitives import (
    Connection,
    Dense,
    GradedIF,
    InputEncoder,
    MaxPool,
    MaxUnit,
    PhasedIF,
    RadixIF,
    Reshape,
    SignedIF,
    SpikingNetwork,
    StaircaseBank,
    UnitBank,
)
from spikeport.quantize import CountLayer, IntegerNetwork, MaxLayer, Readout, bits, evaluate, membrane, partial_sums
from tests.integer_networks import random_input, random_network

SEEDS = st.integers(0, 2**31)
KINDS = st.sampled_from(["static", "events"])
CODES = st.sampled_from(["signed", "graded", "staircase"])
UNSIGNED = st.sampled_from(["phased", "radix", "population"])


@given(SEEDS, KINDS, CODES, st.one_of(st.none(), st.integers(1, 9)))
def test_stepping_equals_the_integer_network(seed: int, kind: str, code: str, steps: int | None) -> None:
    network = random_network(seed, kind=kind, curved=seed % 2 == 0)
    x = random_input(network, seed)
    counts = {}
    u = evaluate(network, x, visit=lambda layer, value: counts.update({layer.name: value}))
    spiking = codes.encode(network, code, steps=None if (code, kind) == ("graded", "static") else steps)
    found = reference.simulate(spiking, x)
    assert np.array_equal(found.readout[-1], u)
    for name, value in found.counts.items():
        assert np.array_equal(value, counts[name]), name
    assert found.n_steps <= spiking.contract.max_steps
    assert (found.quiet_after <= spiking.contract.max_steps).all()


def split(network: IntegerNetwork, code: str, steps: int | None = None) -> SpikingNetwork:
    """The network under an unsigned code; Hypothesis tries another where a maximum is over both signs or out of phase."""
    try:
        return codes.encode(network, code, steps=steps)
    except OptionError as error:
        refused = {problem.why.partition(" over ")[0] for problem in error.problems}
    assert refused == {"takes the maximum"}
    return reject()


@given(SEEDS, KINDS, UNSIGNED)
def test_codes_of_one_sign_equal_the_integer_network(seed: int, kind: str, code: str) -> None:
    network = random_network(seed, kind=kind, digits=True, curved=seed % 2 == 0)
    x = random_input(network, seed)
    counts: dict[str, np.ndarray] = {}
    u = evaluate(network, x, visit=lambda layer, value: counts.update({layer.name: value}))
    steps = 3 if kind == "events" and code != "population" else None
    spiking = split(network, code, steps)
    names = [p.name for p in spiking.populations if isinstance(p.neuron, PhasedIF | RadixIF | UnitBank)]
    found = reference.simulate(spiking, x, record=names)
    assert np.array_equal(found.readout[-1], u)
    for layer in network.layers:
        if layer.name in found.counts:
            assert np.array_equal(codes.of_layer(found.counts, layer.name), counts[layer.name]), layer.name
    for name in names:
        raster = found.spikes[name].raster
        assert raster.min() >= 0
        match spiking[name].neuron:
            case PhasedIF(opens_at=first, closes_at=last):  # a thermometer inside the phase
                active = raster != 0
                assert not active[:first].any()
                assert not active[last:].any()
                assert raster.max() <= 1
                assert not (active[first + 1 : last] & ~active[first : last - 1]).any()
            case RadixIF(bits=digits, opens_at=first):
                for step, spikes in enumerate(raster):
                    worth = 2 ** (digits - 1 - (step - first)) if first <= step < first + digits else 0
                    assert set(np.unique(spikes)) <= {0, worth}
            case UnitBank(units=units):
                assert raster.max() <= units
                assert len(raster) == 1


@given(SEEDS)
def test_held_down_membranes_stay_in_the_interval_that_is_checked(seed: int) -> None:
    network = random_network(seed)
    spiking = split(network, "phased")
    names = [p.name for p in spiking.populations if isinstance(p.neuron, PhasedIF)]
    found = reference.simulate(spiking, random_input(network, seed), record=names)
    sums = partial_sums(codes.split_signs(network, "phased"))
    for name in names:
        neuron = spiking[name].neuron
        assert isinstance(neuron, PhasedIF)
        assert (found.potentials[name] >= sums[name].low - neuron.release).all()
        assert (found.potentials[name] <= sums[name].high).all()


@given(SEEDS)
def test_no_unit_of_a_population_could_fire_again_when_its_spike_subtracts_the_threshold(seed: int) -> None:
    """Levels of a table may be negative, so a threshold above all sums alone is not enough."""
    network = random_network(seed, curved=True)
    spiking = split(network, "population")
    sums = partial_sums(codes.split_signs(network, "population"))
    for population in spiking.populations:
        match population.neuron:
            case StaircaseBank(steps=steps, common=common):
                lowest = steps[0]
            case UnitBank(threshold=lowest, common=common):
                pass
            case _:
                continue
        assert (sums[population.name].high - lowest < common).all()
        assert sums[population.name].high.max() < common


def test_the_unsigned_codes_refuse_what_they_cannot_carry() -> None:
    network = one_neuron(10, -3, 3)
    window = MaxPool((1,), (1,), ((0, 0),), (1,))
    maximum = MaxLayer("max", (1, 1), window, np.ones(()))
    over_both = replace(
        network,
        layers=(network.layers[0], maximum, network.layers[1]),
        connections=(
            network.connections[0],
            Connection("n", "max", (Reshape((1, 1)),)),
            Connection("max", "output", (Reshape((1,)), Dense(np.ones((1, 1), dtype=np.int64)))),
        ),
    )
    for code in ("phased", "radix", "population"):
        with pytest.raises(OptionError, match="max: takes the maximum over counts of both signs"):
            codes.encode(over_both, code)
    with pytest.raises(OptionError, match="n: has 5 levels"):
        codes.encode(one_neuron(10, 0, 5), "radix")
    with pytest.raises(OptionError, match="one wave"):
        codes.encode(one_neuron(10, 0, 5), "population", steps=2)
    for code in ("phased", "population"):
        with pytest.raises(OptionError, match="n: needs 12 bits of membrane"):
            codes.encode(replace(one_neuron(10, 0, 5), state_bits=11), code)


@given(SEEDS, st.integers(1, 6))
def test_the_order_of_events_does_not_matter(seed: int, steps: int) -> None:
    network = random_network(seed, kind="events")
    x = random_input(network, seed)
    rng = np.random.default_rng(seed)
    spiking = codes.encode(network, "signed", steps=steps)
    expected = evaluate(network, x)
    bins = np.zeros((steps, *x.shape))
    for place in np.argwhere(x):  # each event falls into any bin
        for when in rng.integers(0, steps, size=int(x[tuple(place)])):
            bins[(when, *place)] += 1
    assert np.array_equal(reference.simulate(spiking, bins).readout[-1], expected)
    assert np.array_equal(reference.simulate(spiking, bins[::-1].copy()).readout[-1], expected)


@given(SEEDS, CODES)
def test_potentials_stay_in_the_proved_interval_at_every_step(seed: int, code: str) -> None:
    network = random_network(seed)
    spiking = codes.encode(network, code)
    names = [layer.name for layer in network.layers if isinstance(layer, CountLayer)]
    found = reference.simulate(spiking, random_input(network, seed), record=names)
    sums = partial_sums(network)
    for name in names:
        layer = network[name]
        assert isinstance(layer, CountLayer)
        held = membrane(layer, sums[name])
        low, high = np.minimum(held.low, sums[name].low), np.maximum(held.high, sums[name].high)
        assert (found.potentials[name] >= low).all()
        assert (found.potentials[name] <= high).all()
        assert bits(held) <= 24


def test_a_network_without_neurons_is_a_sum() -> None:
    base = random_network(3)
    weight = Dense(np.array([[2, -1, 3]]))
    encoder = InputEncoder("x", (3,), "static", np.ones(()), -127, 127)
    readout = Readout("out", (1,), np.array([5]), 1.0)
    network = replace(base, input=encoder, layers=(readout,), connections=(Connection("x", "out", (weight,)),))
    found = reference.simulate(codes.encode(network, "signed"), np.array([[1.0, 2.0, -3.0]]))
    assert found.readout[-1].tolist() == [[5 + 2 - 2 - 9]]


def one_neuron(threshold: int, low: int, high: int, offset: int = 0) -> IntegerNetwork:
    """An input value reaches one neuron with weight 1."""
    layer = CountLayer("n", (1,), np.array([threshold]), np.array([0]), np.array([offset]), low, high, np.ones(()))
    one = Dense(np.ones((1, 1), dtype=np.int64))
    return IntegerNetwork(
        InputEncoder("input", (1,), "static", np.ones(()), -1000, 1000),
        (layer, Readout("output", (1,), np.array([0]), 1.0)),
        (Connection("input", "n", (one,)), Connection("n", "output", (one,))),
        8,
        24,
    )


@pytest.mark.parametrize("code", codes.CODES)
@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (9, 0),
        (10, 1),
        (19, 1),
        (20, 2),
        (30, 3),
        (39, 3),
        (40, 3),
        (1000, 3),
        (-1, -1),
        (-10, -1),
        (-11, -2),
        (-20, -2),
        (-21, -3),
        (-1000, -3),
    ],
)
def test_boundaries_of_one_neuron(code: str, value: int, count: int) -> None:
    """At, just below and far beyond multiples of the threshold; saturation on both sides; floor of negative values."""
    network = one_neuron(10, -3, 3)
    x = np.array([[float(value)]])
    assert evaluate(network, x).tolist() == [[count]]
    assert reference.simulate(codes.encode(network, code), x).readout[-1].tolist() == [[count]]
    unsigned = one_neuron(10, 0, 3)
    assert reference.simulate(codes.encode(unsigned, code), x).readout[-1].tolist() == [[max(count, 0)]]


def test_an_overshoot_drains() -> None:
    """A neuron that fired early takes its spikes back when inhibition arrives later: the reason for negative spikes."""
    network = one_neuron(1, 0, 15)
    events = IntegerNetwork(
        InputEncoder("input", (1,), "events", np.ones(()), 0, 15),
        (CountLayer("excite", (1,), np.array([1]), np.array([0]), np.array([0]), 0, 15, np.ones(())), *network.layers),
        (
            Connection("input", "excite", (Dense(np.array([[1]])),)),
            Connection("input", "n", (Dense(np.array([[3]])),)),
            Connection("excite", "n", (Dense(np.array([[-3]])),)),
            Connection("n", "output", (Dense(np.array([[1]])),)),
        ),
        8,
        24,
    )
    spiking = codes.encode(events, "signed", steps=3)
    bins = np.array([4.0, 0.0, 1.0]).reshape(3, 1, 1)
    found = reference.simulate(spiking, bins, record=["n"])
    raster = found.spikes["n"].raster.ravel().tolist()
    assert {1, -1} <= set(raster)
    assert found.readout[-1].tolist() == [[0]]


def test_graded_layers_fire_once_in_the_step_after_their_last_source() -> None:
    network = random_network(5)
    spiking = codes.encode(network, "graded")
    found = reference.simulate(
        spiking,
        random_input(network, 5),
        record=[p.name for p in spiking.populations if p.name not in spiking.on_host()],
    )
    for population in spiking.populations:
        neuron = population.neuron
        if isinstance(neuron, GradedIF) or (isinstance(neuron, MaxUnit) and population.name in found.spikes):
            active = np.flatnonzero(found.spikes[population.name].raster.reshape(found.n_steps, -1).any(axis=1))
            assert set(active.tolist()) <= {neuron.fires_at}


def test_the_drain_bound_is_reached_by_no_more_than_it_says() -> None:
    network = one_neuron(1, 0, 9)
    spiking = codes.encode(network, "signed", steps=1)
    assert drain_bound(network) == 9
    found = reference.simulate(spiking, np.array([[1000.0]]))
    assert found.quiet_after.tolist() == [9]
    assert spiking.contract.max_steps == 10


def test_signed_units_start_from_the_offset_and_graded_ones_too() -> None:
    network = one_neuron(10, 0, 3, offset=5)
    for code, kind in (("signed", SignedIF), ("graded", GradedIF)):
        spiking = codes.encode(network, code)
        neuron = spiking["n"].neuron
        assert isinstance(neuron, kind)
        assert neuron.initial.tolist() == [5]
        assert reference.simulate(spiking, np.array([[5.0]])).readout[-1].tolist() == [[1]]
        assert reference.simulate(spiking, np.array([[4.0]])).readout[-1].tolist() == [[0]]


def test_an_unknown_code_and_no_steps_are_refused() -> None:
    network = one_neuron(10, 0, 3)
    with pytest.raises(OptionError, match="graded, phased, population, radix, rate, signed"):
        codes.encode(network, "morse")
    with pytest.raises(OptionError, match="steps: is 0"):
        codes.encode(network, "signed", steps=0)
    with pytest.raises(OptionError, match="whole integers in one step"):
        codes.encode(network, "graded", steps=2)


@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", sorted([*codes.CODES, *codes.STATISTICAL]))
@pytest.mark.parametrize("steps", [0, -4, 1.5])
def test_what_is_no_number_of_steps_is_refused(code: str, kind: str, steps: Any) -> None:
    with pytest.raises(OptionError, match=f"steps: is {steps}"):
        codes.encode(random_network(0, kind=kind), code, steps=steps)
