"""What another simulator was given and what it gave: one sample, step by step."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, FileError, Problem
from spikeport.primitives.frozen import frozen

MAX_BYTES = 2**30
"""Of the arrays of a recording."""
INPUT, EXPECTED = "input", "expected"
HINT = "an npz with `input` and `expected`, each (time, *shape), or `input.NAME` and `expected.NAME` for each of several nodes"


@dataclass(frozen=True, slots=True, eq=False)
class NirRecording:
    """Inputs and what came out, by node, each of shape (time, neuron); the only Input or Output may be called ""."""

    inputs: Mapping[str, NDArray[np.float64]]
    expected: Mapping[str, NDArray[np.float64]]
    dt: float | None = None
    """Duration of a step in seconds, where it is known."""

    def __post_init__(self) -> None:
        problems = []
        for side, arrays in ((INPUT, self.inputs), (EXPECTED, self.expected)):
            for name, array in arrays.items():
                where = f"{side}.{name}" if name else side
                values = np.asarray(array)
                if values.dtype.kind not in "biuf" or values.ndim == 0 or not values.size:
                    problems.append(Problem(where, f"is no numbers over time: {values.dtype} {values.shape}", HINT))
                elif not np.isfinite(values).all():
                    problems.append(Problem(where, "is not finite everywhere"))
        if not self.expected:
            problems.append(Problem("recording", "holds nothing that was expected", HINT))
        if problems:
            raise DataError(problems)
        lengths = {len(a) for a in (*self.inputs.values(), *self.expected.values())}
        if len(lengths) != 1:
            raise DataError(Problem("recording", f"its arrays have {sorted(lengths)} steps", "record the same steps"))
        for side in ("inputs", "expected"):
            arrays = {name: _by_step(a) for name, a in getattr(self, side).items()}
            object.__setattr__(self, side, arrays)

    @property
    def n_steps(self) -> int:
        return len(next(iter(self.expected.values())))


def recording_of(given: Any) -> NirRecording:
    """A recording from a file, a mapping of arrays as in such a file, or a pair of `nir.NIRGraphData` (what went in and what came out may be
    in one).

    Raises:
        DataError: what does not fit.
        FileError: the file cannot be read.
    """
    if isinstance(given, NirRecording):
        return given
    if isinstance(given, str | Path):
        return _from_npz(Path(given))
    if isinstance(given, Mapping):
        return _from_arrays(given)
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(g, nir.NIRGraphData) for g in given):
        return _from_data(*given)
    raise DataError(Problem("recording", f"is a {type(given).__name__}", HINT))


def _by_step(array: NDArray[Any]) -> NDArray[np.float64]:
    return frozen(np.asarray(array, dtype=np.float64).reshape(len(array), -1))


def _from_npz(path: Path) -> NirRecording:
    try:
        with zipfile.ZipFile(path) as archive:  # before anything is unpacked
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise DataError(Problem(str(path), f"holds {size:,} bytes", f"{MAX_BYTES:,} at most: record fewer steps"))
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except OSError as error:
        raise FileError(Problem(str(path), f"cannot be read: {error.strerror or error}")) from error
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(Problem(str(path), f"is no npz of arrays: {error}", HINT)) from error
    try:
        return _from_arrays(found)
    except DataError as error:
        error.add_note(f"in {path}")
        raise


def _from_arrays(arrays: Mapping[str, Any]) -> NirRecording:
    inputs: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    problems = []
    dt = None
    for name, array in arrays.items():
        side, _, node = name.partition(".")
        if side == INPUT:
            inputs[node] = np.asarray(array)
        elif side == EXPECTED:
            expected[node] = np.asarray(array)
        elif name == "dt" and np.asarray(array).size == 1 and np.asarray(array).dtype.kind in "iuf":
            dt = float(np.asarray(array).reshape(()))
        else:
            problems.append(Problem(name, "is not known in a recording", HINT))
    if problems:
        raise DataError(problems)
    return NirRecording(inputs, expected, dt)


def _from_data(given: nir.NIRGraphData, came: nir.NIRGraphData) -> NirRecording:
    steps: set[float] = set()
    inputs = {name: _gridded(name, node, steps) for name, node in given.nodes.items()}
    expected = {name: _gridded(name, node, steps) for name, node in came.nodes.items()}
    if len(steps) != 1:
        raise DataError(Problem("recording", f"has the time steps {sorted(steps)}", "record on one grid of time"))
    return NirRecording(inputs, expected, steps.pop())


def _gridded(name: str, node: Any, steps: set[float]) -> NDArray[Any]:
    """The first sample of a node's one observable."""
    observables = getattr(node, "observables", None)
    if observables is None or len(observables) != 1:
        raise DataError(Problem(name, "does not hold one observable", "give what was fed or read, and nothing else"))
    (data,) = observables.values()
    if not isinstance(data, nir.TimeGriddedData):
        raise DataError(Problem(name, "is a list of events", "say on which steps: data.to_time_gridded(dt)"))
    if data.n_samples != 1:
        raise DataError(Problem(name, f"has {data.n_samples} samples", "give one"))
    steps.add(float(data.dt))
    return np.asarray(data.data[0])
