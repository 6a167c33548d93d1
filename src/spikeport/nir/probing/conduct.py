"""Probe a simulator: what it takes is offered first, then three probes at most are run, each chosen after what came of the one before."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError, OptionError, Problem
from spikeport.nir.discovery import Deviation
from spikeport.nir.inline import inlined
from spikeport.nir.presets import PRESETS, meant
from spikeport.nir.probing.layers import (
    FEATURES,
    N_STEPS,
    Made,
    Part,
    Reader,
    Variant,
    layer,
    made,
    ring,
    variants,
)
from spikeport.nir.probing.probed import Probe, Probed, Refusal, shown
from spikeport.nir.probing.search import Clock, OutOfTimeError, Search, Seen, deviation
from spikeport.nir.probing.simulator import PATIENCE, Description, RefusedError, Simulator, written

MAX_PROBES = 3
LIMIT = 600.0
"""Seconds that all searches may take together, by default."""
BIASES = (0.25, 0.5, -0.25, 0.75)
"""Of additional readers, as parts of the weight with which a spike reaches them."""
ARITHMETICS = ("float32", "float64")
LATE: Mapping[str, tuple[Any, ...]] = {"layer_latency": (0, 1), "bias_register": ("spikes", "weighted")}
MAPS: Mapping[str, tuple[Any, ...]] = {"flatten": ("channels first", "channels last")}


def probe(
    name: str,
    *,
    python: str | Path | None = None,
    dt: float | None = None,
    patience: float = PATIENCE,
    limit: float = LIMIT,
) -> Probed:
    """Find out how an installed simulator means NIR files.

    Args:
        name: a simulator that there is a driver for, or the path of a driver; see `spikeport.nir.drivers`.
        python: a Python that has the simulator; this one, if none is given.
        dt: seconds of a step that it is asked for; the driver's, if none is given.
        patience: seconds that the simulator may take for an answer.
        limit: seconds that the searches may take together.

    Raises:
        OptionError: no such simulator, Python, or number.
        BackendError: the simulator is not installed there, dies, hangs, or gives what is no recording.
    """
    for what, value in (("dt", dt), ("limit", limit)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise OptionError(Problem(what, f"is {value!r}", "seconds, more than 0"))
    with Simulator(name, python, patience) as simulator:
        described = simulator.describe()
        if dt is not None:
            described = replace(described, dt=dt)
        return _Conduct(simulator, described, limit).run()


@dataclass(slots=True)
class _Conduct:
    simulator: Simulator
    tool: Description
    limit: float
    search: Search = field(init=False)
    probes: list[Probe] = field(default_factory=list)
    read: list[tuple[str, Seen]] = field(default_factory=list)
    """Parts of probes that some contract gives, and of which kind they are."""
    refusals: list[Refusal] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """What no contract gives."""
    found: dict[str, Variant] = field(default_factory=dict)
    """Kinds whose meaning was found, and what was asked of them."""
    offered: int = 0
    complete: bool = True

    def run(self) -> Probed:
        clock = Clock(time.monotonic() + self.limit)
        self.search = Search(self.tool.dt, ARITHMETICS[0], clock)
        try:
            for kind in FEATURES:
                if len(self.probes) < MAX_PROBES:
                    self._kind(kind)
                else:
                    self.odd.append(f"{kind}: not asked, three probes were run")
            self._network()
        except OutOfTimeError:
            self.complete = False
        return self._probed()

    # -- one kind after the other ---------------------------------------------------------------------------------------

    def _kind(self, kind: str) -> None:
        reader = self._reader()
        variant = self._taken(kind, reader)
        if variant is None:
            return
        parts = list(layer(kind, variant, self.tool.dt))
        if reader is not None:  # the strong neurons of the first part alone have more readers
            parts = [parts[0], *(replace(p, strong=()) for p in parts[1:])]
        if reader is None:
            self._direct(kind, variant, parts)
        else:
            self._through(kind, variant, parts, reader)

    def _direct(self, kind: str, variant: Variant, parts: list[Part]) -> None:
        """The layer alone; what leaves it is what it sends."""
        dt = self.tool.dt
        rings = ring(kind, variant, dt)
        why = self._offer(made(kind, [parts[0].first(2), rings], dt))
        if why is None:
            parts.append(rings)
        else:
            self.refusals.append(Refusal(kind, "a loop over an Affine", why))
        whole = made(kind, parts, dt)
        came = self._run(whole, kind)
        if came is None:
            return
        seen = [Seen(p.name, made(kind, [p], dt), part) for p, part in zip(parts, _split(came, parts), strict=True)]
        if not self.search.alone(seen[0], kind):
            self._unread(kind, seen[0])
            return
        self.found[kind] = variant
        self.read.append((kind, seen[0]))
        for s in seen[1:]:
            good = self.search.network(s, LATE) if s.name == "loop" else self.search.alone(s, kind)
            self._part(kind, s, good)

    def _through(self, kind: str, variant: Variant, parts: list[Part], reader: Reader, name: str = "") -> None:
        """The layer, and behind it one that is known."""
        dt = self.tool.dt
        flatten = len(parts) == 1 and "flatten" not in self.search.asked and self._flattens(kind, parts, reader)
        whole = made(kind, parts, dt, reader=reader, flatten=flatten)
        came = self._run(whole, kind)
        if came is None:
            return
        extra = {**LATE, **(MAPS if flatten else {})}
        for i, (part, own) in enumerate(zip(parts, _split(came, parts, reader.more(parts)), strict=True)):
            behind = replace(reader, biases=() if i else reader.biases, deaf=not i)
            if i == 0 and not flatten:  # a few neurons first: they leave few contracts for all of them
                few = [*range(0, part.size, 3)]
                sketch = part.some(few)
                seen = Seen(part.name, made(kind, [sketch], dt, reader=_bare(reader)), own[:, few])
                self.search.through(seen, made(kind, [sketch], dt), kind, extra)
            seen = Seen(part.name, made(kind, [part], dt, reader=behind, flatten=flatten), own)
            if self.search.through(seen, made(kind, [part], dt, flatten=flatten), kind, extra):
                self.found.setdefault(kind, variant)
                self._part(kind, seen, True)
            elif i == 0:
                dropped = made(kind, [part], dt, reader=behind, flatten=flatten, dropped=_first(kind))
                self._unread(kind, seen, dropped)
                return
            else:
                self._part(kind, seen, False)

    def _network(self) -> None:
        """What no kind's probe has told of the network, if a probe is left."""
        reader = self._reader()
        open_ = [q for q in ("layer_latency", "flatten") if q not in self.search.asked]
        if not open_ or reader is None or len(self.probes) >= MAX_PROBES:
            return
        kind = reader.kind
        part = layer(kind, {**reader.variant}, self.tool.dt)[0]
        flatten = self._flattens(kind, [part], reader)
        if not flatten and open_ == ["flatten"]:
            return
        whole = made(kind, [part], self.tool.dt, reader=reader, flatten=flatten)
        came = self._run(whole, f"{kind} behind {kind}")
        if came is not None:
            seen = Seen("plain", whole, came)
            good = self.search.network(seen, {**LATE, **(MAPS if flatten else {})})
            self._part(f"{kind} behind {kind}", seen, good)

    def _flattens(self, kind: str, parts: Sequence[Part], reader: Reader) -> bool:
        small = [p.first(4) for p in parts]
        why = self._offer(made(kind, small, self.tool.dt, reader=reader, flatten=True))
        if why is not None:
            self.refusals.append(Refusal("Flatten", f"of feature maps of {kind}", why))
        return why is None

    def _reader(self) -> Reader | None:
        """A layer whose meaning is known, to look at others through: asked otherwise than before, where that tells more."""
        if not self.found:
            return None
        kind, variant = next(iter(self.found.items()))
        rest = variant.get("v_leak and v_reset")
        plain = dict(variant)
        if variant.get("neurons") == "different" and rest == "free":
            plain["v_leak and v_reset"] = "v_leak = 0"
        if "neurons" in plain:
            plain["neurons"] = "equal"
        choices = [plain]
        if variant["r"] != "free":
            others = [r for r in FEATURES[kind]["r"] if r not in ("free", variant["r"])]
            choices = [*({**plain, "r": r} for r in others), plain]
        for choice in choices:
            part = layer(kind, choice, self.tool.dt)[0].first(2)
            if self._offer(made(kind, [part], self.tool.dt)) is None:
                weight = self._weight(kind, choice)
                if weight is not None:
                    return Reader(kind, choice, weight, BIASES)
        return None

    def _weight(self, kind: str, variant: Variant) -> float | None:
        """The least with which a single spike makes a reader fire at once, under all readings so far."""
        one = layer(kind, variant, self.tool.dt)[0].first(1)
        for exponent in range(-4, 40):
            weight = 1.5 * 2.0**exponent
            drive = np.zeros((N_STEPS, 1))
            drive[8] = weight
            seen = Seen("", made(kind, [Part("", one.neurons, drive)], self.tool.dt), np.zeros((N_STEPS, 1)))
            firsts = [
                deviation(seen, self.search.contract(r, seen.made)) for r in [b.base for b in self.search.branches[:64]]
            ]
            if all(isinstance(f, Deviation) and f.step in (8, 9) for f in firsts):
                return weight
        return None

    # -- the simulator --------------------------------------------------------------------------------------------------

    def _taken(self, kind: str, reader: Reader | None) -> Variant | None:
        """The most telling variant that the simulator takes; what it does not is written down."""
        refused: dict[tuple[str, ...], str] = {}
        for variant in variants(kind):
            small = [p.first(2) for p in layer(kind, variant, self.tool.dt)]
            why = self._offer(made(kind, small, self.tool.dt, reader=reader and _bare(reader)))
            if why is None:
                self.refusals += _given_up(kind, variant, refused)
                return variant
            refused[tuple(variant.values())] = why
        for why in dict.fromkeys(refused.values()):
            self.refusals.append(Refusal(kind, "", why))
        return None

    def _offer(self, offered: Made) -> str | None:
        """Why the simulator does not take a graph: two steps of nothing are run, and only whether something comes is looked at."""
        self.offered += 1
        try:
            came = self.simulator.run(self._file(offered), np.zeros_like(offered.x[:2]), self.tool.dt)
        except RefusedError as error:
            return str(error)
        wanted = int(np.prod(offered.graph["output"]["shape"]))
        return None if came.shape[1] == wanted else f"gave {came.shape[1]} values a step for {wanted}"

    def _run(self, whole: Made, kind: str) -> NDArray[np.float64] | None:
        nodes = " -> ".join(whole.graph.nodes[n].kind for n in whole.file.nodes if n != "w_rec")
        try:
            came = self.simulator.run(self._file(whole), whole.x, self.tool.dt)
        except RefusedError as error:
            self.refusals.append(Refusal(kind, "when it was run", str(error)))
            self.probes.append(Probe(nodes, 0, 0))
            return None
        wanted = int(np.prod(whole.graph["output"]["shape"]))
        if came.shape[1] != wanted:
            self.refusals.append(Refusal(kind, "when it was run", f"gave {came.shape[1]} values a step for {wanted}"))
            self.probes.append(Probe(nodes, 0, 0))
            return None
        self.probes.append(
            Probe(nodes + (", a loop" if "w_rec" in whole.file.nodes else ""), came.size, int(came.sum()))
        )
        return came

    def _file(self, graph: Made) -> Path:
        return written(graph.file, self.simulator.folder / "probe.nir")

    # -- what came of it ------------------------------------------------------------------------------------------------

    def _unread(self, kind: str, seen: Seen, without: Made | None = None) -> None:
        """No contract gives what a kind gave."""
        if without is not None:
            left_out = Seen(seen.name, without, seen.came)
            if any(
                deviation(left_out, self.search.contract(r, without)) is None
                for r in [b.base for b in self.search.branches]
            ):
                self.odd.append(f"{kind}: it is left out without a word, and what enters it passes on")
                return
        self.odd.append(f"{kind}: no contract gives what it gave{self._first()}")

    def _part(self, kind: str, seen: Seen, good: bool) -> None:
        if good:
            self.read.append((kind, seen))
        else:
            self.odd.append(f"{kind}, {seen.name}: no contract gives what it gave{self._first()}")

    def _first(self) -> str:
        return "" if self.search.furthest is None else f"; the closest first deviates at {self.search.furthest}"

    def _probed(self) -> Probed:
        search = self.search
        arithmetics = [
            a
            for a in ARITHMETICS
            if self.found
            and all(deviation(s, search.contract(shown(search.branches), s.made, a)) is None for _, s in self.read)
        ]
        return Probed(
            tool=self.tool,
            probes=tuple(self.probes),
            offered=self.offered,
            refusals=tuple(dict.fromkeys(self.refusals)),
            odd=tuple(self.odd),
            kinds=tuple(self.found),
            branches=search.branches if self.found else (),
            asked=dict(search.asked),
            arithmetics=tuple(arithmetics),
            preset=tuple(self._differences()) if self.tool.name in PRESETS and self.found else None,
            tried=search.tried,
            complete=self.complete,
        )

    def _differences(self) -> Iterator[str]:
        """Where our preset gives something else than the simulator, or does not read what some contract does."""
        for kind, seen in self.read:
            try:
                contract = meant(self.tool.name, inlined(seen.made.graph), self.tool.dt)
            except NirError as error:
                yield f"{kind}, {seen.name}: it does not read it: {error.problems[0].where} {error.problems[0].why}"
                continue
            found = deviation(seen, contract)
            if found is not None:
                yield f"{kind}, {seen.name}: {found}"


def _bare(reader: Reader) -> Reader:
    return replace(reader, biases=(), deaf=False)


def _first(kind: str) -> frozenset[str]:
    return frozenset({f"{kind.lower()}1"})


def _split(came: NDArray[np.float64], parts: Sequence[Part], more: int = 0) -> list[NDArray[np.float64]]:
    """Columns of each part; the last ones belong to the first."""
    ends = np.cumsum([p.size for p in parts])
    columns = [came[:, end - p.size : end] for p, end in zip(parts, ends, strict=True)]
    columns[0] = np.concatenate([columns[0], came[:, ends[-1] :]], axis=1) if more else columns[0]
    return columns


def _given_up(kind: str, taken: Variant, refused: Mapping[tuple[str, ...], str]) -> Iterator[Refusal]:
    """What would have told more than what was taken, one thing at a time, and why it was refused."""
    for feature, options in FEATURES[kind].items():
        for better in options[: options.index(taken[feature])]:
            why = refused.get(tuple({**taken, feature: better}.values()))
            if why is not None:
                yield Refusal(kind, f"{feature}: {better}", why)
