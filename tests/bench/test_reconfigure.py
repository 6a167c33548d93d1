"""The command of `bench/reconfigure.py` finds no difference in some networks, and finds one where there is one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.runtime import session as sessions

BENCH = Path(__file__).resolve().parents[2] / "bench"
FIRST = ["reference", *(["native"] if native.available() else [])]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    made = importlib.import_module("reconfigure")
    monkeypatch.setattr(made, "BACKENDS", tuple(FIRST))
    return made


def test_journals_of_random_sessions_done_again_give_the_same_bits(bench: Any, tmp_path: Path) -> None:
    found = bench.Found()
    for seed in range(12):
        bench.case(10_000 + seed, tmp_path, found, FIRST[seed % len(FIRST)])
    assert found.differences == []
    for what in ("events", "planned", "undone", "snapshots", "restored", "refused", "spikes"):
        assert found.done[what] > 0, what


def test_a_spike_that_comes_a_step_late_is_found(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = sp.Session.play

    def late(self: sp.Session, entry: Any) -> Any:
        if isinstance(entry, sessions.Ran):
            for events in entry.inputs.values():
                if len(events) and events.n_steps > 1:
                    steps = np.minimum(events.steps + (np.arange(len(events)) == 0), events.n_steps - 1)
                    object.__setattr__(events, "steps", steps)
        return played(self, entry)

    monkeypatch.setattr(sp.Session, "play", late)
    found = bench.Found()
    for seed in range(4):
        bench.case(20_000 + seed, tmp_path, found, "reference")
    assert found.differences
