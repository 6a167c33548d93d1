"""The published patterns of Izhikevich's neuron are recognised by their spikes, and are those of the published program to the last bit."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from spikeport import native

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("izhikevich")


def test_every_pattern_is_shown_and_is_the_programs(bench: Any) -> None:
    on = "native" if native.available() else "reference"
    assert [pattern.letter for pattern in bench.PATTERNS] == list("ABCDEFGHIJKLMNOPQRST")
    for pattern in bench.PATTERNS:
        ours, theirs = bench.stepped(pattern, on), bench.published(pattern)
        assert pattern.shows(ours), pattern.name
        assert ours.spikes == theirs.spikes, pattern.name
        assert np.array_equal(ours.v, theirs.v), pattern.name


def test_a_pattern_is_told_from_most_others(bench: Any) -> None:
    """What a class says is not true of everything: each run is of its own class, and of few others."""
    runs = {p.letter: bench.published(p) for p in bench.PATTERNS}
    alike = 0
    for pattern in bench.PATTERNS:
        for letter, run in runs.items():
            try:
                alike += letter != pattern.letter and bool(pattern.shows(run))
            except (IndexError, ValueError):
                continue  # too few spikes, or too short
    assert alike <= 60  # of 380


def test_the_picture_in_the_docs_is_the_one_that_is_drawn(bench: Any) -> None:
    drawn = bench.figure((p, bench.published(p)) for p in bench.PATTERNS)
    assert len(ElementTree.fromstring(drawn)) > 20 * 5
    page = BENCH.parent / "docs" / "images" / "izhikevich.svg"
    assert page.read_text(encoding="utf-8") == drawn, "run: python bench/izhikevich.py --svg docs/images/izhikevich.svg"
