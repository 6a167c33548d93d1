"""The list of targets: the catalog and what is installed, without importing any backend."""

from importlib import metadata

import pytest

import spikeport as sp
from spikeport.plugin import TargetInfo, known
from spikeport.plugin.registry import GROUP
from spikeport.targets import target_names


def point(name: str) -> metadata.EntryPoint:
    return metadata.EntryPoint(name, "no_such_module_anywhere:backend", GROUP)


def installed(*names: str) -> metadata.EntryPoints:
    return metadata.EntryPoints(point(name) for name in names)


def test_the_list_begins_with_the_catalog() -> None:
    listed = sp.targets()
    assert isinstance(listed, tuple)
    assert [info.name for info in listed][: len(target_names())] == list(target_names())
    assert all(info.target is not None and info.target.name == info.name for info in listed[: len(target_names())])


def test_what_is_installed_is_listed_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known.metadata, "entry_points", lambda group: installed("zeta", "loihi2"))
    listed = {info.name: info for info in known.targets()}
    assert listed["loihi2"].backend == "loihi2"
    assert listed["loihi2"].installed
    assert not listed["xylo"].installed
    assert listed["zeta"] == TargetInfo("zeta", None, "zeta", "")
    assert [info.name for info in known.targets()].count("loihi2") == 1


def test_nothing_is_installed_where_no_entry_point_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known.metadata, "entry_points", lambda group: installed())
    assert [info for info in known.targets() if info.installed] == []


def test_the_list_prints_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known.metadata, "entry_points", lambda group: installed("zeta"))
    head, rule, *rows = str(known.targets()).splitlines()
    assert head.split()[:4] == ["name", "title", "vendor", "facts"]
    assert set(rule) == {"-", " "}
    assert len(rows) == len(target_names()) + 1
    assert all(row[: len(name)] == name for row, name in zip(rows, target_names(), strict=False))
    column = head.index("backend")
    assert {row[column:] for row in rows} == {"none: check alone", "zeta"}
    assert "dynamics and mapping" in next(row for row in rows if row.startswith("akida1000"))
