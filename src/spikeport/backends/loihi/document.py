"""A placed program in a `Program`: what JSON says, and the weights in the chip's formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.placed import Placed
from spikeport.errors import BackendError, Problem
from spikeport.lower import Part
from spikeport.plugin import Program
from spikeport.primitives import Projection, Sparse

WIDEST = 2**24
"""Largest absolute weight of a program: no synapse of the chip holds more in all its pieces."""


def written(placed: Placed, neuron: str | None) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The document and the arrays.

    Args:
        placed: what the cores execute.
        neuron: the choice by which a converted network was lowered.
    """
    links, arrays = [], {}
    for i, link in enumerate(placed.links):
        entry: dict[str, Any] = {
            "source": link.source,
            "target": link.target,
            "delay": link.delay,
            "exponent": link.exponent,
            "port": link.port,
        }
        weights = _weights(link)
        if weights is not None:
            entry["weights"] = f"w{i}"
            arrays[f"w{i}"] = np.array(weights, dtype=_narrowest(weights), order="C")
        links.append(entry)
    document = {
        "chip": placed.chip,
        "neuron": neuron,
        "links": links,
        "parts": [[part.population, part.start, part.stop, part.core] for part in placed.parts],
    }
    return document, arrays


def read(placed: Placed, program: Program) -> Placed:
    """A placed program as the program has it: its delays, exponents, weights and cores, on the network that was lowered again.

    Raises:
        BackendError: a program that does not belong to its network.
    """
    try:
        if program.document["chip"] != placed.chip:
            raise ValueError(f"it is placed for {program.document['chip']!r}")
        links = tuple(
            _link(link, entry, program.arrays)
            for link, entry in zip(placed.links, program.document["links"], strict=True)
        )
        parts = tuple(_part(*entry) for entry in program.document["parts"])
    except (KeyError, TypeError, ValueError) as error:
        why = f"does not belong to its network: {error}"
        raise BackendError(Problem(program.network.name, why, "compile it again")) from None
    _covered(placed, parts, program.network.name)
    return replace(placed, links=links, parts=parts)


def _part(name: object, start: object, stop: object, core: object) -> Part:
    if not isinstance(name, str) or not (type(start) is type(stop) is type(core) is int) or core < 0:
        raise ValueError(f"{[name, start, stop, core]} is no part of a population on a core")
    return Part(name, start, stop, core)


def _link(link: Projection, entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Projection:
    if (entry["source"], entry["target"], entry["port"]) != (link.source, link.target, link.port):
        raise ValueError(f"{link.name} is another connection there")
    link = replace(link, delay=entry["delay"], exponent=entry["exponent"])
    weights = _weights(link)
    if weights is None:
        return link
    stored = arrays[entry["weights"]]
    if stored.shape != weights.shape or stored.dtype.kind not in "iu":
        raise ValueError(f"{link.name} has weights {stored.dtype} of shape {stored.shape}")
    if stored.size and (stored.max() > WIDEST or stored.min() < -WIDEST):
        raise ValueError(f"{link.name} has weights beyond {WIDEST:,}")
    name = "weights" if isinstance(_weighted(link), Sparse) else "weight"
    chain = tuple(replace(s, **{name: stored}) if s is _weighted(link) else s for s in link.synapses)
    return replace(link, synapses=chain)


def _weighted(link: Projection) -> Any:
    return next((s for s in link.synapses if hasattr(s, "weight") or isinstance(s, Sparse)), None)


def _weights(link: Projection) -> NDArray[Any] | None:
    """Of the one synapse of a chain that has some."""
    synapse = _weighted(link)
    if synapse is None:
        return None
    return np.asarray(synapse.weights if isinstance(synapse, Sparse) else synapse.weight)


def _narrowest(weights: NDArray[Any]) -> Any:
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    return next(
        t for t in (np.int8, np.int16, np.int32, np.int64) if np.iinfo(t).min <= low and high <= np.iinfo(t).max
    )


def _covered(placed: Placed, parts: tuple[Part, ...], name: str) -> None:
    """Every neuron of every group once."""
    for group in placed.groups:
        mine = sorted((part.start, part.stop) for part in parts if part.population == group.name)
        ends = [0, *(stop for _, stop in mine)]
        if ends[:-1] != [start for start, _ in mine] or ends[-1] != int(np.prod(group.shape)):
            raise BackendError(
                Problem(name, f"has no core for some neurons of {group.name}, or two", "compile it again")
            )
