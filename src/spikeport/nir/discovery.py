"""What a search for a contract found, good to read and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikeport.nir import declared
from spikeport.nir.dimensions import Space, answer
from spikeport.primitives import Ledger
from spikeport.primitives.nir_contract import NirContract


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first value that is not the recorded one."""

    output: str
    step: int
    neuron: int
    """Flat index in the output."""
    ours: float
    theirs: float

    def __str__(self) -> str:
        where = f"{self.output}, step {self.step}, neuron {self.neuron}"
        return f"{where}: ours {self.ours:g}, theirs {self.theirs:g}"


@dataclass(frozen=True, slots=True)
class Found:
    """Contracts that the recording does not tell apart: one of them, and what may be otherwise in any combination."""

    contract: NirContract
    answers: Mapping[str, Any]
    """By question, of `contract`."""
    open: Mapping[str, tuple[Any, ...]]
    """By question, all answers that fit, where there are several."""

    @property
    def size(self) -> int:
        """Number of contracts."""
        n = 1
        for choices in self.open.values():
            n *= len(choices)
        return n


@dataclass(frozen=True, slots=True)
class Closest:
    """The contract that goes furthest before it deviates."""

    contract: NirContract
    answers: Mapping[str, Any]
    deviation: Deviation
    cells: int
    """Values that differ."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Which contracts reproduce a recording exactly."""

    found: tuple[Found, ...]
    closest: Closest | None
    """Where none does."""
    tried: int
    space: Space
    complete: bool
    """Whether all contracts of the space were tried, in the time that there was."""
    n_values: int
    """Recorded values that were compared."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """How many contracts have no meaning for this graph, by reason."""
    repairs: Ledger = ()
    """What was mended before."""

    @property
    def contract(self) -> NirContract | None:
        """The most usual contract that reproduces the recording."""
        return self.found[0].contract if self.found else None

    def allows(self, contract: NirContract) -> bool:
        """Whether a contract is among those found, as far as its answers make a difference for this graph."""
        answers = self.space.assignment(contract)
        said = [name for name, why in self.space.left_out.items() if name == "dt" or why == "given"]
        if any(answer(contract, name) != self.space.settled[name] for name in said):
            return False
        return any(all(answers[name] in f.open.get(name, (f.answers[name],)) for name in answers) for f in self.found)

    def __str__(self) -> str:
        total = sum(f.size for f in self.found)
        of = f"{self.tried:,} of {self.space.size:,} contracts tried"
        lines = [f"{total:,} contracts give all {self.n_values:,} recorded values exactly ({of})"]
        if not self.found:
            lines = [f"no contract gives all {self.n_values:,} recorded values ({of})"]
        for number, found in enumerate(self.found, 1):
            known = {name: value for name, value in found.answers.items() if name not in found.open}
            lines.append(f"{number:>3}. {_listed(known) or 'anything'}")
            lines += [f"     open: {name}: {_either(choices)}" for name, choices in found.open.items()]
        if self.closest is not None:
            lines.append(f"closest: {_listed(self.closest.answers)}")
            lines.append(f"     {self.closest.cells:,} values differ, first {self.closest.deviation}")
        if not self.complete:
            lines.append("the time was up before all were tried: say more with given=, or give more time")
        lines += map(str, self.repairs)
        lines += [f"no meaning here: {n:,} contracts: {why}" for why, n in self.refused.items()]
        reasons: dict[str, list[str]] = {}
        for name, why in self.space.left_out.items():
            if not why.startswith("there is no "):
                said = why if why != "given" else f"given: {self.space.settled[name]}"
                reasons.setdefault(said, []).append(name)
        lines += [f"not asked: {', '.join(names)} ({why})" for why, names in reasons.items()]
        return "\n".join(lines)

    def values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        closest = self.closest
        return {
            "found": [
                {
                    "contract": _document(f.contract),
                    "answers": dict(f.answers),
                    "open": {name: list(choices) for name, choices in f.open.items()},
                    "contracts": f.size,
                }
                for f in self.found
            ],
            "closest": closest
            and {
                "contract": _document(closest.contract),
                "answers": dict(closest.answers),
                "differing_values": closest.cells,
                "first": {name: getattr(closest.deviation, name) for name in Deviation.__slots__},
            },
            "tried": self.tried,
            "contracts": self.space.size,
            "complete": self.complete,
            "values": self.n_values,
            "refused": dict(self.refused),
            "left_out": dict(self.space.left_out),
            "repairs": [{"node": entry.node, "what": entry.what} for entry in self.repairs],
        }


def classes(space: Space, exact: Sequence[Mapping[str, Any]]) -> tuple[Found, ...]:
    """Few boxes that hold all assignments which are exact: each begins with the most usual one that no box holds yet."""
    order = [d.name for d in space.dimensions]
    known = {tuple(a[name] for name in order) for a in exact}
    rest = dict.fromkeys(tuple(a[name] for name in order) for a in exact)
    found: list[Found] = []
    while rest:
        first = next(iter(rest))
        box = [(value,) for value in first]
        members = {first}
        for i, d in enumerate(space.dimensions):
            fitting = [first[i]]
            for value in d.choices:
                moved = {(*m[:i], value, *m[i + 1 :]) for m in members}
                if value != first[i] and moved <= known:
                    fitting.append(value)
            members = {(*m[:i], value, *m[i + 1 :]) for m in members for value in fitting}
            box[i] = tuple(fitting)
        for member in members:
            rest.pop(member, None)
        answers = dict(zip(order, first, strict=True))
        opened = {name: choices for name, choices in zip(order, box, strict=True) if len(choices) > 1}
        found.append(Found(space.contract(answers), answers, opened))
    return tuple(found)


def _document(contract: NirContract) -> Any:
    return json.loads(declared.text_of(contract))


def _listed(answers: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_said(value)}" for name, value in answers.items())


def _either(choices: Sequence[Any]) -> str:
    return " or ".join(_said(value) for value in choices)


def _said(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"
