"""Plans and runs of the event-driven stepper: the handles of the library, and the structures that it reads.

A plan is a network laid out for stepping and never changes; a run is the state of some samples. The arithmetic is that of
`spikeport.backends.reference`, which is the numpy twin; `spikeport.backends.native` builds plans from networks.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import address, check, library, plain

LANES = 16
"""Channels are padded to multiples of this."""
MAX_CHUNK = 64
"""Most steps of one call."""
ITEMS = {np.dtype(t): i for i, t in enumerate(("u1", "i1", "i2", "u2", "i4", "i8", "f4", "f8"))}
"""Types of event bins that are read as they are."""


class Kind(IntEnum):
    """Rules of neurons, as in csrc/kernels/stepping.h."""

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


class Payload(IntEnum):
    """Whether spikes carry values: never, in one step of all, or in any step."""

    NONE = 0
    ONCE = 1
    ALWAYS = 2


@dataclass(frozen=True, slots=True, eq=False)
class LayerPlan:
    """One layer; parameters are integers of shape (1 or pixel, channel), a table (entry, 1 or pixel, channel)."""

    kind: Kind
    pixels: int
    channels: int
    signs: bool = False
    payload: Payload = Payload.NONE
    trace_of: int = -1
    """The layer whose potentials a maximum reads."""
    opens_at: int = 0
    closes_at: int = -1
    bits: int = 1
    low: int = 0
    high: int = 0
    largest: int = 0
    """What one spike counts, at most."""
    threshold: NDArray[Any] | None = None
    release: NDArray[Any] | None = None
    initial: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None
    table: NDArray[Any] | None = None
    windows: tuple[NDArray[Any], NDArray[Any]] | None = None
    """Offsets and pixels of the layer that a maximum reads."""


_INTEGERS = ("kind", "pixels", "channels", "has_signs", "payload", "trace_of", "opens_at", "closes_at", "bits")
_PARAMETERS = ("threshold", "release", "initial", "bias", "table")


class _Layer(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        *((name, ctypes.c_int32) for name in _INTEGERS),
        *((f"{name}_rows", ctypes.c_int32) for name in _PARAMETERS),
        ("table_size", ctypes.c_int32),
        ("windows", ctypes.c_int32),
        ("low", ctypes.c_int64),
        ("high", ctypes.c_int64),
        ("largest", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in _PARAMETERS),
        ("window_offsets", ctypes.c_void_p),
        ("window_pixel", ctypes.c_void_p),
    ]


class _Taps(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [(n, ctypes.c_int32) for n in ("kind", "source", "slabs", "taps")] + [
        (n, ctypes.c_void_p) for n in ("rows", "target", "factor", "offsets", "pixel", "slab")
    ]


class _Events(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [("data", ctypes.c_void_p), ("item", ctypes.c_int32)] + [
        (n, ctypes.c_int64) for n in ("first", "bins", "step", "sample", "high")
    ]


class _Outputs(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        (n, ctypes.c_void_p) for n in ("readout", "fired", "spikes", "charges", "trains", "potentials")
    ]


class _Memory:
    """What the library holds for a plan; it is freed when the plan and all its runs are gone."""


class Plan:
    """A network laid out for stepping. Layers come in order, sources first or where they are."""

    def __init__(self, layers: int, *, presentation: int, wide: bool) -> None:
        self.layers, self.wide = layers, wide
        self.dtype = np.dtype(np.int64 if wide else np.int32)
        """Type of potentials and weights."""
        self.sources: dict[int, tuple[int, int]] = {}
        self.sizes: dict[int, tuple[int, int]] = {}
        self._lock = Lock()
        self._kept: tuple[Any, Run] | None = None
        self.handle = ctypes.c_void_p()
        check(library().sp_plan_new(layers, presentation, int(wide), ctypes.byref(self.handle)))
        self.memory = _Memory()
        weakref.finalize(self.memory, library().sp_plan_free, self.handle)

    @contextmanager
    def run(self, **options: Any) -> Iterator[Run]:
        """A run with these options; the last one is kept, since its memory is worth as much as a small simulation."""
        key = tuple(sorted(options.items()))
        with self._lock:
            kept, self._kept = self._kept, None
        run = kept[1] if kept is not None and kept[0] == key else Run(self, **options)
        yield run
        with self._lock:  # not after an error: nobody knows what it left
            self._kept = (key, run)

    def source(self, index: int, *, pixels: int, channels: int, host: bool, largest: int) -> None:
        """Values that enter from outside: event bins, or (host) once for a whole presentation."""
        self.sizes[index] = (pixels, channels)
        check(library().sp_plan_source(self.handle, index, pixels, channels, int(host), ctypes.c_int64(largest)))

    def layer(self, index: int, layer: LayerPlan) -> None:
        self.sizes[index] = (layer.pixels, layer.channels)
        keep: list[NDArray[Any]] = []
        found = _Layer()
        for name in (
            "kind",
            "pixels",
            "channels",
            "payload",
            "trace_of",
            "opens_at",
            "closes_at",
            "bits",
            "low",
            "high",
            "largest",
        ):
            setattr(found, name, int(getattr(layer, name)))
        found.has_signs = int(layer.signs)
        unreached = (2**63 - 1 if self.wide else 2**31 - 1) >> layer.bits  # times the worth of a digit it still fits
        for name in _PARAMETERS:
            array = getattr(layer, name)
            if array is not None:
                fill = unreached if name in ("threshold", "table") else 0
                keep.append(self._padded(array, fill))
                setattr(found, f"{name}_rows", array.shape[-2])
                setattr(found, name, address(keep[-1]))
        if layer.table is not None:
            found.table_size = len(layer.table)
        if layer.windows is not None:
            keep += [plain(part, np.int32) for part in layer.windows]
            found.window_offsets, found.window_pixel, found.windows = (
                address(keep[-2]),
                address(keep[-1]),
                keep[-1].size,
            )
        check(library().sp_plan_layer(self.handle, index, ctypes.byref(found)))

    def taps(
        self,
        target: int,
        source: int,
        offsets: NDArray[Any],
        pixel: NDArray[Any],
        slab: NDArray[Any],
        *,
        rows: NDArray[Any] | None = None,
        to: NDArray[Any] | None = None,
        factor: NDArray[Any] | None = None,
    ) -> str:
        """One connection; its sources must be there already. Returns which kernel carries it."""
        found = _Taps(source=source, taps=len(pixel))
        keep = [plain(part, np.int32) for part in (offsets, pixel, slab)]
        found.offsets, found.pixel, found.slab = map(address, keep)
        if rows is not None:
            narrow = not self.wide and rows.min(initial=0) >= -128 and rows.max(initial=0) <= 127
            keep.append(self._padded(rows, 0, np.int8 if narrow else None))
            found.kind, found.slabs, found.rows = int(not narrow), len(rows), address(keep[-1])
            name = "int8 rows" if narrow else f"{self.dtype} rows"
        else:
            assert to is not None
            assert factor is not None
            keep += [plain(to, np.int32), plain(factor, self.dtype)]
            found.kind, found.slabs, found.target, found.factor = 2, len(to), address(keep[-2]), address(keep[-1])
            name = "diagonal"
        check(library().sp_plan_taps(self.handle, target, ctypes.byref(found)))
        return name

    def finish(self, *, dense_from: float) -> None:
        """To be called once, when everything is there; `dense_from` is the activity from which sums over all channels are taken."""
        check(library().sp_plan_finish(self.handle, ctypes.c_double(dense_from)))

    def _padded(self, array: NDArray[Any], fill: int, dtype: Any = None) -> NDArray[Any]:
        """The last axis padded to whole vectors."""
        channels = array.shape[-1]
        padded = np.full((*array.shape[:-1], -(-channels // LANES) * LANES), fill, dtype=dtype or self.dtype)
        padded[..., :channels] = array
        return padded


class Run:
    """The state of a group of samples. It is used by one thread at a time."""

    def __init__(self, plan: Plan, *, samples: int, steps: int, threads: int, traced: bool) -> None:
        self.samples, self.steps, self.layers, self.dtype = samples, steps, plan.layers, plan.dtype
        self._sizes, self._memory = plan.sizes, plan.memory  # not the plan, which keeps its last run
        self.spikes = np.zeros((samples, plan.layers), dtype=np.int64)
        """Spikes so far, (sample, layer)."""
        self.charges = np.zeros_like(self.spikes)
        """The same, payloads summed; for neurons whose spikes have payloads."""
        self._fired = np.zeros(samples, dtype=np.uint64)
        self._outputs = _Outputs(fired=address(self._fired), spikes=address(self.spikes), charges=address(self.charges))
        self._nothing = (ctypes.c_void_p * plan.layers)()
        self.handle = ctypes.c_void_p()
        check(library().sp_run_new(plan.handle, samples, steps, threads, int(traced), ctypes.byref(self.handle)))
        self.close = weakref.finalize(self, library().sp_run_free, self.handle)

    def begin(self, samples: int, values: Mapping[int, NDArray[Any]]) -> None:
        """Restore the initial state; values of host sources by layer, (sample, *source)."""
        kept = {index: plain(array, self.dtype) for index, array in values.items()}
        pointers = (ctypes.c_void_p * self.layers)()
        for index, array in kept.items():
            pointers[index] = address(array).value
        self.spikes[:] = 0
        self.charges[:] = 0
        check(library().sp_run_begin(self.handle, samples, pointers))

    def currents(self, layer: int, values: NDArray[Any]) -> None:
        """What a layer that host sources feed takes in every step from now on, instead of its share; (sample, *layer)."""
        kept = plain(values, self.dtype)
        pixels, channels = self._sizes[layer]
        assert kept.size == len(kept) * pixels * channels
        check(library().sp_run_currents(self.handle, layer, len(kept), address(kept)))

    def step(
        self,
        first: int,
        steps: int,
        wanted: NDArray[np.uint8],
        readout: NDArray[np.int64],
        *,
        events: NDArray[Any] | None = None,
        first_bin: int = 0,
        high: int = 0,
        trains: Mapping[int, NDArray[np.int32]] | None = None,
        potentials: Mapping[int, NDArray[np.int64]] | None = None,
    ) -> NDArray[np.uint64] | None:
        """Step the wanted samples; returns the steps in which each one fired as bits, None where event counts are none.

        Args:
            events: bins from step `first_bin` on, (time, sample, *input), C-ordered from the third axis on.
            readout: filled with potentials of the last layer, (step, sample, *readout); `trains` and `potentials` likewise.
        """
        outputs = self._outputs
        outputs.readout = address(readout)
        outputs.trains = ctypes.cast(self._pointers(trains), ctypes.c_void_p)
        outputs.potentials = ctypes.cast(self._pointers(potentials), ctypes.c_void_p)
        bins = None
        if events is not None:
            item = events.dtype.itemsize
            bins = _Events(
                data=events.ctypes.data, item=ITEMS[events.dtype], first=first_bin, bins=len(events), high=high,
                step=events.strides[0] // item, sample=events.strides[1] // item,
            )  # fmt: skip
        self._fired[:] = 0
        status = library().sp_run_steps(
            self.handle, len(wanted), first, steps, address(wanted),
            None if bins is None else ctypes.byref(bins), ctypes.byref(outputs),
        )  # fmt: skip
        if status == _REFUSED:
            return None
        check(status)
        return self._fired

    def counts(self, layer: int, samples: int, out: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """What the neurons of a layer have sent so far, (sample, channel, pixel), or in the shape of what it is written to."""
        pixels, channels = self._sizes[layer]
        found = np.empty((samples, channels, pixels), dtype=np.int64) if out is None else out
        assert found.size == samples * channels * pixels
        check(library().sp_run_counts(self.handle, layer, samples, address(found)))
        return found

    def _pointers(self, arrays: Mapping[int, NDArray[Any]] | None) -> Any:
        if not arrays:
            return self._nothing
        pointers = (ctypes.c_void_p * self.layers)()
        for index, array in arrays.items():
            pointers[index] = address(array).value
        return pointers


_REFUSED = -4


def open_objects() -> int:
    """Plans and runs that are open in this process: what a test of leaks reads."""
    found = library().sp_stepper_objects
    found.restype = ctypes.c_int64
    return int(found())


__all__: Sequence[str] = ["ITEMS", "LANES", "MAX_CHUNK", "Kind", "LayerPlan", "Payload", "Plan", "Run", "open_objects"]
