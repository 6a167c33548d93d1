"""The physical limit of integer products on this machine: their instruction, on operands that never leave the registers."""

from __future__ import annotations

import ctypes
import time

from spikeport.native.loader import library


def products_per_second(*, threads: int = 1, duration: float = 0.1) -> float:
    """Multiplications of bytes in a second, under the instruction set in use, measured for about `duration` seconds."""
    work = library().sp_multiply_in_registers
    work.restype = ctypes.c_int64
    rounds, took, done = 1000, 0.0, 0
    while took < duration:
        rounds *= 2
        start = time.perf_counter()
        done = work(ctypes.c_int64(rounds), ctypes.c_int32(threads))
        took = time.perf_counter() - start
    return done / took
