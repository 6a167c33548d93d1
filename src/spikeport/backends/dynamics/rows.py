"""A projection as synapses by source: for each source neuron the targets and weights that its spike reads.

A chain of operators is linear, so what one spike does is its response to a unit vector; chains are folded in float64. Where a spike
reaches a neuron along one path at most, its synapses are placed without computing (`spikeport.backends.dynamics.folding`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.folding import Block, placed
from spikeport.graph import apply_synapse
from spikeport.graph.shapes import output_shape
from spikeport.primitives import Dense, OneToOne, Projection, Reshape, Shape, Sparse, Synapse

BLOCK = 2**22
"""Values of a response that are computed at once, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Like `Sparse`: entries `offsets[j]` to `offsets[j + 1]` are what a spike of source `j` reads."""

    offsets: NDArray[np.int64]
    targets: NDArray[np.uint32]
    weights: NDArray[Any]
    """One a synapse, (pre, 1) for one a source, or ()."""


def rows(projection: Projection, source: Shape, target: Shape) -> Rows:
    """Synapses by source, targets rising within a source except in `Sparse`, which keeps its order.

    Raises:
        ValueError: the synapses do not lead from the one shape to the other; the text says why.
    """
    operators = checked_chain(projection, source, target)
    if isinstance(operators, Sparse):
        return Rows(operators.offsets, operators.targets, operators.weights)
    if len(operators) == 1 and isinstance(operators[0], Dense):
        return _from_matrix(operators[0].weight.T)
    size = prod(source)
    each = np.arange(size, dtype=np.uint32)
    if not operators:
        return Rows(np.arange(size + 1), each, np.array(1))
    if len(operators) == 1 and isinstance(operators[0], OneToOne):
        return Rows(np.arange(size + 1), each, np.array(np.broadcast_to(operators[0].weight, source).ravel()))
    blocks = placed(operators, source)
    return _responses(operators, source, prod(target)) if blocks is None else _joined(blocks)


def checked_chain(projection: Projection, source: Shape, target: Shape) -> tuple[Synapse, ...] | Sparse:
    """The operators of a projection, or the one sparse synapse.

    Raises:
        ValueError: the synapses do not lead from the one shape to the other; the text says why.
    """
    chain = projection.synapses
    sparse = next((s for s in chain if isinstance(s, Sparse)), None)
    if sparse is not None:
        return _checked_sparse(sparse, chain, prod(source), prod(target))
    operators: tuple[Synapse, ...] = tuple(s for s in chain if not isinstance(s, Sparse))
    shape = source
    for synapse in operators:
        shape = output_shape(synapse, [shape])
    if shape != target:
        raise ValueError(f"its synapses lead to shape {shape}, and the target has {target}")
    for synapse in operators:
        weight = getattr(synapse, "weight", None)
        if weight is not None and not (weight.dtype.kind in "iuf" and np.isfinite(weight).all()):
            raise ValueError("its weights are not all finite numbers")
    return operators


def _checked_sparse(sparse: Sparse, chain: tuple[Synapse | Sparse, ...], pre: int, post: int) -> Sparse:
    if any(s is not sparse and not isinstance(s, Reshape) for s in chain):
        raise ValueError("a Sparse synapse stands alone: fold the others into it, or put a population between")
    if (sparse.pre, sparse.post) != (pre, post):
        raise ValueError(
            f"its synapses join {sparse.pre} to {sparse.post} neurons, and the populations have {pre} and {post}"
        )
    return sparse


def _from_matrix(by_source: NDArray[Any]) -> Rows:
    """From weights of shape (pre, post); a zero is no synapse."""
    source, target = np.nonzero(by_source)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=len(by_source)))))
    return Rows(offsets, target.astype(np.uint32), by_source[source, target])


def _joined(blocks: Iterable[Block]) -> Rows:
    counts, targets, weights = zip(*((c, t.astype(np.uint32), w) for c, t, w in blocks), strict=True)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.concatenate(counts))])
    return Rows(offsets, np.concatenate(targets), np.concatenate(weights))


def _responses(chain: tuple[Synapse, ...], source: Shape, post: int) -> Rows:
    size = prod(source)
    block = max(1, BLOCK // max(size, post))
    parts = []
    for begin in range(0, size, block):
        x: NDArray[Any] = np.zeros((min(block, size - begin), size))
        x[np.arange(len(x)), begin + np.arange(len(x))] = 1
        x = x.reshape(len(x), *source)
        for synapse in chain:
            x = apply_synapse(synapse, x)
        parts.append(_from_matrix(x.reshape(len(x), post)))
    starts = np.cumsum([0, *(len(part.targets) for part in parts)])
    offsets = [start + part.offsets[1:] for start, part in zip(starts, parts, strict=False)]
    return Rows(
        np.concatenate([np.zeros(1, dtype=np.int64), *offsets]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )
