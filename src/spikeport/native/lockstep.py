"""Placed programs whose cores step together: the handles of the library, and the structures that it reads.

A program is laid out once and never changes; a state holds some samples of it. `spikeport.backends.loihi` builds programs, and its
numpy twin equals them bit for bit.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import address, check, library, plain

LANES = 16
"""Channels of a block are padded to multiples of this, but for those of few."""
FEW = 8
POINTER = ctypes.sizeof(ctypes.c_void_p)
SHORT = 2**12
"""Entries of a raster for all of which there is room in a list."""
UNREACHED = {4: 2**31 - 1, 8: 2**40}
"""Thresholds of lanes that are no neurons, by bytes."""


class Kind(IntEnum):
    """Rules of neurons, as in csrc/kernels/lockstep.h."""

    LINES = -1
    ACCUMULATOR = 0
    PLAIN = 1
    SIGNED = 2
    PHASED = 3
    RADIX = 4
    GRADED = 5
    BANK = 6
    MAXIMUM = 7
    STAIRCASE = 8
    THERMOMETER = 9
    DIGITS = 10
    LEVELS = 11
    CUBA2 = 12
    CUBA1 = 13
    SIGMA_DELTA = 14
    RESONATE = 15
    IZHIKEVICH = 16
    GRADED_THRESHOLD = 17


PARAMETERS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CUBA2: ("du", "dv", "threshold", "bias"),
    Kind.CUBA1: ("du", "dv", "threshold", "bias", "refractory", "v_min", "v_max"),
    Kind.SIGMA_DELTA: ("threshold", "bias", "state_exp"),
    Kind.RESONATE: ("cos", "sin", "threshold", "state_exp", "decay_bits"),
    Kind.IZHIKEVICH: ("cos", "sin", "threshold", "state_exp", "decay_bits"),
    Kind.GRADED_THRESHOLD: ("threshold",),
}
"""Of fixed-point neurons, in the order of the kernels; du and dv are what is kept, in 1/4096."""
CONVERTED = ("threshold", "release", "each", "rest")
"""Of converted ones; a bias is `each` times the steps of its presentation, and `rest`."""
MOST_PARAMETERS = 7


class Weights(IntEnum):
    """How the synapses of an arc lie."""

    ROWS16 = 0
    ROWS32 = 1
    DIAGONAL = 2
    SPARSE = 3
    ROWS8 = 4


ROWS: Mapping[Weights, type[np.signedinteger[Any]]] = {
    Weights.ROWS8: np.int8,
    Weights.ROWS16: np.int16,
    Weights.ROWS32: np.int32,
}
"""Types of rows."""


@dataclass(frozen=True, slots=True)
class Group:
    """What all neurons of a group have in common; of lines only the sizes, and as `flag` that what enters was sent a step before."""

    kind: Kind
    pixels: int
    channels: int
    offset: int = 0
    presentation: int = 1
    opens_at: int = 0
    closes_at: int = -1
    bits: int = 1
    flag: bool = False
    places: int = 1
    table_size: int = 0
    low: int = 0
    high: int = 0


HANDS_24, SUMS_32 = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Arc:
    """Synapses from a group to a block: by source pixel the pixels and slabs that a spike reads; sparse ones by flat index."""

    source: int
    delay: int
    shift: int
    wraps: int
    """HANDS_24: the shifted sum of a step wraps at 24 bits; SUMS_32: the sum itself at 32 before."""
    imag: bool
    weights: Weights
    offsets: NDArray[np.int64]
    pixel: NDArray[np.int64]
    slab: NDArray[np.int64] | None = None
    rows: NDArray[np.int64] | None = None
    """Shape (slab, source channel, channel of the block), or (synapse,)."""
    to: NDArray[np.int64] | None = None
    """Shape (slab, source channel): channel of the block, or -1."""
    factor: NDArray[np.int64] | None = None
    up: int = 0
    """Of rows: their weights are kept shifted to the right by so many bits, which are zeros."""


class _Group(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        *((n, ctypes.c_int32) for n in ("kind", "pixels", "channels", "offset", "presentation")),
        *((n, ctypes.c_int32) for n in ("opens_at", "closes_at", "bits", "flag", "places", "table_size")),
        ("low", ctypes.c_int64),
        ("high", ctypes.c_int64),
    ]


class _Block(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        *((n, ctypes.c_int32) for n in ("group", "first_pixel", "pixels", "first_channel", "channels", "padded")),
        *((n, ctypes.c_int32) for n in ("slots", "has_imag")),
        ("parameters", ctypes.c_void_p * MOST_PARAMETERS),
        *((n, ctypes.c_void_p) for n in ("table", "initial", "inside")),
    ]


class _Arc(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        *((n, ctypes.c_int32) for n in ("block", "source", "delay", "shift", "wraps", "imag", "weights", "up")),
        *((n, ctypes.c_int64) for n in ("n_offsets", "taps", "slabs")),
        *((n, ctypes.c_void_p) for n in ("offsets", "pixel", "slab", "rows", "to", "factor")),
    ]


class _Line(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        ("offsets", ctypes.c_void_p),
        ("row", ctypes.c_int64),
        ("neurons", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    ]


class _Outputs(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        (n, ctypes.c_void_p) for n in ("rasters", "wide_rasters", "potentials", "seconds")
    ]


class LockstepProgram:
    """Groups, blocks and arcs in the library."""

    def __init__(self, groups: Sequence[Group], *, wide: bool) -> None:
        self.groups, self.wide = tuple(groups), wide
        self.dtype = np.dtype(np.int64 if wide else np.int32)
        self.handle = ctypes.c_void_p()
        check(library().sp_lockstep_new(len(groups), int(wide), ctypes.byref(self.handle)))
        weakref.finalize(self, library().sp_lockstep_free, self.handle)
        self._lanes: list[int] = []
        for i, group in enumerate(self.groups):
            values = {name: int(getattr(group, name)) for name, _ in _Group._fields_}
            check(library().sp_lockstep_group(self.handle, i, ctypes.byref(_Group(**values))))

    @staticmethod
    def padded(channels: int) -> int:
        """Lanes of a pixel of a block."""
        return channels if channels <= FEW else -(-channels // LANES) * LANES

    def block(
        self,
        group: int,
        pixels: tuple[int, int],
        channels: tuple[int, int],
        *,
        slots: int,
        imag: bool,
        parameters: Mapping[str, NDArray[Any]],
        table: NDArray[Any] | None = None,
        initial: NDArray[Any] | None = None,
        inside: NDArray[np.bool_] | None = None,
    ) -> int:
        """A rectangle of neurons; parameters have the shape (pixel, channel), a table (entry, pixel, channel). Gives its number."""
        width = channels[1] - channels[0]
        padded = self.padded(width)
        found = _Block(group, pixels[0], pixels[1] - pixels[0], channels[0], width, padded, slots, int(imag))
        kept: list[NDArray[Any]] = []

        def held(values: NDArray[Any], name: str) -> ctypes.c_void_p:
            unreached = UNREACHED[self.dtype.itemsize] if name in ("threshold", "table") else 0
            whole = np.full((*values.shape[:-1], padded), unreached, dtype=self.dtype)
            whole[..., :width] = values
            kept.append(whole)
            return address(whole)

        for k, name in enumerate(PARAMETERS.get(self.groups[group].kind, CONVERTED)):
            if name in parameters:
                found.parameters[k] = held(parameters[name], name)
        if table is not None:
            found.table = held(table, "table")
        if initial is not None:
            found.initial = held(initial, "initial")
        if inside is not None:
            kept.append(plain(inside, np.uint8))
            found.inside = address(kept[-1])
        number: int = library().sp_lockstep_block(self.handle, ctypes.byref(found))
        check(number)
        self._lanes.append(padded)
        return number

    def arc(self, block: int, arc: Arc) -> None:
        """Synapses into a block; its group's sources must be there already."""
        found = _Arc(block, arc.source, arc.delay, arc.shift, arc.wraps, int(arc.imag), int(arc.weights), arc.up)
        kept = [plain(arc.offsets, np.int64), plain(arc.pixel, np.int32)]
        found.n_offsets, found.taps = len(kept[0]), len(kept[1])
        found.offsets, found.pixel = map(address, kept)
        if arc.slab is not None:
            kept.append(plain(arc.slab, np.int32))
            found.slab = address(kept[-1])
        if arc.rows is not None:
            if arc.weights is Weights.SPARSE:
                rows = plain(arc.rows, np.int32)
            else:
                found.slabs = len(arc.rows)
                rows = np.zeros((*arc.rows.shape[:2], self._lanes[block]), dtype=ROWS[arc.weights])
                rows[..., : arc.rows.shape[2]] = arc.rows
            kept.append(rows)
            found.rows = address(rows)
        if arc.to is not None:
            assert arc.factor is not None
            found.slabs = len(arc.to)
            kept += [plain(arc.to, np.int32), plain(arc.factor, np.int32)]
            found.to, found.factor = address(kept[-2]), address(kept[-1])
        check(library().sp_lockstep_arc(self.handle, ctypes.byref(found)))


def listed(raster: NDArray[np.int64]) -> LineSpikes:
    """What of a raster of shape (step, sample, ...) is not zero."""
    steps, samples = raster.shape[:2]
    raster = plain(raster, np.int64)
    shape = [ctypes.c_int64(n) for n in (steps, samples, prod(raster.shape[2:]))]
    # what is short is not looked at twice
    room: int = (
        raster.size
        if raster.size <= SHORT
        else library().sp_lockstep_count(address(raster), ctypes.c_int64(raster.size))
    )
    offsets, neurons, values = (
        np.empty((samples, steps + 1), np.int64),
        np.empty(room, np.uint32),
        np.empty(room, np.int64),
    )
    count: int = library().sp_lockstep_list(
        address(raster), *shape, address(offsets), address(neurons), address(values)
    )
    return LineSpikes(offsets, neurons[:count], values[:count])


@dataclass(frozen=True, slots=True, eq=False)
class LineSpikes:
    """Spikes of one group of lines: those of sample b and step i are entries `offsets[b, i]` to `offsets[b, i + 1]`."""

    offsets: NDArray[np.int64]
    """Shape (sample, step + 1); a part of a longer array will do."""
    neurons: NDArray[np.uint32]
    values: NDArray[np.int64]

    def steps(self, start: int, stop: int) -> LineSpikes:
        """Those of steps `start` to `stop`."""
        return LineSpikes(self.offsets[:, start : stop + 1], self.neurons, self.values)


class Held(IntEnum):
    """What a state is read from and written to."""

    V = 0
    SECOND = 1
    THIRD = 2
    RING = 3
    IMAG = 4


class LockstepState:
    """Some samples of a program. It is used by one thread at a time."""

    def __init__(self, program: LockstepProgram, samples: int, *, threads: int) -> None:
        self.program, self.samples, self.threads = program, samples, threads
        self.handle = ctypes.c_void_p()
        check(library().sp_lockstep_state_new(program.handle, samples, threads, ctypes.byref(self.handle)))
        self.close = weakref.finalize(self, library().sp_lockstep_state_free, self.handle)

    def reset(self) -> None:
        """Restore the initial state."""
        check(library().sp_lockstep_reset(self.handle))

    def widened(self, program: LockstepProgram) -> LockstepState:
        """The same state of the wide program of the same blocks."""
        made = LockstepState(program, self.samples, threads=self.threads)
        check(library().sp_lockstep_widen(self.handle, made.handle))
        return made

    def flush(self, step: int) -> None:
        """Before it is read: what waits goes to where it will arrive. `step` is the next one."""
        check(library().sp_lockstep_flush(self.handle, step))

    def read(self, group: int, which: Held, step: int = 0) -> NDArray[np.int64]:
        """Numbers of a group of fixed-point neurons, shape (sample, neuron); of what arrives, those of a step."""
        layout = self.program.groups[group]
        found = np.zeros((self.samples, layout.pixels * layout.channels), np.int64)
        for sample in range(self.samples):
            check(library().sp_lockstep_read(self.handle, group, sample, int(which), step, address(found[sample])))
        return found

    def write(self, group: int, which: Held, given: NDArray[np.int64], step: int = 0) -> None:
        """The same into a wide state that was just made."""
        given = plain(given, np.int64)
        for sample in range(self.samples):
            check(library().sp_lockstep_write(self.handle, group, sample, int(which), step, address(given[sample])))

    def run(
        self,
        first: int,
        steps: int,
        lines: Mapping[int, LineSpikes],
        *,
        rasters: Mapping[int, NDArray[np.int32] | NDArray[np.int64]],
        potentials: Mapping[int, NDArray[np.int64]],
        seconds: Mapping[int, NDArray[np.int64]],
    ) -> None:
        """Steps of the chip, which follow those before.

        Args:
            lines: what enters, by group.
            rasters: by group, zeros of shape (step, sample, neuron) that get payloads; potentials and second states likewise.
        """
        groups = len(self.program.groups)
        inputs = (_Line * groups)()
        for index, spikes in lines.items():
            # rows may be longer than a chunk, entries of a row lie side by side
            assert spikes.offsets.strides[1] == spikes.offsets.itemsize
            assert spikes.offsets.dtype == np.int64
            row = spikes.offsets.strides[0] // spikes.offsets.itemsize
            inputs[index] = _Line(
                spikes.offsets.ctypes.data, row, spikes.neurons.ctypes.data, spikes.values.ctypes.data
            )
        pointers = (ctypes.c_void_p * (4 * groups))()
        for kind, arrays in ((0, rasters), (2, potentials), (3, seconds)):
            for index, array in arrays.items():
                assert array.flags.c_contiguous
                first_of_kind = groups if kind == 0 and array.itemsize == 8 else kind * groups
                pointers[first_of_kind + index] = array.ctypes.data
        kinds = range(
            ctypes.addressof(pointers), ctypes.addressof(pointers) + ctypes.sizeof(pointers), POINTER * groups
        )
        outputs = _Outputs(*kinds)
        check(library().sp_lockstep_run(self.handle, first, steps, inputs, ctypes.byref(outputs)))
