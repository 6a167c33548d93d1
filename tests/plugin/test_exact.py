"""Bounds that decide in which arithmetic a connection is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeport.plugin import exact
from spikeport.plugin.exact import gain, reach
from spikeport.primitives import Connection, Conv, Dense, OneToOne, Reshape, SumPool

PAIRS: Any = ((0, 0), (0, 0))


@pytest.mark.parametrize("block", [1, 5, 7, 12, 2**22])
def test_gains_are_largest_sums_of_magnitudes_in_blocks_of_any_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "BLOCK", block)
    rows = np.array([[1, -2, 3], [-128, -128, -128], [0, 0, 0], [127, 0, 127]], np.int8)
    assert gain(Dense(rows)) == 384  # -128 has a magnitude that int8 does not hold
    assert gain(Dense(rows[::-1])) == 384
    assert gain(Conv(rows.reshape(4, 3, 1, 1), (1, 1), PAIRS, (1, 1))) == 384
    assert gain(OneToOne(np.array([-128, 127], np.int8))) == 128
    assert gain(Dense(np.zeros((0, 3), np.int8))) == gain(Dense(np.zeros((3, 0), np.int8))) == 0
    assert (gain(SumPool((2, 3), (2, 3), PAIRS)), gain(Reshape((4,)))) == (6, 1)
    pooled = Connection("a", "b", (SumPool((2, 2), (2, 2), PAIRS), Reshape((3,)), Dense(rows)))
    assert reach(pooled, 31) == 31 * 4 * 384
