"""What another simulator was given and what it gave: one sample, step by step."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, FileError, Problem
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.nirdata import Gridded, NirData, Observed, data_of, read_nirdata, sorted_out, step_of
from spikeport.nir.shapes import Shapes
from spikeport.primitives.frozen import frozen

MAX_BYTES = 2**30
"""Of the arrays of a recording."""
INPUT, EXPECTED = "input", "expected"
HDF5 = b"\x89HDF"
DATA_FILES = (".nird", ".h5", ".hdf5")
"""How files of NIRData may end, where it counts."""
FIRING = ("CubaLIF", "IF", "LIF", "Threshold")
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


def recording_of(given: Any, flat: NirGraph | None = None, dt: float | None = None) -> NirRecording:
    """A recording from an npz, a mapping of arrays as in such a file, NIRData (a file or an object) or a pair of these, of what went in and
    what came out.

    Args:
        flat: the graph, which says what of NIRData went in.
        dt: seconds of a step, where NIRData has events alone.

    Raises:
        DataError: what does not fit.
        FileError: the file cannot be read.
    """
    if isinstance(given, NirRecording):
        return given
    if isinstance(given, str | Path) and not _is_hdf5(Path(given)):
        return _from_npz(Path(given))
    if isinstance(given, Mapping):
        return _from_arrays(given)
    if isinstance(given, tuple) and len(given) == 2:
        went, came = map(_data, given)
        if went is not None and came is not None:
            return _from_data(went, came, flat, dt)
    elif (data := _data(given)) is not None:
        if flat is None:
            raise DataError(Problem("recording", "is NIRData, and no graph says what of it went in"))
        went_in = {name for name in flat.of_kind("Input") if not flat.sources(name)}
        went = NirData({name: seen for name, seen in data.nodes.items() if name in went_in})
        came = NirData({name: seen for name, seen in data.nodes.items() if name not in went_in})
        return _from_data(went, came, flat, dt)
    raise DataError(Problem("recording", f"is a {type(given).__name__}", HINT))


def _data(given: Any) -> NirData | None:
    if isinstance(given, nir.NIRGraphData):
        return data_of(given)
    if isinstance(given, str | Path):
        return read_nirdata(given)
    return given if isinstance(given, NirData) else None


def _is_hdf5(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(HDF5)) == HDF5
    except (OSError, ValueError):
        return False  # whoever opens it next says so


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


def _from_data(went: NirData, came: NirData, flat: NirGraph | None, dt: float | None) -> NirRecording:
    """Of one sample; what fires is compared by its spikes, all else by its values."""
    step = step_of(NirData({**{f"input.{n}": o for n, o in went.nodes.items()}, **came.nodes}), dt)
    inputs = {name: _single(name, _only(name, observed), step) for name, observed in went.nodes.items()}
    expected = {name: _single(name, _meant(name, seen, flat), step) for name, seen in came.nodes.items()}
    return NirRecording(inputs, expected, step)


def _only(name: str, observed: Mapping[str, Observed]) -> Observed:
    if len(observed) != 1:
        why = f"does not hold one observable: {', '.join(observed) or 'none'}"
        raise DataError(Problem(name, why, "give what was fed or read, and nothing else"))
    return next(iter(observed.values()))


def _meant(name: str, observed: Mapping[str, Observed], flat: NirGraph | None) -> Observed:
    """Of spikes and potentials of one node those that the graph passes on."""
    if len(observed) == 1 or flat is None or name not in flat.nodes:
        return _only(name, observed)
    fired, kept = sorted_out(name, observed)
    at = name
    while flat[at].kind == "Output" and len(flat.sources(at)) == 1:
        (at,) = flat.sources(at)
    found = fired if flat[at].kind in FIRING else kept
    return found if found is not None else _only(name, observed)


def _single(name: str, observed: Observed, dt: float) -> NDArray[Any]:
    """The one sample, step by step."""
    try:
        data = (observed if isinstance(observed, Gridded) else observed.on_grid(dt)).data
    except DataError as error:
        raise DataError([replace(problem, where=name) for problem in error.problems]) from error
    if len(data) != 1:
        raise DataError(Problem(name, f"has {len(data)} samples", "give one"))
    if data.nbytes > MAX_BYTES:
        raise DataError(Problem(name, f"holds {data.nbytes:,} bytes", f"{MAX_BYTES:,} at most: record fewer steps"))
    return data[0]


def with_outputs(flat: NirGraph, shapes: Mapping[str, Shapes], recorded: NirRecording) -> tuple[NirGraph, NirRecording]:
    """The graph with an Output behind every recorded node that is none, and the recording by the names of these."""
    leading = {a for a, _ in flat.edges}
    inside = [n for n in recorded.expected if n in flat.nodes and (flat[n].kind != "Output" or n in leading)]
    if not inside:
        return flat, recorded
    names = {name: f"{name} (recorded)" for name in inside}
    ends = {end: NirNode("Output", {"shape": np.array(shapes[name].target)}) for name, end in names.items()}
    graph = NirGraph({**flat.nodes, **ends}, (*flat.edges, *names.items()), flat.metadata, flat.version)
    expected = {names.get(name, name): values for name, values in recorded.expected.items()}
    return graph, replace(recorded, expected=expected)
