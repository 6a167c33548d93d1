"""What `bench/exact.py` says about memory is what a call takes."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("exact")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_memory_that_a_call_takes_and_gives_back_is_seen(exact: ModuleType) -> None:
    size = 48 * 2**20
    for _ in range(2):  # the second time freed memory is at hand; the system counts pages a little late
        assert 0.9 * size < exact._growth(lambda: None, lambda: np.ones(size, np.uint8)) < 1.5 * size
