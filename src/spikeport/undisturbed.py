"""A block of work that leaves the process as it was: random state, threads, gradient mode, torch's defaults."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np


@contextmanager
def undisturbed() -> Iterator[None]:
    """Global random state, thread count and defaults come back at the end; inside, torch computes plain float32.

    Where torch was never imported there is nothing of it to bring back.
    """
    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - kept for the user, not used
    torch = sys.modules.get("torch")
    try:
        with ExitStack() as stack:
            if torch is not None:
                stack.enter_context(_plain_torch(torch))
            yield
    finally:
        random.setstate(state)
        np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def _plain_torch(torch: Any) -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    generator = torch.random.get_rng_state()
    on_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    cuda = torch.cuda.get_rng_state_all() if on_cuda else []
    try:
        torch.set_default_dtype(torch.float32)
        with torch.no_grad(), torch.device("cpu"), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.random.set_rng_state(generator)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
