"""A network of which the host keeps a part: what comes before the chip and what comes after it.

Each of the two borders is crossed by the spikes of one population. The host's parts are stepped by the reference; recordings are those of
the whole network. The chip's population that sends runs behind by its offset, and what comes after it waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.reference import Stepper
from spikeport.errors import BackendError, LowerError, OptionError, Problem
from spikeport.lower import Cut
from spikeport.plugin import Backend, BackendSession, Intake, Program, Step
from spikeport.plugin.exact import largest_payload
from spikeport.plugin.inputs import checked_batch, populations
from spikeport.primitives import InputEncoder, SpikingNetwork

MOST_CUTS = 64
"""Ways to leave something to the host that are tried."""
Arrays = Mapping[str, NDArray[Any]]
_EMPTY: Arrays = {}


def part_of(network: SpikingNetwork, names: Collection[str], entering: str) -> SpikingNetwork:
    """Some populations as a network of their own, fed by the spikes of `entering`, or by the network's own input where that is empty.

    Raises:
        LowerError: connections from elsewhere lead into it.
    """
    names = set(names)
    own = not entering or entering == network.input.name
    source = network.input.name if own else entering
    reaching = [c for c in network.connections if c.target in names]
    problems = [
        Problem(c.name, f"crosses the border between host and chip beside {source!r}", "cut elsewhere")
        for c in reaching
        if c.source not in names and c.source != source and not (own and c.source in network.on_host())
    ]
    if problems:
        raise LowerError(problems)
    encoder = network.input
    if not own:
        largest = largest_payload(network, entering)
        encoder = InputEncoder(entering, network[entering].shape, "events", np.ones(()), 0, max(1, largest))
    host = network.on_host() - {network.input.name} if own else frozenset[str]()
    kept = tuple(p for p in network.populations if p.name in names or p.name in host)
    inside = {p.name for p in kept}
    connections = tuple(c for c in network.connections if c.target in inside)
    output = network.output if network.output in inside else kept[-1].name
    return replace(network, input=encoder, populations=kept, connections=connections, output=output)


def on_chip(network: SpikingNetwork, cut: Cut) -> SpikingNetwork:
    """The chip's part of a network, whose output is what leaves it."""
    part = part_of(network, cut.on_chip, cut.entering)
    return replace(part, output=cut.leaving or network.output)


def check_cut(network: SpikingNetwork, cut: Cut) -> None:
    """Refuse a cut that is none of this network.

    Raises:
        OptionError: names that are not populations, or populations on neither side.
        LowerError: connections that cross a border beside the one that may.
    """
    named, all_names = [*cut.before, *cut.on_chip, *cut.after], populations(network)
    if [name for name in named if name in all_names] != all_names or len(set(named)) < len(named):
        hint = f"in this order: {', '.join(all_names)}"
        raise OptionError(Problem("allow_host", "is a cut that does not hold all populations once, in order", hint))
    for part, entering in ((cut.before, ""), (cut.after, cut.leaving)):
        if part:
            part_of(network, part, entering)


def check_border(backend: Backend, cut: Cut) -> Problem | None:
    """What is in the way of spikes from the host into the part on the chip."""
    if backend.takes_spikes or not cut.before:
        return None
    why = f"its spikes cannot enter backend {backend.name!r}, which takes values and counts of events alone"
    return Problem(cut.entering, why, "leave nothing before the chip to the host, or choose another backend")


def cuts(network: SpikingNetwork) -> Iterator[Cut]:
    """Ways to cut, those with most neurons on the chip first."""
    names = populations(network)
    sizes = [network[name].size for name in names]
    spans = [(a, b) for a in range(len(names)) for b in range(a + 1, len(names) + 1) if b - a < len(names)]
    tried = 0
    for a, b in sorted(spans, key=lambda span: (-sum(sizes[span[0] : span[1]]), span)):
        cut = Cut(tuple(names[:a]), tuple(names[a:b]), tuple(names[b:]))
        try:
            check_cut(network, cut)
            on_chip(network, cut)
        except LowerError:
            continue
        yield cut
        tried += 1
        if tried == MOST_CUTS:
            return


class HostedSession(BackendSession):
    """The three parts as one session: in a step the first sends, the chip takes it, and what the chip sends goes to the last."""

    def __init__(
        self, program: Program, backend: Backend, record: Collection[str], potentials: Collection[str]
    ) -> None:
        network, cut = program.whole, program.cut
        assert network is not None
        assert cut is not None
        problem = check_border(backend, cut)
        if problem is not None:
            raise BackendError(problem)
        self.record, self.potentials = tuple(record), tuple(potentials)
        self._network, self._cut, chip = network, cut, set(cut.on_chip)
        self._chip = backend.open(
            replace(program, whole=None),  # the cut says what enters: spikes of a population, not counts of an input
            record=[n for n in program.network.by_name if n in chip and (n in record or n == cut.leaving)],
            potentials=[n for n in potentials if n in chip],
        )
        self._parts = {"before": self._host(cut.before, ""), "after": self._host(cut.after, cut.leaving)}
        self._late = program.offsets.get(cut.leaving, 0)
        offsets = {**program.offsets, **dict.fromkeys(cut.after, self._late)}
        self.program = replace(program, network=network, offsets=offsets, whole=None, cut=None)
        self._intake = Intake(self.program)
        self.reset()

    def _host(self, names: Collection[str], entering: str) -> Stepper | None:
        if not names:
            return None
        part = part_of(self._network, names, entering)
        lead = (0, 1) if part.input.kind == "events" else (1,)
        return Stepper(part, np.zeros((*lead, *part.input.shape), dtype=np.int64))

    def reset(self, batch: int = 1) -> None:
        self.require_open()
        self._batch, self._steps = checked_batch(batch), 0
        self._intake.reset(self._batch)
        self._chip.reset(self._batch)
        for part in self._parts.values():
            if part is not None:
                part.reset(self._batch)

    def step(self, spikes: Arrays = _EMPTY, currents: Arrays = _EMPTY) -> Step:
        self.require_open()
        cut, first, last = self._cut, self._parts["before"], self._parts["after"]
        given, fed = self._intake.take(spikes, currents)
        sent: dict[str, NDArray[Any]] = {}
        shown: dict[str, NDArray[Any]] = {}
        if first is not None:
            sent |= first.fed(given.get(self._network.input.name), {n: v for n, v in fed.items() if n in cut.before})
            shown |= {n: first.state[n].v.copy() for n in self.potentials if n in cut.before}
            given = {cut.entering: sent[cut.entering]}
        found = self._chip.step(given, {n: v for n, v in fed.items() if n in cut.on_chip})
        sent |= found.spikes
        shown |= found.potentials
        if last is not None:
            # what the chip sends first belongs to step 0 of what comes after it
            waits = self._steps < self._late
            sent |= {} if waits else last.fed(np.asarray(found.spikes[cut.leaving], dtype=np.int64), {})
            for name in cut.after:
                sent.setdefault(name, np.zeros((self._batch, *self._network[name].shape), dtype=np.int64))
                if name in self.potentials:
                    shown[name] = last.state[name].v.copy()
        self._steps += 1
        return Step({n: sent[n] for n in self.record}, {n: shown[n] for n in self.potentials})

    def close(self) -> None:
        self.closed = True
        self._chip.close()
