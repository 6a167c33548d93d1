"""Backends by entry points: found without an import, loaded one by one, and every failure named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import spikeport as sp
from spikeport.errors import BackendError, OptionError
from spikeport.plugin import find, installed
from spikeport.plugin.registry import backend, extra_of

GOOD = """
from spikeport.plugin import Backend, Target
class Mine(Backend):
    name, version = {name!r}, "2"
    targets = (Target(name="one", title="", vendor=""), Target(name="two", title="", vendor=""))
    def compile(self, network, target, options): raise NotImplementedError
    def open(self, program, *, record, potentials): raise NotImplementedError
{more}
BACKEND = Mine()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs distributions of one module each into a folder; returns the entry points of all of them."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution: str, names: str, module: str, code: str, requires: str = "") -> list[metadata.EntryPoint]:
        (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{distribution.replace('-', '_')}-1.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n{requires}")
        lines = "".join(f"{name} = {module}:BACKEND\n" for name in names.split())
        (folder / "entry_points.txt").write_text(f"[spikeport.backends]\n{lines}")
        return points()

    def points() -> list[metadata.EntryPoint]:
        found = metadata.distributions(path=[str(tmp_path)])
        return [p for d in found for p in d.entry_points if p.group == "spikeport.backends"]

    return install


def test_the_built_in_backends_are_entry_points_like_any_other() -> None:
    for name in ("native", "reference", "torch"):
        (claim,) = installed()[name]
        assert (claim.distribution, claim.place) == ("spikeport", f"spikeport.backends.hosts:{name.upper()}")
        assert sp.backend(name).name == name


def test_a_backend_is_listed_without_an_import_and_alone_imported(site) -> None:
    site("first-chip", "first", "first_chip", GOOD.format(name="first", more=""))
    points = site("other-chip", "other", "other_chip", "raise RuntimeError('imported')")
    claims = installed(points)
    assert list(claims) == ["first", "other"]
    (claim,) = claims["first"]
    assert (claim.name, claim.distribution, claim.version) == ("first", "first-chip", "1.5")
    assert not {"first_chip", "other_chip"} & sys.modules.keys()
    assert backend("first", points=points).name == "first"
    assert "other_chip" not in sys.modules
    del sys.modules["first_chip"]


def test_one_that_fails_is_named_and_the_others_go_on(site) -> None:
    site("good-chip", "good", "good_chip", GOOD.format(name="good", more=""))
    points = site("bad-chip", "bad", "bad_chip", "1 / 0")
    with pytest.raises(BackendError, match=r"bad: of bad-chip 1\.5 cannot be loaded from bad_chip:BACKEND: ZeroDiv"):
        backend("bad", points=points)
    assert backend("good", points=points).name == "good"
    del sys.modules["good_chip"]


def test_what_is_missing_is_named_with_the_extra_that_brings_it(site) -> None:
    points = site(
        "needy-chip", "needy", "needy_chip", "import vendor_sdk", "Requires-Dist: Vendor.SDK>=2; extra == 'sdk'\n"
    )
    with pytest.raises(BackendError, match=r"needs 'vendor_sdk', which is not installed") as error:
        backend("needy", points=points)
    assert error.value.problems[0].hint == "pip install 'needy-chip[sdk]'"
    points = site("poor-chip", "poor", "poor_chip", "import vendor_sdk.device")
    with pytest.raises(BackendError) as error:
        backend("poor", points=points)
    assert error.value.problems[0].hint == "pip install vendor_sdk"
    assert extra_of(metadata.distribution("spikeport"), "torch") == "torch"


def test_two_that_claim_one_name_are_an_error_that_names_both(site) -> None:
    site("a-chip", "chip", "a_chip", GOOD.format(name="chip", more=""))
    points = site("b-chip", "chip", "b_chip", GOOD.format(name="chip", more=""))
    assert [c.distribution for c in installed(points)["chip"]] == ["a-chip", "b-chip"]
    with pytest.raises(BackendError, match=r"chip: is claimed by a-chip 1\.5 and b-chip 1\.5"):
        backend("chip", points=points)
    assert not {"a_chip", "b_chip"} & sys.modules.keys()
    assert len(installed(points + points)["chip"]) == 2  # found twice on the path is no second claim


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            "    plugin_version = 7",
            r"was written for version 7 of the plug-in contract, and this is 1.*\n.*upgrade spikep",
        ),
        (
            "    plugin_version = 0",
            r"was written for version 0 of the plug-in contract, and this is 1.*\n.*upgrade odd-chip",
        ),
        ("    name = 'else'", "calls itself 'else'"),
        ("    targets = ()", "has no targets"),
        ("    targets = (1, 2)", "has targets that are no tuple of Target"),
        ("    targets = (*targets, targets[0])", "has two targets of one name"),
        ("    targets = property(lambda self: 1 / 0)", "cannot say its targets: ZeroDivisionError"),
        ("    plugin_version = '1'", "says it was written for version '1' of the plug-in contract, which is none"),
        ("    options = 5", "has the options 5, which are no dataclass"),
        ("    version = 2", "has the version 2, which is no text"),
        ("raise SystemExit('no license')", "cannot be loaded from odd_chip:BACKEND: SystemExit: no license"),
        ("def Mine(): return 5", "is 5 at odd_chip:BACKEND, no instance of"),
    ],
)
def test_what_does_not_keep_the_contract_is_refused(site, more: str, why: str) -> None:
    points = site("odd-chip", "odd", "odd_chip", GOOD.format(name="odd", more=more))
    with pytest.raises(BackendError, match=why):
        backend("odd", points=points)
    sys.modules.pop("odd_chip", None)


def test_targets_by_name(site) -> None:
    points = site("chips", "mine", "mine_chip", GOOD.format(name="mine", more=""))
    for name, target in (("mine", "one"), ("mine:one", "one"), ("mine:two", "two")):
        found, chosen = find(name, points=points)
        assert (found.name, chosen.name) == ("mine", target)
    for name, why in (
        ("mine:tow", r"backend 'mine' has no target 'tow'\n.*did you mean 'two'"),
        ("mein", r"target: 'mein' is not known\n.*did you mean 'mine'"),
        ("xylo", r"no installed backend compiles for 'xylo'\n.*`check\(model, target='xylo'\)`.*installed: mine"),
        (None, "is a NoneType, not a name"),
    ):
        with pytest.raises(OptionError, match=why):
            find(name, points=points)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"backend: 'mein' is not installed\n.*did you mean 'mine'"):
        backend("mein", points=points)
    with pytest.raises(OptionError, match=r"'speck' is not installed\n.*`check` tells"):
        backend("speck", points=points)
    del sys.modules["mine_chip"]


def test_nothing_heavy_is_imported_to_list_or_describe() -> None:
    code = """
import sys, spikeport as sp
from spikeport.plugin import installed
installed()
for name in ("reference", "native", "torch"):
    assert sp.backend(name).targets[0].name == "host"
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_installed_or_removed_meanwhile_is_seen(site, tmp_path: Path) -> None:
    assert "late" not in installed()
    site("late-chip", "late", "late_chip", GOOD.format(name="late", more=""))
    assert backend("late").name == "late"
    assert installed() is installed()  # read once, as long as nothing changes
    shutil.rmtree(tmp_path / "late_chip-1.5.dist-info")
    with pytest.raises(OptionError, match="'late' is not installed"):
        backend("late")
    del sys.modules["late_chip"]
