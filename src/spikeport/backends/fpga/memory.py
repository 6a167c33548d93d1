"""Memories of the core: words of fields, and the text that `$readmemh` reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives.frozen import frozen

Whole = NDArray[np.int64]


def unsigned_bits(largest: int) -> int:
    """Width of a register that holds 0 to a number, at least 1.

    >>> unsigned_bits(0), unsigned_bits(8)
    (1, 4)
    """
    return max(1, int(largest).bit_length())


def signed_bits(low: int, high: int) -> int:
    """Width of a two's complement register that holds both ends, at least 2.

    >>> signed_bits(-128, 127), signed_bits(0, 128)
    (8, 9)
    """
    below = int(-low - 1).bit_length() if low < 0 else 0
    return max(2, 1 + max(below, int(high).bit_length() if high > 0 else 0))


def address_bits(depth: int) -> int:
    """Width of the address of so many words, at least 1."""
    return max(1, int(depth - 1).bit_length())


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One number of every word, in two's complement where it is negative."""

    name: str
    width: int
    """0: there is no such field, and its values are 0."""
    values: Whole

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.int64)
        object.__setattr__(self, "values", frozen(values))
        if values.size:
            low, high = int(values.min()), int(values.max())
            if self.width == 0 and (low or high):
                raise ValueError(f"{self.name}: has no width, and values from {low} to {high}")
            if self.width and not (-(2 ** (self.width - 1)) <= low and high < 2**self.width):
                raise ValueError(f"{self.name}: {low} to {high} do not fit {self.width} bits")
            if low < 0 and high >= 2 ** (self.width - 1):
                raise ValueError(f"{self.name}: {low} to {high} do not fit {self.width} bits with a sign")


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Words of fields, the first one in the lowest bits."""

    name: str
    fields: tuple[Field, ...]

    @property
    def depth(self) -> int:
        """Words, at least one: there is no memory without."""
        return max(1, len(self.fields[0].values))

    @property
    def width(self) -> int:
        return sum(field.width for field in self.fields)

    @property
    def bits(self) -> int:
        return self.depth * self.width

    def __getitem__(self, name: str) -> Whole:
        return next(field.values for field in self.fields if field.name == name)

    def text(self) -> str:
        """One hexadecimal word a line."""
        digits = -(-self.width // 4)
        if not len(self.fields[0].values):
            return "0" * digits + "\n"
        words: Iterable[int]
        if self.width < 64:
            total, shift = np.zeros(len(self.fields[0].values), np.int64), 0
            for field in self.fields:
                total |= (field.values & (2**field.width - 1)) << shift
                shift += field.width
            words = total.tolist()
        else:
            columns = []
            shift = 0
            for field in self.fields:
                mask = 2**field.width - 1
                columns.append([(value & mask) << shift for value in field.values.tolist()])
                shift += field.width
            words = map(sum, zip(*columns, strict=True))
        return "".join(f"{word:0{digits}x}\n" for word in words)
