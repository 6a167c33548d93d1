"""A block of work that leaves the process as it was: random state, threads, gradient mode, torch's defaults."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock, local
from typing import Any

import numpy as np


class Together:
    """A block that many threads may be in at once, entered with the first and left with the last of them.

    What belongs to the process cannot be kept by each of them: the second would keep what the first has made, and bring that back.
    """

    def __init__(self, block: Callable[[], AbstractContextManager[None]]) -> None:
        self._block, self._lock, self._inside, self._stack = block, Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._stack.enter_context(self._block())
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._stack.close()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Global random state, thread count and defaults come back at the end; inside, torch computes plain float32.

    Where threads overlap, what belongs to the process comes back with the last of them. Where torch was never imported there is nothing
    of it to bring back.
    """
    torch = sys.modules.get("torch")
    nested = getattr(_THREAD, "inside", False)
    with ExitStack() as stack:
        # within a block of its own a thread brings back what it finds, for the rest of that block
        stack.enter_context(_random_state() if nested else _RANDOM)
        if torch is not None:
            stack.enter_context(_torchs_process() if nested else _TORCH)
            stack.enter_context(_torchs_thread(torch))
        _THREAD.inside = True
        stack.callback(setattr, _THREAD, "inside", nested)
        yield


@contextmanager
def _random_state() -> Iterator[None]:
    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - kept for the user, not used
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def _torchs_process() -> Iterator[None]:
    """What all threads share."""
    torch: Any = sys.modules["torch"]
    dtype = torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    generator = torch.random.get_rng_state()
    on_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    cuda = torch.cuda.get_rng_state_all() if on_cuda else []
    try:
        torch.set_default_dtype(torch.float32)
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.random.set_rng_state(generator)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _torchs_thread(torch: Any) -> Iterator[None]:
    """What each thread has of its own."""
    threads = torch.get_num_threads()
    try:
        with torch.no_grad(), torch.device("cpu"), torch.autocast("cpu", enabled=False):
            yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


_THREAD = local()
_RANDOM, _TORCH = Together(_random_state), Together(_torchs_process)
