"""One layer in one pass: products of integers, what is added neuron by neuron, and the answer to the sum.

Values are held channels last, (batch, row, column, channel). The answer to a sum U is U itself, a count
clip(floor(U / threshold), low, high), or the height of a staircase, low + #{k : U >= steps[k]}.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply_synapse
from spikeport.native.loader import address, check, library, plain
from spikeport.primitives import Conv

TYPES = tuple(np.dtype(t) for t in (np.uint8, np.int8, np.int16, np.int32, np.int64))
BYTES, WORDS, WIDE = range(3)
KINDS = ("bytes", "words", "wide")
SUM, COUNT32, COUNT64, STAIRCASE = range(4)
FLOAT32_LIMIT, FLOAT64_LIMIT = 2**21, 2**50
"""Largest (levels + 1) * threshold for which a count by a reciprocal is proved exact (kernels/matrix.cpp has the proof)."""
BLOCK, ROWS_BEYOND, LINE = 16, 16, 64
PANEL_BYTES, MOST_ROWS, ROW_STEP = 2**18, 960, 96


class _Source(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int32)
        for name in [
            "type",
            "channels",
            "height",
            "width",
            "kernel_height",
            "kernel_width",
            "stride_height",
            "stride_width",
            "top",
            "left",
            "dilation_height",
            "dilation_width",
        ]
    ]


class _Term(ctypes.Structure):
    _fields_ = [("factor", ctypes.c_void_p), ("type", ctypes.c_int32), ("each", ctypes.c_int32)]


class _Matrix(ctypes.Structure):
    _fields_ = [
        ("sources", ctypes.POINTER(_Source)),
        ("terms", ctypes.POINTER(_Term)),
        *((name, ctypes.c_void_p) for name in ("weights", "constant", "limit", "reciprocal", "steps")),
        *((name, ctypes.c_int64) for name in ("k", "row_bytes", "block_rows")),
        *(
            (name, ctypes.c_int32)
            for name in [
                "kind",
                "groups",
                "outs",
                "height",
                "width",
                "n_sources",
                "n_terms",
                "answer",
                "out_type",
                "low",
                "levels",
                "most",
                "constant_each",
                "threshold_each",
                "depthwise",
            ]
        ),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A convolution over one source; a dense layer is one over a single place."""

    dtype: np.dtype[Any]
    low: int
    high: int
    height: int
    width: int
    conv: Conv
    """Two-dimensional, with integer weights."""

    @property
    def channels(self) -> int:
        return int(self.conv.weight.shape[1]) * self.conv.groups


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What is added neuron by neuron: factor * value, or the value itself."""

    dtype: np.dtype[Any]
    low: int
    high: int
    factor: NDArray[np.int64] | None
    """One a channel, shape (channel,), or one a neuron, shape (row * column, channel)."""


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """Answer to the sum; parameters are shaped as `Term.factor`, the steps of a staircase have the level in front."""

    low: int = 0
    high: int = 0
    threshold: NDArray[np.int64] | None = None
    steps: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """A layer as the kernel reads it, and the places that it reads from."""

    operands: tuple[Operand, ...]
    terms: tuple[Term, ...]
    constant: NDArray[np.int64]
    """Without what the kernel's own arithmetic adds."""
    response: Response
    height: int
    width: int
    outs: int
    """Channels of the output."""
    groups: int
    depthwise: bool
    """Each output channel reads the input channel of its number alone."""
    kind: int
    answer: int
    dtype: np.dtype[Any]
    """Of the result."""
    scratch: int
    """Bytes that each thread needs."""
    _struct: _Matrix = field(repr=False)
    _kept: tuple[Any, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """What the kernel does, for people."""
        does = ("sum", "count", "count", "staircase")[self.answer]
        how = f"{KINDS[self.kind]} depthwise" if self.depthwise else KINDS[self.kind]
        return f"{how} {does}" if self.operands else f"elementwise {does}"


def smallest(low: int, high: int) -> np.dtype[Any] | None:
    """The narrowest type for values in [low, high]; None if there is none."""
    for dtype in TYPES:
        least, most = _ends(dtype)
        if least <= low and high <= most:
            return dtype
    return None


def _ends(dtype: np.dtype[Any]) -> tuple[int, int]:
    unsigned = dtype.kind == "u"
    bits = 8 * dtype.itemsize - (not unsigned)
    return 0 if unsigned else -(2**bits), 2**bits - 1


def matrix(
    operands: Sequence[Operand],
    terms: Sequence[Term],
    constant: NDArray[np.int64],
    response: Response,
    *,
    height: int,
    width: int,
    outs: int,
) -> Matrix | None:
    """Prepare a layer: choose arithmetic in which no sum overflows, and pack the weights for it.

    Returns:
        None where no kernel computes it exactly.
    """
    groups = operands[0].conv.groups if operands else 1
    assert all(o.conv.groups == groups for o in operands)
    moved = constant
    answer, limit, reciprocal = SUM, None, None
    if response.threshold is not None:
        threshold = response.threshold
        span = response.high - response.low + 1
        largest = span * int(threshold.max(initial=1))
        if largest > FLOAT64_LIMIT:
            return None
        answer = COUNT32 if largest <= FLOAT32_LIMIT else COUNT64
        moved = _plus(constant, -response.low * threshold)
        limit = span * threshold - 1
        real = np.float32 if answer == COUNT32 else np.float64
        reciprocal = np.reciprocal(threshold.astype(real))
    elif response.steps is not None:
        answer = STAIRCASE
    depthwise = len(operands) == 1 and groups > 1 and outs == groups == operands[0].channels
    kind = _kind(operands, terms, moved, depthwise)
    if kind is None:
        return None
    sums = np.dtype(np.int64 if kind == WIDE else np.int32)
    if kind == BYTES and not depthwise:  # signed sources are read 128 too high, padding included
        for operand in operands:
            if operand.dtype == np.int8:
                moved = _plus(moved, -128 * operand.conv.weight.reshape(outs, -1).sum(axis=1))
    dtype = sums if answer == SUM else smallest(min(response.low, 0), response.high)
    assert dtype is not None
    per_group = [int(np.prod(o.conv.weight.shape[1:])) for o in operands]
    k = sum(per_group)
    if depthwise:
        (operand,) = operands
        weights, row_bytes = plain(operand.conv.weight.reshape(outs, -1).T, sums), 0
    else:
        weights, row_bytes = _packed(operands, kind, groups, outs, k)
    block_rows = min(max(PANEL_BYTES // max(row_bytes, 1) // ROW_STEP, 1) * ROW_STEP, MOST_ROWS)
    sources = (_Source * len(operands))(*(_source(o) for o in operands))
    factors = [None if t.factor is None else plain(_narrow(t.factor, sums), sums) for t in terms]
    added = (_Term * len(terms))(
        *(
            _Term(None if f is None else f.ctypes.data, TYPES.index(t.dtype), int(f is not None and f.ndim == 2))
            for t, f in zip(terms, factors, strict=True)
        )
    )
    tables = [
        None if a is None else plain(_narrow(a, sums), a.dtype if a.dtype.kind == "f" else sums)
        for a in (moved, limit, reciprocal, response.steps)
    ]
    parameter = response.threshold if response.steps is None else response.steps[0] if len(response.steps) else None
    struct = _Matrix(
        sources,
        added,
        weights.ctypes.data,
        *(None if a is None else a.ctypes.data for a in tables),
        k,
        row_bytes,
        block_rows,
        kind,
        1 if depthwise else groups,
        outs if depthwise else outs // groups,
        height,
        width,
        len(operands),
        len(terms),
        answer,
        TYPES.index(dtype),
        response.low,
        0 if response.steps is None else len(response.steps),
        max((255 if o.dtype == np.int8 else o.high for o in operands), default=0) if kind == BYTES else 0,
        int(moved.ndim == 2),
        int(parameter is not None and parameter.ndim == 2),
        int(depthwise),
    )
    scratch = (block_rows + ROWS_BEYOND) * row_bytes
    return Matrix(
        tuple(operands),
        tuple(terms),
        constant,
        response,
        height,
        width,
        outs,
        groups,
        depthwise,
        kind,
        answer,
        dtype,
        scratch,
        struct,
        (sources, added, weights, factors, tables),
    )


def _plus(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    return a + b  # (channel,) and (pixel, channel) broadcast


def _narrow(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Limits and steps may lie beyond the sums' type: cut to its ends they answer alike, as no sum comes so far."""
    if array.dtype.kind == "f" or dtype == np.int64:
        return array
    return np.clip(array, *_ends(dtype))


def magnitude(operands: Sequence[Operand], terms: Sequence[Term], outs: int, *, shifted: bool = False) -> NDArray[Any]:
    """Bound of every partial sum, one a channel, in float64; `shifted` counts signed bytes as they are read."""
    total = np.zeros(outs)
    for o in operands:
        most = 255 if shifted and o.dtype == np.int8 else max(o.high, -o.low)
        total += np.abs(o.conv.weight.astype(np.float64)).reshape(outs, -1).sum(axis=1) * most
    for t in terms:
        most = max(t.high, -t.low)
        factor = np.ones(1) if t.factor is None else np.abs(t.factor.astype(np.float64)).reshape(-1, outs).max(axis=0)
        total += factor * most
    return total


def _kind(
    operands: Sequence[Operand], terms: Sequence[Term], constant: NDArray[np.int64], depthwise: bool
) -> int | None:
    """The narrowest arithmetic in which no partial sum, in any order, leaves its type."""
    outs = constant.shape[-1]
    fixed = np.abs(constant.astype(np.float64)).reshape(-1, outs).max(axis=0, initial=0)
    for kind, types, bits in ((BYTES, TYPES[:2], 8), (WORDS, TYPES[:3], 16), (WIDE, TYPES[:4], 32)):
        if any(o.dtype not in types for o in operands):
            continue
        top = 2 ** (bits - 1)
        if any(o.conv.weight.min(initial=0) < -top or o.conv.weight.max(initial=0) >= top for o in operands):
            continue
        shifted = kind == BYTES and not depthwise
        total = magnitude(operands, terms, outs, shifted=shifted) + fixed
        if shifted:
            signed = [o for o in operands if o.dtype == np.int8]
            total += sum(128 * np.abs(o.conv.weight.astype(np.float64)).reshape(outs, -1).sum(axis=1) for o in signed)
        factors = max((int(np.abs(t.factor).max(initial=0)) for t in terms if t.factor is not None), default=0)
        largest = max(float(total.max(initial=0)), factors)
        if largest < (2**62 if kind == WIDE else 2**31 - 1):
            return kind
    return None


def _packed(operands: Sequence[Operand], kind: int, groups: int, outs: int, k: int) -> tuple[NDArray[Any], int]:
    """Weights in the kernel's order and the bytes of a panel's row. Rows of a patch go source, row, column, channel."""
    rows = [o.conv.weight.transpose(0, 2, 3, 1).reshape(groups, outs // groups, -1) for o in operands]
    whole = np.concatenate(rows, axis=2) if rows else np.zeros((groups, outs // groups, 0), dtype=np.int64)
    if kind == WIDE:
        return plain(whole.transpose(0, 2, 1), np.int32), max(-(-4 * k // LINE), 1) * LINE
    item, dtype = (1, np.int8) if kind == BYTES else (2, np.int16)
    row_bytes = -(-item * k // LINE) * LINE
    each = 4 // item  # weights of one output in one step
    blocks = -(-(outs // groups) // BLOCK)
    padded = np.zeros((groups, blocks * BLOCK, row_bytes // item), dtype)
    padded[:, : outs // groups, :k] = whole
    return plain(padded.reshape(groups, blocks, BLOCK, -1, each).transpose(0, 1, 3, 2, 4), dtype), row_bytes


def _source(o: Operand) -> _Source:
    conv = o.conv
    (top, _), (left, _) = conv.padding
    kernel = conv.weight.shape[2:]
    return _Source(
        TYPES.index(o.dtype), o.channels, o.height, o.width, *kernel, *conv.stride, top, left, *conv.dilation
    )


def launch(
    m: Matrix, sources: Sequence[int], terms: Sequence[int], out: int, *, batch: int, threads: int, scratch: int
) -> None:
    """Run on addresses: of C-ordered values of the prepared types, of the result, of `threads * m.scratch` bytes."""
    status = library().sp_run_matrix(
        ctypes.byref(m._struct),
        (ctypes.c_void_p * len(sources))(*sources),
        (ctypes.c_void_p * len(terms))(*terms),
        ctypes.c_void_p(out),
        ctypes.c_int64(batch),
        ctypes.c_int32(threads),
        ctypes.c_void_p(scratch),
        ctypes.c_int64(m.scratch),
    )
    check(status)


def run(
    m: Matrix, sources: Sequence[NDArray[Any]], terms: Sequence[NDArray[Any]] = (), *, batch: int, threads: int = 1
) -> NDArray[Any]:
    """Result for values of shape (batch, row, column, channel); equals `twin`."""
    read = [plain(x, o.dtype) for x, o in zip(sources, m.operands, strict=True)]
    added = [plain(x, t.dtype) for x, t in zip(terms, m.terms, strict=True)]
    out = np.empty((batch, m.height, m.width, m.outs), m.dtype)
    scratch = np.empty(threads * m.scratch, np.uint8)
    launch(
        m,
        [x.ctypes.data for x in read],
        [x.ctypes.data for x in added],
        out.ctypes.data,
        batch=batch,
        threads=threads,
        scratch=address(scratch).value or 0,
    )
    return out


def twin(m: Matrix, sources: Sequence[NDArray[Any]], terms: Sequence[NDArray[Any]] = (), *, batch: int) -> NDArray[Any]:
    """The same in numpy, in 64 bits."""
    shape = (batch, m.height, m.width, m.outs)
    total = np.zeros(shape, np.int64) + m.constant.reshape(-1, m.outs).reshape(
        (1, 1, m.outs) if m.constant.ndim == 1 else shape[1:]
    )
    for x, o in zip(sources, m.operands, strict=True):
        first = np.moveaxis(x.reshape(batch, o.height, o.width, -1).astype(np.int64), -1, 1)
        total += np.moveaxis(apply_synapse(o.conv, first), 1, -1)
    for x, t in zip(terms, m.terms, strict=True):
        factor = 1 if t.factor is None else t.factor.reshape((-1,) if t.factor.ndim == 1 else shape[1:])
        total += x.astype(np.int64).reshape(shape) * factor
    r = m.response
    if r.threshold is not None:
        threshold = r.threshold.reshape((-1,) if r.threshold.ndim == 1 else shape[1:])
        total = np.clip(np.floor_divide(total, threshold), r.low, r.high)
    elif r.steps is not None:
        steps = r.steps.reshape(-1, *((m.outs,) if r.steps.ndim == 2 else shape[1:]))
        total = r.low + sum((total >= step for step in steps), np.zeros(shape, np.int64))
    assert prod(total.shape) == prod(shape)
    return total.astype(m.dtype)
