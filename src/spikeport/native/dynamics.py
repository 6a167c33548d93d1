"""Sessions of networks with dynamics, as the library keeps them: structures and calls of `csrc/dynamics.cpp`.

The twin is `spikeport.backends.reference.DynamicStepper`, which gives the same spikes and potentials bit for bit.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NativeError, Problem
from spikeport.native.loader import address, check, library, plain
from spikeport.native.plastic import Learning, Third, third
from spikeport.native.state import (
    Neurons,
    Synapses,
    read_neurons,
    read_sent,
    read_synapses,
    write_neurons,
    write_sent,
    write_synapses,
)

_Pointer, _Int, _Long = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64

FLAGS = (
    "kind",
    "current",
    "delta",
    "fires",
    "refractory",
    "at_threshold",
    "subtract",
    "reset_when",
    "old_current",
    "state_bits",
    "wrap",
    "multi",
    "clipped",
    "sends",
    "second",
    "other",
    "substeps",
)
NUMBERS = (
    "bias",
    "gain",
    "rate",
    "decay",
    "v_leak",
    "threshold",
    "v_reset",
    "current_rate",
    "current_decay",
    "w_in",
    "refractory",
    "initial",
    "v_min",
)
"""Arrays of a population, one value a neuron."""
SECOND = (
    "w_initial",
    "w_rate",
    "w_decay",
    "w_coupling",
    "w_increment",
    "w_square",
    "w_linear",
    "w_constant",
    "w_v_recovery",
)
"""Those of a second state; a population has some of them."""
SENDS_NUMBERS = 6
"""Kind of neurons that fire with a number."""
ARITHMETIC = {"float64": 0, "float32": 1, "integer": 2}


class _Flags(ctypes.Structure):
    _fields_ = [(name, _Int) for name in FLAGS]


class _Population(ctypes.Structure):
    _fields_ = [
        ("size", _Long),
        ("slots", _Long),
        ("flags", _Flags),
        *((name, _Pointer) for name in NUMBERS),
        ("second", _Pointer * len(SECOND)),
        ("n_constants", _Long),
        ("constant_steps", _Pointer),
        ("constants", _Pointer),
    ]


class _Input(ctypes.Structure):
    _fields_ = [("offsets", _Pointer), ("neurons", _Pointer), ("values", _Pointer), ("stride", _Long)]


class _Current(ctypes.Structure):
    _fields_ = [("values", _Pointer), ("step_stride", _Long), ("sample_stride", _Long)]


@dataclass(slots=True)
class DynamicsHandle:
    """A session of the library. Whoever makes one closes it."""

    arithmetic: str
    inputs: int
    batch: int
    threads: int
    neurons: int
    sizes: list[int] = field(default_factory=list)
    """Of the populations, in order."""
    several: list[bool] = field(default_factory=list)
    """Whether they may send several spikes a step."""
    graded: list[bool] = field(default_factory=list)
    """Whether they send numbers with spikes."""
    synapses: list[int] = field(default_factory=list)
    """Of the projections that learn, in order."""
    pointer: ctypes.c_void_p = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.pointer = ctypes.c_void_p()
        check(
            library().sp_dynamics_open(
                _Int(ARITHMETIC[self.arithmetic]),
                _Int(self.inputs),
                _Int(self.batch),
                _Int(self.threads),
                _Long(self.neurons),
                ctypes.byref(self.pointer),
            )
        )

    @property
    def dtype(self) -> Any:
        return {"float64": np.float64, "float32": np.float32, "integer": np.int64}[self.arithmetic]

    @property
    def steps(self) -> int:
        """Since the beginning or the last reset."""
        return int(library().sp_dynamics_now(self._open()))

    def population(
        self,
        numbers: dict[str, NDArray[Any]],
        flags: dict[str, int],
        *,
        slots: int,
        constants: Sequence[tuple[int, NDArray[Any]]],
    ) -> None:
        """Add a population; the library copies all arrays."""
        given, arrays = self._population(numbers, flags, slots, constants)
        check(library().sp_dynamics_population(self._open(), ctypes.byref(given)))
        self.sizes.append(len(arrays["initial"]))
        self.several.append(bool(flags["multi"]))
        self.graded.append(flags["kind"] == SENDS_NUMBERS)

    def replace(
        self,
        index: int,
        numbers: dict[str, NDArray[Any]],
        flags: dict[str, int],
        *,
        slots: int,
        constants: Sequence[tuple[int, NDArray[Any]]],
    ) -> None:
        """Other neurons in the place of as many others, whose synapses stay; `finish` then makes the state of all anew."""
        given, arrays = self._population(numbers, flags, slots, constants)
        assert len(arrays["initial"]) == self.sizes[index]
        check(library().sp_dynamics_replace(self._open(), _Int(index), ctypes.byref(given)))
        self.several[index] = bool(flags["multi"])
        self.graded[index] = flags["kind"] == SENDS_NUMBERS

    def _population(
        self,
        numbers: dict[str, NDArray[Any]],
        flags: dict[str, int],
        slots: int,
        constants: Sequence[tuple[int, NDArray[Any]]],
    ) -> tuple[_Population, dict[str, NDArray[Any]]]:
        """As the library reads it, and the arrays that it points into."""
        arrays = {name: plain(numbers[name], self.dtype) for name in NUMBERS}
        arrays["constant_steps"] = np.array([step for step, _ in constants], dtype=np.int64)
        arrays["constants"] = plain(np.array([values for _, values in constants], dtype=self.dtype), self.dtype)
        given = _Population(len(arrays["initial"]), slots, _Flags(**flags), n_constants=len(constants))
        for name, values in arrays.items():
            setattr(given, name, address(values).value)
        more = {name: plain(numbers[name], self.dtype) for name in SECOND if name in numbers}
        given.second = (_Pointer * len(SECOND))(*(address(more[n]).value if n in more else None for n in SECOND))
        return given, arrays | more

    def projection(
        self,
        source: int,
        target: int,
        *,
        delay: int,
        offsets: NDArray[np.int64],
        targets: NDArray[np.uint32],
        weights: NDArray[Any],
    ) -> None:
        """Add synapses by source; weights of shape (synapse,), (pre, 1) or (); the library keeps a copy of its own."""
        offsets, targets, weights = plain(offsets, np.int64), plain(targets, np.uint32), plain(weights, self.dtype)
        mode = {1: 0, 2: 1, 0: 2}[weights.ndim]
        check(
            library().sp_dynamics_projection(
                self._open(),
                _Int(source),
                _Int(target),
                _Long(delay),
                _Long(len(offsets) - 1),
                address(offsets),
                address(targets),
                address(weights),
                _Int(mode),
            )
        )

    def learn(self, learning: Learning) -> None:
        """Add a projection that learns, in the order in which they bring what arrives; the library copies all arrays."""
        given, arrays = learning.structure(self.dtype)
        check(library().sp_dynamics_plastic(self._open(), ctypes.byref(given)))
        self.synapses.append(len(arrays[1]))

    def weights(self, index: int) -> NDArray[Any]:
        """Weights as they are of one of the projections that learn, in the order of its rows, shape (batch, synapse)."""
        found = np.empty((self.batch, self.synapses[index]), self.dtype)
        for sample in range(self.batch):
            library().sp_dynamics_weights(self._open(), _Int(index), _Int(sample), address(found[sample]))
        return found

    def finish(self) -> None:
        """All populations and projections are there: make the state of before the first step."""
        check(library().sp_dynamics_finish(self._open()))

    def reset(self) -> None:
        """Back to the state before the first step; counts and recorded spikes are forgotten."""
        check(library().sp_dynamics_reset(self._open()))

    def run(
        self,
        at: int,
        n_steps: int,
        *,
        inputs: Sequence[tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[Any]]],
        currents: Sequence[NDArray[Any] | None],
        potentials: Sequence[NDArray[Any] | None],
        seconds: Sequence[NDArray[Any] | None],
        record: Sequence[bool],
        modulation: Sequence[NDArray[Any]] = (),
        threads: int | None = None,
    ) -> None:
        """Step on.

        Args:
            at: where in the inputs and currents these steps begin.
            inputs: offsets (batch, steps + 1), neurons and values of each input.
            currents: for each population None or (time or 1, batch or 1, neuron).
            potentials, seconds: for each population None or room for (n_steps, batch, neuron).
            record: for each population whether its spikes are kept.
            modulation: third factors of each projection that learns, one after the other, (time or 1, batch or 1, target or 1).
            threads: fewer than the session was opened for.
        """
        given = (_Input * max(1, len(inputs)))()
        for entry, (offsets, neurons, values) in zip(given, inputs, strict=False):
            assert offsets.shape[0] == self.batch
            assert at + n_steps < offsets.shape[1]
            entry.offsets, entry.stride = address(offsets).value, offsets.shape[1]
            entry.neurons, entry.values = address(neurons).value, address(values).value
        fed = (_Current * max(1, len(currents)))()
        for current, array, size in zip(fed, currents, self.sizes, strict=False):
            if array is None:
                continue
            assert array.dtype == self.dtype
            assert array.shape[0] in (1, *range(at + n_steps, array.shape[0] + 1))
            current.values = address(array).value
            current.step_stride = size * array.shape[1] if array.shape[0] > 1 else 0
            current.sample_stride = size if array.shape[1] > 1 else 0
        room, other = (
            (_Pointer * max(1, len(rooms)))(*(None if p is None else address(p).value for p in rooms))
            for rooms in (potentials, seconds)
        )
        kept = (_Int * max(1, len(record)))(*map(int, record))
        assert all(v.dtype == self.dtype and (len(v) == 1 or len(v) >= at + n_steps) for v in modulation)
        told = (Third * max(1, len(modulation)))(*map(third, modulation))
        check(
            library().sp_dynamics_run(
                self._open(),
                _Int(threads or self.threads),
                _Long(at),
                _Long(n_steps),
                given,
                fed,
                room,
                other,
                kept,
                told,
            )
        )

    def take(self, population: int, sample: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[Any] | None]:
        """Steps and neurons of the recorded spikes, which the session then forgets; and how many each is, where it may be several, or its
        number, where it has one."""
        count = library().sp_dynamics_spikes(self._open(), _Int(population), _Int(sample))
        steps, neurons = np.empty(count, np.uint32), np.empty(count, np.uint32)
        values = np.empty(count, np.int64) if self.several[population] else None
        numbers = np.empty(count, np.float64) if self.graded[population] else None
        rooms = [_Pointer() if room is None else address(room) for room in (values, numbers)]
        library().sp_dynamics_take(
            self._open(), _Int(population), _Int(sample), address(steps), address(neurons), *rooms
        )
        return steps, neurons, values if numbers is None else numbers.astype(self.dtype)

    def counts(self, population: int) -> NDArray[np.int64]:
        """Spikes of each neuron since the last reset, shape (batch, neuron)."""
        found = np.empty((self.batch, self.sizes[population]), np.int64)
        for sample in range(self.batch):
            library().sp_dynamics_counts(self._open(), _Int(population), _Int(sample), address(found[sample]))
        return found

    def read_neurons(self, population: int, room: Neurons) -> None:
        """The state of a population, into room of its shapes; spikes that wait are where they will arrive."""
        read_neurons(self._open(), population, room)

    def read_synapses(self, index: int, room: Synapses) -> None:
        """That of a projection that learns."""
        read_synapses(self._open(), index, room)

    def read_sent(self, place: int, room: NDArray[Any]) -> None:
        """What an end of such a projection sent, row k, k + 1 steps ago, into (back, batch, neuron)."""
        read_sent(self._open(), place, room)

    def go_to(self, step: int) -> None:
        """The next step is this one; all that is written below has to be written then. Counts and recorded spikes are forgotten."""
        check(library().sp_dynamics_go_to(self._open(), _Long(step)))

    def write_neurons(self, population: int, given: Neurons) -> None:
        write_neurons(self._open(), population, given)

    def write_synapses(self, index: int, given: Synapses) -> None:
        write_synapses(self._open(), index, given)

    def write_sent(self, place: int, given: NDArray[Any]) -> None:
        write_sent(self._open(), place, given)

    def close(self) -> None:
        """Give the memory back; again is no error."""
        if self.pointer.value is not None:
            library().sp_dynamics_close(self.pointer)
            self.pointer = ctypes.c_void_p()

    def _open(self) -> ctypes.c_void_p:
        if self.pointer.value is None:
            raise NativeError(Problem("session", "is closed", "open another one"))
        return self.pointer
