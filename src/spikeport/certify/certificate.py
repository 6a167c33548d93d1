"""A certificate: everything that is proved or was measured of one converted model, as one JSON document.

    format, versions    who wrote it
    hashes              SHA-256 of every tensor of the integer network by its place, of its structure, and of the float graph
    execution           code, steps of presentation, membrane width, drain bound, and the boundary rules
    layers              for each population its lemma, and by channel the intervals of U at the end and at every moment and of the
                        membrane under the code; whether they fit the membrane, and whether float32 holds them exactly
    lemmas              what the lemmas say, in words
    samples             encoded inputs, integer read-outs, and SHA-256 of each layer's counts; null if the model keeps no samples
    measured            what nobody can repeat without the data: accuracies, gap, agreement, comparisons, drain histogram
    sha256              of all the rest

`spikeport.certify.checker` proves all of it again but for `versions`, `lemmas` and `measured`, which its hash alone covers. The
text is the canonical one: keys sorted, no blanks, ASCII, one line.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.certify.bounds import layer_claims
from spikeport.certify.lemmas import LEMMAS
from spikeport.errors import ArchiveError, DataError, FileError, OptionError, Problem
from spikeport.files import write_whole
from spikeport.graph import Graph
from spikeport.primitives import SpikingNetwork
from spikeport.quantize import IntegerNetwork

FORMAT = "spikeport.certificate/1"
PARTS = frozenset(["execution", "format", "hashes", "layers", "lemmas", "measured", "samples", "sha256", "versions"])
MAX_BYTES = 64 * 2**20
_DAMAGED = "it is damaged or was altered; certify the model again"


class Findings(Protocol):
    """What a certificate takes from a report; `spikeport.report` stands above this room."""

    @property
    def samples(self) -> int: ...
    @property
    def data_hash(self) -> str: ...
    @property
    def ann_accuracy(self) -> float | None: ...
    @property
    def snn_accuracy(self) -> float | None: ...
    @property
    def gap(self) -> float | None: ...
    @property
    def gap_interval(self) -> tuple[float, float] | None: ...
    @property
    def agreement(self) -> float | None: ...
    @property
    def disagreements(self) -> int: ...
    @property
    def regression(self) -> Any: ...
    @property
    def capture_difference(self) -> float: ...
    @property
    def capture_samples(self) -> int: ...
    @property
    def stepped_samples(self) -> int: ...
    @property
    def comparisons(self) -> int: ...
    @property
    def mismatches(self) -> int: ...
    @property
    def quiet_after(self) -> tuple[int, ...]: ...
    @property
    def versions(self) -> tuple[tuple[str, str], ...]: ...


def certificate(
    graph: Graph,
    integer: IntegerNetwork,
    carried: IntegerNetwork,
    network: SpikingNetwork,
    report: Findings,
    samples: NDArray[np.int64] | None,
    readout: NDArray[np.int64] | None,
    counts: Mapping[str, NDArray[np.int64]],
) -> dict[str, Any]:
    """Everything known of a model, as JSON values.

    Args:
        graph: the model as captured.
        integer: the integer network.
        carried: the same with one layer for each population: two for one with counts of both signs where spikes have one.
        network: the same under a code.
        report: what was measured.
        samples: encoded inputs, shape (sample, *input); None if the model keeps none.
        readout: integer read-out of the samples.
        counts: of every layer for the samples; the read-out may be among them.

    Raises:
        OptionError: a code that is not exact.
        DataError: a measurement that is not a number.
    """
    contract = network.contract
    if contract.code not in LEMMAS:
        why = f"{contract.code!r} has no lemma: its counts are not proved to be those of the integers, so nothing can be certified"
        raise OptionError(Problem("code", why, f"carry the model by one of {', '.join(sorted(LEMMAS))}"))
    recorded = None
    if samples is not None and readout is not None:
        hashes = {layer.name: tensor_hash(counts[layer.name]) for layer in integer.layers[:-1]}
        recorded = {"inputs": samples.tolist(), "readout": readout.tolist(), "counts": hashes}
    document: dict[str, Any] = {
        "format": FORMAT,
        "versions": dict(report.versions),
        "hashes": hashes_of(graph, integer),
        "execution": {
            "code": contract.code,
            "presentation": contract.presentation,
            "state_bits": contract.state_bits,
            "drain_bound": contract.max_steps,
            "compare": contract.compare,
            "reset": contract.reset,
            "sample_boundary": "state restored",
        },
        "layers": layer_claims(integer, carried, network),
        "lemmas": {f"{contract.code}/{kind}": text for kind, text in LEMMAS[contract.code].items()},
        "samples": recorded,
        "measured": _measured(report),
    }
    document["sha256"] = json_hash(document)
    return document


def write(document: Mapping[str, Any], path: str | Path) -> Path:
    """Write a certificate, whole or not at all; returns the path.

    Raises:
        FileError: the folder is missing, not writable or full.
    """
    return write_whole(path, _text(document).encode("ascii"))


def read(path: str | Path) -> dict[str, Any]:
    """A certificate as it was written; whether it is true is the checker's question.

    Raises:
        FileError: the file does not exist or cannot be read.
        ArchiveError: it is too large, damaged, altered, or no certificate.
    """
    where = str(path)
    try:
        if not Path(path).is_file():
            raise FileError(Problem(where, "is not a file", "give the path of a certificate"))
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(Problem(where, f"cannot be read: {error}")) from error
    if len(data) > MAX_BYTES:
        raise ArchiveError(Problem(where, f"is larger than {MAX_BYTES} bytes"))
    try:
        document = json.loads(data.decode("ascii"), parse_constant=_refuse)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ArchiveError(Problem(where, f"is not of the format {FORMAT}", "give a certificate of spikeport"))
        rest = {key: value for key, value in document.items() if key != "sha256"}
        whole = document.keys() == PARTS and _text(document).encode() == data and document["sha256"] == json_hash(rest)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(Problem(where, f"is not a certificate: {str(error)[:200]}", _DAMAGED)) from error
    if not whole:
        raise ArchiveError(Problem(where, "does not have the hash that it gives", _DAMAGED))
    return document


def tensor_hash(array: NDArray[Any]) -> str:
    """SHA-256 of dtype, shape and the numbers, little-endian in C order."""
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return sha256(f"{plain.dtype.str} {list(plain.shape)}\n".encode() + plain.tobytes()).hexdigest()


def json_hash(value: object) -> str:
    """SHA-256 of the canonical text."""
    return sha256(_text(value).encode()).hexdigest()


def hashes_of(graph: Graph, integer: IntegerNetwork) -> dict[str, Any]:
    """Of every tensor of the integer network by its place, of its structure, and of the graph."""
    tensors: dict[str, str] = {}
    structure = json_hash(_structure(integer, "", tensors))
    return {"tensors": tensors, "structure": structure, "graph": json_hash(_structure(graph, "", {}))}


def _structure(value: Any, place: str, tensors: dict[str, str]) -> Any:
    """A value as `.spk` files write it, with hashes in the places of arrays, which also go to `tensors` by place."""
    if isinstance(value, np.ndarray):
        tensors[place] = tensor_hash(value)
        return {"array": tensors[place]}
    if is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        return {type(value).__name__: {k: _structure(v, f"{place}/{k}".strip("/"), tensors) for k, v in parts.items()}}
    if isinstance(value, tuple):
        return [_structure(v, f"{place}/{_name(v, i)}", tensors) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    # 1.0 and 1 are one number, and a file may hold either
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name(value: Any, index: int) -> Any:
    """An entry's name where that is one of its fields, its index otherwise."""
    named = is_dataclass(value) and any(f.init and f.name == "name" for f in fields(value))
    return value.name if named else index


def _measured(report: Findings) -> dict[str, Any]:
    regression = report.regression
    return {
        "samples": report.samples,
        "data_sha256": report.data_hash,
        "ann_accuracy": _number(report.ann_accuracy),
        "snn_accuracy": _number(report.snn_accuracy),
        "gap": _number(report.gap),
        "gap_interval": None if report.gap_interval is None else [_number(end) for end in report.gap_interval],
        "agreement": _number(report.agreement),
        "disagreements": int(report.disagreements),
        "regression": None
        if regression is None
        else {f.name: _number(getattr(regression, f.name)) for f in fields(regression)},
        "capture_difference": _number(report.capture_difference),
        "capture_samples": report.capture_samples,
        "stepped_samples": report.stepped_samples,
        "comparisons": int(report.comparisons),
        "mismatches": int(report.mismatches),
        "quiet_after": [[steps, n] for steps, n in sorted(Counter(map(int, report.quiet_after)).items())],
    }


def _number(value: Any) -> float | str | None:
    """JSON has no infinite numbers, so they are written as text."""
    if value is None:
        return None
    number = float(value)
    if math.isnan(number):
        raise DataError(Problem("certificate", "a measurement is not a number", "run validate again"))
    return number if math.isfinite(number) else str(number)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
