"""Which data a figure was measured on."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Fingerprint:
    """SHA-256 of all inputs and labels, in order; how they were divided into batches makes no difference.

    >>> whole, parts = Fingerprint(), Fingerprint()
    >>> whole.add(np.arange(6.0).reshape(3, 2), np.arange(3))
    >>> parts.add(np.arange(4.0).reshape(2, 2), np.arange(2))
    >>> parts.add(np.array([[4.0, 5.0]]), np.array([2]))
    >>> whole.hexdigest() == parts.hexdigest()
    True
    """

    def __init__(self) -> None:
        self._streams = sha256(), sha256()
        self._kinds: list[list[Any]] = []
        self._count = 0

    def add(self, x: NDArray[Any], y: NDArray[Any] | None) -> None:
        """Take in one batch."""
        given = [a for a in (x, y) if a is not None]
        plain = [np.asarray(a, dtype=a.dtype.newbyteorder("<"), order="C") for a in given]
        for stream, array in zip(self._streams, plain, strict=False):
            stream.update(array.tobytes())
        if not self._count:
            self._kinds = [[array.dtype.str, list(array.shape[1:])] for array in plain]
        self._count += len(x)

    def hexdigest(self) -> str:
        """The hash of what was added, dtypes and shapes included."""
        parts = [self._count, self._kinds, [stream.hexdigest() for stream in self._streams]]
        return sha256(json.dumps(parts).encode()).hexdigest()
