"""The page of `bench/nir_matrix.py`: made from what was recorded, without a simulator."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import spikeport as sp
from spikeport.primitives import (
    IF,
    DynamicNetwork,
    DynamicPopulation,
    NetworkOutput,
    OneToOne,
    Projection,
    SpikeInput,
)

pytest.importorskip("nir")
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`bench/nir_page.py`, imported as its command imports it."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("nir_page")


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`bench/nir_matrix.py`."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("nir_matrix")


def test_the_page_in_the_tree_is_what_the_recorded_results_give(matrix: ModuleType, pages: ModuleType) -> None:
    columns = pages.recorded(DOCS / "nir-conformance", [tool.name for tool in matrix.TOOLS])
    assert [column.tool for column in columns] == [tool.name for tool in matrix.TOOLS]
    assert pages.page(columns) == (DOCS / "nir-conformance.md").read_text(encoding="utf-8")


def test_the_recorded_results_hold_no_cell_that_is_silently_wrong(matrix: ModuleType, pages: ModuleType) -> None:
    for column in pages.recorded(DOCS / "nir-conformance", [tool.name for tool in matrix.TOOLS]):
        assert list(column.cells) == list(pages.ROADS)
        assert list(column.cells["read"]) == list(matrix.ROWS)
        assert list(column.cells["written"]) == list(matrix.WRITTEN)
        for rows in column.cells.values():
            for cell in rows.values():
                assert cell.verdict not in pages.WRONG
                assert cell.networks == column.networks >= 10
                assert cell.why if cell.verdict != "exact" else cell.values > 0 < cell.spikes


def test_a_page_counts_values_and_gives_each_reason_once(pages: ModuleType) -> None:
    exact = pages.Cell("exact", values=2880, spikes=7, networks=3, plain=(5, 960))
    refused = pages.Cell("refused", "a_b <c>", "it", networks=3)
    cells = {"one": exact, "two": refused, "three": refused, "four": replace(refused, by="us")}
    column = pages.Column("tool", {"tool": "1.2", "nir": "1.0.8"}, 1e-4, 3, {"read": cells})
    assert pages.loaded(pages.dumped(column)) == column
    text = pages.page([column])
    assert "| tool | tool 1.2, nir 1.0.8 | 0.0001 s | 1 | 3 | 0 | 0 | 0 | 0 |" in text
    assert (
        "| one | exact, 2,880 |\n| two | it refuses [1] |\n| three | it refuses [1] |\n| four | we refuse [2] |" in text
    )
    assert "1. tool: a\\_b \\<c\\>\n2. tool, by us: a\\_b \\<c\\>" in text
    assert "| one | 5 of 960 |" in text


def test_one_network_that_differs_or_is_refused_decides_a_cell(pages: ModuleType) -> None:
    exact = pages.Cell("exact", values=10, spikes=1)
    assert pages.together([exact, exact]) == pages.Cell("exact", values=20, spikes=2, networks=2)
    refused, differs = pages.Cell("refused", "why", "it"), pages.Cell("differs", "where")
    assert pages.together([exact, refused, differs, exact]).verdict == "differs"
    assert pages.together([exact, refused]).verdict == "refused"
    assert pages.together([replace(exact, spikes=0)]).verdict == "silent"
    assert pages.together([replace(exact, plain=(1, 2)), exact]).plain is None


def test_a_deviation_at_an_equality_is_rounding_and_any_other_is_a_difference(matrix: ModuleType) -> None:
    """Two integrators over 0.5 a step, thresholds 1 and 1.25: the first one meets its threshold exactly in the second step."""
    network = DynamicNetwork(
        name="two",
        inputs=(SpikeInput("x", (2,)),),
        populations=(DynamicPopulation("n", (2,), IF(threshold=np.array([1.0, 1.25]))),),
        projections=(Projection("x", "n", (OneToOne(np.array(0.5)),)),),
        contract=sp.DynamicsContract(dt=1.0, integrator="accumulate"),
        outputs=(NetworkOutput("y", "n"),),
    )
    x = np.ones((3, 2), dtype=np.float32)
    mine = matrix.played(network, x)
    assert mine["n"].tolist() == [[0, 0], [0, 0], [1, 1]]
    assert matrix.compared(network, x, mine).values == 6
    early = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert matrix.compared(network, x, {"n": early}).verdict == "rounds"
    late = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = matrix.compared(network, x, {"output": late})
    assert (found.verdict, found.why) == ("differs", "2 of 6 values, first output at (1, 1), 1 for 0")
    assert matrix.compared(network, x, {"n": early[:, 0]}).verdict == "differs"
