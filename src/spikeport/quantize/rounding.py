"""Rounding the weights of one layer so that the rounding errors of its inputs cancel.

Rounding each weight alone is best only for inputs that are not correlated. Here each weight is rounded in turn and its error
moves into the weights that are still real, in the proportion that the inputs' second moments H ask for:

    e_j = (w_j - round(w_j)) / R_jj,   w_k -= e_j R_jk for k > j,   R the upper Cholesky factor of inverse(H)

This is optimal brain quantization with a fixed order (Frantar et al., ICLR 2023). Inputs that the calibration data leaves silent
have their weights rounded one by one. Moving the real weights first, by a ridge regression on what the rounded counts lack, was
tried and lost more on fresh data than it won.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import patches
from spikeport.primitives import Conv, Dense, Shape

Floats = NDArray[np.floating]

DAMPING = 0.01
"""Share of the mean diagonal added to H: what few samples say is believed that much less."""
MAX_COLUMNS = 4096
"""Inputs of a neuron up to which H is formed; beyond, weights are rounded one by one."""
BLOCK = 128
ROWS = 16384
"""Inputs that H is summed over: some positions of each sample."""


def refine(
    op: Dense | Conv, real: Floats, arriving: Sequence[NDArray[Any]], output: Shape, *, limit: int
) -> NDArray[np.int64]:
    """Integer weights of a synapse, rounded on what arrives.

    Args:
        op: the synapse.
        real: its weights before rounding, in units of the membrane.
        arriving: counts that reach it, parts of shape (sample, *input).
        output: shape of what it delivers; a convolution is looked at in some positions of each sample.
        limit: largest absolute weight.
    """
    rng = np.random.default_rng(0)
    positions = prod(output[1:])
    count = min(positions, -(-ROWS // sum(map(len, arriving))))
    inputs = []
    for x in arriving:
        if isinstance(op, Conv):
            x = patches(op, x, np.sort(rng.choice(positions, size=count, replace=False)))
            inputs.append(x.reshape(-1, *x.shape[2:]))
        else:
            inputs.append(x[:, None, :])
    x = np.concatenate(inputs).astype(np.float64)
    x -= x.mean(axis=0)  # the mean goes into the bias
    matrix = real.reshape(x.shape[1], -1, x.shape[2])
    whole = [
        rounded(rows, inside.T @ inside, limit=limit) for rows, inside in zip(matrix, x.swapaxes(0, 1), strict=True)
    ]
    return np.concatenate(whole).reshape(real.shape)


def rounded(weight: Floats, moments: Floats, *, limit: int) -> NDArray[np.int64]:
    """Integer weights in [-limit, limit] close to `weight` where the inputs have the given second moments.

    Args:
        weight: shape (post, pre).
        moments: `inputs.T @ inputs`, shape (pre, pre).

    >>> int(rounded(np.array([[0.5, 0.5]]), np.ones((2, 2)), limit=7).sum())
    1
    """
    columns = weight.shape[1]
    mean = float(np.diag(moments).mean())
    damped = moments + (DAMPING * mean if mean > 0 else 1.0) * np.eye(columns)
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = _upper_factor_of_inverse(damped[np.ix_(order, order)])
    left = weight[:, order].copy()
    chosen = np.empty_like(left)
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        errors = np.empty((len(left), stop - start))
        for j in range(start, stop):
            chosen[:, j] = np.clip(np.rint(left[:, j]), -limit, limit)
            errors[:, j - start] = (left[:, j] - chosen[:, j]) / factor[j, j]
            left[:, j + 1 : stop] -= errors[:, j - start, None] * factor[j, j + 1 : stop]
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    result = np.empty_like(chosen)
    result[:, order] = chosen
    return result.astype(np.int64)


def _upper_factor_of_inverse(moments: Floats) -> Floats:
    """R with `R.T @ R = inverse(moments)`, upper triangular."""
    inverse = np.linalg.inv(moments)
    factor: Floats = np.linalg.cholesky((inverse + inverse.T) / 2).T
    return factor
