"""Find out what a NIR file means: run it under every contract that makes a difference, and keep those that give what was recorded.

The space is finite (`spikeport.nir.dimensions`). Each contract first runs few steps, and on only as long as nothing deviates
(`spikeport.nir.trials`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, GraphError, NirError, OptionError, Problem
from spikeport.nir.dimensions import Space, biases_are_late, names, space_of, twin
from spikeport.nir.discovery import Closest, Deviation, Discovery, classes
from spikeport.nir.graph import NirGraph
from spikeport.nir.inline import inlined
from spikeport.nir.network import Meanings
from spikeport.nir.parse import graph_from_object, read_graph
from spikeport.nir.recorded import NirRecording, recording_of, with_outputs
from spikeport.nir.repair import repaired, with_ways_out
from spikeport.nir.trials import Trials, pieces
from spikeport.primitives import DynamicNetwork
from spikeport.primitives.contract import CHOICES as DYNAMICS_CHOICES
from spikeport.primitives.nir_contract import CHOICES as MEANING_CHOICES
from spikeport.progress import track

LIMIT = 300.0
"""Seconds that a search may take, by default."""
TOLERANCE = 1e-6
"""Of recorded potentials, relative to the largest: simulators round to float32. Spikes are compared exactly."""
MAX_KEPT = 200_000
"""Contracts that are kept; a recording that leaves more open says nothing."""


def discover(
    graph: str | Path | NirGraph | nir.NIRGraph,
    recording: Any,
    *,
    dt: float | Sequence[float] | None = None,
    given: Mapping[str, Any] | None = None,
    limit: float = LIMIT,
    repair: bool = False,
) -> Discovery:
    """Every contract under which a graph gives what was recorded; see `spikeport.discover`."""
    made = _graph(graph)
    flat, repairs = repaired(made) if repair else (made, ())
    try:
        meanings = Meanings(inlined(flat))
    except NirError as error:
        raise with_ways_out(error, made) from None
    recorded = recording_of(recording, meanings.flat, _one(dt))
    watched, recorded = with_outputs(meanings.flat, meanings.shapes, recorded)
    if watched is not meanings.flat:
        meanings = Meanings(watched)
    space = space_of(meanings.flat, meanings.shapes, _steps(dt, recorded), _given(given))
    if not limit > 0:
        raise OptionError(Problem("limit", f"is {limit!r}", "seconds, more than 0"))
    with _Search(meanings, recorded, space, limit) as search:
        return replace(search.run(), repairs=repairs)


class _Search:
    def __init__(self, meanings: Meanings, recorded: NirRecording, space: Space, limit: float) -> None:
        self.meanings, self.recorded, self.space = meanings, recorded, space
        self.late_biases = biases_are_late(meanings.flat)
        self.trials: Trials | None = None
        self.expected: dict[str, NDArray[Any]] = {}
        """By output; known with the first network, like the inputs: names and shapes do not depend on the contract."""
        self.end = time.monotonic() + limit
        self.outcomes: dict[tuple[Any, ...], bool] = {}
        self.exact: list[dict[str, Any]] = []
        self.refused: dict[str, int] = {}
        self.best: tuple[tuple[int, int], dict[str, Any], Deviation] | None = None
        self.tried = 0
        self.in_time = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.trials is not None:
            self.trials.close()

    def run(self) -> Discovery:
        for assignment in self._assignments():
            self.tried += 1
            key = twin(self.meanings.flat, assignment, self.space.settled, self.late_biases)
            if key not in self.outcomes:
                self.outcomes[key] = self._reproduces(assignment)
            if self.outcomes[key]:
                self.exact.append(assignment)
        if not self.exact and self.best is None:
            raise NirError([Problem("graph", f"has no meaning under any contract: {why}") for why in self.refused])
        return Discovery(
            found=classes(self.space, self.exact),
            closest=None if self.exact else self._closest(),
            tried=self.tried,
            space=self.space,
            complete=self.in_time,
            n_values=sum(array.size for array in self.recorded.expected.values()),
            refused=self.refused,
        )

    def _assignments(self) -> Iterator[dict[str, Any]]:
        everything = self.space.assignments()
        for assignment in track(everything, "contracts", total=self.space.size):
            if self.tried and (time.monotonic() > self.end or len(self.exact) >= MAX_KEPT):
                self.in_time = False
                return
            yield assignment

    def _reproduces(self, assignment: dict[str, Any]) -> bool:
        try:
            network = self.meanings.network(self.space.contract(assignment))
        except (NirError, GraphError) as error:
            first = error.problems[0]
            why = f"{first.where} {first.why}"
            self.refused[why] = self.refused.get(why, 0) + 1
            return False
        if self.trials is None:
            inputs, self.expected = fitted(network, self.recorded)
            self.trials = Trials(inputs)
        trial = self.trials.start(network)
        for begin, end in pieces(self.recorded.n_steps):
            ours = trial.outputs(begin, end)
            theirs = {name: values[begin:end] for name, values in self.expected.items()}
            ours = {name: ours[name] for name in theirs}
            wrong = {name: differing(v, theirs[name], largest(self.expected[name])) for name, v in ours.items()}
            if any(w.any() for w in wrong.values()):
                deviation = first_deviation(ours, theirs, wrong)
                cells = sum(int(w[deviation.step].sum()) for w in wrong.values())
                self._remember(assignment, replace(deviation, step=begin + deviation.step), cells)
                return False
        return True

    def _remember(self, assignment: dict[str, Any], deviation: Deviation, cells: int) -> None:
        score = (-deviation.step, cells)  # usual contracts come first, and stay where others are no better
        if self.best is None or score < self.best[0]:
            self.best = (score, assignment, deviation)

    def _closest(self) -> Closest:
        assert self.best is not None
        _, assignment, deviation = self.best
        contract = self.space.contract(assignment)
        assert self.trials is not None
        ours = self.trials.start(self.meanings.network(contract)).outputs(0, self.recorded.n_steps)
        cells = sum(int(differing(ours[name], values).sum()) for name, values in self.expected.items())
        return Closest(contract, assignment, deviation, cells)


def fitted(
    network: DynamicNetwork, recorded: NirRecording
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """What goes into the inputs, (time, 1, *shape), and what is expected of the outputs, (time, neuron), by their names.

    Raises:
        DataError: names or sizes that are not those of the network.
    """
    problems: list[Problem] = []
    shapes = {i.name: i.shape for i in network.inputs}
    sizes = {o.name: network[o.source].size for o in network.outputs}
    inputs = _named("input", recorded.inputs, list(shapes), problems)
    expected = _named("expected", recorded.expected, list(sizes), problems, some=True)
    for side, arrays, wanted in (
        ("input", inputs, {n: int(np.prod(s)) for n, s in shapes.items()}),
        ("expected", expected, sizes),
    ):
        for name, array in arrays.items():
            if array.shape[1] != wanted[name]:
                why = f"has {array.shape[1]} values a step, and {name} has {wanted[name]}"
                problems.append(Problem(f"recording.{side}", why, "record all of the node"))
    if problems:
        raise DataError(problems)
    return {name: a.reshape(len(a), 1, *shapes[name]) for name, a in inputs.items()}, expected


def _named(
    side: str, arrays: Mapping[str, NDArray[Any]], known: list[str], problems: list[Problem], some: bool = False
) -> dict[str, NDArray[Any]]:
    if list(arrays) == [""] and len(known) == 1:
        return {known[0]: arrays[""]}
    unknown = [name for name in arrays if name not in known]
    missing = [] if some else [name for name in known if name not in arrays]
    if unknown or missing:
        why = f"is for {', '.join(map(repr, arrays)) or 'nothing'}, and the graph has {', '.join(map(repr, known))}"
        problems.append(Problem(f"recording.{side}", why, f"name each array: {side}.NAME"))
    return {name: array for name, array in arrays.items() if name in known}


def differing(ours: NDArray[Any], theirs: NDArray[Any], scale: float | None = None) -> NDArray[np.bool_]:
    """Where values are not the recorded ones: spikes exactly, potentials within `TOLERANCE` of the largest, which is `scale`."""
    if ours.dtype.kind != "f":
        return ours != theirs
    within = TOLERANCE * (largest(theirs) if scale is None else scale)
    return ~(np.abs(ours - theirs) <= within)


def largest(values: NDArray[Any]) -> float:
    """The largest absolute value."""
    return float(np.abs(values).max(initial=0.0))


def first_deviation(
    ours: Mapping[str, NDArray[Any]], theirs: Mapping[str, NDArray[Any]], wrong: Mapping[str, NDArray[np.bool_]]
) -> Deviation:
    """The earliest place, of the first output and neuron there."""
    places = {name: np.argwhere(w)[0] for name, w in wrong.items() if w.any()}
    name = min(places, key=lambda name: int(places[name][0]))
    step, neuron = (int(i) for i in places[name])
    return Deviation(name, step, neuron, float(ours[name][step, neuron]), float(theirs[name][step, neuron]))


def _graph(graph: Any) -> NirGraph:
    if isinstance(graph, NirGraph):
        return graph
    if isinstance(graph, str | Path):
        return read_graph(graph)
    if isinstance(graph, nir.NIRGraph):
        return graph_from_object(graph)
    raise OptionError(Problem("graph", f"is a {type(graph).__name__}", "a path, or a nir.NIRGraph"))


def _one(dt: float | Sequence[float] | None) -> float | None:
    """The duration of a step, where one is said."""
    if isinstance(dt, Sequence):
        return float(dt[0]) if len(dt) == 1 else None
    return dt


def _steps(dt: float | Sequence[float] | None, recorded: NirRecording) -> tuple[float, ...]:
    if dt is None:
        if recorded.dt is None:
            hint = "dt=1e-4, or `dt` in the recording; several if you do not know: dt=(1e-4, 1e-3)"
            raise OptionError(Problem("dt", "is not given: how long a step is, in seconds", hint))
        return (recorded.dt,)
    found = tuple(map(float, dt)) if isinstance(dt, Sequence) else (float(dt),)
    if not found or not all(np.isfinite(d) and d > 0 for d in found):
        raise OptionError(Problem("dt", f"is {dt!r}", "positive seconds"))
    return found


def _given(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    known: Collection[str] = set(names()) - {"dt"}
    unknown = sorted(set(given or ()) - set(known))
    if unknown:
        hint = f"questions are {', '.join(sorted(known))}"
        raise OptionError([Problem(f"given[{name!r}]", "is no question", hint) for name in unknown])
    choices = {**DYNAMICS_CHOICES, **MEANING_CHOICES}
    wrong = [
        Problem(f"given[{name!r}]", f"is {value!r}", f"one of {', '.join(map(repr, choices.get(name, (True, False))))}")
        for name, value in (given or {}).items()
        if value not in choices.get(name, (True, False))
    ]
    if wrong:
        raise OptionError(wrong)
    return given or {}
