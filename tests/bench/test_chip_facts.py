"""The comparison of the catalog with the packages of the vendors says what differs."""

import importlib
import sys
from pathlib import Path

import pytest

from spikeport.targets import find_target

BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_a_fact_that_a_package_sees_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    for name in [name for name in sys.modules if name == "peers" or name.startswith("peers.")]:
        monkeypatch.delitem(sys.modules, name)
    differing = importlib.import_module("chip_facts").differing
    found = {"cores": 78, "payload_caps": [1, 3, 15], "features": ["payload"], "pools": [1, 2, 3], "rounding": "floor"}
    assert differing(find_target("akida1000"), found) == [
        "akida1000: pools is [1, 2, 3], and the catalog says [1, 2]",
        "akida1000: rounding is floor, and the catalog says None",
    ]
