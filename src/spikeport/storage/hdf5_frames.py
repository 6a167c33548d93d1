"""How the process that reads an HDF5 file tells what is in it: plain bytes, of which the receiver believes no number unbounded.

An answer is `MAGIC`, then either `R` and three texts (where, why, hint: the file is refused) or a node. A node is `G`, a count and so many
names and nodes; `A`, a type such as `<f4`, a shape and the numbers; `T` and a text; `S`, a count and so many pairs of texts.
A number is eight bytes, little-endian; a text is its length and its UTF-8. It imports nothing else of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from struct import Struct
from typing import Any, BinaryIO

import numpy as np

MAGIC = b"spikeport.hdf5/1"
MAX_REASON = 4_000
"""Bytes of a text that says why a file is refused."""
TYPE = re.compile(rb"[<>|][biuf][1248]")
_NUMBER = Struct("<Q")


class FrameError(Exception):
    """An answer that breaks off, or is none."""


class RefusalError(Exception):
    """The file is refused: where in it (empty for all of it), why, and what to try (empty for the usual)."""

    def __init__(self, where: str, why: str, hint: str = "") -> None:
        super().__init__(where, why, hint)
        self.where, self.why, self.hint = where, why, hint


def write_refusal(out: BinaryIO, *texts: str) -> None:
    """Say where, why and what to try."""
    out.write(b"R")
    for text in texts:
        _write_text(out, text.encode("utf-8", "backslashreplace")[:MAX_REASON])


def write_tree(out: BinaryIO, node: Any) -> None:
    """Write what `hdf5_reader` found."""
    if isinstance(node, dict):
        out.write(b"G" + _NUMBER.pack(len(node)))
        for name, item in node.items():
            _write_text(out, name.encode("utf-8", "surrogateescape"))
            write_tree(out, item)
    elif isinstance(node, str):
        out.write(b"T")
        _write_text(out, node.encode())
    elif isinstance(node, list):
        out.write(b"S" + _NUMBER.pack(len(node)))
        for row in node:
            for cell in row:
                _write_text(out, cell.encode())
    else:
        out.write(b"A")
        _write_text(out, node.dtype.str.encode())
        out.write(_NUMBER.pack(len(node.shape)))
        for n in node.shape:
            out.write(_NUMBER.pack(n))
        for block in node.blocks():
            out.write(block.reshape(-1).view(np.uint8))


def _write_text(out: BinaryIO, text: bytes) -> None:
    out.write(_NUMBER.pack(len(text)))
    out.write(text)


class Answer:
    """Takes an answer in; nothing is set aside before it is known to be within the bounds.

    Args:
        fill: fills a buffer to its end, or raises.
        bounds: of `hdf5_reader`.
    """

    def __init__(self, fill: Callable[[memoryview], None], bounds: Any) -> None:
        self._fill = fill
        self._bounds = bounds
        self._bytes_left: int = bounds.loaded_bytes
        self._objects_left: int = bounds.objects

    def tree(self) -> dict[str, Any]:
        """All of it.

        Raises:
            RefusalError: the file is refused.
            FrameError: it is no answer.
        """
        if self._take(len(MAGIC)) != MAGIC:
            raise FrameError("is no answer")
        kind = self._take(1)
        if kind == b"R":
            where, why, hint = (self._text(MAX_REASON) for _ in range(3))
            raise RefusalError(where, why, hint)
        node = self._node(kind, 0)
        if not isinstance(node, dict):
            raise FrameError("is no group")
        return node

    def _node(self, kind: bytes, depth: int) -> Any:
        if kind == b"G":
            count = self._number(self._objects_left)
            self._objects_left -= count
            if depth > self._bounds.depth:
                raise FrameError("is nested too deeply")
            group = {}
            for _ in range(count):
                name = self._text(4 * self._bounds.name, "surrogateescape")
                group[name] = self._node(self._take(1), depth + 1)
            return group
        if kind == b"T":
            return self._text(self._bounds.text, count=True)
        if kind == b"S":
            rows = range(self._number(self._bounds.rows))
            return [[self._text(self._bounds.name, count=True) for _ in range(2)] for _ in rows]
        if kind == b"A":
            return self._array()
        raise FrameError("has a part of an unknown kind")

    def _array(self) -> np.ndarray[Any, Any]:
        found = self._take(self._number(3))
        if not TYPE.fullmatch(found):
            raise FrameError("has numbers of an unknown type")
        dtype = np.dtype(found.decode())
        shape = tuple(self._number(2**62) for _ in range(self._number(self._bounds.rank)))
        self._spend(prod(shape) * dtype.itemsize)
        if prod(n for n in shape if n) > self._bounds.loaded_bytes:  # numpy counts what an empty array would hold
            raise FrameError("is longer than it may be")
        array = np.empty(shape, dtype)
        self._fill(array.reshape(-1).view(np.uint8).data)
        return array

    def _text(self, at_most: int, errors: str = "strict", *, count: bool = False) -> str:
        length = self._number(at_most)
        if count:
            self._spend(length)
        try:
            return self._take(length).decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise FrameError("has a text that is not UTF-8") from error

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise FrameError("is longer than it may be")

    def _number(self, at_most: int) -> int:
        (number,) = _NUMBER.unpack(self._take(_NUMBER.size))
        if number > at_most:
            raise FrameError("has a number that is larger than it may be")
        return int(number)

    def _take(self, count: int) -> bytes:
        buffer = bytearray(count)
        self._fill(memoryview(buffer))
        return bytes(buffer)
