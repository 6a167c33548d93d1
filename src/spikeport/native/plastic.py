"""Projections that learn, as the library reads them: the structure of `csrc/plastic.h`.

The twin is `spikeport.backends.reference.plastic`, whose weights are the same bit for bit.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import address, plain

_Pointer, _Int, _Long = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
MOST_FACTORS = 8
"""Of a term; as in the library."""


class Plastic(ctypes.Structure):
    """`SpPlastic`."""

    _fields_ = [
        ("source", _Int),
        ("target", _Int),
        ("dendritic", _Int),
        ("number", _Int),
        ("delay", _Long),
        ("pre", _Long),
        ("post", _Long),
        ("offsets", _Pointer),
        ("targets", _Pointer),
        ("weights", _Pointer),
        ("traces", _Long * 3),
        ("decay", _Pointer),
        ("increment", _Pointer),
        ("limit", _Pointer),
        ("sets", _Pointer),
        ("terms", _Long),
        ("term", _Pointer),
        ("coefficients", _Pointer),
        ("factor", _Pointer),
        ("constants", _Pointer),
        ("bounds", _Pointer),
        ("thirds", _Long),
        ("seed", ctypes.c_uint64),
        ("shift", _Int),
        ("rounding", _Int),
    ]


class Third(ctypes.Structure):
    """`SpThird`."""

    _fields_ = [("values", _Pointer), ("step_stride", _Long), ("sample_stride", _Long), ("target_stride", _Long)]


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """A projection that learns; arrays of numbers are in the dtype of the arithmetic."""

    source: int
    target: int
    dendritic: bool
    number: int
    """Of the projection, among what random numbers are drawn from."""
    delay: int
    post: int
    """Neurons of the target."""
    offsets: NDArray[np.int64]
    targets: NDArray[np.uint32]
    weights: NDArray[Any]
    traces: tuple[int, int, int]
    """How many of sources, targets and synapses; the following four in this order."""
    decay: NDArray[Any]
    increment: NDArray[Any]
    limit: NDArray[Any]
    sets: NDArray[np.int32]
    term: NDArray[np.int32]
    """When, into what, how often, and how many factors, shape (term, 4)."""
    coefficients: NDArray[Any]
    factor: NDArray[np.int32]
    """What is read, and which of them, shape (term, MOST_FACTORS, 2)."""
    constants: NDArray[Any]
    """Shape (term, MOST_FACTORS)."""
    bounds: NDArray[Any]
    thirds: int
    seed: int
    shift: int
    rounding: int

    def structure(self, dtype: Any) -> tuple[Plastic, list[NDArray[Any]]]:
        """As the library reads it, and the arrays that it points into."""
        made = Plastic(
            source=self.source,
            target=self.target,
            dendritic=self.dendritic,
            number=self.number,
            delay=self.delay,
            pre=len(self.offsets) - 1,
            post=self.post,
            terms=len(self.term),
            thirds=self.thirds,
            seed=self.seed,
            shift=self.shift,
            rounding=self.rounding,
        )
        made.traces = (_Long * 3)(*self.traces)
        kinds = {"offsets": np.int64, "targets": np.uint32, "sets": np.int32, "term": np.int32, "factor": np.int32}
        kinds |= dict.fromkeys(("weights", "decay", "increment", "limit", "coefficients", "constants", "bounds"), dtype)
        arrays = {name: plain(getattr(self, name), kind) for name, kind in kinds.items()}
        for name, values in arrays.items():
            setattr(made, name, address(values).value)
        return made, list(arrays.values())


def third(values: NDArray[Any]) -> Third:
    """A third factor of shape (time or 1, batch or 1, target or 1)."""
    time, batch, target = values.shape
    return Third(
        address(values).value,
        batch * target if time > 1 else 0,
        target if batch > 1 else 0,
        1 if target > 1 else 0,
    )
