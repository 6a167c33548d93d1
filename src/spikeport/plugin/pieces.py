"""Spikes in pieces of time, put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spikeport.primitives import SpikeEvents


def joined(parts: Sequence[SpikeEvents]) -> SpikeEvents:
    """Spikes of one population in pieces of time, one after the other, as one list."""
    first, begins = parts[0], np.cumsum([0, *(part.n_steps for part in parts)])
    if len(parts) == 1:
        return first
    samples, neurons = (np.concatenate([getattr(part, n) for part in parts]) for n in ("samples", "neurons"))
    steps = np.concatenate([part.steps + begin for part, begin in zip(parts, begins, strict=False)])
    order = np.argsort(samples, kind="stable")
    values = None
    if any(part.values is not None for part in parts):
        kind = np.result_type(*(part.values for part in parts if part.values is not None))
        payloads = [np.ones(len(part), kind) if part.values is None else part.values for part in parts]
        values = np.concatenate(payloads)[order]
    return replace(
        first,
        samples=samples[order],
        steps=steps[order],
        neurons=neurons[order],
        n_steps=int(begins[-1]),
        values=values,
    )
