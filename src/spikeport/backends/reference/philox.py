"""Philox4x32-10, a random number of a place and a time (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 0xFFFFFFFF


def philox(seed: int, *counter: Any) -> NDArray[np.uint32]:
    """First word drawn for each counter of four words, under a key of 64 bits.

    >>> [hex(n) for n in philox(0xA4093822_299F31D0 >> 32 | 0x299F31D0 << 32, 0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344).ravel()]
    ['0xd16cfe09']
    """
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    key = [seed & WORD, seed >> 32]
    for _ in range(ROUNDS):
        first, second = (m * w for m, w in zip(map(np.uint64, MULTIPLIERS), (c[0], c[2]), strict=True))
        low = np.uint64(WORD)
        half = np.uint64(32)
        c = [
            (second >> half) ^ c[1] ^ np.uint64(key[0]),
            second & low,
            (first >> half) ^ c[3] ^ np.uint64(key[1]),
            first & low,
        ]
        key = [(k + w) & WORD for k, w in zip(key, WEYL, strict=True)]
    drawn: NDArray[np.uint32] = c[0].astype(np.uint32)
    return drawn
