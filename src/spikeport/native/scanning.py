"""The neurons of one population over a window of time, in one call: integrate, compare, fire, subtract.

Rules, after `v += arriving[t]`, for each neuron in each step t:

    signed    send +1 where v >= threshold and sent < high, -1 where v < 0 and sent > low; v -= threshold * spike
    binary    v += charge[t] * release first; where v >= threshold * worth[t] and worth[t] > 0: send worth[t], v -= threshold * worth[t]
    climb     send +1 where v >= table[sent - low], -1 where v < table[sent - low - 1]; inside the table; v stays
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import address, check, library

RULES = ("signed", "binary", "climb")


@dataclass(frozen=True, slots=True, eq=False)
class ScanRule:
    """What the neurons of a population do; arrays have the dtype of the state, int32 or int64."""

    kind: Literal["signed", "binary", "climb"]
    threshold: NDArray[Any] | None = None
    """Shape (neuron,); signed and binary."""
    release: NDArray[Any] | None = None
    """Shape (neuron,); binary, where `charge` is not 0 throughout."""
    charge: NDArray[np.int64] | None = None
    """Shape (time,); binary."""
    worth: NDArray[np.int64] | None = None
    """Shape (time,); binary."""
    low: int = 0
    """Lower end of the counter; signed and climb."""
    high: int = 0
    """Upper end of the counter; signed."""
    table: NDArray[Any] | None = None
    """Shape (levels, column); climb."""
    column: NDArray[np.int64] | None = None
    """Which column of the table is each neuron's, shape (neuron,); climb."""


class _Job(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("rule", "wide_values", "wide_state", "threads")),
        *((name, ctypes.c_int64) for name in ("steps", "batch", "neurons")),
        *((name, ctypes.c_void_p) for name in ("arriving", "v", "sent", "threshold", "release", "charge", "worth")),
        *((name, ctypes.c_int64) for name in ("low", "high")),
        *((name, ctypes.c_void_p) for name in ("table", "row")),
        *((name, ctypes.c_int64) for name in ("levels", "rows")),
        *((name, ctypes.c_void_p) for name in ("potentials", "events")),
    )


def scan(
    rule: ScanRule,
    arriving: NDArray[Any],
    v: NDArray[Any],
    sent: NDArray[Any],
    *,
    potentials: NDArray[Any] | None = None,
    threads: int = 1,
) -> NDArray[np.int64]:
    """Step a population through a window, in place; returns how many neurons fired, shape (time, batch). Equals `twin`.

    Args:
        rule: what its neurons do.
        arriving: whole numbers in float32 or float64, shape (time, batch, neuron); replaced by the spikes sent.
        v, sent: membranes and sums of what was sent, int32 or int64, shape (batch, neuron); changed.
        potentials: where the membranes after each step are written, shape of `arriving`, dtype of `v`.
        threads: most threads to use.
    """
    steps, batch, neurons = arriving.shape
    assert arriving.dtype in (np.float32, np.float64)
    assert v.dtype == sent.dtype
    assert v.dtype in (np.int32, np.int64)
    assert v.shape == sent.shape == (batch, neurons)
    assert potentials is None or (potentials.shape == arriving.shape and potentials.dtype == v.dtype)
    for array in (rule.threshold, rule.release):
        assert array is None or (array.shape == (neurons,) and array.dtype == v.dtype)
    for clock in (rule.charge, rule.worth):
        assert clock is None or (clock.shape == (steps,) and clock.dtype == np.int64)
    assert rule.kind != "climb" or (rule.table is not None and len(rule.table) and rule.table.dtype == v.dtype)
    assert rule.column is None or (rule.column.shape == (neurons,) and rule.column.dtype == np.int64)
    events = np.zeros((steps, batch), dtype=np.int64)

    def pointer(array: NDArray[Any] | None) -> ctypes.c_void_p | None:
        return None if array is None else address(array)

    levels, columns = (0, 0) if rule.table is None else rule.table.shape
    job = _Job(
        RULES.index(rule.kind),
        arriving.dtype == np.float64,
        v.dtype == np.int64,
        threads,
        steps,
        batch,
        neurons,
        *map(pointer, (arriving, v, sent, rule.threshold, rule.release, rule.charge, rule.worth)),
        rule.low,
        rule.high,
        *map(pointer, (rule.table, rule.column)),
        levels,
        columns,
        *map(pointer, (potentials, events)),
    )
    check(library().sp_scan(ctypes.byref(job)))
    return events


def twin(
    rule: ScanRule,
    arriving: NDArray[Any],
    v: NDArray[Any],
    sent: NDArray[Any],
    *,
    potentials: NDArray[Any] | None = None,
) -> NDArray[np.int64]:
    """The same in numpy.

    >>> rule = ScanRule("signed", np.array([2], np.int32), low=0, high=1)
    >>> arriving = np.array([1.0, 4.0, -6.0], np.float32).reshape(3, 1, 1)
    >>> twin(rule, arriving, np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32)).ravel().tolist()
    [0, 1, 1]
    >>> arriving.ravel().tolist()
    [0.0, 1.0, -1.0]
    """
    for t, now in enumerate(arriving):
        v += now.astype(v.dtype)
        if rule.kind == "signed":
            assert rule.threshold is not None
            spikes = ((v >= rule.threshold) & (sent < rule.high)).astype(v.dtype) - ((v < 0) & (sent > rule.low))
            v -= spikes * rule.threshold
        elif rule.kind == "binary":
            assert rule.threshold is not None
            assert rule.charge is not None
            assert rule.worth is not None
            if rule.charge[t]:
                assert rule.release is not None
                v += rule.release * v.dtype.type(rule.charge[t])
            worth = v.dtype.type(rule.worth[t])
            spikes = (v >= rule.threshold * worth).astype(v.dtype) * worth
            v -= spikes * rule.threshold
        else:
            assert rule.table is not None
            assert rule.column is not None
            climbed, levels = sent - rule.low, len(rule.table)
            following = rule.table[climbed.clip(0, levels - 1), rule.column]
            reached = rule.table[(climbed - 1).clip(0, levels - 1), rule.column]
            spikes = ((climbed < levels) & (v >= following)).astype(v.dtype) - ((climbed > 0) & (v < reached))
        sent += spikes
        now[...] = spikes
        if potentials is not None:
            potentials[t] = v
    return np.count_nonzero(arriving, axis=2).astype(np.int64)
