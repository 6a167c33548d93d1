"""What the neurons of one population do in a run of steps: a scan over time, with nothing but their own state.

`scan` reads what arrives in each step and writes the spikes sent in its place, so that a window of time is held once. State is
integer, spikes are whole numbers in the floating-point dtype in which they arrive at the next product. The rules are those of
`spikeport.primitives`; these cover them all:

    Signed    send +1 where v >= threshold and sent < high, -1 where v < 0 and sent > low        SignedIF
    Binary    v += charge(step); send w where v >= w * threshold, w = worth(step)                PhasedIF, RadixIF
    Quotient  in one step send clip(floor(v / threshold), low, high)                             GradedIF, UnitBank
    Climb     send +1 where v has reached the next entry of a table, -1 where it lost the last   StaircaseIF
    Table     by the clock, send what v has reached of a table                                   StaircaseUnit, StaircaseBank

A bank's unit k fires where `v >= k * threshold`, and clip(floor(v / threshold), 0, units) of the k from 1 to `units` do. Tables
are cut to what `v` can reach, which changes no comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.primitives import (
    GradedIF,
    PhasedIF,
    PlainIF,
    Population,
    RadixIF,
    SignedIF,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)


@dataclass(frozen=True)
class Signed:
    """Spikes of both signs, one a step, as many as a saturating counter allows."""

    threshold: Tensor
    low: int
    high: int


@dataclass(frozen=True)
class Binary:
    """Unsigned spikes under a clock, each worth what the clock says and paid for with as many thresholds."""

    threshold: Tensor
    release: Tensor | None = None
    """Charge that comes in step `opens_at` and goes in step `closes_at`."""
    opens_at: int = 0
    closes_at: int = 0
    bits: int | None = None
    """Spikes are binary digits from step `opens_at` on; None: every spike is worth 1."""

    def worth(self, step: int) -> int:
        """Value of a spike; 0 where none can be sent."""
        if self.bits is None:
            return 1
        digit = self.bits - 1 - (step - self.opens_at)
        return 2**digit if 0 <= digit < self.bits else 0

    def charge(self, step: int) -> int:
        """How often `release` is added."""
        return 0 if self.release is None else (step == self.opens_at) - (step == self.closes_at)


@dataclass(frozen=True)
class Quotient:
    """One event with the whole count."""

    threshold: Tensor
    low: int
    high: int
    fires_at: int
    subtract: bool
    """Whether what was sent leaves the membrane."""


@dataclass(frozen=True)
class Climb:
    """A counter that climbs and descends a table, one entry a step; membranes are not reset."""

    rows: Tensor
    """Entries, shape (levels, column)."""
    column: Tensor
    """Which column is each neuron's, shape (neuron,)."""
    low: int


@dataclass(frozen=True)
class Table:
    """Comparison with a table by the clock; membranes are not reset."""

    rows: Tensor
    column: Tensor
    low: int
    sends: Literal["payload", "thermometer", "digits"]
    opens_at: int
    duration: int


Rule = Signed | Binary | Quotient | Climb | Table


def rule_of(population: Population, *, reach: int, dtype: torch.dtype, device: torch.device) -> Rule | None:
    """The rule of a population with its parameters as tensors, one value a neuron; None: it has no threshold.

    Args:
        reach: above every absolute value of a membrane.
    """

    def load(array: NDArray[Any]) -> Tensor:
        return torch.tensor(np.broadcast_to(array, population.shape), dtype=dtype, device=device)

    def table(steps: NDArray[Any]) -> tuple[Tensor, Tensor]:
        rows = steps.reshape(len(steps), -1)
        column = np.broadcast_to(np.arange(rows.shape[1]).reshape(steps.shape[1:]), population.shape)
        loaded = torch.tensor(rows.clip(-reach, reach), dtype=dtype, device=device)
        return loaded, torch.tensor(column.ravel(), device=device)

    match population.neuron:
        case SignedIF(threshold, _, _, low, high):
            return Signed(load(threshold), low, high)
        case PhasedIF(threshold, _, _, release, opens_at, closes_at):
            return Binary(load(threshold), load(release), opens_at, closes_at)
        case PlainIF(threshold):
            return Binary(load(threshold), None, 0, 0)
        case RadixIF(threshold, _, _, bits, opens_at):
            return Binary(load(threshold), None, opens_at, opens_at + bits, bits)
        case GradedIF(threshold, _, _, low, high, fires_at):
            return Quotient(load(threshold), low, high, fires_at, subtract=True)
        case UnitBank(threshold, _, _, units, _, fires_at):
            return Quotient(load(threshold), 0, units, fires_at, subtract=False)
        case StaircaseIF(steps, _, _, low):
            return Climb(*table(steps), low)
        case StaircaseUnit(steps, _, _, low, sends, opens_at) as unit:
            return Table(*table(steps), low, sends, opens_at, unit.duration)
        case StaircaseBank(steps, _, _, _, fires_at):
            return Table(*table(steps), 0, "payload", fires_at, 1)
    return None


def on_clock(rule: Rule, start: int, stop: int) -> bool:
    """Whether in the steps `start` to `stop - 1` neurons may fire without having been charged."""
    match rule:
        case Signed() | Climb() | Binary(release=None, bits=None):
            return False
        case Binary(bits=None):
            return any(start <= step < stop for step in (rule.opens_at, rule.closes_at))
        case Binary():
            return start < rule.closes_at and rule.opens_at < stop
        case Quotient(fires_at=step):
            return start <= step < stop
        case Table(opens_at=first, duration=duration):
            return start < first + duration and first < stop


def scan(rule: Rule, v: Tensor, sent: Tensor, arriving: Tensor, start: int, potentials: Tensor | None = None) -> None:
    """Step a population through a window of time.

    Args:
        rule: what its neurons do.
        v, sent: membrane potentials and sums of what was sent, integers, shape (batch, *population); changed in place.
        arriving: whole numbers, shape (time, batch, *population); replaced by the spikes sent.
        start: index of the first step.
        potentials: where the membranes after each step are written, shape of `arriving`.
    """
    for index, now in enumerate(arriving):
        v += now.to(v.dtype)
        match rule:
            case Signed(threshold, low, high):
                up = (v >= threshold).logical_and_(sent < high)
                down = (v < 0).logical_and_(sent > low)
                spikes = up.to(v.dtype).sub_(down.to(v.dtype))
                v.addcmul_(spikes, threshold, value=-1)
                sent += spikes
                now.copy_(spikes)
            case Binary(threshold):
                _fire(rule, v, sent, now, start + index)
            case Quotient(threshold, low, high, fires_at, subtract):
                if start + index != fires_at:
                    now.zero_()
                else:
                    spikes = torch.div(v, threshold, rounding_mode="floor").clamp_(low, high)
                    if subtract:
                        v.addcmul_(spikes, threshold, value=-1)
                    sent += spikes
                    now.copy_(spikes)
            case Climb(rows, column, low):
                climbed = sent - low
                up = (v >= _entry(rows, column, climbed)).logical_and_(climbed < len(rows))
                down = (v < _entry(rows, column, climbed - 1)).logical_and_(climbed > 0)
                spikes = up.to(v.dtype).sub_(down.to(v.dtype))
                sent += spikes
                now.copy_(spikes)
            case Table():
                _look_up(rule, v, sent, now, start + index)
        if potentials is not None:
            potentials[index].copy_(v)


def _fire(rule: Binary, v: Tensor, sent: Tensor, now: Tensor, step: int) -> None:
    if rule.release is not None and rule.charge(step):
        v.add_(rule.release, alpha=rule.charge(step))
    worth = rule.worth(step)
    if not worth:
        now.zero_()
        return
    price = rule.threshold if worth == 1 else rule.threshold * worth
    spikes = (v >= price).to(v.dtype)
    v.addcmul_(spikes, price, value=-1)
    sent.add_(spikes, alpha=worth)
    now.copy_(spikes).mul_(worth)


def _look_up(rule: Table, v: Tensor, sent: Tensor, now: Tensor, step: int) -> None:
    k = step - rule.opens_at
    if not 0 <= k < rule.duration:
        now.zero_()
        return
    rows, column = rule.rows, rule.column
    if rule.sends == "payload":
        spikes = torch.full_like(v, rule.low)
        for row in rows:
            spikes += v >= row[column].view(v.shape[1:])
    elif rule.sends == "thermometer":
        spikes = (v >= rows[k][column].view(v.shape[1:])).to(v.dtype)
    else:
        worth = 2 ** (rule.duration - 1 - k)
        digit = sent + worth
        spikes = (v >= _entry(rows, column, digit - 1)).logical_and_(digit <= len(rows)).to(v.dtype) * worth
    sent += spikes
    now.copy_(spikes)


def _entry(rows: Tensor, column: Tensor, index: Tensor) -> Tensor:
    """Entry of each neuron's table, shape of `index`; the nearest one where there is none of that index."""
    return rows[index.clamp(0, len(rows) - 1).to(torch.int64), column.view(index.shape[1:])]
