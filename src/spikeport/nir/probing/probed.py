"""What came of probing a simulator, good to read and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from spikeport.nir import declared
from spikeport.nir.dimensions import IGNORES
from spikeport.nir.probing.search import NETWORK, Branch, Reading
from spikeport.nir.probing.simulator import Description
from spikeport.primitives import DynamicsContract
from spikeport.primitives.nir_contract import CHOICES, NirContract

OWN_AND_NETWORK = tuple(f.name for f in fields(DynamicsContract) if f.name not in ("dt", "arithmetic"))


@dataclass(frozen=True, slots=True)
class Probe:
    """One that was run."""

    nodes: str
    values: int
    """That came; 0: it was refused."""
    spikes: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a simulator does not take, in its own words."""

    kind: str
    what: str
    why: str

    def __str__(self) -> str:
        return (
            f"{self.kind}{self.what and ', ' + self.what}: {self.why.splitlines()[0] if self.why else 'without a word'}"
        )


@dataclass(frozen=True, slots=True)
class Probed:
    """How a simulator means NIR files, as far as three probes tell."""

    tool: Description
    probes: tuple[Probe, ...]
    offered: int
    """Files that it was offered, to see what it takes."""
    refusals: tuple[Refusal, ...]
    odd: tuple[str, ...]
    """What no contract gives."""
    kinds: tuple[str, ...]
    """Of neurons whose meaning was found."""
    branches: tuple[Branch, ...]
    """All that fits, the most usual first."""
    asked: Mapping[str, tuple[Any, ...]]
    arithmetics: tuple[str, ...]
    preset: tuple[str, ...] | None
    """Where `like=` gives something else; None: there is no preset of this name, or nothing was found."""
    tried: int
    complete: bool

    @property
    def reading(self) -> Reading | None:
        """The one that is shown: that in which kinds agree most, then the most usual."""
        return shown(self.branches) if self.branches else None

    @property
    def contract(self) -> NirContract | None:
        """The meaning of files as far as kinds agree; what is otherwise for some is in `by_kind`."""
        if self.reading is None:
            return None
        network = {name: self.reading[name] for name in NETWORK if name in self.reading}
        answers = {**network, **_own(self.reading, self.asked)[0]}
        dynamics = {
            "integrator": "forward_euler",
            **{name: answers[name] for name in OWN_AND_NETWORK if name in answers},
        }
        arithmetic: Any = self.arithmetics[0] if self.arithmetics else "float32"
        return NirContract(
            dynamics=DynamicsContract(dt=self.tool.dt, arithmetic=arithmetic, **dynamics),
            ignores=_ignored(self.reading),
            **{name: answers[name] for name in CHOICES if name in answers},
        )

    @property
    def by_kind(self) -> Mapping[str, Mapping[str, Any]]:
        """What nodes of some kind have otherwise than the contract says: entries of its `nodes`."""
        return {} if self.reading is None else _own(self.reading, self.asked)[1]

    @property
    def apart(self) -> Mapping[str, tuple[Any, ...]]:
        """Questions that the probes do not decide, and the answers that fit."""
        fitting: dict[str, set[Any]] = {}
        for branch in self.branches:
            for reading in (branch.base, *(r for readings in branch.kinds.values() for r in readings)):
                for question, answer in reading.items():
                    fitting.setdefault(question, set()).add(answer)
        return {q: tuple(a for a in self.asked[q] if a in fit) for q, fit in fitting.items() if len(fit) > 1}

    @property
    def size(self) -> int:
        """Number of contracts that fit."""
        return sum(branch.size for branch in self.branches)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "simulator": self.tool.name,
            "versions": self.tool.versions,
            "dt": self.tool.dt,
            "step": self.tool.step,
            "probes": [asdict(p) for p in self.probes],
            "offered": self.offered,
            "refused": [asdict(r) for r in self.refusals],
            "odd": list(self.odd),
            "kinds": list(self.kinds),
            "contract": None if self.contract is None else json.loads(declared.text_of(self.contract)),
            "by_kind": {kind: dict(own) for kind, own in self.by_kind.items()},
            "reading": None if self.reading is None else dict(self.reading),
            "contracts": self.size,
            "not_told_apart": {q: list(a) for q, a in self.apart.items()},
            "arithmetic": list(self.arithmetics),
            "preset": None if self.preset is None else {"same": not self.preset, "differences": list(self.preset)},
            "contracts_tried": self.tried,
            "complete": self.complete,
        }


def shown(branches: Sequence[Branch]) -> Reading:
    """The meaning in which kinds agree most; of several the most usual one."""
    found: list[tuple[int, Reading]] = []
    for branch in branches:
        reading, odd = dict(branch.base), 0
        for answers in branch.kinds.values():
            odds = [_odds(reading, a) for a in answers]
            best = min(range(len(answers)), key=odds.__getitem__)
            reading |= answers[best]
            odd += odds[best]
        found.append((odd, reading))
    return min(found, key=lambda pair: pair[0])[1]


def _odds(reading: Reading, answers: Reading) -> int:
    """How many questions a kind answers otherwise than others."""
    said: dict[str, set[Any]] = {}
    for question, answer in reading.items():
        said.setdefault(question.partition(".")[2], set()).add(answer)
    own = {question.partition(".")[2]: answer for question, answer in answers.items()}
    return sum(name in said and answer not in said[name] for name, answer in own.items())


def _own(reading: Reading, asked: Mapping[str, tuple[Any, ...]]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What most kinds answer, by question, and what single kinds answer otherwise."""
    by_question: dict[str, dict[str, Any]] = {}
    for question, answer in reading.items():
        kind, _, name = question.partition(".")
        if name and not name.startswith(IGNORES):
            by_question.setdefault(name, {})[kind] = answer
    common: dict[str, Any] = {}
    differing: dict[str, dict[str, Any]] = {}
    for name, answers in by_question.items():

        def agrees(kind: str, answer: Any, name: str = name, answers: dict[str, Any] = answers) -> bool:
            # where v_leak or v_reset are 0, or nothing that a contract can say, to begin there is to begin at zero
            return bool(answers[kind] == answer or (answers[kind] == "zero" and answer not in asked[f"{kind}.{name}"]))

        given = list(answers.values())
        common[name] = max(given, key=lambda answer: sum(agrees(kind, answer) for kind in answers))
        for kind, answer in answers.items():
            if not agrees(kind, common[name]):
                differing.setdefault(kind, {})[name] = answer
    return common, differing


def _ignored(reading: Reading) -> tuple[str, ...]:
    """Parameters that are read over."""
    found = [q.replace(IGNORES, "") for q, answer in reading.items() if IGNORES in q and answer]
    return tuple(sorted(found))


def _lines(p: Probed) -> Any:
    versions = ", ".join(f"{name} {number}" for name, number in p.tool.versions.items())
    yield f"{p.tool.name} ({versions}), dt {p.tool.dt:g} s: {p.tool.step}"
    for number, one in enumerate(p.probes, 1):
        what = f"{one.values:,} values, {one.spikes:,} spikes" if one.values else "refused"
        yield f"probe {number}: {one.nodes}: {what}"
    if not p.complete:
        yield "the time was up before all contracts were tried: give more with --limit"
    reading = p.reading
    if reading is None:
        yield "no contract was found"
    else:
        yield f"{p.size:,} contracts give {'all of it' if not p.odd else 'all but what is odd below'} exactly ({p.tried:,} runs of ours, {p.offered} files offered before)"
        yield ""
        yield from _table(reading, p.kinds, p.arithmetics)
        yield ""
    yield from (f"not told apart: {q}: {' or '.join(map(_said, a))}" for q, a in p.apart.items())
    if len(p.arithmetics) > 1:
        yield f"not told apart: arithmetic: {' or '.join(p.arithmetics)}"
    yield from (f"odd: {text}" for text in p.odd)
    yield from (f"refused: {r}" for r in p.refusals)
    if p.contract is not None:
        yield ""
        yield f"contract={constructor(p.contract, p.by_kind)}"
        if p.preset is not None:
            yield ""
            same = "gives the same" if not p.preset else "does not give all of it"
            yield f'like="{p.tool.name}", dt={p.tool.dt!r}: {same}'
            yield from (f"  {text}" for text in p.preset)


def _table(reading: Reading, kinds: tuple[str, ...], arithmetics: tuple[str, ...]) -> Any:
    rows: dict[str, dict[str, str]] = {}
    for question, answer in reading.items():
        kind, _, name = question.partition(".")
        if name and name.startswith(IGNORES):
            rows.setdefault("ignores", {}).setdefault(kind, "")
            if answer:
                before = rows["ignores"][kind]
                rows["ignores"][kind] = (
                    f"{before}, {name.removeprefix(IGNORES)}" if before else name.removeprefix(IGNORES)
                )
        elif name:
            rows.setdefault(name, {})[kind] = _said(answer)
    if "ignores" in rows:
        rows["ignores"] = {kind: text or "nothing" for kind, text in rows["ignores"].items()}
        rows["ignores"] = rows.pop("ignores")  # at the end
    width = max(map(len, rows), default=0)
    columns = {kind: max(len(kind), *(len(row.get(kind, "-")) for row in rows.values())) for kind in kinds}
    yield f"{'':{width}}  " + "  ".join(f"{kind:{columns[kind]}}" for kind in kinds).rstrip()
    for name, row in rows.items():
        yield f"{name:{width}}  " + "  ".join(f"{row.get(kind, '-'):{columns[kind]}}" for kind in kinds).rstrip()
    network = {name: _said(reading[name]) for name in NETWORK if name in reading}
    network["arithmetic"] = arithmetics[0] if arithmetics else "neither float32 nor float64 as ours is"
    yield "network: " + ", ".join(f"{name} {answer}" for name, answer in network.items())


def constructor(contract: NirContract, by_kind: Mapping[str, Mapping[str, Any]]) -> str:
    """Python that makes a contract, for a file at `path` where kinds of nodes differ.

    >>> print(constructor(NirContract(dynamics=DynamicsContract(dt=0.5, integrator="exponential"), if_gain="step"), {}))
    sp.NirContract(
        dynamics=sp.DynamicsContract(dt=0.5, integrator='exponential'),
        if_gain='step',
    )
    """
    changed = ", ".join(_changed(contract.dynamics, ("dt", "integrator")))
    lines = ["sp.NirContract(", f"    dynamics=sp.DynamicsContract({changed}),"]
    for f in fields(NirContract):
        if f.name not in ("dynamics", "nodes") and getattr(contract, f.name) != f.default:
            lines.append(f"    {f.name}={getattr(contract, f.name)!r},")
    if by_kind:
        nodes = "for name, node in nir.read(path).nodes.items()"
        rows = [f"{{name: {dict(own)!r} {nodes} if type(node) is nir.{kind}}}" for kind, own in by_kind.items()]
        lines += [f"    nodes={' | '.join(rows)},"]
    return "\n".join([*lines, ")"])


def _changed(dynamics: DynamicsContract, always: tuple[str, ...]) -> list[str]:
    return [
        f"{f.name}={getattr(dynamics, f.name)!r}"
        for f in fields(DynamicsContract)
        if f.name in always or getattr(dynamics, f.name) != f.default
    ]


def _said(answer: Any) -> str:
    return {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else f"{answer}"
