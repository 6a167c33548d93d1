"""The search for the size of one count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.quantize.scales import FRACTIONS, best_scales

ROUNDING = 1e-5  # relative: the search computes counts in float32


def loss(target: np.ndarray, value: np.ndarray, scale: float, low: int, high: int) -> float:
    """The sum that the scale minimises, in float64."""
    count = np.clip(np.floor(value.astype(np.float64) / scale + 0.5), low, high)
    return float(((target - scale * count) ** 2).sum())


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([1, 3, 31]), st.booleans())
def test_no_candidate_of_the_grid_is_better(seed: int, high: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    low = -high if signed else 0
    value = (rng.normal(size=(3, 40)) * rng.uniform(0.1, 10, size=(3, 1))).astype(np.float32)
    target = value if signed else np.maximum(value, 0)
    found = best_scales(target, value, low=low, high=high)
    for channel in range(3):
        largest = float(np.abs(target[channel]).max())
        if largest == 0:
            continue
        grid = [loss(target[channel], value[channel], f * largest / high, low, high) for f in FRACTIONS]
        mine = loss(target[channel], value[channel], found[channel], low, high)
        # a value on the edge between two counts may fall to either side in float32: one count squared at most
        edge = ROUNDING * float((target[channel] ** 2).sum())
        assert mine <= min(grid) + edge
        assert largest / high * 0.1 * (1 - 1e-9) <= found[channel] <= largest / high


def test_values_that_are_whole_counts_are_found_exactly() -> None:
    value = np.array([[0.0, 0.25, 0.5, 0.75, 1.75, -3.0]])
    found = best_scales(np.maximum(value, 0), value, low=0, high=7)
    assert found.tolist() == [0.25]


def test_a_rare_outlier_is_clipped() -> None:
    rng = np.random.default_rng(0)
    value = np.append(rng.uniform(0, 1, 10_000), 3.0)[None]
    (found,) = best_scales(value, value, low=0, high=3)
    assert found * 3 < 1.5


def test_the_scale_is_chosen_for_what_the_neuron_will_see() -> None:
    """Values twice as large as they should be are best rounded with a scale that saturates them."""
    target = np.linspace(0, 1, 101)[None]
    honest, distorted = (best_scales(target, v, low=0, high=4)[0] for v in (target, target * 2))
    assert loss(target[0], 2 * target[0], distorted, 0, 4) < loss(target[0], 2 * target[0], honest, 0, 4)


def test_a_dead_channel_takes_the_largest_scale_of_the_others() -> None:
    target = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 4.0]])
    found = best_scales(target, target - 1e-3, low=0, high=8)
    assert found[0] == max(found[1:]) == found[2]
    assert found[2] > found[1] > 0


def test_without_any_activity_the_scale_is_one() -> None:
    assert best_scales(np.zeros((3, 5)), -np.ones((3, 5)), low=0, high=8).tolist() == [1.0, 1.0, 1.0]
    assert best_scales(np.zeros((2, 5)), np.zeros((2, 5)), low=0, high=8, together=True).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("high", [1, 15])
def test_together_is_one_scale_for_all_the_samples_of_all_channels(high: int) -> None:
    rng = np.random.default_rng(1)
    value = rng.normal(size=(4, 50)) * np.array([[1], [2], [5], [0]])
    target = np.maximum(value, 0)
    found = best_scales(target, value, low=0, high=high, together=True)
    assert len(set(found.tolist())) == 1
    assert found[0] == best_scales(target.reshape(1, -1), value.reshape(1, -1), low=0, high=high)[0]


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**-3, 2.0**12])
def test_scales_follow_the_values_by_powers_of_two_exactly(factor: float) -> None:
    rng = np.random.default_rng(2)
    value = rng.normal(size=(3, 64)).astype(np.float32)
    target = np.maximum(value, 0)
    one = best_scales(target, value, low=0, high=31)
    other = best_scales(target * np.float32(factor), value * np.float32(factor), low=0, high=31)
    assert (one * factor).tolist() == other.tolist()


def test_arguments_are_left_alone() -> None:
    target, value = np.ones((1, 4), np.float32), np.ones((1, 4), np.float32)
    best_scales(target, value, low=0, high=3)
    assert (target == 1).all()
    assert (value == 1).all()
