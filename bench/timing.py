"""Timings that can be compared: repeated, interleaved, as medians, with a description of the machine."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from os import cpu_count
from statistics import median

import torch


@dataclass(frozen=True, slots=True)
class Pairs:
    """Durations of two jobs done alternately, in seconds; entry i of both was measured side by side."""

    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def medians(self) -> tuple[float, float]:
        return median(self.first), median(self.second)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Second over first, pair by pair."""
        return tuple(b / a for a, b in zip(self.first, self.second, strict=True))

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return median(self.ratios)


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeated(work: Callable[[], object], *, times: int = 5) -> tuple[float, ...]:
    """Durations of `times` runs after one that is not counted."""
    work()
    return tuple(seconds(work) for _ in range(times))


def interleaved(
    first: Callable[[int], object],
    second: Callable[[int], object],
    blocks: Sequence[int],
    *,
    done: Callable[[int], object] = lambda count: None,
) -> Pairs:
    """Both jobs on each block, one right after the other and in turns first; noise of the machine meets both alike.

    Args:
        first, second: called with the number of a block.
        blocks: numbers of the blocks, in order; the first one is run once more beforehand and not counted.
        done: called with the number of blocks measured so far.
    """
    first(blocks[0])
    second(blocks[0])
    took: tuple[list[float], list[float]] = ([], [])
    for turn, block in enumerate(blocks):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            work = (first, second)[which]
            start = time.perf_counter()
            work(block)
            took[which].append(time.perf_counter() - start)
        done(turn + 1)
    return Pairs(tuple(took[0]), tuple(took[1]))


def machine() -> dict[str, str | int]:
    """Processor, threads and versions, without names of hosts, users or folders."""
    return {
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cpus": cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "numpy")},
    }


def described(facts: dict[str, str | int]) -> str:
    """The machine in one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())
