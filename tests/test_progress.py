import gc
import io
import re
import sys
import time
from types import SimpleNamespace

import pytest

from spikeport import progress
from spikeport.progress import track


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    found = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=found))  # pytest itself sets sys.stderr
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    yield found
    assert not progress._display.locked()


def wait_for(terminal: Terminal, text: str) -> None:
    """Until a bar shows the text; a slow machine takes its time."""
    deadline = time.monotonic() + 20
    while text not in terminal.text:
        assert time.monotonic() < deadline, f"{text!r} was never shown: {terminal.text!r}"
        time.sleep(0.01)


def test_the_items_come_unchanged_and_in_order(terminal):
    assert list(track(range(5), "count")) == [0, 1, 2, 3, 4]
    assert list(track(iter("ab"), "count", enabled=False)) == ["a", "b"]


def test_a_bar_shows_description_count_and_total(terminal):
    for item in track([1, 2], "measure [b]"):
        wait_for(terminal, f"{item - 1}/2")
    assert "measure [b]" in terminal.text


def test_a_total_can_be_given_for_items_without_length(terminal):
    for _ in track(iter([1]), "measure", total=7):
        wait_for(terminal, "0/7")


def test_nothing_is_shown_before_the_delay_has_passed(terminal, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 60.0)
    assert list(track([1, 2], "measure")) == [1, 2]
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_nothing_is_shown_without_a_terminal(terminal, monkeypatch, stream):
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
    for _ in track([1], "measure"):
        time.sleep(0.05)
    assert stream is None or stream.getvalue() == ""


def test_nothing_is_shown_where_it_is_switched_off(terminal):
    for _ in track([1], "measure", enabled=False):
        time.sleep(0.05)
    assert terminal.getvalue() == ""


def test_an_inner_bar_is_silent_and_the_outer_one_goes_on(terminal):
    for i in track([1, 2], "outer"):
        wait_for(terminal, f"{i - 1}/2")
        for _ in track([1, 2, 3], "inner"):
            time.sleep(0.05)
    assert "inner" not in terminal.text


def test_an_exception_of_the_items_passes_and_closes_the_bar(terminal):
    def failing():
        yield 1
        raise KeyError("item")

    items = track(failing(), "measure", total=2)
    next(items)
    wait_for(terminal, "0/2")
    with pytest.raises(KeyError, match="item"):
        next(items)
    assert not progress._display.locked()


def test_an_abandoned_loop_closes_its_bar(terminal):
    items = track([1, 2], "measure")
    next(items)
    wait_for(terminal, "0/2")
    assert progress._display.locked()
    del items
    gc.collect()
    assert not progress._display.locked()


def test_standard_output_stays_what_it_was(terminal):
    before = sys.stdout
    for _ in track([1], "measure"):
        wait_for(terminal, "measure")
        assert sys.stdout is before


def test_a_bar_vanishes_at_the_end(terminal):
    for _ in track([1], "measure"):
        wait_for(terminal, "0/1")
    assert terminal.getvalue().rstrip("\n").endswith("\x1b[2K")
