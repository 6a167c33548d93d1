"""Settings for single backends in a NIR file: beside our contract, by name of the population, or the ends and number of the projection."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from spikeport.errors import GraphError, NirError, Problem
from spikeport.nir import limits
from spikeport.nir.fields import load
from spikeport.primitives import Approximation, DynamicNetwork, Extension, extended, extensions, remark

KEY = "spikeport_ext"
Key = tuple[str, str, int]


def text_of(network: DynamicNetwork) -> str:
    """All of a network's `ext` as JSON."""
    populations = [[p.name, _entries(p.ext)] for p in network.populations if p.ext]
    projections = [[*key, _entries(p.ext)] for key, p in zip(_keys(network), network.projections, strict=True) if p.ext]
    return json.dumps({"populations": populations, "projections": projections}, allow_nan=False)


def given_back(network: DynamicNetwork, text: object) -> DynamicNetwork:
    """The network of a file with the settings that the file holds.

    Raises:
        NirError: settings of places that are not there, or that are none.
    """
    if text is None:
        return network
    try:
        if not isinstance(text, str) or len(text) > limits.MAX_TEXT:
            raise ValueError("is no text, or too long")
        content = load(text)
        populations = {_text(name): _read(rest) for name, *rest in _rows(content, "populations", 2)}
        projections = {(_text(a), _text(b), n): _read(rest) for a, b, n, *rest in _rows(content, "projections", 4)}
    except GraphError as error:
        raise NirError(Problem(f"ext: {p.where}", p.why, p.hint) for p in error.problems) from error
    except (ValueError, TypeError, KeyError) as error:
        raise NirError(Problem("ext", f"is no settings of ours: {error}"[:300])) from error
    keys = _keys(network)
    unknown = [*(n for n in populations if n not in network.by_name), *(k for k in projections if k not in keys)]
    if unknown:
        raise NirError(
            [Problem("ext", f"has settings of {place!r}, which is not there"[:300]) for place in unknown[:20]]
        )
    return replace(
        network,
        populations=tuple(replace(p, ext=populations.get(p.name, ())) for p in network.populations),
        projections=tuple(
            replace(p, ext=projections.get(key, ())) for key, p in zip(keys, network.projections, strict=True)
        ),
    )


def unsaid(network: DynamicNetwork) -> Iterator[Approximation]:
    """What other tools do not see of it; we give it back."""
    for place in extended(network):
        yield remark(place.name, f"settings for {_names(place.ext)} are in our metadata alone")


def dropped(network: DynamicNetwork, tool: str) -> Iterator[Approximation]:
    """What a file for a tool does not say at all."""
    for place in extended(network):
        yield Approximation(
            place.name, f"settings for {_names(place.ext)} are left out, which {tool} does not know", 0.0
        )


def _names(ext: tuple[Extension, ...]) -> str:
    return " and ".join(e.namespace for e in ext)


def _keys(network: DynamicNetwork) -> list[Key]:
    """Source, target, and how many went there from there before."""
    seen, keys = Counter[tuple[str, str]](), list[Key]()
    for p in network.projections:
        keys.append((p.source, p.target, seen[p.source, p.target]))
        seen[p.source, p.target] += 1
    return keys


def _entries(ext: tuple[Extension, ...]) -> dict[str, dict[str, Any]]:
    return {e.namespace: e.by_name for e in ext}


def _rows(content: Any, name: str, width: int) -> list[Any]:
    rows = content[name]
    if content.keys() != {"populations", "projections"} or not isinstance(rows, list) or len(rows) > limits.MAX_NODES:
        raise ValueError("other entries than populations and projections")
    if not all(isinstance(row, list) and len(row) == width for row in rows):
        raise ValueError(f"{name} are no rows of {width}")
    return rows


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError("a place without a name")
    return name


def _read(rest: Any) -> tuple[Extension, ...]:
    (given,) = rest
    if not isinstance(given, Mapping) or not all(isinstance(settings, Mapping) for settings in given.values()):
        raise ValueError("settings that are no mapping by namespace")
    return extensions(given)
