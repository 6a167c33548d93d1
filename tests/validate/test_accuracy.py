"""Accuracy gaps and agreement, against formulas written out by hand and simulated coverage."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from spikeport.validate.accuracy import Z95, agreement_interval, paired_gap, regression_error


def outcomes(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Two columns of right and wrong with the given table of agreement."""
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return np.array(first), np.array(second)


def test_the_quantile_is_the_normal_distributions() -> None:
    assert pytest.approx(norm.ppf(0.975), abs=1e-12) == Z95


@pytest.mark.parametrize(
    ("table", "gap", "interval"),
    [
        # p12 = (f12 + 1) / (n + 2), p21 = (f21 + 1) / (n + 2), +-1.96 sqrt((p12 + p21 - (p12 - p21)^2) / (n + 2))
        ((40, 6, 2, 2), 8.0, (-4.0420, 19.4266)),  # n = 50: p12 = 7/52, p21 = 3/52
        ((900, 50, 30, 20), 2.0, (0.2290, 3.7630)),  # n = 1000: p12 = 51/1002, p21 = 31/1002
        ((0, 0, 0, 8), 0.0, (-27.7181, 27.7181)),  # n = 8, nothing differs: 1.96 sqrt(0.2 / 10)
    ],
)
def test_gaps_by_hand(table: tuple[int, ...], gap: float, interval: tuple[float, float]) -> None:
    found, ends = paired_gap(*outcomes(*table))
    assert found == pytest.approx(gap)
    assert ends == pytest.approx(interval, abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 100, 10_000])
def test_without_disagreement_the_interval_is_symmetric_around_zero(n: int) -> None:
    gap, (low, high) = paired_gap(*outcomes(n, 0, 0, 0))
    assert gap == 0
    assert high == -low == pytest.approx(100 * Z95 * sqrt(2) / (n + 2))


def test_all_wrong_on_one_side_is_a_gap_of_a_hundred_points() -> None:
    gap, (low, high) = paired_gap(*outcomes(0, 200, 0, 0))
    assert gap == 100
    assert 95 < low < 100 < high < 101  # the formula does not cut at what is possible
    assert paired_gap(*outcomes(0, 0, 200, 0))[1] == pytest.approx((-high, -low))


@pytest.mark.parametrize(("first", "second", "gap"), [(1, 1, 0), (0, 0, 0), (1, 0, 100), (0, 1, -100)])
def test_one_sample_says_nearly_nothing(first: int, second: int, gap: float) -> None:
    found, (low, high) = paired_gap(np.array([bool(first)]), np.array([bool(second)]))
    assert found == gap
    assert low < 0 < high
    assert high - low > 150


def test_the_sign_is_positive_where_the_second_is_worse() -> None:
    assert paired_gap(*outcomes(10, 3, 1, 0))[0] > 0
    assert paired_gap(*outcomes(10, 1, 3, 0))[0] < 0


@pytest.mark.parametrize(
    ("n", "p12", "p21"), [(50, 0.05, 0.02), (200, 0.02, 0.01), (1000, 0.002, 0.002), (100, 0.2, 0.1)]
)
def test_the_interval_covers_the_true_gap_95_times_in_a_hundred(n: int, p12: float, p21: float) -> None:
    rng = np.random.default_rng(1)
    tables = rng.multinomial(n, [0.7, p12, p21, 1 - 0.7 - p12 - p21], size=2000)
    covered = []
    for table in tables:
        _, (low, high) = paired_gap(*outcomes(*table))
        covered.append(low <= 100 * (p12 - p21) <= high)
    slack = 3 * sqrt(0.05 * 0.95 / len(tables))
    assert np.mean(covered) >= 0.94 - slack  # Bonett & Price report a coverage of no less than about 0.94


@pytest.mark.parametrize(("wrong", "n"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 200), (1, 10_000), (50, 100)])
def test_agreement_has_wilsons_interval(wrong: int, n: int) -> None:
    expected = binomtest(n - wrong, n).proportion_ci(method="wilson")
    assert agreement_interval(wrong, n) == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-9)


def test_regression_errors_by_hand() -> None:
    model, spiking = np.array([[3.0], [-4.0]], np.float32), np.array([[3.5], [-4.0]], np.float32)
    found = regression_error(model, spiking)
    assert found.mean_absolute == pytest.approx(0.25)
    assert found.root_mean_square == pytest.approx(sqrt(0.125))
    assert found.largest == pytest.approx(0.5)
    assert found.relative == pytest.approx(sqrt(0.125) / sqrt(12.5))


def test_relative_errors_of_a_model_that_is_zero() -> None:
    zero = np.zeros((3, 1), np.float32)
    assert regression_error(zero, zero).relative == 0
    assert regression_error(zero, zero + 1).relative == float("inf")


def test_differences_are_taken_in_double_precision() -> None:
    model = np.full((2, 1), 60_000, np.float16)
    assert regression_error(model, -model).largest == pytest.approx(120_000, rel=1e-3)
