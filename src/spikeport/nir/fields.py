"""Strict reading of JSON from outside: every value is checked, every problem is kept, nothing is assumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from spikeport.errors import Problem
from spikeport.nir.limits import MAX_INTEGER


def load(text: str) -> Any:
    """JSON without the extensions of Python's parser; ValueError for NaN, names given twice, or too deep a nesting."""
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _no_constant(name: str) -> None:
    raise ValueError(f"holds {name}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("gives a name twice")
    return result


class Value:
    """A JSON value, where it stands, and the list that collects what is wrong; a wrong value reads as a harmless one."""

    def __init__(self, value: Any, where: str, problems: list[Problem]) -> None:
        self.value = value
        self.where = where
        self.problems = problems

    def wrong(self, why: str) -> None:
        self.problems.append(Problem(self.where, why))

    def __getitem__(self, name: str) -> Value:
        if not isinstance(self.value, dict) or name not in self.value:
            self.wrong(f"lacks `{name}`")
            return Value(None, f"{self.where}.{name}", [])
        return Value(self.value[name], f"{self.where}.{name}", self.problems)

    def only(self, *names: str) -> Value:
        """Refuse names that this version does not know: they would mean something."""
        if isinstance(self.value, dict):
            unknown = sorted(set(self.value) - set(names))
            if unknown:
                self.wrong(f"has unknown entries: {', '.join(name[:40] for name in unknown[:5])}")
        return self

    def items(self, *, at_most: int, at_least: int = 0) -> Iterator[Value]:
        if not isinstance(self.value, list) or not at_least <= len(self.value) <= at_most:
            self.wrong(f"is not a list of {at_least} to {at_most} entries")
            return
        for index, value in enumerate(self.value):
            yield Value(value, f"{self.where}[{index}]", self.problems)

    def integer(self, low: int, high: int) -> int:
        if type(self.value) is not int or not low <= self.value <= high:
            self.wrong(f"is not an integer from {low} to {high}")
            return max(low, min(1, high))
        return self.value

    def number(self) -> float:
        if type(self.value) is int and abs(self.value) <= MAX_INTEGER:
            return float(self.value)
        if type(self.value) is float and isfinite(self.value):
            return self.value
        self.wrong("is not a finite number")
        return 1.0

    def text(self, *, at_most: int, at_least: int = 0) -> str:
        if not isinstance(self.value, str) or not at_least <= len(self.value) <= at_most or not is_text(self.value):
            self.wrong(f"is not a text of {at_least} to {at_most} characters")
            return "?"
        return self.value

    def choice(self, *known: Any) -> Any:
        if type(self.value) not in (str, int) or self.value not in known:
            self.wrong(f"is not one of {', '.join(map(repr, known))}")
            return known[0]
        return self.value

    def integers(self, low: int, high: int, *, at_most: int) -> tuple[int, ...]:
        return tuple(item.integer(low, high) for item in self.items(at_most=at_most))

    def pairs(self, low: int, high: int, *, at_most: int) -> tuple[tuple[int, int], ...]:
        result = []
        for item in self.items(at_most=at_most):
            a, b = (*item.integers(low, high, at_most=2), 0, 0)[:2]
            if isinstance(item.value, list) and len(item.value) != 2:
                item.wrong("is not a pair")
            result.append((a, b))
        return tuple(result)
