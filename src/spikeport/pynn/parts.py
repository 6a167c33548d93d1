"""What PyNN's objects are, told by what they have, so that objects of every simulator's module are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem


@dataclass
class Parts:
    """What a caller gave, sorted; populations in the order in which they were found."""

    populations: list[Any] = field(default_factory=list)
    projections: list[Any] = field(default_factory=list)
    injections: list[tuple[Any, Any]] = field(default_factory=list)
    """(current source, cells)"""
    problems: list[Problem] = field(default_factory=list)

    def add(self, part: Any) -> None:
        """Sort in one thing and what belongs to it."""
        if isinstance(part, tuple) and len(part) == 2 and _has(part[0], "inject_into"):
            self._inject(*part)
        elif _has(part, "synapse_type") and _has(part, "pre"):
            if not any(part is known for known in self.projections):
                self.projections.append(part)
                self.add(part.pre)
                self.add(part.post)
        elif _has(part, "inject_into") and not _has(part, "all_cells"):
            cells = vars(part).get("cell_list")
            if cells is None or not len(cells):
                why = "is a current source, and does not say what it flows into"
                self._refuse(type(part).__name__, why, "give it with its cells, as a pair: (source, cells)")
            else:
                self._inject(part, cells)
        elif _has(part, "populations"):  # an assembly, or a network
            for inner in _in_order(part.populations):
                self.add(inner)
            for inner in _in_order(getattr(part, "projections", ())):
                self.add(inner)
        elif _has(part, "grandparent"):
            self.add(part.grandparent)
        elif _has(part, "celltype") and _has(part, "all_cells"):
            if not any(part is known for known in self.populations):
                self.populations.append(part)
        elif isinstance(part, list | tuple | set | frozenset):
            for inner in part:
                self.add(inner)
        else:
            hint = "populations, views, assemblies, projections, (source, cells), or a pyNN.network.Network"
            self._refuse(type(part).__name__, "is nothing of a PyNN network", hint)

    def _inject(self, source: Any, cells: Any) -> None:
        if _has(cells, "all_cells"):
            self.add(cells)
        self.injections.append((source, cells))

    def _refuse(self, where: str, why: str, hint: str) -> None:
        self.problems.append(Problem(where, why, hint))


def _has(part: Any, name: str) -> bool:
    """Whether it has an attribute; current sources look for unknown ones among their parameters, and fail in ways of their own."""
    return name in getattr(part, "__dict__", ()) or hasattr(type(part), name)


def _in_order(parts: Iterable[Any]) -> list[Any]:
    """Networks keep sets: the order in which cells were made is one that does not change from run to run."""
    return parts if isinstance(parts, list) else sorted(parts, key=_first_id)


def _first_id(part: Any) -> tuple[int, int, str]:
    if _has(part, "pre"):
        return (_first_id(part.pre)[0], _first_id(part.post)[0], str(part.label))
    return (int(part.all_cells[0]), 0, str(part.label))


def kind_of(model: Any) -> str:
    """PyNN's name of a standard cell, synapse or source, whatever a simulator's module calls its own; else that of the class."""
    for cls in type(model).__mro__:
        if cls.__module__.startswith("pyNN.standardmodels."):
            return cls.__name__
    return type(model).__name__


class Names:
    """Names for a network of ours from labels of PyNN."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def name(self, label: Any) -> str:
        """A free name that is close to the label: paths are made of slashes and dots."""
        name = re.sub(r"[/.]", "_", str(label)).strip() or "population"
        free, number = name, 2
        while free in self.taken:
            free, number = f"{name} {number}", number + 1
        self.taken.add(free)
        return free


def numbers(population: Any, name: str) -> NDArray[np.float64]:
    """A parameter: of shape () where all cells have the same, else one a cell."""
    values = np.asarray(population.get(name), dtype=np.float64)
    if values.size and (values == values.flat[0]).all():
        return np.asarray(values.flat[0])
    return values


def initial(population: Any, variable: str) -> NDArray[np.float64] | None:
    """What a state variable begins with, as `numbers`; None where nobody says."""
    found = population.initial_values.get(variable)
    if found is None:
        return None
    values = np.asarray(found.evaluate(simplify=True) if hasattr(found, "evaluate") else found, dtype=np.float64)
    if values.size and (values == values.flat[0]).all():
        return np.asarray(values.flat[0])
    return values


def given(component: Any) -> dict[str, Any]:
    """Parameters of a current source or of a learning rule, as they were written: simulators keep some of them shifted."""
    space = getattr(component, "parameter_space", None)
    if space is None:  # pyNN.brian2 keeps native ones alone, and gives them back
        return dict(component.get_parameters().items())
    found = {}
    for name, value in space.items():
        single = deepcopy(value)
        single.shape = (1,)  # it has none before something is made of it
        found[name] = single.evaluate(simplify=True)
    return found


def spike_times(population: Any) -> list[NDArray[np.float64]]:
    """Milliseconds, of each cell of a SpikeSourceArray."""
    written = deepcopy(population.celltype.parameter_space["spike_times"])
    written.shape = (population.size,)
    first = _trains(written.evaluate(simplify=True), population.size)
    try:
        now = _trains(population.get("spike_times"), population.size)
    except (AssertionError, TypeError):  # pyNN.brian2 0.13 fails at giving some back
        return first
    # pyNN.nest keeps times that are shifted, and back they are rounded: what was written is exact, unless it was set anew
    same = all(len(a) == len(b) and np.allclose(a, b, rtol=1e-12, atol=1e-9) for a, b in zip(now, first, strict=True))
    return first if same else now


def _trains(found: Any, size: int) -> list[NDArray[np.float64]]:
    each = [found] * size if hasattr(found, "value") else list(found)
    return [np.asarray(getattr(times, "value", times), dtype=np.float64).ravel() for times in each]
