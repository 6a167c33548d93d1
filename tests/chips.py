"""Small chips to compile for: the reference behind a target with limits, as a plug-in would bring it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import pytest

from spikeport.backends.hosts import REFERENCE
from spikeport.errors import LowerError, Problem
from spikeport.plugin import Backend, BackendSession, Fact, Program, Target
from spikeport.primitives import Conv, Dense, OneToOne, SpikingNetwork


def fact(value: Any) -> Fact[Any]:
    return Fact(value, "", "made up", "design", True)


@dataclass(frozen=True, slots=True)
class TinyOptions:
    placement: tuple[int, ...] | None = None
    cores: int = 1


class Tiny(Backend):
    """Carries narrow weights and few neurons."""

    name, version, options = "tiny", "3", TinyOptions
    targets = (
        Target(
            name="tiny",
            title="Tiny",
            vendor="nobody",
            features=fact(frozenset(["clock", "subtract reset", "counter", "signed events"])),
            weight_bits=fact(4),
        ),
        Target(name="few", title="Few", vendor="nobody", neurons_max=fact(20)),
        Target(name="wide", title="Wide", vendor="nobody"),
    )

    def compile(self, network: Any, target: Target, options: Any) -> Program:
        problems = list(self._problems(network, target)) if isinstance(network, SpikingNetwork) else []
        if problems:
            raise LowerError(problems)
        document = {"cores": options.cores, "placement": options.placement}
        return Program(self.name, self.version, target.name, network, document=document)

    def _problems(self, network: SpikingNetwork, target: Target) -> Iterator[Problem]:
        bits, most = target.limit("weight_bits"), target.limit("neurons_max")
        on_host = network.on_host()
        for c in network.connections:
            for s in c.synapses:
                if bits and isinstance(s, Dense | Conv | OneToOne) and c.source not in on_host:
                    width = int(np.abs(s.weight).max()).bit_length() + 1
                    if width > bits:
                        yield Problem(c.name, f"its weights take {width} bits, and there are {bits}", "weight_bits")
        for p in network.populations:
            if most is not None and p.size > most:
                yield Problem(p.name, f"has {p.size} neurons, and there is room for {most}", "allow_host")

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        return REFERENCE.open(program, record=record, potentials=potentials)


TINY = Tiny()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The plug-in, installed beside the others."""
    mine = metadata.EntryPoint("tiny", "tests.chips:TINY", "spikeport.backends")
    real = metadata.entry_points

    def entry_points(**select: Any) -> list[metadata.EntryPoint]:  # torch looks for some of its own
        return [*real(**select), *([mine] if select.get("group") == mine.group else [])]

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return TINY
