"""The native library: found, refused when it does not fit."""

from __future__ import annotations

import re
import shutil

import pytest

import spikeport as sp
from spikeport import native
from spikeport.errors import NativeError
from spikeport.native import loader

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def test_the_library_is_there_where_a_compiler_is() -> None:
    if COMPILER is None:
        pytest.skip("no C++ compiler on this machine")
    assert native.available(), native.why_missing()


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_loaded", lambda: "was not built when spikeport was installed")


def test_a_missing_library_says_why_and_what_to_do(without: None) -> None:
    assert not native.available()
    with pytest.raises(NativeError, match=r"(?s)was not built.*install a C\+\+ compiler"):
        native.levels()


def test_a_library_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if not native.available():
        pytest.skip(native.why_missing())
    monkeypatch.setattr(loader, "ABI_VERSION", -7)
    own = int(re.search(r"SP_ABI_VERSION = (\d+)", (loader.SOURCES / "abi.h").read_text())[1])
    assert loader._loaded.__wrapped__() == f"has interface version {own}, and this spikeport needs -7"


def test_a_library_of_an_older_interface_is_refused_by_its_version_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its functions take other arguments: none of them may be called."""

    class Stale:
        sp_abi_version = staticmethod(lambda: loader.ABI_VERSION - 1)

    if not native.available():
        pytest.skip(native.why_missing())
    monkeypatch.setattr(loader.ctypes, "CDLL", lambda path: Stale())
    why = f"has interface version {loader.ABI_VERSION - 1}, and this spikeport needs {loader.ABI_VERSION}"
    monkeypatch.setattr(loader, "_loaded", loader._loaded.__wrapped__)
    assert not native.available()
    net = sp.Network("n")
    net.population("cells", 2, sp.IF())
    with pytest.raises(sp.NativeError, match=why):
        sp.run(net, duration=0.01, on="native")
    assert sp.run(net, duration=0.01).duration == 0.01  # the reference does it


def test_a_library_built_from_other_sources_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not native.available():
        pytest.skip(native.why_missing())
    monkeypatch.setattr(loader, "_hash_of_sources", lambda: "0" * 64)
    assert "was built from other sources" in loader._loaded.__wrapped__()
    assert "run `make native`; numpy and torch do the same, slower" in caplog.text


def test_a_library_without_a_function_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if not native.available():
        pytest.skip(native.why_missing())

    class Older:
        sp_abi_version = staticmethod(lambda: loader.ABI_VERSION)

    monkeypatch.setattr(loader.ctypes, "CDLL", lambda path: Older())
    assert loader._loaded.__wrapped__().startswith("cannot be loaded")


needs_library = pytest.mark.skipif(not native.available(), reason=native.why_missing())


@needs_library
def test_an_instruction_set_that_is_unknown_or_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NativeError, match="one of portable, avx2"), native.using("sse9"):
        pass
    status = native.library().sp_use_level(99)
    with pytest.raises(NativeError, match="no such instruction set"):
        native.check(status)


@needs_library
def test_the_instruction_set_comes_back_after_the_block() -> None:
    before = native.level()
    with native.using("portable"):
        assert native.level() == "portable"
    assert native.level() == before
