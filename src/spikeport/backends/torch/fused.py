"""Scans over time in one call: a native kernel on a CPU, a Triton kernel on a GPU, where the one or the other is there.

What is not fused is stepped by `spikeport.backends.torch.scan` with torch's own operations: rules that act once a layer, and
everything where neither kernel can be had. The spikes are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport import native
from spikeport.backends.torch.scan import Binary, Climb, Rule, Signed, scan

_log = logging.getLogger(__name__)

Scan = Callable[[Rule, Tensor, Tensor, Tensor, int, Tensor | None], NDArray[np.int64]]
"""As `scan`; returns how many neurons sent something, shape (time, batch)."""


def fastest(device: str, threads: int) -> Scan:
    """The scan for a kind of device."""
    if device == "cpu" and native.available():
        return lambda *arguments: by_native(*arguments, threads=threads)
    return by_triton if device == "cuda" and _triton_works() else by_torch


@cache
def _triton_works() -> bool:
    """Whether a kernel can be compiled here: triton is installed, and finds what it needs."""
    if find_spec("triton") is None:
        return False
    one = torch.ones((1, 1, 1), dtype=torch.int32, device="cuda")
    try:
        found = by_triton(Signed(one[0, 0], 0, 1), one[0], one[0] - 1, one.float(), 0, None)
    except Exception as error:  # whatever a compiler can fail with
        _log.warning("triton cannot compile here, neurons are stepped by torch's operations, slower: %s", error)
        return False
    assert found.tolist() == [[1]]
    return True


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


def by_triton(
    rule: Rule, v: Tensor, sent: Tensor, arriving: Tensor, start: int, potentials: Tensor | None
) -> NDArray[np.int64]:
    """In one launch of a Triton kernel."""
    if not isinstance(rule, Signed | Binary | Climb):
        return by_torch(rule, v, sent, arriving, start, potentials)
    from spikeport.backends.torch import on_gpu

    with torch.cuda.device(v.device) if v.is_cuda else nullcontext():  # kernels go to the current device
        return on_gpu.scan(rule, v, sent, arriving, start, potentials).numpy(force=True).astype(np.int64)


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
