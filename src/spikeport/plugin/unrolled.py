"""Synapses one by one: for backends whose chip holds a matrix, whatever the operator was."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply_synapse
from spikeport.primitives import Dense, Shape, Sparse, Synapse


def unrolled(synapses: Iterable[Synapse | Sparse], shape: Shape) -> NDArray[Any]:
    """What a spike of each neuron is worth at each target, shape (post, pre), in the dtype of the weights; integers where there are none.

    Args:
        synapses: of a connection or projection, in order.
        shape: of the source.

    >>> unrolled([Dense(np.array([[1, 2], [3, 4], [5, 6]]))], (2,)).tolist()
    [[1, 2], [3, 4], [5, 6]]
    """
    pre = prod(shape)
    x: NDArray[Any] = np.eye(pre, dtype=np.int64).reshape(pre, *shape)
    for synapse in synapses:
        if isinstance(synapse, Sparse):
            x = apply_synapse(Dense(synapse.dense()), x.reshape(pre, -1))
        else:
            x = apply_synapse(synapse, x)
    return x.reshape(pre, -1).T
