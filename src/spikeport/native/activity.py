"""How many values of an array are not zero, by which kernels are chosen."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import address, library, plain


def count_active(values: NDArray[Any]) -> int:
    """Number of values of a uint8 or int8 array that are not zero; equals `twin`."""
    flat = plain(values, values.dtype)
    assert flat.dtype.itemsize == 1
    return int(library().sp_count_active(address(flat), ctypes.c_int64(flat.size)))


def twin(values: NDArray[Any]) -> int:
    """The same in numpy.

    >>> twin(np.array([0, 3, -1], dtype=np.int8))
    2
    """
    return int(np.count_nonzero(values))
