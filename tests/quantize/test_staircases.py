"""Tables of thresholds against the float function at every integer, one by one; and what is read from a difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.graph import Activation
from spikeport.primitives import Connection, Conv, InputEncoder, MaxPool
from spikeport.quantize import IntegerNetwork, MaxLayer, Readout, StaircaseLayer, climbed, evaluate
from spikeport.quantize.bounds import Interval
from spikeport.quantize.layers import effective_bias, needed
from spikeport.quantize.scales import best_scales
from spikeport.quantize.staircases import Curved, curved_scales, read_both, tables, trimmed
from tests.graph.test_activations import CURVES

BITS = 9
EVERY = np.arange(-(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1)
"""All sums that a membrane of 9 bits may hold: one value above them is kept for steps that nothing climbs."""


def table(curve: Activation, seed: int, levels: int) -> tuple[Curved, np.ndarray, np.ndarray]:
    """Tables of three channels with scales and factors of their own."""
    rng = np.random.default_rng(seed)
    scale, factor = rng.uniform(0.02, 0.6, size=3), np.exp(rng.uniform(-1, 5, size=3))
    depth = rng.integers(0, max(levels - 1, 0) + 1, size=3)
    steps, falling, low = tables(curve, scale, factor, levels=levels, depth=depth, state_bits=BITS)
    layer = StaircaseLayer("a", (3,), steps, np.zeros(3, np.int64), low, scale)
    lowest = np.full(3, -levels) if curve.turn is None else -depth
    highest = np.full(3, levels) + (0 if curve.turn is None else lowest)
    y = curve(EVERY[:, None] / factor) / scale
    return Curved(layer, falling), y, np.stack([lowest, highest])


def counts(curved: Curved, u: np.ndarray) -> np.ndarray:
    rising, *falling = curved.parts
    found = rising.low + climbed(rising.steps, u)
    return found - sum((climbed(part.steps, u) for part in falling), start=np.zeros_like(found))


@pytest.mark.parametrize("curve", CURVES, ids=str)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), levels=st.integers(1, 40))
def test_a_table_rounds_the_function_at_every_integer(curve: Activation, seed: int, levels: int) -> None:
    curved, y, (lowest, highest) = table(curve, seed, levels)
    found = counts(curved, np.repeat(EVERY[:, None], 3, axis=1))
    expected = np.clip(np.floor(y + 0.5), lowest, highest)
    beside = np.abs(y - np.floor(y) - 0.5) < 1e-9  # ties, where the last bit of a float decides
    assert np.array_equal(np.where(beside, 0, found), np.where(beside, 0, expected))
    for part in curved.parts:
        assert (np.diff(part.steps, axis=0) >= 0).all()


@pytest.mark.parametrize("curve", [c for c in CURVES if c.turn is not None], ids=str)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31))
def test_a_difference_has_no_more_steps_than_the_function_has(curve: Activation, seed: int) -> None:
    """Steps up and down are the total variation of the counts, but for pairs at the turn that no integer sum tells apart."""
    rng = np.random.default_rng(seed)
    scale, factor = rng.uniform(0.02, 0.6, size=1), np.exp(rng.uniform(-1, 5, size=1))
    depth = rng.integers(0, 20, size=1)
    steps, falling, _ = tables(curve, scale, factor, levels=20, depth=depth, state_bits=BITS)
    curved = Curved(StaircaseLayer("a", (1,), steps, np.zeros(1, np.int64), 0, scale), falling)
    found = counts(curved, EVERY[:, None])
    variation = np.abs(np.diff(found, axis=0)).sum() + np.abs(found[0]).sum()
    falls, rises = steps[:falling], steps[falling:]
    together = min((falls == rises.min()).sum(), (rises == rises.min()).sum()) if falls.size else 0
    assert (steps <= EVERY[-1]).sum() - 2 * together == variation


@pytest.mark.parametrize("curve", CURVES, ids=str)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31))
def test_trimming_and_cutting_the_bias_change_no_count_of_a_sum_that_can_arrive(curve: Activation, seed: int) -> None:
    curved, _, _ = table(curve, seed, 12)
    rng = np.random.default_rng(seed)
    total = Interval(-rng.integers(0, 90, size=3), rng.integers(1, 90, size=3))
    bias = rng.integers(-90, 90, size=3)
    layer = StaircaseLayer("a", (3,), curved.layer.steps, bias, curved.layer.low, np.ones(3))
    arriving = np.stack(
        [np.linspace(a, b, 150).astype(int) for a, b in zip(total.low, total.high, strict=True)], axis=1
    )
    cut = effective_bias(layer, total, BITS)
    if (needed(layer, total, BITS) <= 2 ** (BITS - 1)).all():
        assert np.array_equal(counts(curved, arriving + cut), counts(curved, arriving + bias))
    trim = trimmed(Curved(layer, curved.falling), total)
    assert np.array_equal(counts(trim, arriving + bias), counts(curved, arriving + bias))
    for part in trim.parts:
        assert part.low <= 0 < part.high
        assert len(part.steps) <= len(curved.layer.steps)
        assert (part.steps >= (total.low + bias)).all()
        assert (part.steps <= (total.high + bias + 1)).all()


def test_a_falling_function_shares_its_levels_between_below_and_above_zero() -> None:
    rng = np.random.default_rng(0)
    seen = np.stack([rng.uniform(-3, 3, 500), rng.uniform(-0.7, 0.02, 500), rng.uniform(0, 3, 500)])
    gelu = Activation("gelu")
    scale, depth = curved_scales(gelu, gelu(seen), seen, levels=31, together=False)
    lowest, highest = gelu(seen).min(axis=1) / scale, gelu(seen).max(axis=1) / scale
    assert depth[2] == 0
    assert depth[1] > 25  # hardly anything is positive there
    assert 0 < depth[0] < 5
    assert (np.abs(lowest + depth) < 0.25 * 31).all()
    assert (highest < 31 - depth + 2).all()
    same, deep = curved_scales(gelu, gelu(seen), seen, levels=31, together=True)
    assert len(set(same)) == len(set(deep)) == 1


def test_scales_use_both_ends_of_an_uneven_range() -> None:
    target = np.linspace(-3, 0.1, 400)[None]
    (scale,) = best_scales(target, target, low=-30, high=1)
    assert 0.08 < scale < 0.11


def test_readers_of_a_difference_read_both_layers_and_a_maximum_reads_their_sum() -> None:
    """n1 - n2 of one neuron into a weighted read-out and, through a maximum, into another one."""
    steps = np.array([[-8], [-4], [-3], [0], [5]])  # down at -8 and -4, up at -3, 0 and 5
    curved = Curved(StaircaseLayer("a", (2, 1), steps[:, :, None], np.zeros((2, 1), np.int64), 0, np.ones(())), 2)
    window = MaxPool((1,), (1,), ((0, 0),), (1,))
    weight = np.array([[3, -2]])
    layers = (
        *curved.parts,
        MaxLayer("max", (2, 1), window, np.ones(())),
        Readout("output", (1, 1), np.zeros(1, int), 1.0),
    )
    plain = (
        Connection("input", "a", ()),
        Connection("input", "a (falling)", ()),
        Connection("a", "max", ()),
        Connection("a", "output", (conv(weight),)),
        Connection("max", "output", (conv(10 * weight),)),
    )
    both = read_both(layers, plain, {"a": curved})
    network = IntegerNetwork(InputEncoder("input", (2, 1), "static", np.ones(()), -20, 20), *both, 8, 24)
    x = np.arange(-12, 12.0).reshape(-1, 2, 1)
    n = np.select([x >= 5, x >= 0, x >= -3, x >= -4, x >= -8], [1, 0, -1, -2, -1], 0)
    assert np.array_equal(evaluate(network, x).ravel(), (33 * n[:, 0] - 22 * n[:, 1]).ravel())
    assert [layer.name for layer in network.layers] == ["a", "a (falling)", "a (joined)", "max", "output"]
    assert curved.interval.low.ravel().tolist() == [-2, -2]
    assert curved.interval.high.ravel().tolist() == [3, 3]


def conv(weight: np.ndarray) -> Conv:
    return Conv(weight[:, :, None], (1,), ((0, 0),), (1,))
