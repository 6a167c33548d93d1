"""The physical limits that the other figures stand beside, measured on this machine: arithmetic, gathers, memory.

Nothing is required here. Each line is the best of some runs, on one thread and on all that `--threads` allows.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType

import torch
import torch.nn.functional as F

import common
import timing
from common import Finding
from spikeport import native

SIDE = 2048
"""Of the matrices that are multiplied: 16 MiB each in float32."""
STREAM = 2**28
"""Bytes read and written: many times any cache."""
ROW = 64
"""Channels of a gathered row."""
GATHERED = {"L1": 64, "L2": 2048, "memory": 2**20}
"""Rows of the table that is gathered from: 16 KiB, 512 KiB and 256 MiB."""


def measure(options: argparse.Namespace) -> Finding:
    """Every limit on one thread, then on all."""
    lines: list[str] = []
    values: dict[str, dict[str, float]] = {}
    for threads in sorted({1, options.threads}):
        torch.set_num_threads(threads)
        found = {
            "float32 products, matrix by matrix (torch), GMAC/s": _gemm(),
            "uint8 x int8 products, matrix by matrix (torch._int_mm), GMAC/s": _integer_gemm(),
            **_in_registers(threads),
            **{f"float32 rows of {ROW} gathered from {name}, Gadd/s": _gather(n) for name, n in GATHERED.items()},
            "memory copied, GB/s read and written": 2 * STREAM / _best(_copy()) / 1e9,
            "memory read, GB/s": STREAM / _best(_sum()) / 1e9,
        }
        lines += [
            f"{threads} thread{'s' * (threads > 1)}",
            *(f"  {name}: {value:,.1f}" for name, value in found.items()),
        ]
        values[str(threads)] = found
    torch.set_num_threads(options.threads)
    return Finding(tuple(lines), values)


def _best(work: Callable[[], object], *, times: int = 7) -> float:
    return min(timing.repeated(work, times=times))


def _gemm() -> float:
    a, b, out = (torch.rand(SIDE, SIDE) for _ in range(3))
    return SIDE**3 / _best(lambda: torch.mm(a, b, out=out)) / 1e9


def _integer_gemm() -> float:
    a, b = (torch.randint(-127, 128, (SIDE, SIDE), dtype=torch.int8) for _ in range(2))
    return SIDE**3 / _best(lambda: torch._int_mm(a, b)) / 1e9


def _in_registers(threads: int) -> dict[str, float]:
    """Products of bytes by each instruction set of the native library, on operands that never leave the registers."""
    if not native.available() or find_spec("spikeport.native.peak") is None:
        return {}
    peak: ModuleType = importlib.import_module("spikeport.native.peak")
    found = {}
    for level in native.levels():
        with native.using(level):
            best = max(peak.products_per_second(threads=threads) for _ in range(3))
        found[f"uint8 x int8 products in registers ({level}), GMAC/s"] = best / 1e9
    return found


def _gather(rows: int) -> float:
    """Additions of rows that are chosen by index, the sums in registers: what an event-driven layer does."""
    table = torch.rand(rows, ROW)
    indices = torch.randint(0, rows, (2**18,))
    offsets = torch.arange(0, len(indices), 64)  # so many events into one place
    return len(indices) * ROW / _best(lambda: F.embedding_bag(indices, table, offsets, mode="sum")) / 1e9


def _copy() -> Callable[[], object]:
    source, target = torch.ones(STREAM // 4), torch.zeros(STREAM // 4)
    return lambda: target.copy_(source)


def _sum() -> Callable[[], object]:
    source = torch.ones(STREAM // 4)
    return lambda: source.sum()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--threads", type=common.positive, default=2, help="threads besides one")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
