"""Each neuron's rule alone: 20,000 random integer cases at once against Python integers, and mutants that must be caught.

A case has a threshold, an offset, a level bound and a history of arrivals in any order, with pairs that cancel, sums that hit
multiples of the threshold exactly, saturate or stay negative. The oracle knows none of the rules: it adds, divides and clips.
"""

from __future__ import annotations

import bisect
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spikeport.backends.reference import stepper
from spikeport.primitives import (
    GradedIF,
    Neuron,
    PhasedIF,
    Population,
    RadixIF,
    SignedIF,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)

CASES = 20_000
ARRIVALS = 12


@dataclass(frozen=True)
class Cases:
    """`arriving` has shape (step, case); the sum over steps and the offset are what the integer network calls U."""

    threshold: np.ndarray
    offset: np.ndarray
    arriving: np.ndarray
    high: int
    low: int

    def expected(self) -> np.ndarray:
        """Counts by Python's unbounded integers."""
        total = self.arriving.sum(axis=0) + self.offset
        pairs = zip(total.tolist(), self.threshold.tolist(), strict=True)
        return np.array([min(max(u // th, self.low), self.high) for u, th in pairs])


def cases(seed: int, *, high: int, low: int = 0) -> Cases:
    rng = np.random.default_rng(seed)
    threshold = rng.integers(1, 40, size=CASES)
    offset = np.where(rng.random(CASES) < 0.5, threshold // 2, rng.integers(0, threshold))
    arriving = rng.integers(-30, 31, size=(ARRIVALS, CASES)) * (rng.random((ARRIVALS, CASES)) < 0.6)
    spurious = rng.integers(-50, 51, size=(ARRIVALS // 2, CASES))
    arriving[: ARRIVALS // 2] += spurious  # and their opposites later
    arriving[ARRIVALS // 2 :] -= rng.permuted(spurious, axis=0)
    arriving *= rng.choice([1, 1, 1, 4], size=CASES)  # some saturate
    wanted = threshold * rng.integers(low - 2, high + 3, size=CASES) + rng.integers(-1, 2, size=CASES)
    exact = rng.random(CASES) < 0.5  # at, just below and just above a multiple of the threshold
    arriving[-1] += np.where(exact, wanted - arriving.sum(axis=0) - offset, 0)
    return Cases(threshold, offset, arriving, high, low)


@dataclass(frozen=True)
class Tables:
    """As `Cases`, with a table of thresholds for each case, shape (step, case), instead of one threshold."""

    table: np.ndarray
    offset: np.ndarray
    arriving: np.ndarray
    low: int

    def expected(self) -> np.ndarray:
        """Counts by Python's bisection of each table."""
        total = self.arriving.sum(axis=0) + self.offset
        columns = zip(total.tolist(), self.table.T.tolist(), strict=True)
        return np.array([self.low + bisect.bisect_right(column, u) for u, column in columns])


def tables(seed: int, *, high: int, low: int = 0) -> Tables:
    """Tables that rise by uneven amounts, with steps at the same height, and sums that hit, just miss or pass them all."""
    c = cases(seed, high=high, low=low)
    rng = np.random.default_rng(seed + 1000)
    rises = rng.integers(0, 40, size=(high - low, CASES)) * (rng.random((high - low, CASES)) < 0.7)
    table = rng.integers(-150, 60, size=CASES) + rises.cumsum(axis=0)
    arriving = c.arriving.copy()
    wanted = np.take_along_axis(table, rng.integers(0, high - low, size=(1, CASES)), axis=0)[0]
    exact = rng.random(CASES) < 0.6
    arriving[-1] += np.where(exact, wanted + rng.integers(-1, 2, size=CASES) - arriving.sum(axis=0) - c.offset, 0)
    return Tables(table, c.offset, arriving, low)


Build = Callable[[Any], tuple[Neuron, int]]


def signed(c: Cases) -> tuple[Neuron, int]:
    return SignedIF(c.threshold, c.offset, np.zeros(()), c.low, c.high), ARRIVALS + c.high - c.low


def graded(c: Cases) -> tuple[Neuron, int]:
    return GradedIF(c.threshold, c.offset, np.zeros(()), c.low, c.high, ARRIVALS - 1), ARRIVALS


def phased(c: Cases) -> tuple[Neuron, int]:
    release = np.abs(c.arriving).sum(axis=0) + c.offset + 1
    neuron = PhasedIF(c.threshold, c.offset - release, np.zeros(()), release, ARRIVALS, ARRIVALS + c.high)
    return neuron, ARRIVALS + c.high + 5  # it stays silent after its phase


def radix(c: Cases) -> tuple[Neuron, int]:
    bits = c.high.bit_length()
    return RadixIF(c.threshold, c.offset, np.zeros(()), bits, ARRIVALS), ARRIVALS + bits + 3


def population(c: Cases) -> tuple[Neuron, int]:
    common = int(np.abs(c.arriving).sum(axis=0).max() + c.offset.max()) + 1
    return UnitBank(c.threshold, c.offset, np.zeros(()), c.high, common, ARRIVALS - 1), ARRIVALS


def staircase(c: Tables) -> tuple[Neuron, int]:
    return StaircaseIF(c.table, c.offset, np.zeros(()), c.low), ARRIVALS + len(c.table)


def staircase_of_counts(c: Cases) -> tuple[Neuron, int]:
    k = np.arange(c.low + 1, c.high + 1)[:, None]
    return StaircaseIF(k * c.threshold, c.offset, np.zeros(()), c.low), ARRIVALS + len(k)


def payload(c: Tables) -> tuple[Neuron, int]:
    return StaircaseUnit(c.table, c.offset, np.zeros(()), c.low, "payload", ARRIVALS - 1), ARRIVALS + 2


def thermometer(c: Tables) -> tuple[Neuron, int]:
    return StaircaseUnit(c.table, c.offset, np.zeros(()), 0, "thermometer", ARRIVALS), ARRIVALS + len(c.table) + 3


def digits(c: Tables) -> tuple[Neuron, int]:
    return StaircaseUnit(c.table, c.offset, np.zeros(()), 0, "digits", ARRIVALS), ARRIVALS + 8


def bank(c: Tables) -> tuple[Neuron, int]:
    common = int(np.abs(c.arriving).sum(axis=0).max() + c.offset.max()) + 1
    return StaircaseBank(c.table, c.offset, np.zeros(()), common, ARRIVALS - 1), ARRIVALS


RULES: dict[str, tuple[Build, tuple[tuple[int, int], ...]]] = {
    "signed": (signed, ((1, 0), (3, 0), (7, -7), (15, 0), (15, -4))),
    "graded": (graded, ((1, 0), (3, 0), (7, -7), (15, 0))),
    "phased": (phased, ((1, 0), (3, 0), (7, 0), (15, 0))),
    "radix": (radix, ((1, 0), (3, 0), (7, 0), (15, 0))),
    "population": (population, ((1, 0), (3, 0), (7, 0), (15, 0))),
    "staircase of counts": (staircase_of_counts, ((1, 0), (7, -7), (15, -4))),
}
TABLES: dict[str, tuple[Build, tuple[tuple[int, int], ...]]] = {
    "staircase": (staircase, ((1, 0), (3, 0), (7, -7), (15, 0), (2, -15))),
    "payload": (payload, ((1, 0), (7, -7), (15, -3))),
    "thermometer": (thermometer, ((1, 0), (5, 0), (15, 0))),
    "digits": (digits, ((1, 0), (4, 0), (7, 0), (13, 0))),
    "bank": (bank, ((1, 0), (5, 0), (15, 0))),
}


def wrong(module: ModuleType, build: Build, c: Cases | Tables) -> int:
    """Cases that end with another count than the oracle's, in the first sample or in one more after a reset."""
    neuron, steps = build(c)
    cell = Population("n", (CASES,), neuron)
    result = 0
    for arriving in (c.arriving, c.arriving[::-1]):  # two samples in a row, each from the initial state
        state = module._State(np.array(neuron.initial, dtype=np.int64)[None], np.zeros((1, CASES), dtype=np.int64))
        for step in range(steps):
            now = arriving[step] if step < ARRIVALS else np.zeros(CASES, dtype=np.int64)
            module._update(cell, state, now[None], step)
        result += int((state.sent[0] != c.expected()).sum())
    return result


@pytest.mark.parametrize("name", RULES)
def test_no_case_of_twenty_thousand_differs(name: str) -> None:
    build, ranges = RULES[name]
    for seed, (high, low) in enumerate(ranges):
        assert wrong(stepper, build, cases(seed, high=high, low=low)) == 0, (high, low)


@pytest.mark.parametrize("name", TABLES)
def test_no_table_of_twenty_thousand_is_climbed_to_another_height(name: str) -> None:
    build, ranges = TABLES[name]
    for seed, (high, low) in enumerate(ranges):
        assert wrong(stepper, build, tables(seed, high=high, low=low)) == 0, (high, low)


_RESETS = """spikes = up.astype(np.int64) - down
            state.v -= spikes * steps[0]
        case StaircaseUnit"""
MUTANTS = {
    "signed: plain IF": (
        "signed",
        "spikes = up.astype(np.int64) - down\n            state.v -=",
        "spikes = up.astype(np.int64)\n            state.v -=",
    ),
    "signed: > for >=": ("signed", "up = (state.v >= threshold)", "up = (state.v > threshold)"),
    "signed: no bound": ("signed", "& (state.sent < high)", ""),
    "signed: clamp at zero": (
        "signed",
        "down = (state.v < 0) & (state.sent > low)",
        "state.v.clip(0, out=state.v); down = False",
    ),
    "signed: negative spike only if it has spiked": (
        "signed",
        "(state.v < 0) & (state.sent > low)",
        "(state.v < 0) & (state.sent > 0)",
    ),
    "graded: rounds": (
        "graded",
        "np.floor_divide(state.v, threshold), low",
        "np.rint(state.v / threshold).astype(np.int64), low",
    ),
    "graded: no bound": (
        "graded",
        "np.clip(np.floor_divide(state.v, threshold), low, high)",
        "np.floor_divide(state.v, threshold)",
    ),
    "phased: never released": ("phased", "((step == opens_at) - (step == closes_at))", "(0 - (step == closes_at))"),
    "phased: never closed": ("phased", "((step == opens_at) - (step == closes_at))", "int(step == opens_at)"),
    "phased: closed late": ("phased", "(step == closes_at))", "(step == closes_at + 1))"),
    "phased: > for >=": ("phased", "spikes = (state.v >= threshold).astype", "spikes = (state.v > threshold).astype"),
    "radix: > for >=": ("radix", "(state.v >= threshold * worth)", "(state.v > threshold * worth)"),
    "radix: least significant first": ("radix", "2 ** (bits - 1 - (step - opens_at))", "2 ** (step - opens_at)"),
    "radix: opens early": ("radix", "if not opens_at <= step", "if not opens_at - 1 <= step"),
    "population: > for >=": ("population", "k * threshold >= common", "k * threshold > common"),
    "staircase: > for >=": ("staircase", "(state.v >= _step(steps, climbed))", "(state.v > _step(steps, climbed))"),
    "staircase: never climbs down": (
        "staircase",
        "down = (climbed > 0) & (state.v < _step(steps, climbed - 1))",
        "down = 0",
    ),
    "staircase: climbs down late": (
        "staircase",
        "(state.v < _step(steps, climbed - 1))",
        "(state.v < _step(steps, climbed - 1) - 1)",
    ),
    "staircase: climbs down in two minds": (
        "staircase",
        "(state.v < _step(steps, climbed - 1))",
        "(state.v < _step(steps, climbed))",
    ),
    "staircase: only if it has climbed": ("staircase", "down = (climbed > 0)", "down = (state.sent > 0)"),
    "staircase: resets": ("staircase", "spikes = up.astype(np.int64) - down\n        case StaircaseUnit", _RESETS),
    "payload: > for >=": ("payload", "spikes += state.v >= row", "spikes += state.v > row"),
    "payload: from zero": ("payload", "np.full_like(state.sent, low)", "np.full_like(state.sent, 0)"),
    "thermometer: > for >=": ("thermometer", "(state.v >= steps[k])", "(state.v > steps[k])"),
    "thermometer: opens early": ("thermometer", "k = step - opens_at\n", "k = step - opens_at + 2\n"),
    "digits: > for >=": ("digits", "(state.v >= _step(steps, digit - 1))", "(state.v > _step(steps, digit - 1))"),
    "digits: beyond the table": ("digits", "(digit <= len(steps)) & (state", "(state"),
    "bank: > for >=": ("bank", "common - row >= common", "common - row > common"),
    "population: one unit too few": ("population", "range(1, units + 1)", "range(1, units)"),
    "population: fires early": (
        "population",
        "units, common, fires_at):\n            if step != fires_at:",
        "units, common, fires_at):\n            if step != fires_at - 1:",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutated_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, old, new = MUTANTS[name]
    source = inspect.getsource(stepper)
    assert source.count(old) == 1, "the mutation no longer fits the source"
    module = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", module)  # dataclasses look their module up
    exec(compile(source.replace(old, new), "mutant.py", "exec"), module.__dict__)
    build, ranges = (RULES | TABLES)[rule]
    draw = tables if rule in TABLES else cases
    assert sum(wrong(module, build, draw(seed, high=high, low=low)) for seed, (high, low) in enumerate(ranges))
