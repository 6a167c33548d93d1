"""A report as JSON, and back: the fields of `Report` by their names, tuples as lists."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from spikeport.errors import DataError, Problem
from spikeport.files import write_whole
from spikeport.report.report import Report

FORMAT = "spikeport.report/1"

INFINITE = {"inf": math.inf, "-inf": -math.inf}
"""JSON has no infinite numbers, so they are written as text: a relative error over an output of zeros is infinite."""

LARGEST = 2**63
"""Bound of whole numbers: nothing that is counted comes near it."""

MOST_PROBLEMS = 20
"""Problems that one error names: a wrong file may have millions."""


def to_text(report: Report) -> str:
    """JSON in ASCII, one field of the report a line.

    Raises:
        DataError: a number that is not a number.
    """
    document = {"format": FORMAT, "ok": report.ok, **_encode(report, "report")}
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_json(report: Report, path: Path) -> Path:
    """Write `to_text`, whole or not at all; returns the path.

    Raises:
        FileError: the folder is missing, not writable or full.
    """
    return write_whole(path, to_text(report).encode("ascii"))


def report_from_json(text: str) -> Report:
    """The report that `to_text` wrote; every field is checked, nothing is executed.

    Raises:
        DataError: text that is not JSON, not of this format, or has fields that are missing, unknown or of a wrong type.
    """
    document = _parse(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(Problem("report", f"is not of the format {FORMAT}", "read it with the spikeport that wrote it"))
    problems: list[Problem] = []
    content = {key: value for key, value in document.items() if key not in ("format", "ok")}
    report = _decode(Report, content, "report", problems)
    if not problems and document.get("ok") is not report.ok:
        problems.append(Problem("report.ok", f"contradicts the {len(report.misses)} misses"))
    if problems:
        raise DataError(problems[:MOST_PROBLEMS])
    assert isinstance(report, Report)
    return report


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError, TypeError) as error:
        raise DataError(Problem("report", f"is not JSON: {error}")) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _encode(value: Any, where: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        if math.isnan(number):
            raise DataError(Problem(where, "is not a number", "the measurement that made it went wrong"))
        return number if math.isfinite(number) else str(number)
    if isinstance(value, list | tuple):
        return [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if is_dataclass(value):
        return {field.name: _encode(getattr(value, field.name), f"{where}.{field.name}") for field in fields(value)}
    raise DataError(Problem(where, f"is a {type(value).__name__}, which a report cannot hold"))


def _decode(kind: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    """`value` as an instance of the annotation `kind`; what does not fit goes to `problems`."""
    if is_dataclass(kind):
        return _decode_fields(kind, value, where, problems)
    if kind is float:
        return _decode_float(value, where, problems)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (some,) = (one for one in inner if one is not NoneType)
        return None if value is None else _decode(some, value, where, problems)
    if origin is tuple:
        return _decode_tuple(inner, value, where, problems)
    if origin is Literal:
        fits, expected = isinstance(value, str) and value in inner, f"one of {', '.join(map(repr, inner))}"
    elif kind is int:
        fits, expected = type(value) is int and -LARGEST < value < LARGEST, "a whole number of 64 bits"
    else:
        assert kind is str
        fits, expected = isinstance(value, str), "text"
    if not fits:
        problems.append(_wrong(where, value, expected))
    return value


def _decode_float(value: Any, where: str, problems: list[Problem]) -> float:
    if isinstance(value, str) and value in INFINITE:
        return INFINITE[value]
    if type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    problems.append(_wrong(where, value, "a finite number, 'inf' or '-inf'"))
    return 0.0


def _decode_tuple(inner: Sequence[Any], value: Any, where: str, problems: list[Problem]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        problems.append(_wrong(where, value, "a list"))
        return ()
    kinds = [inner[0]] * len(value) if inner[1:] == (...,) else inner
    if len(kinds) != len(value):
        problems.append(Problem(where, f"has {len(value)} entries, not {len(kinds)}"))
        return ()
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, item, f"{where}[{i}]", problems) for i, (kind, item) in pairs)


def _decode_fields(kind: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    if not isinstance(value, dict):
        problems.append(_wrong(where, value, "an object"))
        return None
    hints = _hints(kind)
    before = len(problems)
    newer = {field.name for field in fields(kind) if field.default is not MISSING}  # older files are without them
    problems += [Problem(f"{where}.{name}", "is missing") for name in hints if name not in value and name not in newer]
    problems += [Problem(f"{where}: {name!r:.60}", "is no field of it") for name in value if name not in hints]
    found = {
        name: _decode(hint, value[name], f"{where}.{name}", problems) for name, hint in hints.items() if name in value
    }
    if len(problems) > before:
        return None
    try:
        return kind(**found)
    except DataError as error:
        problems += [Problem(where, problem.why, problem.hint) for problem in error.problems]
        return None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Type of every field, in order."""
    return get_type_hints(kind)


def _wrong(where: str, value: Any, expected: str) -> Problem:
    return Problem(where, f"is {value!r:.60}, not {expected}")
