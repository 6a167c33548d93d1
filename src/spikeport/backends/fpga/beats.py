"""Beats of the streams into and out of the core, 64 bits each: kind, place, index, value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Beats = NDArray[np.uint64]

EVENT, CURRENT, STEP, BEGIN, RESUME = 0, 1, 2, 3, 4
"""Into the core."""
SPIKE, POTENTIAL, STEP_END, BEGUN, SECOND, RESUMED = 0, 1, 2, 3, 4, 5
"""Out of it."""
BENCH = 15
"""For the testbench: place 0 keeps the state of sample `index`, 1 brings it back; it answers with the cycles since the last one."""
MOST_PLACES, MOST_INDEX = 2**8, 2**20


def beat(kind: int, place: int | Whole = 0, index: int | Whole = 0, value: int | Whole = 0) -> Beats:
    """Beats from their fields, as many as the longest of these."""
    parts = np.broadcast_arrays(*(np.atleast_1d(np.asarray(p, dtype=np.int64)) for p in (place, index, value)))
    places, indices, values = (part.astype(np.uint64) for part in parts)
    k = np.uint64(kind) << np.uint64(60)
    low = values & np.uint64(0xFFFFFFFF)
    found: Beats = k | (places << np.uint64(52)) | (indices << np.uint64(32)) | low
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Beats taken apart."""

    kind: Whole
    place: Whole
    index: Whole
    value: Whole


def fields(beats: Beats) -> Fields:
    value = (beats & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32).astype(np.int64)
    return Fields(
        (beats >> np.uint64(60)).astype(np.int64),
        ((beats >> np.uint64(52)) & np.uint64(0xFF)).astype(np.int64),
        ((beats >> np.uint64(32)) & np.uint64(0xFFFFF)).astype(np.int64),
        value,
    )


def text(beats: Beats) -> str:
    """One hexadecimal number a line."""
    return beats.astype(">u8").tobytes().hex("\n", 8) + "\n" if len(beats) else ""


def parsed(words: str) -> Beats:
    """The same back.

    Raises:
        ValueError: it is something else.
    """
    return np.frombuffer(bytes.fromhex(words), dtype=">u8").astype(np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What enters the core in some steps: values by place, shape (time, batch, line or neuron)."""

    steps: int
    batch: int
    events: Mapping[int, Whole]
    currents: Mapping[int, Whole]
    report: int
    """What is told besides spikes: 1 potentials that are read, 2 all."""


def stimulus(frame: Frame, *, first_step: int, slots: int, largest_step: int, kept: bool = True) -> Beats:
    """All beats of all samples, one sample after the other.

    Args:
        frame: what enters.
        first_step: number of the first step; 0 begins a sample, other steps go on where it was left.
        slots: of what is on its way.
        largest_step: the number at which the core stops counting.
        kept: the state lies in files between calls. Otherwise the core goes on by itself, with one sample.
    """
    parts, orders = [], []
    span = 2 * frame.steps + 4

    def put(sample: Whole, position: Whole | int, beats: Beats) -> None:
        parts.append(beats)
        orders.append(np.broadcast_to(sample * span + position, beats.shape))

    samples = np.arange(frame.batch, dtype=np.int64)
    if first_step == 0:
        put(samples, 0, np.repeat(beat(BEGIN), frame.batch))
    elif kept:
        put(samples, 0, beat(BENCH, 1, samples))
        resume = beat(RESUME, 0, first_step % slots, min(first_step, largest_step))
        put(samples, 1, np.repeat(resume, frame.batch))
    for kind, given in ((EVENT, frame.events), (CURRENT, frame.currents)):
        for place, values in given.items():
            step, sample, index = np.nonzero(values)
            put(sample, 2 + 2 * step, beat(kind, place, index, values[step, sample, index]))
    ends = np.tile(np.arange(frame.steps, dtype=np.int64), frame.batch)
    put(np.repeat(samples, frame.steps), 3 + 2 * ends, np.repeat(beat(STEP, value=frame.report), len(ends)))
    if kept:
        put(samples, span - 1, beat(BENCH, 0, samples))
    order = np.argsort(np.concatenate(orders), kind="stable")
    found: Beats = np.concatenate(parts)[order]
    return found
