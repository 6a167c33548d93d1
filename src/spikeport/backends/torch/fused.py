"""Scans over time in one call: a native kernel on a CPU, a Triton kernel on a GPU, where the one or the other is there.

What is not fused is stepped by `spikeport.backends.torch.scan` with torch's own operations: rules that act once a layer, and
everything where neither kernel can be had. The spikes are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spikeport import native
from spikeport.backends.torch.scan import Binary, Climb, Rule, Signed, scan

Scan = Callable[[Rule, Tensor, Tensor, Tensor, int, Tensor | None], NDArray[np.int64]]
"""As `scan`; returns how many neurons sent something, shape (time, batch)."""


def fastest(device: str, threads: int) -> Scan:
    """The scan for a kind of device."""
    if device == "cpu" and native.available():
        return lambda *arguments: by_native(*arguments, threads=threads)
    return by_torch


def by_torch(
    rule: Rule, v: Tensor, sent: Tensor, arriving: Tensor, start: int, potentials: Tensor | None
) -> NDArray[np.int64]:
    """Step by step, with torch's operations."""
    scan(rule, v, sent, arriving, start, potentials)
    return active(arriving)


def active(spikes: Tensor) -> NDArray[np.int64]:
    """How many neurons sent something, shape (time, batch)."""
    return spikes.flatten(2).count_nonzero(dim=2).numpy(force=True)


def by_native(
    rule: Rule, v: Tensor, sent: Tensor, arriving: Tensor, start: int, potentials: Tensor | None, *, threads: int = 1
) -> NDArray[np.int64]:
    """In one call of a compiled kernel."""
    if not isinstance(rule, Signed | Binary | Climb):
        return by_torch(rule, v, sent, arriving, start, potentials)
    shape = (*arriving.shape[:2], v.shape[1:].numel())
    return native.scan(
        _native_rule(rule, range(start, start + len(arriving))),
        arriving.view(shape).numpy(),
        v.view(shape[1:]).numpy(),
        sent.view(shape[1:]).numpy(),
        potentials=None if potentials is None else potentials.view(shape).numpy(),
        threads=threads,
    )


def _native_rule(rule: Signed | Binary | Climb, steps: range) -> native.ScanRule:
    match rule:
        case Signed(threshold, low, high):
            return native.ScanRule("signed", threshold.flatten().numpy(), low=low, high=high)
        case Binary(threshold, release):
            return native.ScanRule(
                "binary",
                threshold.flatten().numpy(),
                None if release is None else release.flatten().numpy(),
                np.array([rule.charge(step) for step in steps], dtype=np.int64),
                np.array([rule.worth(step) for step in steps], dtype=np.int64),
            )
        case Climb(rows, column, low):
            return native.ScanRule("climb", low=low, table=rows.numpy(), column=column.numpy())
