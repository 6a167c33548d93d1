"""Real numbers become integers, bit for bit as `spikeport.quantize.encode_input` rounds them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import library, plain
from spikeport.native.matrix import TYPES, smallest
from spikeport.primitives import InputEncoder
from spikeport.quantize import encode_input


class _Encoding(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("gain", "shift", "scale")),
        *((name, ctypes.c_int64) for name in ("channels", "pixels")),
        *((name, ctypes.c_double) for name in ("low", "high")),
        *((name, ctypes.c_int32) for name in ("each", "events", "out_type")),
    ]


@dataclass(frozen=True, eq=False)
class Encoding:
    """An input encoder as the kernel reads it."""

    encoder: InputEncoder
    dtype: np.dtype[Any]
    _struct: _Encoding = field(repr=False)
    _kept: tuple[Any, ...] = field(repr=False)


def encoding(encoder: InputEncoder) -> Encoding | None:
    """Prepare an encoder; None where its integers are too wide for the kernel."""
    dtype = smallest(min(encoder.low, 0), encoder.high)
    if dtype is None or dtype == np.int64:
        return None
    channels, *space = encoder.shape or (1,)
    pixels = int(np.prod(space, dtype=np.int64))
    given = [encoder.gain, encoder.shift, encoder.scale]
    full = [None if a is None else np.broadcast_to(np.float64(a), encoder.shape).reshape(channels, -1) for a in given]
    each = any(a is not None and a.size and bool((a != a[:, :1]).any()) for a in full)
    tables = [None if a is None else plain(a if each else a[:, :1], np.float64) for a in full]
    struct = _Encoding(
        *(None if a is None else a.ctypes.data for a in tables),
        channels,
        pixels,
        encoder.low,
        encoder.high,
        int(each),
        int(encoder.kind == "events"),
        TYPES.index(dtype),
    )
    return Encoding(encoder, dtype, struct, tuple(tables))


def launch(e: Encoding, x: NDArray[Any], out: int, *, threads: int) -> int:
    """Encode a C-ordered float32 or float64 batch; returns how many values cannot be used."""
    assert x.flags.c_contiguous
    return int(
        library().sp_encode_floats(
            ctypes.byref(e._struct),
            ctypes.c_void_p(x.ctypes.data),
            ctypes.c_int32(x.dtype == np.float64),
            ctypes.c_void_p(out),
            ctypes.c_int64(len(x)),
            ctypes.c_int32(threads),
        )
    )


def readable(x: NDArray[Any]) -> NDArray[Any]:
    """The batch in a type that the kernel reads, with the value that numpy gives each number in float64."""
    return plain(x, x.dtype if x.dtype in (np.float32, np.float64) else np.float64)


def run(e: Encoding, x: NDArray[Any], *, threads: int = 1) -> tuple[NDArray[Any], int]:
    """Integers channels last, shape (batch, *space, channel), and how many values cannot be used; equals `twin` if none."""
    x = readable(x)
    channels, *space = e.encoder.shape or (1,)
    out = np.empty((len(x), *space, channels), e.dtype)
    return out, launch(e, x, out.ctypes.data, threads=threads)


def twin(e: Encoding, x: NDArray[Any]) -> NDArray[Any]:
    """The same in numpy."""
    return np.moveaxis(encode_input(e.encoder, x), 1, -1).astype(e.dtype)
