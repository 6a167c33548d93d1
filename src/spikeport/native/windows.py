"""Sums and maxima over windows, and values that only change place; all held channels last."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply
from spikeport.native.loader import check, library, plain
from spikeport.native.matrix import TYPES
from spikeport.primitives import MaxPool, SumPool


class _Windows(ctypes.Structure):
    _fields_ = [
        ("channels", ctypes.c_int64),
        *(
            (name, ctypes.c_int32)
            for name in [
                "height",
                "width",
                "out_height",
                "out_width",
                "kernel_height",
                "kernel_width",
                "stride_height",
                "stride_width",
                "top",
                "left",
                "dilation_height",
                "dilation_width",
                "in_type",
                "out_type",
                "largest",
            ]
        ),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A pooling over maps of a height, width and number of channels; its windows are two-dimensional."""

    pool: SumPool | MaxPool
    channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    source: np.dtype[Any]
    dtype: np.dtype[Any]

    def struct(self) -> _Windows:
        """As the kernel reads it."""
        (top, _), (left, _) = self.pool.padding
        largest = isinstance(self.pool, MaxPool)
        return _Windows(
            self.channels,
            self.height,
            self.width,
            self.out_height,
            self.out_width,
            *self.pool.kernel,
            *self.pool.stride,
            top,
            left,
            *(self.pool.dilation if isinstance(self.pool, MaxPool) else (1, 1)),
            TYPES.index(self.source),
            TYPES.index(self.dtype),
            int(largest),
        )


def launch(struct: _Windows, source: int, out: int, *, batch: int, threads: int) -> None:
    """Run on addresses of C-ordered values."""
    check(
        library().sp_run_windows(
            ctypes.byref(struct),
            ctypes.c_void_p(source),
            ctypes.c_void_p(out),
            ctypes.c_int64(batch),
            ctypes.c_int32(threads),
        )
    )


def run(w: Windows, x: NDArray[Any], *, threads: int = 1) -> NDArray[Any]:
    """Pooled values of shape (batch, row, column, channel); equals `twin`."""
    x = plain(x, w.source)
    out = np.empty((len(x), w.out_height, w.out_width, w.channels), w.dtype)
    launch(w.struct(), x.ctypes.data, out.ctypes.data, batch=len(x), threads=threads)
    return out


def twin(w: Windows, x: NDArray[Any]) -> NDArray[Any]:
    """The same in numpy."""
    return np.moveaxis(apply(w.pool, [np.moveaxis(x.astype(np.int64), -1, 1)]), 1, -1).astype(w.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where each value of a sample comes from: `index[i]` of the source, -1 for none, which is zero."""

    index: NDArray[np.int64]
    source_size: int
    dtype: np.dtype[Any]

    def runs(self) -> NDArray[np.int64]:
        """Stretches that lie side by side at both ends: rows of (to, from, length)."""
        to = np.flatnonzero(self.index >= 0)
        origin = self.index[to]
        starts = (
            np.flatnonzero(np.diff(to, prepend=-2) != 1)
            if not len(to)
            else np.flatnonzero((np.diff(to, prepend=to[0] - 2) != 1) | (np.diff(origin, prepend=origin[0] - 2) != 1))
        )
        length = np.diff(np.append(starts, len(to)))
        return plain(np.stack([to[starts], origin[starts], length], axis=1), np.int64)

    @property
    def holes(self) -> bool:
        return bool((self.index < 0).any())


def launch_route(route: Route, runs: NDArray[np.int64], source: int, out: int, *, batch: int, threads: int) -> None:
    """Run on addresses of C-ordered values; `runs` are those of the route."""
    check(
        library().sp_run_route(
            ctypes.c_void_p(runs.ctypes.data),
            ctypes.c_int64(len(runs)),
            ctypes.c_int64(route.dtype.itemsize),
            ctypes.c_int64(route.source_size),
            ctypes.c_int64(len(route.index)),
            ctypes.c_int32(route.holes),
            ctypes.c_void_p(source),
            ctypes.c_void_p(out),
            ctypes.c_int64(batch),
            ctypes.c_int32(threads),
        )
    )


def run_route(route: Route, x: NDArray[Any], *, threads: int = 1) -> NDArray[Any]:
    """Values of shape (batch, size of the source) at their new places; equals `twin_route`."""
    x = plain(x, route.dtype)
    out = np.empty((len(x), len(route.index)), route.dtype)
    launch_route(route, route.runs(), x.ctypes.data, out.ctypes.data, batch=len(x), threads=threads)
    return out


def twin_route(route: Route, x: NDArray[Any]) -> NDArray[Any]:
    """The same in numpy.

    >>> twin_route(Route(np.array([1, -1, 0]), 2, np.dtype(np.uint8)), np.array([[5, 7]], np.uint8)).tolist()
    [[7, 0, 5]]
    """
    moved = x[:, route.index] if route.source_size else np.zeros((len(x), len(route.index)), x.dtype)
    return np.where(route.index >= 0, moved, 0).astype(route.dtype)
