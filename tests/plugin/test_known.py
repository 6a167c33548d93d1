"""The list of targets: the catalog and what is installed, without importing any backend."""

from importlib import metadata
from pathlib import Path

import pytest

import spikeport as sp
from spikeport.errors import BackendError, OptionError
from spikeport.plugin import TargetInfo, TargetList, known, target_named, targets
from spikeport.plugin.registry import find, installed
from spikeport.targets import find_target, target_names


@pytest.fixture
def with_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three distributions with backends that cannot be imported."""
    points: list[metadata.EntryPoint] = []
    for distribution, names in {"zeta": ["zeta", "both"], "vendor": ["loihi2"], "rival": ["both"]}.items():
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = no_such_module_anywhere:backend\n" for name in names)
        (folder / "entry_points.txt").write_text(f"[spikeport.backends]\n{lines}")
        points += metadata.PathDistribution(folder).entry_points
    monkeypatch.setattr(known, "installed", lambda: installed(points))


def named(listed: TargetList) -> dict[str, TargetInfo]:
    assert len({info.name for info in listed}) == len(listed)
    return {info.name: info for info in listed}


def test_the_list_begins_with_the_catalog() -> None:
    listed = sp.targets()
    assert isinstance(listed, tuple)
    assert [info.name for info in listed][: len(target_names())] == list(target_names())
    assert all(info.target is not None and info.target.name == info.name for info in listed[: len(target_names())])


@pytest.mark.usefixtures("with_backends")
def test_what_is_installed_is_listed_without_importing_it() -> None:
    listed = named(targets())
    assert listed["loihi2"].backend == "loihi2"
    assert listed["loihi2"].distribution == "vendor 1.0"
    assert listed["loihi2"].installed
    assert not listed["xylo"].installed
    assert listed["zeta"] == TargetInfo("zeta", None, "zeta", "zeta 1.0")


@pytest.mark.usefixtures("with_backends")
def test_all_who_claim_a_name_are_listed() -> None:
    assert named(targets())["both"].distribution == "rival 1.0 and zeta 1.0"


@pytest.mark.usefixtures("with_backends")
def test_the_list_prints_as_a_table() -> None:
    head, rule, *rows = str(targets()).splitlines()
    assert head.split()[:4] == ["name", "title", "vendor", "facts"]
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == [*target_names(), "both", "zeta"]
    column = head.index("backend")
    assert {row.split()[0]: row[column:] for row in rows if row[column:] != "none: check alone"} == {
        "loihi2": "of vendor 1.0",
        "both": "of rival 1.0 and zeta 1.0",
        "zeta": "of zeta 1.0",
    }
    assert "dynamics and mapping" in next(row for row in rows if row.startswith("akida1000"))


def test_a_target_is_named_by_catalog_file_or_backend(tmp_path: Path) -> None:
    assert target_named("xylo") is find_target("xylo")
    assert target_named(find_target("xylo")) is find_target("xylo")
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = "Mine"\nvendor = "Me"\n')
    assert target_named(str(path)) == target_named(path)
    assert target_named(path).name == "mine"
    assert target_named("reference") == target_named("reference:host") == sp.backend("reference").targets[0]


@pytest.mark.parametrize(
    ("name", "hint"), [("xylu", "did you mean 'xylo'"), ("referense", "did you mean 'reference'"), ("", "one of ")]
)
def test_a_name_that_nobody_knows_is_an_error_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(OptionError, match=f"target: {name!r} is not known\n  hint: {hint}"):
        target_named(name)


@pytest.mark.usefixtures("with_backends")
def test_a_chip_of_the_catalog_is_described_without_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_named("loihi2") is find_target(
        "loihi2"
    )  # that of the backend, which cannot be imported, is not asked
    points = [claim.point for claims in known.installed().values() for claim in claims]
    monkeypatch.setattr(known, "find", lambda name: find(name, points=points))
    with pytest.raises(BackendError, match="no_such_module_anywhere"):
        target_named("zeta")
