"""States of sessions of networks with dynamics, as the library reads and writes them: structures and calls of `csrc/dynamics.cpp`.

Arrays have the batch before the neurons, and rows of steps before the batch; the library is called for one sample at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.native.loader import address, check, library, plain

_Pointer, _Int, _Long = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64


class _NeuronState(ctypes.Structure):
    """`SpNeuronState`."""

    _fields_ = [
        ("v", _Pointer),
        ("second", _Pointer),
        ("arriving", _Pointer),
        ("refractory", _Pointer),
        ("fired", _Pointer),
        ("stride", _Long),
    ]


class _PlasticState(ctypes.Structure):
    """`SpPlasticState`."""

    _fields_ = [
        ("weights", _Pointer),
        ("traces", ctypes.POINTER(_Pointer)),
        ("passing", _Pointer),
        ("stride", _Long),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Of one population; v and second of the arithmetic's dtype, (batch, neuron)."""

    v: NDArray[Any]
    second: NDArray[Any]
    refractory: NDArray[np.int64]
    fired: NDArray[np.int64]
    arriving: NDArray[Any]
    """(slots - 1, batch, neuron)."""


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Of one projection that learns."""

    weights: NDArray[Any]
    """(batch, synapse)."""
    traces: Sequence[NDArray[Any]]
    """Of sources, of targets, of synapses."""
    passing: NDArray[Any] | None
    """(delay, batch, post), where delays are dendritic."""


def read_neurons(session: ctypes.c_void_p, population: int, room: Neurons) -> None:
    """Into arrays of these shapes."""
    for sample in range(len(room.v)):
        library().sp_dynamics_read_neurons(
            session, _Int(population), _Int(sample), ctypes.byref(_of_neurons(room, sample))
        )


def write_neurons(session: ctypes.c_void_p, population: int, given: Neurons) -> None:
    """After `go_to`."""
    for sample in range(len(given.v)):
        library().sp_dynamics_write_neurons(
            session, _Int(population), _Int(sample), ctypes.byref(_of_neurons(given, sample))
        )


def read_synapses(session: ctypes.c_void_p, index: int, room: Synapses) -> None:
    """Into arrays of these shapes."""
    for sample in range(len(room.weights)):
        library().sp_dynamics_read_plastic(session, _Int(index), _Int(sample), ctypes.byref(_of_synapses(room, sample)))


def write_synapses(session: ctypes.c_void_p, index: int, given: Synapses) -> None:
    """After `go_to`."""
    for sample in range(len(given.weights)):
        library().sp_dynamics_write_plastic(
            session, _Int(index), _Int(sample), ctypes.byref(_of_synapses(given, sample))
        )


def read_sent(session: ctypes.c_void_p, place: int, room: NDArray[Any]) -> None:
    """Into an array (back, batch, neuron)."""
    rows, batch, size = room.shape
    for sample in range(batch if room.size else 0):
        library().sp_dynamics_read_sent(
            session, _Int(place), _Int(sample), _Long(size), address(room[0, sample]), _Long(rows), _Long(batch * size)
        )


def write_sent(session: ctypes.c_void_p, place: int, given: NDArray[Any]) -> None:
    """After `go_to`."""
    rows, batch, size = given.shape
    given = plain(given, given.dtype)
    for sample in range(batch if given.size else 0):
        check(
            library().sp_dynamics_write_sent(
                session,
                _Int(place),
                _Int(sample),
                _Long(size),
                address(given[0, sample]),
                _Long(rows),
                _Long(batch * size),
            )
        )


def _of_neurons(state: Neurons, sample: int) -> _NeuronState:
    each = {name: getattr(state, name)[sample] for name in ("v", "second", "refractory", "fired")}
    rows = state.arriving
    return _NeuronState(
        **{name: address(values).value for name, values in each.items()},
        arriving=address(rows[0, sample]).value if rows.size else None,
        stride=rows.shape[1] * rows.shape[2],
    )


def _of_synapses(state: Synapses, sample: int) -> _PlasticState:
    traces = (_Pointer * max(1, len(state.traces)))(*(address(trace[sample]).value for trace in state.traces))
    rows = state.passing
    return _PlasticState(
        weights=address(state.weights[sample]).value,
        traces=traces,
        passing=None if rows is None or not rows.size else address(rows[0, sample]).value,
        stride=0 if rows is None else rows.shape[1] * rows.shape[2],
    )
