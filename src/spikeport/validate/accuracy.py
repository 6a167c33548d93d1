"""How far the spiking network is from the model: accuracy, paired, with an interval."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from spikeport.report import RegressionError

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def paired_gap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Difference of two accuracies on the same samples in percentage points, and its 95 % interval.

    The adjusted Wald interval for paired proportions of Bonett & Price, Statistics in Medicine 31 (2012), which holds
    for small samples and few differences too.

    >>> gap, (low, high) = paired_gap(np.array([True] * 100), np.array([True] * 98 + [False] * 2))
    >>> round(gap, 2), round(low, 2), round(high, 2)
    (2.0, -1.86, 5.78)
    """
    n = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    a, b = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = Z95 * sqrt((a + b - (a - b) ** 2) / (n + 2))
    return 100 * (only_first - only_second) / n, (100 * (a - b - half), 100 * (a - b + half))


def agreement_interval(disagreements: int, n: int) -> tuple[float, float]:
    """Agreement in percent with its 95 % Wilson interval."""
    p = 1 - disagreements / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return 100 * (centre - half), 100 * (centre + half)


def regression_error(model: NDArray[np.floating], spiking: NDArray[np.floating]) -> RegressionError:
    """Distances between two sets of outputs, in the model's units."""
    difference = spiking.astype(np.float64) - model
    size = float(np.sqrt(np.mean(model.astype(np.float64) ** 2)))
    root = float(np.sqrt(np.mean(difference**2)))
    return RegressionError(
        mean_absolute=float(np.abs(difference).mean()),
        root_mean_square=root,
        largest=float(np.abs(difference).max()),
        relative=root / size if size else 0.0 if root == 0 else float("inf"),
    )
