"""States that the simulators of chips computed: Lava 0.10.0 of Loihi 2, nengo-loihi 1.1.0's emulator of Loihi 1.

Made by `bench/oracle_lava.py --neurons 15 --steps 32 --golden FILE` and
`bench/oracle_nengo_loihi.py --neurons 18 --steps 40 --golden FILE`.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport.errors import LowerError

ROOT = Path(__file__).resolve().parents[2]
FILES = {"lava": "lava_states.npz", "nengo_loihi": "nengo_loihi_states.npz"}
CASES = [(group, i) for group, cases in (("lava", 42), ("nengo_loihi", 18)) for i in range(cases)]


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`bench/chips.py`, imported as the commands import it."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("chips")


@cache
def golden(group: str) -> Any:
    return importlib.import_module("chips").unpack(Path(__file__).with_name(FILES[group]))


def test_the_files_hold_every_class_and_its_boundaries(chips: Any) -> None:
    assert [(group, i) for group in FILES for i in range(len(golden(group)))] == CASES
    met: dict[str, int] = {}
    for group, i in CASES:
        case, states = golden(group)[i]
        assert np.ptp(states.spikes) + (0 if states.potential is None else np.ptp(states.potential)) > 0, case.name
        chips.add(met, chips.happened(case, states))
    assert min(met.values()) > 50, met


@pytest.mark.parametrize("on", ["reference", "lockstep", "twin", "chip"])
@pytest.mark.parametrize(("group", "i"), CASES)
def test_every_state_of_every_step_is_that_of_the_chips_simulator(chips: Any, group: str, i: int, on: str) -> None:
    case, states = golden(group)[i]
    try:
        found = chips.run_ours(case, on)
    except LowerError as error:
        # simulators take wider mantissas, and one exponent a neuron where ours places one a population
        if on != "chip" or not re.match(r"neurons\.(bias|threshold): takes \d+ bits", str(error)):
            raise
        pytest.skip(f"the chip refuses {case.name}: {str(error).splitlines()[0]}")
    compared, differ = chips.compare(found, states)
    assert compared >= 480
    assert differ == 0, case.name
