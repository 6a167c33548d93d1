"""Networks and graphs as JSON and arrays, by a closed list of types.

    None, bool, int, float, str   themselves
    tuple                         a list
    dataclass                     {"Dense": {field: value, ...}}, the fields of its `__init__`, all of them
    array                         {"array": "a0"}, numbered in the order they are met; one object is stored once

A file cannot name a type that is not listed here, and every field is checked against its annotation before a value is
made of it. Places are given as JSON paths, `$[1].IntegerNetwork.layers[3].CountLayer.threshold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from math import copysign, inf, isfinite, isnan
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from spikeport import graph, primitives, quantize
from spikeport.errors import ArchiveError, GraphError, Problem
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.quantize import IntegerNetwork
from spikeport.storage.check import dynamic_problems, network_problems

TYPES: Mapping[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        primitives.I,
        primitives.IF,
        primitives.LI,
        primitives.LIF,
        primitives.Accumulator,
        primitives.AdaptiveLIF,
        primitives.Approximation,
        primitives.Connection,
        primitives.Conv,
        primitives.CubaLI,
        primitives.CubaLIF,
        primitives.Dense,
        primitives.DynamicNetwork,
        primitives.DynamicPopulation,
        primitives.DynamicsContract,
        primitives.ExecutionContract,
        primitives.Extension,
        primitives.Factor,
        primitives.FixedCubaLIF,
        primitives.FixedResonateAndFire,
        primitives.FixedSigmaDelta,
        primitives.GradedIF,
        primitives.GradedThreshold,
        primitives.InputEncoder,
        primitives.InterpolatedLIF,
        primitives.Izhikevich,
        primitives.MaxPool,
        primitives.MaxUnit,
        primitives.NetworkOutput,
        primitives.OneToOne,
        primitives.Pad,
        primitives.PhasedIF,
        primitives.PlainIF,
        primitives.Population,
        primitives.Projection,
        primitives.RadixIF,
        primitives.RectifiedIF,
        primitives.Relay,
        primitives.Reshape,
        primitives.ResonateAndFire,
        primitives.SigmaDelta,
        primitives.Rule,
        primitives.SignedIF,
        primitives.Slice,
        primitives.Sparse,
        primitives.SpikeInput,
        primitives.SpikingNetwork,
        primitives.StaircaseBank,
        primitives.StaircaseIF,
        primitives.StaircaseUnit,
        primitives.SumPool,
        primitives.Term,
        primitives.Threshold,
        primitives.Trace,
        primitives.Transpose,
        primitives.UnitBank,
        primitives.Upsample,
        graph.Activation,
        graph.Add,
        graph.Affine,
        graph.Concat,
        graph.Graph,
        graph.Input,
        graph.Node,
        graph.Quantize,
        graph.Relu,
        graph.Softmax,
        quantize.CountLayer,
        quantize.IntegerNetwork,
        quantize.MaxLayer,
        quantize.Readout,
        quantize.StaircaseLayer,
    )
}
"""Everything a file may hold; a type that is not here cannot come out of one."""

FORMER: Mapping[str, str] = {"ResonateAndFire": "FixedResonateAndFire", "SigmaDelta": "FixedSigmaDelta"}
"""What types were called in older files; their fields tell them from those that have the name now."""
LATER: Mapping[str, Mapping[str, object]] = {"DynamicPopulation": {"ext": ()}, "Projection": {"ext": ()}}
"""Fields that older files do not have, with what they then are; where they are that, they are left out."""
ARRAY, INFINITY = "array", "infinity"
"""Keys of an array, and of the sign of an infinite number where there may be one; no type is called so."""
MAX_DEPTH = 64  # our values nest about ten deep
MAX_INTEGER = 2**63  # what an int64 holds


def encode(value: object, more: Mapping[str, type[Any]] | None = None) -> tuple[object, dict[str, NDArray[Any]]]:
    """A value as a structure that `json` writes, and its arrays by name.

    Args:
        more: types that the file holds besides `TYPES`, by names that are none of theirs; numbers in it may be infinite.

    Raises:
        ArchiveError: a value of a kind that a file cannot hold.
    """
    encoder = _Encoder({kind: name for name, kind in {**TYPES, **(more or {})}.items()}, more is not None)
    return encoder.structure(value, "$", 0), dict(encoder.names.values())


def decode(
    structure: object, arrays: Mapping[str, NDArray[Any]], more: Mapping[str, type[Any]] | None = None
) -> object:
    """The value that `encode` was given; networks in it are well formed.

    Args:
        structure: as `json` reads it.
        arrays: by name; read-only ones are shared.
        more: as for `encode`.

    Raises:
        ArchiveError: a type that is not listed, a missing or additional field, a value of the wrong kind, an array that is
            missing or that nothing uses, a graph or network that is not well formed.
    """
    decoder = _Decoder(arrays, {**TYPES, **(more or {})}, more is not None)
    value = decoder.value(structure, "$", 0)
    unused = sorted(arrays.keys() - decoder.used)
    if unused:
        raise ArchiveError(Problem("$", f"does not use the arrays {', '.join(unused[:5])}", "the file was altered"))
    return value


@dataclass
class _Encoder:
    types: Mapping[type[Any], str]
    infinite: bool
    names: dict[int, tuple[str, NDArray[Any]]] = field(default_factory=dict)
    """Name of each array by identity; the array is kept, so that its identity stays its own."""

    def structure(self, value: object, place: str, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise ArchiveError(Problem(place, f"is nested more than {MAX_DEPTH} deep"))
        if isinstance(value, np.generic):
            value = value.item()
        match value:
            case None | bool() | str():
                return value
            case int() if -MAX_INTEGER <= value < MAX_INTEGER:
                return int(value)
            case float() if isfinite(value):
                return float(value)
            case float() if self.infinite and not isnan(value):
                return {INFINITY: int(copysign(1, value))}
            case tuple():
                return [self.structure(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
            case np.ndarray():
                name, _ = self.names.setdefault(id(value), (f"a{len(self.names)}", value))
                return {ARRAY: name}
        name = self.types.get(type(value), "")
        if not name:
            kind = type(value).__name__
            raise ArchiveError(Problem(place, f"{str(value)[:80]} of type {kind} has no place in a file"))
        inner = f"{place}.{name}"
        absent = LATER.get(name, {})
        stated = {key: getattr(value, key) for key in _hints(type(value))}
        return {
            name: {
                key: self.structure(item, f"{inner}.{key}", depth + 1)
                for key, item in stated.items()
                if key not in absent or item != absent[key]
            }
        }


@dataclass
class _Decoder:
    arrays: Mapping[str, NDArray[Any]]
    types: Mapping[str, type[Any]]
    infinite: bool
    used: set[str] = field(default_factory=set)

    def value(self, structure: object, place: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ArchiveError(Problem(place, f"is nested more than {MAX_DEPTH} deep"))
        match structure:
            case None | bool() | str():
                return structure
            case int() if -MAX_INTEGER <= structure < MAX_INTEGER:
                return structure
            case float() if isfinite(structure):
                return structure
            case list():
                return tuple(self.value(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(structure))
            case dict() if len(structure) == 1:
                ((name, content),) = structure.items()
                if self.infinite and name == INFINITY and content in (1, -1):
                    return inf * content
                return self._array(content, place) if name == ARRAY else self._instance(name, content, place, depth)
        raise ArchiveError(Problem(place, f"holds {_shown(structure)}, which is no value of ours"))

    def _array(self, name: object, place: str) -> NDArray[Any]:
        if not isinstance(name, str) or name not in self.arrays:
            raise ArchiveError(Problem(place, f"needs the array {_shown(name)}, which is missing"))
        self.used.add(name)
        return self.arrays[name]

    def _instance(self, name: object, content: object, place: str, depth: int) -> Any:
        former = FORMER.get(name) if isinstance(name, str) else None
        if former is not None and isinstance(content, dict) and content.keys() == _hints(TYPES[former]).keys():
            name = former
        if not isinstance(name, str) or name not in self.types:
            raise ArchiveError(
                Problem(place, f"{_shown(name)} is not a type that a file can hold", "use the spikeport that wrote it")
            )
        place = f"{place}.{name}"
        hints, values = _hints(self.types[name]), dict(LATER.get(name, {}))
        if not isinstance(content, dict) or content.keys() | values.keys() != hints.keys():
            raise ArchiveError(_field_problem(place, content, hints))
        for key, hint in hints.items():
            if key not in content:
                continue
            value = self.value(content[key], f"{place}.{key}", depth + 1)
            fitted = fit(value, hint)
            if fitted is MISFIT:
                raise ArchiveError(Problem(f"{place}.{key}", f"holds {_shown(value)}, not {_described(hint)}"))
            values[key] = fitted
        return _made(self.types[name], values, place)


def _made(kind: type[Any], values: dict[str, Any], place: str) -> Any:
    """An instance of a listed type, checked as a whole."""
    try:
        instance = kind(**values)
    except GraphError as error:
        raise ArchiveError(Problem(f"{place}: {p.where}", p.why, p.hint) for p in error.problems) from error
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ArchiveError(Problem(place, f"is not well formed: {error}")) from error
    if isinstance(instance, DynamicNetwork):
        problems = dynamic_problems(instance)
        if problems:
            raise ArchiveError(Problem(f"{place}: {p.where}", p.why, p.hint) for p in problems)
    if isinstance(instance, SpikingNetwork | IntegerNetwork):
        problems = network_problems(instance)
        if problems:
            raise ArchiveError(Problem(f"{place}: {p.where}", p.why, p.hint) for p in problems)
    return instance


def _field_problem(place: str, content: object, hints: Mapping[str, Any]) -> Problem:
    if not isinstance(content, dict):
        return Problem(place, f"holds {_shown(content)}, not its fields")
    missing = ", ".join(sorted(hints.keys() - content.keys())) or "none"
    unknown = ", ".join(_shown(key) for key in sorted(content.keys() - hints.keys(), key=str)[:5]) or "none"
    return Problem(place, f"missing fields: {missing}; unknown fields: {unknown}", "use the spikeport that wrote it")


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    """Annotations of the fields that `__init__` takes, in order; found out once."""
    if kind not in _HINTS:
        hints = get_type_hints(kind)
        _HINTS[kind] = {f.name: hints[f.name] for f in fields(kind) if f.init}
    return _HINTS[kind]


MISFIT = object()
"""What `fit` gives for a value of another kind."""


def fit(value: Any, hint: Any) -> Any:
    """The value as its annotation wants it, an int as a float where that is asked for; `MISFIT` if it is of another kind."""
    if hint is Any:
        return value
    if hint is float and type(value) is int:
        return float(value)
    if hint is None or hint in (NoneType, bool, int, float, str):
        return value if type(value) is (NoneType if hint is None else hint) else MISFIT
    if isinstance(hint, type) and is_dataclass(hint):
        return value if type(value) is hint else MISFIT
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value if any(type(value) is type(a) and value == a for a in arguments) else MISFIT
    if origin in (Union, UnionType):
        # an exact match first: an int stays an int in `int | float`
        return next(_matches(value, arguments), MISFIT)
    if origin is tuple:
        return _fitted_tuple(value, arguments)
    if origin is np.ndarray:
        return value if isinstance(value, np.ndarray) and _is_of(value.dtype, arguments[1]) else MISFIT
    if origin is Callable:
        return MISFIT  # files hold no functions
    raise NotImplementedError(f"an annotation of the form {hint}")


def _matches(value: Any, hints: tuple[Any, ...]) -> Iterator[Any]:
    found = [fitted for hint in hints if (fitted := fit(value, hint)) is not MISFIT]
    yield from (fitted for fitted in found if fitted is value)
    yield from found


def _fitted_tuple(value: Any, hints: tuple[Any, ...]) -> Any:
    if not isinstance(value, tuple):
        return MISFIT
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        return MISFIT
    parts = tuple(fit(item, hint) for item, hint in zip(value, hints, strict=True))
    return MISFIT if any(part is MISFIT for part in parts) else parts


def _is_of(dtype: np.dtype[Any], hint: Any) -> bool:
    """Whether a dtype is of the kind that `NDArray[...]` names: any, integers, or floating point."""
    (scalar,) = get_args(hint)
    return scalar is Any or dtype.kind in ("iu" if issubclass(scalar, np.integer) else "f")


def _shown(value: object) -> str:
    """A value from a file, short and safe to print."""
    text = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _described(hint: Any) -> str:
    if get_origin(hint) is np.ndarray:
        (scalar,) = get_args(get_args(hint)[1])
        return "an array" if scalar is Any else f"an array of {scalar.__name__}"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("spikeport.", "")
