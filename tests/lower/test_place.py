"""Placements: every neuron once, within limits, with counts that single spikes confirm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from spikeport import codes
from spikeport.errors import LowerError, OptionError
from spikeport.lower import Cut, Part, place
from spikeport.lower.layers import weight_words
from spikeport.lower.place import lay_out
from spikeport.lower.wiring import wiring_of
from spikeport.primitives import (
    IF,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    MaxUnit,
    Projection,
    Reshape,
    Sparse,
    SpikeInput,
)
from tests.integer_networks import random_network
from tests.lower.targets import chip
from tests.lower.test_relation import joined


def hand_made(*projections, sizes):
    inputs = tuple(SpikeInput(name, (n,)) for name, n in sizes.items() if name.startswith("in"))
    populations = tuple(DynamicPopulation(name, (n,), IF()) for name, n in sizes.items() if not name.startswith("in"))
    contract = DynamicsContract(dt=1e-3, integrator="accumulate", layer_latency=1)
    return DynamicNetwork("net", inputs, populations, tuple(projections), contract)


def dense(source, target, post, pre):
    return Projection(source, target, (Dense(np.ones((post, pre), dtype=np.int8)),))


def tables(network):
    """For each population of a converted network the joined tables of what reaches it, by source."""
    found = {}
    for population in network.populations:
        by_source = {}
        for c in network.incoming(population.name):
            if c.source in network.on_host():
                continue
            shape = network.input.shape if c.source == network.input.name else network[c.source].shape
            window = (population.neuron.window,) if isinstance(population.neuron, MaxUnit) else ()
            ones = [
                type(s)(**{k: (np.ones_like(v) if k == "weight" else v) for k, v in _fields(s).items()})
                for s in c.synapses
            ]
            by_source.setdefault(c.source, []).append(joined([*ones, *window], shape))
        found[population.name] = by_source
    return found


def _fields(synapse):
    return {name: getattr(synapse, name) for name in type(synapse).__dataclass_fields__}


@given(
    st.integers(0, 10**6),
    st.sampled_from(["signed", "population"]),
    st.integers(1, 40),
    st.one_of(st.none(), st.integers(1, 60)),
    st.one_of(st.none(), st.integers(1, 500)),
)
def test_every_neuron_once_within_all_limits_and_counted_right(seed, code, neurons, axons, bits):
    try:
        network = codes.encode(random_network(seed, kind="events"), code)
    except OptionError:  # a maximum over both signs
        reject()
    target = (
        chip(placement="slices", weight_bits=8, neurons_per_core=neurons)
        if axons is None
        else chip(
            placement="slices",
            weight_bits=8,
            neurons_per_core=neurons,
            axons_in_per_core=axons,
            synapse_bits_per_core=bits or 10**9,
        )
    )
    layout = lay_out(wiring_of(network), target)
    found = layout.placement
    if layout.reasons or found is None:
        facts = {"neurons_per_core", "axons_in_per_core", "synapse_bits_per_core"}
        assert {reason.fact for reason in layout.reasons} <= facts
        assert {reason.where for reason in layout.reasons} <= {p.name for p in network.populations}
        return
    wiring, joins = wiring_of(network), tables(network)
    for site in wiring.sites:
        parts = found.of(site.name)
        assert [0, *(p.stop for p in parts)] == [*(p.start for p in parts), site.size]
    assert sum(load.neurons for load in found.loads) == sum(site.size * site.units for site in wiring.sites)
    for load in found.loads:
        here = [part for part in found.parts if part.core == load.core]
        assert load.neurons == sum((p.stop - p.start) * wiring.by_name[p.population].units for p in here) <= neurons
        reached, synapses = {}, 0
        for part in here:
            for source, each in joins[part.population].items():
                units = wiring.by_name[part.population].units * wiring.units(source)
                for table in each:
                    rows = table[part.start : part.stop]
                    synapses += rows.sum() * units
                    reached[source] = reached.get(source, False) | rows.any(axis=0)
        assert load.synapses == synapses
        assert load.axons_in == sum(mask.sum() * wiring.units(source) for source, mask in reached.items())
        if axons is not None:
            assert load.axons_in <= axons
            assert load.synapse_bits <= (bits or 10**9)
    out = [0] * found.cores
    for part in found.parts:
        for neuron in range(part.start, part.stop):
            cores = {
                other.core
                for other in found.parts
                for table in joins[other.population].get(part.population, [])
                if table[other.start : other.stop, neuron].any()
            }
            out[part.core] += len(cores - {part.core}) * wiring.by_name[part.population].units
    assert [load.axons_out for load in found.loads] == out


def test_populations_share_a_core_and_slices_are_contiguous():
    network = hand_made(dense("in", "a", 5, 3), dense("a", "b", 4, 5), sizes={"in": 3, "a": 5, "b": 4})
    found = place(network, chip(placement="slices", neurons_per_core=4))
    assert found.parts == (Part("a", 0, 4, 0), Part("a", 4, 5, 1), Part("b", 0, 3, 1), Part("b", 3, 4, 2))
    assert found == place(network, chip(placement="slices", neurons_per_core=4))


def test_each_limit_at_its_edge_and_one_beyond():
    network = hand_made(dense("in", "a", 6, 10), sizes={"in": 10, "a": 6})
    assert place(network, chip(placement="slices", axons_in_per_core=10)).cores == 1
    with pytest.raises(LowerError, match="a: one neuron is reached by 10 axons, and a core by 9 at most"):
        place(network, chip(placement="slices", axons_in_per_core=9))
    bits = {"placement": "slices", "weight_bits": 8}
    assert place(network, chip(**bits, synapse_bits_per_core=480)).cores == 1
    assert place(network, chip(**bits, synapse_bits_per_core=479)).cores == 2
    assert place(network, chip(**bits, synapse_bits_per_core=80)).cores == 6
    with pytest.raises(LowerError, match="a: the synapses of one neuron take 80 bits, and a core holds 79"):
        place(network, chip(**bits, synapse_bits_per_core=79))
    assert place(network, chip(placement="slices", neurons_per_core=2, cores=3)).cores == 3
    with pytest.raises(LowerError, match="net: needs 3 cores, and Tiny has 2"):
        place(network, chip(placement="slices", neurons_per_core=2, cores=2))


def test_limits_that_are_not_enforced_shape_the_placement_and_refuse_nothing():
    network = hand_made(dense("in", "a", 6, 10), sizes={"in": 10, "a": 6})
    unsure = chip(placement="slices", neurons_per_core=2, cores=2, hint_at=("neurons_per_core",))
    assert place(network, unsure).cores == 3
    assert place(network, chip(placement="slices", neurons_per_core=2, cores=2, hint_at=("cores",))).cores == 3
    assert place(network, chip(placement="slices", axons_in_per_core=9, hint_at=("axons_in_per_core",))).cores >= 1


def test_slices_narrow_until_their_neurons_reach_few_enough_cores():
    network = hand_made(dense("a", "b", 6, 4), sizes={"a": 4, "b": 6})
    facts = {"placement": "slices", "neurons_per_core": 4}
    assert place(network, chip(**facts, axons_out_per_core=8)).cores == 3
    narrowed = place(network, chip(**facts, axons_out_per_core=6))
    assert max(load.axons_out for load in narrowed.loads) <= 6
    assert sum(part.stop - part.start for part in narrowed.of("a")) == 4
    with pytest.raises(LowerError, match="a: its neurons reach other cores"):
        place(network, chip(placement="slices", neurons_per_core=1, axons_out_per_core=5))


def test_a_network_far_too_large_is_not_placed():
    network = hand_made(dense("in", "a", 100, 1), sizes={"in": 1, "a": 100})
    layout = lay_out(wiring_of(network), chip(placement="slices", neurons_per_core=1, cores=2))
    assert (layout.placement, layout.cores, layout.exact) == (None, 100, False)
    assert [str(r) for r in layout.reasons] == ["net: needs at least 100 cores, and Tiny has 2"]


def test_a_slice_of_a_convolution_is_reached_by_its_receptive_fields():
    conv = Conv(np.ones((1, 1, 3), np.int8), (1,), ((0, 0),), (1,))
    projection = Projection("in", "a", (Reshape((1, 10)), conv, Reshape((8,))))
    network = hand_made(projection, sizes={"in": 10, "a": 8})
    found = place(network, chip(placement="slices", neurons_per_core=4))
    assert [(load.axons_in, load.synapses) for load in found.loads] == [(6, 12), (6, 12)]


def test_synapses_listed_one_by_one():
    sparse = Sparse([0, 2, 3, 3], [1, 0, 1], np.ones(3, np.int8), post=2)
    network = hand_made(Projection("in", "a", (sparse,)), sizes={"in": 3, "a": 2})
    found = place(network, chip(placement="slices", neurons_per_core=1))
    assert [(load.axons_in, load.synapses) for load in found.loads] == [(1, 1), (2, 2)]


def test_wide_weights_are_several_synapses_where_exponents_are_there():
    weights = np.array([[127, -128], [128, 1]], np.int16)
    network = hand_made(Projection("in", "a", (Dense(weights),)), sizes={"in": 2, "a": 2})
    facts = {"placement": "slices", "weight_bits": 8}
    assert place(network, chip(**facts)).loads[0].synapse_bits == 32
    assert place(network, chip(**facts, weight_exponent_max=7)).loads[0].synapse_bits == 64
    even = hand_made(Projection("in", "a", (Dense(np.array([[254, -256]])),)), sizes={"in": 2, "a": 1})
    assert place(even, chip(**facts, weight_exponent_max=7)).loads[0].synapse_bits == 16


def layered(width):
    first = Conv(np.ones((width, 2, 3, 3), np.int8), (1, 1), ((0, 0),) * 2, (1, 1))
    projections = (
        Projection("in", "a", (Reshape((2, 6, 6)), first, Reshape((width * 16,)))),
        Projection(
            "a", "b", (Reshape((width, 4, 4)), Reshape((width * 16,)), Dense(np.ones((5, width * 16), np.int8)))
        ),
    )
    return hand_made(*projections, sizes={"in": 72, "a": width * 16, "b": 5})


def test_layers_take_the_smallest_cores_that_hold_them():
    network = layered(4)
    assert weight_words(2, 4, (3, 3)) == 128
    assert weight_words(64, 5, (1, 1)) == 512
    cores = {"placement": "layers", "core_weight_words": (512, 128), "core_neuron_words": (64, 64)}
    found = place(network, chip(**cores))
    assert {part.population: part.core for part in found.parts} == {"a": 1, "b": 0}
    assert [(load.weight_words, load.neuron_words) for load in found.loads] == [(512, 5), (128, 64)]
    with pytest.raises(
        LowerError, match="b: its kernels take 512 words of weight memory, and the largest core has 511"
    ):
        place(network, chip(**cores | {"core_weight_words": (511, 128)}))
    with pytest.raises(LowerError, match="a: its neurons take 64 words of neuron memory, and the largest core has 63"):
        place(network, chip(**cores | {"core_neuron_words": (63, 63)}))
    with pytest.raises(LowerError, match="net: has 2 layers of neurons, and Tiny 1 cores, one a layer"):
        place(network, chip(**cores | {"core_weight_words": (512,), "core_neuron_words": (64,)}))
    with pytest.raises(LowerError, match="finds all cores that are large enough for it taken"):
        place(network, chip(**cores | {"core_neuron_words": (64, 4)}))


def test_a_layer_gives_way_to_one_that_fits_nowhere_else():
    network = layered(4)
    cores = {"placement": "layers", "core_weight_words": (600, 700), "core_neuron_words": (5, 64)}
    assert {p.population: p.core for p in place(network, chip(**cores)).parts} == {"a": 1, "b": 0}
    cores = {"placement": "layers", "core_weight_words": (600, 700), "core_neuron_words": (64, 64)}
    assert {p.population: p.core for p in place(network, chip(**cores)).parts} == {"a": 0, "b": 1}


def test_what_stays_on_the_host_takes_no_cores():
    network = codes.encode(random_network(3), "signed")
    names = [p.name for p in network.populations]
    cut = Cut((), tuple(names[:-1]), (names[-1],))
    found = place(network, chip(placement="slices", neurons_per_core=7), cut=cut)
    assert {part.population for part in found.parts} == set(names[:-1])
    wiring = wiring_of(network, Cut(tuple(names[:-1]), (names[-1],), ()))
    assert wiring.lines == {names[-2]: network[names[-2]].size}
    assert wiring.outputs == (names[-1],)
