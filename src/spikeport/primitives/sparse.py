"""Sparse synapses, kept by source: what a spike reads is one piece of memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.primitives.frozen import freeze_fields


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Compressed rows: the synapses of source `j` are entries `offsets[j]` to `offsets[j + 1]`, each to a target.

    Sources and targets are flat indices. Two synapses from one source to one target are two synapses. Four bytes a synapse hold
    its target, and its weight takes what the dtype of `weights` says.

    >>> Sparse([0, 2, 3], [0, 1, 1], [0.5, -1.0, 2.0], post=2).dense().tolist()
    [[0.5, 0.0], [-1.0, 2.0]]
    """

    offsets: NDArray[Any]
    """Shape (pre + 1,), from 0 up to the number of synapses."""
    targets: NDArray[Any]
    """Shape (synapse,), below `post`; kept as uint32."""
    weights: NDArray[Any]
    """Floats or integers: shape (synapse,), or (pre, 1) for one weight a source, or () for one weight."""
    post: int
    """Number of target neurons."""

    def __post_init__(self) -> None:
        problems = tuple(
            _problems(np.asarray(self.offsets), np.asarray(self.targets), np.asarray(self.weights), self.post)
        )
        if problems:
            raise GraphError(problems)
        targets = np.asarray(self.targets)
        object.__setattr__(self, "offsets", np.asarray(self.offsets, dtype=np.int64))
        object.__setattr__(self, "targets", targets if targets.dtype == np.uint32 else targets.astype(np.uint32))
        freeze_fields(self, "offsets", "targets", "weights")

    @classmethod
    def from_pairs(cls, sources: Any, targets: Any, weights: Any, *, pre: int, post: int) -> Sparse:
        """From one entry a synapse, in any order; synapses of one source keep theirs.

        >>> made = Sparse.from_pairs([1, 0, 1], [0, 2, 2], [1.0, 2.0, 3.0], pre=2, post=3)
        >>> made.offsets.tolist(), made.targets.tolist(), made.weights.tolist()
        ([0, 1, 3], [2, 0, 2], [2.0, 1.0, 3.0])
        """
        source, target, weight = np.asarray(sources), np.asarray(targets), np.asarray(weights)
        if source.ndim != 1 or source.dtype.kind not in "iu":
            raise GraphError(
                Problem("Sparse", f"sources are {source.dtype} of shape {source.shape}, not a row of integers")
            )
        if source.shape != target.shape or weight.shape not in ((), source.shape):
            shapes = f"{source.shape} sources, {target.shape} targets and {weight.shape} weights"
            raise GraphError(Problem("Sparse", f"has {shapes}", "one source, target and weight a synapse"))
        if source.size and not (source.min() >= 0 and source.max() < pre):
            raise GraphError(
                Problem("Sparse", f"sources run from {source.min()} to {source.max()}, and there are {pre}")
            )
        offsets = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=pre))))
        if source.size and (source[1:] < source[:-1]).any():
            # the narrowest type that holds the indices: sorting two bytes is a radix sort
            order = np.argsort(source.astype(np.min_scalar_type(pre)), kind="stable")
            target, weight = target[order], weight if weight.shape == () else weight[order]
        return cls(offsets, target, weight, post)

    @property
    def pre(self) -> int:
        """Number of source neurons."""
        return len(self.offsets) - 1

    def dense(self) -> NDArray[Any]:
        """The matrix, shape (post, pre), of a synapse set that is small enough."""
        matrix = np.zeros((self.post, self.pre), dtype=self.weights.dtype)
        source = np.repeat(np.arange(self.pre), np.diff(self.offsets))
        np.add.at(matrix, (self.targets, source), self.each_weight())
        return matrix

    def each_weight(self) -> NDArray[Any]:
        """One weight a synapse."""
        if self.weights.ndim == 2:
            return np.repeat(self.weights[:, 0], np.diff(self.offsets))
        return np.broadcast_to(self.weights, self.targets.shape)


def _problems(offsets: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any], post: int) -> Iterator[Problem]:
    where = "Sparse"
    if offsets.ndim != 1 or len(offsets) < 1 or offsets.dtype.kind not in "iu":
        yield Problem(where, f"offsets are {offsets.dtype} of shape {offsets.shape}, not a row of integers")
        return
    if targets.ndim != 1 or (targets.dtype.kind not in "iu" and targets.size):
        yield Problem(where, f"targets are {targets.dtype} of shape {targets.shape}, not a row of integers")
        return
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(targets) or (offsets[1:] < offsets[:-1]).any():
        yield Problem(where, f"offsets do not rise from 0 to the number of synapses, {len(targets)}")
    if targets.size and not (int(targets.min()) >= 0 and int(targets.max()) < post):
        yield Problem(where, f"targets run from {targets.min()} to {targets.max()}, and there are {post} neurons")
    if not 0 <= post < 2**32:
        yield Problem(where, f"has {post} target neurons", "0 to 4,294,967,295")
    if weights.dtype.kind not in "iuf":
        yield Problem(where, f"weights are {weights.dtype}", "floats or integers")
    elif weights.dtype.kind == "f" and not np.isfinite(weights).all():
        yield Problem(where, "weights are not all finite")
    if weights.shape not in ((), targets.shape, (len(offsets) - 1, 1)):
        why = f"weights have shape {weights.shape} for {len(targets)} synapses of {len(offsets) - 1} sources"
        yield Problem(where, why, "one a synapse, (pre, 1) for one a source, or one number")
