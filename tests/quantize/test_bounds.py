"""The proved bounds: no partial sum leaves them in any order, and their ends are attained."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.errors import QuantizeError
from spikeport.graph import apply_synapse
from spikeport.primitives import Connection, Conv, Dense, InputEncoder, OneToOne, Pad, Reshape, SumPool, Synapse
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    Interval,
    MaxLayer,
    Readout,
    StaircaseLayer,
    bits,
    membrane,
    partial_sums,
)
from spikeport.quantize.bounds import combine, counts, reach, source_interval, with_constant
from tests.integer_networks import random_network

SEEDS = st.integers(0, 2**31)


def interval(rng: np.random.Generator, shape: tuple[int, ...]) -> Interval:
    return Interval(-rng.integers(0, 6, size=shape), rng.integers(0, 6, size=shape))


def matrix(synapses: tuple[Synapse, ...], shape: tuple[int, ...]) -> np.ndarray:
    """A chain of synapses as one matrix, (target, source), found by sending one spike at a time."""
    size = int(np.prod(shape))
    x = np.eye(size, dtype=np.int64).reshape(size, *shape)
    for synapse in synapses:
        x = apply_synapse(synapse, x)
    return x.reshape(size, -1).T


CHAINS: dict[str, tuple[tuple[int, ...], object]] = {
    "dense": ((4,), lambda rng: (Dense(rng.integers(-5, 6, (3, 4))),)),
    "one to one": ((3, 2, 2), lambda rng: (OneToOne(rng.integers(-5, 6, (3, 1, 1))),)),
    "conv": ((2, 3, 3), lambda rng: (Conv(rng.integers(-5, 6, (2, 2, 3, 3)), (1, 2), ((1, 1), (0, 2)), (1, 1)),)),
    "grouped conv": ((2, 5), lambda rng: (Conv(rng.integers(-5, 6, (4, 1, 2)), (1,), ((0, 0),), (2,), groups=2),)),
    "pool": ((1, 4, 4), lambda rng: (SumPool((3, 3), (2, 2), ((1, 1), (1, 1))),)),
    "pool, flat, dense": (
        (1, 2, 2),
        lambda rng: (SumPool((1, 2), (1, 1), ((0, 0), (0, 0))), Reshape((2,)), Dense(rng.integers(-5, 6, (3, 2)))),
    ),
    "padding": ((2,), lambda rng: (Pad(((1, 1),)), Dense(rng.integers(-5, 6, (2, 4))))),
    "nothing": ((3,), lambda rng: ()),
}


@pytest.mark.parametrize("name", CHAINS)
@settings(max_examples=20)
@given(seed=SEEDS)
def test_the_reach_of_a_chain_is_the_sum_of_its_extreme_terms(name: str, seed: int) -> None:
    """One spike at a time gives every term; the bound is the sum of each term's better end, so it is attained."""
    shape, chain = CHAINS[name]
    rng = np.random.default_rng(seed)
    synapses, source = chain(rng), interval(rng, shape)
    terms = matrix(synapses, shape)
    low, high = source.low.ravel(), source.high.ravel()
    found = reach(synapses, source)
    assert np.array_equal(found.low.ravel(), np.minimum(terms * low, terms * high).sum(axis=1))
    assert np.array_equal(found.high.ravel(), np.maximum(terms * low, terms * high).sum(axis=1))


@given(SEEDS)
def test_every_partial_sum_in_every_order_stays_inside_and_the_ends_are_attained(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    weight, source = rng.integers(-9, 10, (1, n)), interval(rng, (n,))
    bias = int(rng.integers(-20, 21))
    found = with_constant(reach((Dense(weight),), source), np.array([bias]))
    for _ in range(5):
        x = rng.integers(source.low, source.high + 1)
        parts = [int(np.sign(x[j])) * int(weight[0, j]) for j in range(n) for _ in range(abs(int(x[j])))]
        parts += [int(np.sign(bias))] * abs(bias)  # the bias arrives in shares
        sums = np.cumsum([0, *rng.permutation(parts).tolist()])
        assert (sums >= found.low).all()
        assert (sums <= found.high).all()
    best = np.where(weight[0] > 0, source.high, source.low)
    worst = np.where(weight[0] > 0, source.low, source.high)
    assert (weight @ best + max(bias, 0)).tolist() == found.high.tolist()
    assert (weight @ worst + min(bias, 0)).tolist() == found.low.tolist()


@settings(max_examples=40)
@given(SEEDS, st.sampled_from(["static", "events"]))
def test_arrivals_at_every_layer_stay_inside_its_partial_sums(seed: int, kind: str) -> None:
    """Any counts within the sources' intervals, added term by term in random order, with bias and offset."""
    network = random_network(seed, kind=kind, layers=3, curved=seed % 2 == 0)
    rng = np.random.default_rng(seed)
    sums, sent = partial_sums(network), {network.input.name: source_interval(network)}
    for layer in network.layers:
        incoming = network.incoming(layer.name)
        shapes = {c.source: sent[c.source].low.shape for c in incoming}
        target = int(rng.integers(0, int(np.prod(layer_sum_shape(network, layer.name, shapes)))))
        terms = []
        for connection in incoming:
            row = matrix(connection.synapses, shapes[connection.source])[target]
            source = sent[connection.source]
            terms += (row * rng.integers(source.low, source.high + 1).ravel()).tolist()
        if isinstance(layer, CountLayer):
            shape = sums[layer.name].low.shape
            terms += [int(np.broadcast_to(a, shape).ravel()[target]) for a in (layer.bias, layer.offset)]
        if isinstance(layer, StaircaseLayer):
            terms.append(int(np.broadcast_to(layer.bias, sums[layer.name].low.shape).ravel()[target]))
        partial = np.cumsum([0, *rng.permutation(terms).tolist()])
        bound = sums[layer.name]
        assert partial.min() >= bound.low.ravel()[target]
        assert partial.max() <= bound.high.ravel()[target]
        sent[layer.name] = counts(layer, combine([reach(c.synapses, sent[c.source]) for c in incoming]))


def layer_sum_shape(network: IntegerNetwork, name: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of what arrives at a layer; a maximum has fewer outputs than that."""
    first = network.incoming(name)[0]
    x = np.zeros((1, *shapes[first.source]))
    for synapse in first.synapses:
        x = apply_synapse(synapse, x)
    return x.shape[1:]


def test_sums_beyond_exact_arithmetic_are_refused() -> None:
    source = Interval(np.array([0]), np.array([2**30]))
    assert reach((Dense(np.array([[2**22]])),), source).high.tolist() == [2**52]
    for weight in (2**23, -(2**23)):
        with pytest.raises(QuantizeError, match=r"exceed 2\*\*53") as caught:
            reach((Dense(np.array([[weight]])),), source)
        assert caught.value.problems[0].hint


def test_counts_of_each_kind_of_layer() -> None:
    total = Interval(np.array([-7, -1]), np.array([3, 9]))
    one = np.ones((), np.int64)
    for layer, expected in (
        (CountLayer("a", (2,), one, one, one, -4, 5, one), ([-4, -4], [5, 5])),
        (CountLayer("a", (2,), one, one, one, 0, 5, one), ([0, 0], [5, 5])),
        (StaircaseLayer("a", (2,), np.array([-3, 0, 1]), one, -1, one), ([-1, -1], [2, 2])),
        (MaxLayer("a", (2,), None, one), ([-7, -7], [9, 9])),  # type: ignore[arg-type]
        (Readout("a", (2,), one, 1.0), ([-7, -1], [3, 9])),
    ):
        found = counts(layer, total)
        assert (found.low.tolist(), found.high.tolist()) == expected


def test_constants_widen_only_the_side_they_push_to() -> None:
    found = with_constant(Interval(np.array([-1, -1]), np.array([1, 1])), np.array([5, -5]), np.array([2, 2]))
    assert found.low.tolist() == [-1, -6]
    assert found.high.tolist() == [8, 3]


def test_partial_sums_of_a_network_by_hand() -> None:
    """Input in [-3, 3]; U = 2 x0 - 5 x1 + bias 4 + offset 2, counts in [0, 7]; then a sum with weights -1, 1."""
    hidden = CountLayer("h", (1,), np.array([5]), np.array([4]), np.array([2]), 0, 7, np.ones(1))
    network = IntegerNetwork(
        InputEncoder("input", (2,), "static", np.ones(()), -3, 3),
        (hidden, Readout("output", (2,), np.array([10, -10]), 1.0)),
        (
            Connection("input", "h", (Dense(np.array([[2, -5]])),)),
            Connection("h", "output", (Dense(np.array([[-1], [1]])),)),
        ),
        8,
        24,
    )
    sums = partial_sums(network)
    assert (sums["h"].low.tolist(), sums["h"].high.tolist()) == ([-21], [27])
    assert (sums["output"].low.tolist(), sums["output"].high.tolist()) == ([-7, -10], [10, 7])
    held = membrane(hidden, sums["h"])
    assert (held.low.tolist(), held.high.tolist()) == ([-21 - 35], [27])
    assert sums["h"].magnitude == 27
    assert held.magnitude == 56


@given(st.integers(-(2**40), 0), st.integers(0, 2**40))
def test_bits_are_the_smallest_width_that_holds_an_interval(low: int, high: int) -> None:
    width = bits(Interval(np.array([low, 0]), np.array([0, high])))
    assert -(2 ** (width - 1)) <= low
    assert high <= 2 ** (width - 1) - 1
    if width > 1:
        assert low < -(2 ** (width - 2)) or high > 2 ** (width - 2) - 1
