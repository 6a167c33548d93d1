"""A chip between two parts of the host: recordings are those of the whole network, wherever it is cut."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

import spikeport as sp
from spikeport import codes
from spikeport.backends import hosted, reference
from spikeport.backends.hosted import HostedSession, on_chip, part_of
from spikeport.backends.hosts import REFERENCE
from spikeport.errors import BackendError, LowerError, OptionError
from spikeport.lower import Cut
from spikeport.plugin import Backend, BackendSession, Program, Target
from spikeport.plugin.inputs import fed_populations, populations, spiking, with_membrane
from spikeport.primitives import SpikingNetwork
from tests.integer_networks import random_input, random_network
from tests.plugin.test_sessions import Late
from tests.recordings import assert_equal_recordings


class Chip(Backend):
    """The reference, whose populations run one, two, three steps behind."""

    name, version = "chip", "1"
    targets = (Target(name="chip", title="", vendor=""),)

    def compile(self, network: Any, target: Target, options: Any) -> Program:
        fed = fed_populations(network)
        offsets = {name: 1 if name in fed else 1 + i for i, name in enumerate(populations(network))}
        return Program("chip", "1", "chip", network, offsets)

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        session = Late(program.network, dict(program.offsets), program.cut)
        session.record, session.potentials = tuple(record), tuple(potentials)
        return session


def cuts(network: SpikingNetwork) -> list[Cut]:
    """All ways to keep something on the host of which no other connection crosses a border."""
    names = [p.name for p in network.populations if p.name not in network.on_host()]
    found = []
    for first in range(len(names)):
        for last in range(first + 1, len(names) + 1):
            if first == 0 and last == len(names):
                continue
            cut = Cut(tuple(names[:first]), tuple(names[first:last]), tuple(names[last:]))
            try:
                on_chip(network, cut)
                for part, entering in ((cut.before, ""), (cut.after, cut.leaving)):
                    if part:
                        part_of(network, part, entering)
            except LowerError:
                continue
            found.append(cut)
    return found


@pytest.mark.parametrize("backend", [REFERENCE, Chip()], ids=lambda b: b.name)
@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", ["graded", "signed"])
def test_wherever_it_is_cut_the_recording_is_that_of_the_whole(code: str, kind: str, backend: Backend) -> None:
    seen = set()
    for seed in range(6):
        base = random_network(seed, kind=kind, digits=True)
        try:
            network = codes.encode(base, code)
        except OptionError:
            continue
        x = random_input(base, seed)
        expected = reference.simulate(network, x, record=None)
        for cut in cuts(network)[seed % 3 :: 3]:
            program = backend.compile(on_chip(network, cut), backend.targets[0], None)
            whole = Program(backend.name, backend.version, program.target, program.network, program.offsets,
                            whole=network, cut=cut)  # fmt: skip
            with HostedSession(whole, backend, spiking(network), with_membrane(network)) as session:
                assert_equal_recordings(session.run(x), expected)
                assert_equal_recordings(session.run(x), expected)  # the second sample begins as the first did
            seen.add((bool(cut.before), bool(cut.after)))
    assert (True, True) in seen
    assert (False, True) in seen
    assert (True, False) in seen


def chain() -> tuple[SpikingNetwork, Any]:
    for seed in range(20):
        base = random_network(seed, digits=True)
        network = codes.encode(base, "signed")
        if any(cut.before and cut.after for cut in cuts(network)):
            return network, random_input(base, seed)
    raise AssertionError("no network can be cut")


def test_a_connection_beside_the_border_is_refused_by_name() -> None:
    for seed in range(20):
        network = codes.encode(random_network(seed, digits=True), "signed")
        names = [p.name for p in network.populations if p.name not in network.on_host()]
        beside = [c for c in network.connections if c.source == names[0] and c.target not in names[:2]]
        if not beside:
            continue
        with pytest.raises(LowerError) as error:
            on_chip(network, Cut(tuple(names[:2]), tuple(names[2:]), ()))
        assert {p.where for p in error.value.problems} >= {c.name for c in beside}
        return
    pytest.fail("no network has a skip connection")


def test_a_cut_program_is_kept_in_a_file_with_its_cut(tmp_path: Path) -> None:
    network, x = chain()
    cut = next(cut for cut in cuts(network) if cut.before and cut.after)
    made = REFERENCE.compile(on_chip(network, cut), REFERENCE.targets[0], None)
    program = Program("reference", made.backend_version, "host", made.network, whole=network, cut=cut)
    found = sp.load_program(program.save(tmp_path / "p.spp"))
    assert found.cut == cut
    session = sp.open(found)
    assert isinstance(session, hosted.HostedSession)
    assert_equal_recordings(session.run(x), reference.simulate(network, x, record=None))
    session.close()
    for use in (session.reset, session.step, lambda: session.run(x)):
        with pytest.raises(BackendError, match="session: is closed"):
            use()
