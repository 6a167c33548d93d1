"""Progress bars on standard error, for people who wait at a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")

DELAY = 0.5
"""Seconds before a bar is shown: what is done sooner needs none."""

_display = threading.Lock()  # held by the one bar that is shown: rich draws one live display at a time


_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silenced(silent: bool = True) -> Iterator[None]:
    """Whether no bar is shown inside the block, whoever would show one."""
    token = _silent.set(silent)
    try:
        yield
    finally:
        _silent.reset(token)


def track(items: Iterable[T], description: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """The items, with a bar on standard error while they are worked on.

    The bar appears where standard error is a terminal and the work takes longer than `DELAY`, and vanishes at the end.
    While one is shown, others are silent.

    Args:
        items: any iterable.
        description: what is being done, in a few words.
        total: number of items; by default `len(items)`, where there is one.
        enabled: False never shows a bar.

    >>> list(track("abc", "spell", enabled=False))
    ['a', 'b', 'c']
    """
    if _silent.get() or not (enabled and sys.stderr is not None and sys.stderr.isatty()):
        yield from items
        return
    bar = _Bar(description, _length(items) if total is None else total)
    try:
        for item in items:
            bar.expect()
            yield item
            bar.advance()
    finally:
        bar.close()


def _length(items: Iterable[object]) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None


class _Bar:
    """A bar that opens itself after `DELAY` unless it was closed before, or another one is shown."""

    def __init__(self, description: str, total: int | None) -> None:
        self._description = description
        self._total = total
        self._started = time.monotonic()
        self._done = 0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False
        self._shown: tuple[Progress, TaskID] | None = None

    def expect(self) -> None:
        """Start waiting; called with the first item in hand, as fetching it may fork workers, which threads disturb."""
        if self._timer is None:
            self._timer = threading.Timer(max(0.0, self._started + DELAY - time.monotonic()), self._open)
            self._timer.daemon = True
            self._timer.start()

    def advance(self) -> None:
        with self._lock:
            self._done += 1
            if self._shown is not None:
                progress, task = self._shown
                progress.update(task, completed=self._done)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._closed = True
            if self._shown is not None:
                progress, _ = self._shown
                self._shown = None
                try:
                    progress.stop()
                finally:
                    _display.release()

    def _open(self) -> None:
        with self._lock:
            if self._closed or not _display.acquire(blocking=False):
                return
            try:
                self._shown = _show(self._description, self._total, self._done, time.monotonic() - self._started)
            except BaseException:
                _display.release()
                raise


def _show(description: str, total: int | None, done: int, elapsed: float) -> tuple[Progress, TaskID]:
    """A started rich display with one task that began `elapsed` seconds ago."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        redirect_stdout=False,  # data may be on its way through a pipe
        redirect_stderr=False,
        get_time=time.monotonic,
    )
    task = progress.add_task(description, total=total, completed=done)
    progress.tasks[0].start_time = time.monotonic() - elapsed
    progress.start()
    return progress, task
