"""From what a simulator gave for probes to the contracts that give the same: part by part, kind by kind.

A reading is an answer to every question so far: of the network ("layer_latency"), or of a kind of neuron ("LIF.compare"). Parts of a
probe do not touch each other, so each is run alone, as a small network, by the same engines that run any NIR file. Where a layer is seen through another one, readings under
which its neurons fire alike are tried once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport import native
from spikeport.backends.native.dynamics import simulate_dynamics as on_native
from spikeport.backends.reference import simulate_dynamics as on_reference
from spikeport.errors import GraphError, NirError
from spikeport.nir.dimensions import IGNORES, Space, space_of, twin
from spikeport.nir.discover import differing
from spikeport.nir.discovery import Deviation
from spikeport.nir.network import network_of
from spikeport.nir.probing.layers import Made
from spikeport.nir.shapes import infer
from spikeport.nir.trials import outputs
from spikeport.primitives import DynamicNetwork, DynamicsContract
from spikeport.primitives.nir_contract import NirContract
from spikeport.progress import track

NETWORK = ("time_unit", "layer_latency", "bias_register", "flatten")
"""Questions that have one answer for all kinds."""
USUAL = {"time_unit": "s", "layer_latency": 0, "bias_register": "spikes", "flatten": "channels first"}
Reading = Mapping[str, Any]
Values = NDArray[np.float64]


class OutOfTimeError(Exception):
    """The search has taken as long as it may."""


@dataclass(slots=True)
class Clock:
    """When a search has to end."""

    end: float

    def look(self) -> None:
        if time.monotonic() > self.end:
            raise OutOfTimeError


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Some of a probe, and what came of it."""

    name: str
    made: Made
    came: Values
    """(time, neuron)."""


def contract_of(reading: Reading, kinds: Mapping[str, str], dt: float, arithmetic: str) -> NirContract:
    """The contract that a reading is for a graph whose neurons are of some kinds, by node."""
    network = {name: reading.get(name, usual) for name, usual in USUAL.items()}
    nodes: dict[str, dict[str, Any]] = {node: {} for node in kinds}
    ignores = []
    for question, answer in reading.items():
        kind, _, name = question.partition(".")
        if name.startswith(IGNORES):
            if answer and kind in kinds.values():
                ignores.append(f"{kind}.{name.removeprefix(IGNORES)}")
        elif name:
            for node in (n for n, k in kinds.items() if k == kind):
                nodes[node][name] = answer
    dynamics = DynamicsContract(
        dt=dt,
        integrator="forward_euler",
        layer_latency=network["layer_latency"],
        bias_register=network["bias_register"],
        arithmetic=arithmetic,  # type: ignore[arg-type]  # one of ARITHMETICS
    )
    return NirContract(
        dynamics=dynamics,
        time_unit=network["time_unit"],
        flatten=network["flatten"],
        ignores=tuple(ignores),
        nodes={node: own for node, own in nodes.items() if own},
    )


@dataclass(frozen=True, slots=True)
class Branch:
    """A meaning of the network and of the kind that was found first, and what others may be under it, independently of each other."""

    base: Reading
    kinds: Mapping[str, tuple[Reading, ...]]

    @property
    def size(self) -> int:
        """Number of contracts."""
        return prod(len(answers) for answers in self.kinds.values())


class Search:
    """Meanings that fit all that has been seen, most usual first."""

    def __init__(self, dt: float, arithmetic: str, clock: Clock) -> None:
        self.dt, self.arithmetic, self.clock = dt, arithmetic, clock
        self.branches: tuple[Branch, ...] = (Branch({}, {}),)
        self.asked: dict[str, tuple[Any, ...]] = {}
        """Answers that were tried, by question."""
        self.tried = 0
        self.furthest: Deviation | None = None
        """Of the last part: where the contract that goes furthest first deviates."""

    def alone(self, seen: Seen, kind: str) -> bool:
        """Keep what a layer may mean that gives what came; where nothing does, nothing changes, and False is given."""
        space = self._space(seen.made)
        found: dict[Any, Branch] = {}
        tried: dict[Any, bool] = {}
        self.furthest = None
        candidates = self._candidates([b.base for b in self.branches], kind, space)
        for base, answers in candidates:
            assignment = _assignment(answers, kind, space)
            key = same(seen.made, assignment, space)
            if key not in tried:
                tried[key] = self._fits(seen, _with(space.contract(assignment), self.arithmetic))
            if tried[key]:
                found.setdefault((key, _late(base)), Branch({**base, **answers}, {}))
        if found:
            self.branches = tuple(found.values())
            self._ask(kind, space)
        return bool(found)

    def network(self, seen: Seen, extra: Mapping[str, tuple[Any, ...]]) -> bool:
        """As `alone`, of a graph whose kinds are known, with answers about the network."""
        asked = {q: choices for q, choices in extra.items() if q not in self.asked}
        found = []
        self.furthest = None
        for branch in self.branches:
            for network in _distinct(asked):
                self.clock.look()
                base = {**branch.base, **network}
                if self._fits(seen, self.contract(base, seen.made)):
                    found.append(replace(branch, base=base))
        if found:
            self.branches = tuple(found)
            self.asked |= asked
        return bool(found)

    def through(self, seen: Seen, front: Made, kind: str, extra: Mapping[str, tuple[Any, ...]]) -> bool:
        """As `alone`, of a layer that is seen through the one that was found first.

        Args:
            front: the layer without the other one.
            extra: answers about the network to be tried.
        """
        space = self._space(front)
        asked = {q: choices for q, choices in extra.items() if q not in self.asked}
        rasters: dict[Any, bytes | None] = {}
        outcomes: dict[Any, bool] = {}
        found: list[Branch] = []
        self.furthest = None
        for branch in self.branches:
            before = branch.kinds.get(kind)
            known = {q: v for q, v in branch.base.items() if q in NETWORK}
            candidates: dict[Any, Reading] = {}
            starts = [known] if before is None else [{**known, **answers} for answers in before]
            for _, new in self._candidates(starts, kind, space, merged=True):
                candidates.setdefault(same(front, _assignment(new, kind, space), space), new)
            for network in _distinct(asked):
                base = {**branch.base, **network}
                fitting = []
                for key, answers in track(candidates.items(), "contracts"):
                    self.clock.look()
                    if key not in rasters:
                        rasters[key] = self._raster(front, answers, kind, space)
                    if rasters[key] is None:
                        continue
                    pair = (rasters[key], tuple(base.items()))
                    if pair not in outcomes:
                        outcomes[pair] = self._fits(seen, self.contract({**base, **answers}, seen.made))
                    if outcomes[pair]:
                        fitting.append({q: v for q, v in answers.items() if q not in NETWORK})
                if fitting:
                    found.append(Branch(base, {**branch.kinds, kind: tuple(fitting)}))
        if found:
            self.branches = tuple(found)
            self.asked |= asked
            self._ask(kind, space)
        return bool(found)

    def contract(self, reading: Reading, made: Made, arithmetic: str | None = None) -> NirContract:
        """Of a reading, for a graph."""
        return contract_of(reading, made.kinds, self.dt, arithmetic or self.arithmetic)

    # ------------------------------------------------------------------------------------------------------------------

    def _space(self, made: Made) -> Space:
        """The questions of a graph with one kind, in its own words; those that it cannot tell are left to others."""
        given = {name: USUAL[name] for name in ("bias_register", "flatten")}
        return space_of(made.graph, infer(made.graph), (self.dt,), given)

    def _candidates(
        self, before: Sequence[Reading], kind: str, space: Space, merged: bool = False
    ) -> Iterator[tuple[Reading, dict[str, Any]]]:
        """What was found before, with every answer to questions that are new; by all answers, the usual first, where all is new."""
        names = {d.name: question(kind, d.name) for d in space.dimensions}
        if all(names[d.name] not in self.asked for d in space.dimensions if d.name not in NETWORK):
            for assignment in track(space.assignments(), "contracts", total=space.size):
                self.clock.look()
                answers = {names[name]: answer for name, answer in assignment.items()}
                for base in before:
                    if all(base.get(q, a) == a for q, a in answers.items()):
                        yield base, answers
            return
        for base in before:
            choices = [(names[d.name], self._open(base, names[d.name], d.choices)) for d in space.dimensions]
            for values in product(*(c for _, c in choices)):
                self.clock.look()
                new = dict(zip((q for q, _ in choices), values, strict=True))
                yield base, ({**base, **new} if merged else new)

    def _open(self, base: Reading, asked: str, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a question may be answered with after it was, or was not, before."""
        if asked not in base:
            return choices
        answer = base[asked]
        if answer == "zero":  # v_leak or v_reset were 0 where it was asked before: to begin there was to begin at zero
            return (answer, *(c for c in choices if c not in self.asked[asked]))
        return (answer,)

    def _ask(self, kind: str, space: Space) -> None:
        for d in space.dimensions:
            name = question(kind, d.name)
            before = self.asked.get(name, ())
            self.asked[name] = (*before, *(c for c in d.choices if c not in before))

    def _raster(self, made: Made, answers: Reading, kind: str, space: Space) -> bytes | None:
        """What a layer sends under a contract; None where it has no meaning."""
        contract = _with(space.contract(_assignment(answers, kind, space)), self.arithmetic)
        try:
            network = network_of(made.graph, contract)
        except (NirError, GraphError):
            return None
        (values,) = _outputs(network, made).values()
        return values.tobytes()

    def _fits(self, seen: Seen, contract: NirContract) -> bool:
        self.tried += 1
        found = deviation(seen, contract)
        if found is None:
            return True
        if isinstance(found, Deviation) and (self.furthest is None or found.step > self.furthest.step):
            self.furthest = found
        return False


def question(kind: str, name: str) -> str:
    """The name in a reading of a question about a graph with one kind."""
    if name in NETWORK:
        return name
    if name.startswith(IGNORES):
        return f"{kind}.{IGNORES}{name.rpartition('.')[2]}"
    return f"{kind}.{name}"


def same(made: Made, assignment: Mapping[str, Any], space: Space) -> tuple[Any, ...]:
    """What contracts have in common that are provably one for these neurons, so that the most usual of them stands for all."""
    values = {**space.settled, **assignment}
    ignored = {name.rpartition(".")[2] for name, answer in values.items() if name.startswith(IGNORES) and answer}
    initial = "zero" if values.get("initial") in ignored else values.get("initial")
    return (*twin(made.graph, {**assignment, "initial": initial}, space.settled, False), initial)


def _late(reading: Reading) -> tuple[Any, ...]:
    return tuple(reading.get(name) for name in NETWORK)


def _assignment(answers: Reading, kind: str, space: Space) -> dict[str, Any]:
    """In the words of a space; what begins at a value that is 0 there begins at zero."""
    given = {d.name: answers[question(kind, d.name)] for d in space.dimensions}
    return {d.name: given[d.name] if given[d.name] in d.choices else d.choices[0] for d in space.dimensions}


def deviation(seen: Seen, contract: NirContract) -> Deviation | str | None:
    """Where a contract gives something else than what came, or why it has no meaning; None where it gives that."""
    try:
        network = network_of(seen.made.graph, contract)
    except (NirError, GraphError) as error:
        return str(error.problems[0])
    (name,) = (o.name for o in network.outputs)
    ours = _outputs(network, seen.made)[name]
    if ours.shape != seen.came.shape:
        return f"gives {ours.shape} values for {seen.came.shape}"
    wrong = differing(ours, seen.came)
    if not wrong.any():
        return None
    step, neuron = (int(i) for i in np.argwhere(wrong)[0])
    return Deviation(name, step, neuron, float(ours[step, neuron]), float(seen.came[step, neuron]))


def _outputs(network: DynamicNetwork, made: Made) -> dict[str, NDArray[Any]]:
    """What leaves a network in all steps, by the compiled engine where there is one."""
    (given,) = network.inputs
    x = {given.name: made.x[:, None].astype(np.float64)}
    return outputs(network, x, len(made.x), on_native if native.available() else on_reference)


def _with(contract: NirContract, arithmetic: str) -> NirContract:
    return replace(contract, dynamics=replace(contract.dynamics, arithmetic=arithmetic))  # type: ignore[arg-type]  # one of ARITHMETICS


def _distinct(asked: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """All answers; where no layer is late, where a register sits makes no difference, and is tried all the same, as loops are late."""
    return [dict(zip(asked, values, strict=True)) for values in product(*asked.values())]
