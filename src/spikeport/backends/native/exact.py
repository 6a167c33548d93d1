"""Exact evaluation of an `IntegerNetwork` in one pass by compiled kernels, faster than the float model itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.native.exact_plan import Plan, compile_plan
from spikeport.backends.native.layout import ALIGNMENT, Value, first, internal_shape, last
from spikeport.errors import DataError
from spikeport.native import default_threads, encoding, level, library
from spikeport.quantize import IntegerNetwork, Layer, encode_input, input_problems

ARENA_BYTES = 2**24
"""Memory for the values of the samples that are evaluated at once."""
CHUNK_WORK = {"portable": 2**29, "avx2": 2**32}
"""Multiplications in one call of a kernel at most, by instruction set: a fraction of a second, so that Ctrl-C is heard."""
WIDEST_WORK = 2**34


class ExactEvaluator:
    """Counts and read-out of an integer network for batches of arrays; the numbers of `spikeport.quantize.evaluate`.

    One evaluator may be called from several threads at once, copied, pickled, and used after a fork.
    """

    def __init__(self, network: IntegerNetwork, threads: int | None = None) -> None:
        """Compile the network.

        Args:
            threads: how many may work on one call; None takes all processors that the process may use.

        Raises:
            NativeError: the native library is not there.
        """
        library()
        self.network = network
        self.threads = threads
        self._plan = compile_plan(network)
        self._idle: list[NDArray[np.uint8]] = []

    def __reduce__(self) -> tuple[type[ExactEvaluator], tuple[IntegerNetwork, int | None]]:
        return ExactEvaluator, (self.network, self.threads)

    @property
    def plan(self) -> tuple[tuple[str, str], ...]:
        """Layer and kernel of every step, in order; the kernel `numpy` is the reference, where no compiled one fits."""
        return tuple((step.layer, step.kernel) for step in self._plan.steps)

    def __call__(
        self,
        x: NDArray[Any],
        visit: Callable[[Layer, NDArray[np.int64]], None] | None = None,
        *,
        threads: int | None = None,
    ) -> NDArray[np.int64]:
        """Read-out U of every sample, shape (batch, *readout).

        Args:
            x: any real dtype, shape (batch, *input).
            visit: called with each layer and its counts; for a large batch once for each part of it.
            threads: for this call alone.

        Raises:
            DataError: wrong shape, values that are not finite, counts that are no counts.
        """
        x = np.asarray(x)
        if x.dtype.kind not in "fiub" or x.shape[1:] != self.network.input.shape:
            raise DataError(input_problems(self.network.input, x))
        out = np.empty((len(x), *self.network.readout.shape), np.int64)
        chunk = self._samples_at_once(len(x))
        workers = max(1, threads or self.threads or default_threads())
        memory = _Memory(self._plan, chunk, workers, self._idle)
        try:
            for start in range(0, len(x), chunk):
                part = x[start : start + chunk]
                memory.batch = len(part)
                self._encode(part, memory)
                self._run(memory, visit)
                out[start : start + chunk] = first(memory.array(self._plan.results[self.network.readout.name]))
        finally:
            memory.give_back(self._idle)
        if visit is not None and not len(x):  # kernels run on samples; the reference shows each layer without any
            for layer in self.network.layers:
                visit(layer, np.empty((0, *layer.shape), np.int64))
        return out

    def _samples_at_once(self, batch: int) -> int:
        """Samples of one part of a batch; all parts have about the same size."""
        work = CHUNK_WORK.get(level(), WIDEST_WORK)
        most = max(1, min(ARENA_BYTES // max(self._plan.bytes_each, 1), work // max(self._plan.widest, 1)))
        parts = -(-max(batch, 1) // most)
        return -(-max(batch, 1) // parts)

    def _encode(self, x: NDArray[Any], memory: _Memory) -> None:
        prepared = self._plan.encoding
        if prepared is None:
            memory.array(self._plan.source)[...] = last(encode_input(self.network.input, x))
            return
        readable = encoding.readable(x)
        if encoding.launch(prepared, readable, memory.address(self._plan.source), threads=memory.threads):
            problems = input_problems(self.network.input, x)
            assert problems, "the kernel refuses what the reference takes"
            raise DataError(problems)

    def _run(self, memory: _Memory, visit: Callable[[Layer, NDArray[np.int64]], None] | None) -> None:
        steps = self._plan.steps
        for i, step in enumerate(steps):
            step.run(memory)
            if visit is not None and (i + 1 == len(steps) or steps[i + 1].layer != step.layer):
                value = memory.array(self._plan.results[step.layer])
                visit(self.network[step.layer], np.ascontiguousarray(first(value), dtype=np.int64))


class _Memory:
    """Values of the samples that are evaluated at once; of one call alone, so that calls do not meet."""

    def __init__(self, plan: Plan, chunk: int, threads: int, idle: list[NDArray[np.uint8]]) -> None:
        self.plan, self.chunk, self.threads, self.batch = plan, chunk, threads, 0
        values = plan.bytes_each * chunk
        need = values + plan.scratch * threads + ALIGNMENT
        self.block: NDArray[np.uint8] | None = None
        with suppress(IndexError):  # another thread may take it first
            self.block = idle.pop()
        if self.block is None or self.block.size < need:
            self.block = np.empty(need, np.uint8)
        self.start = -self.block.ctypes.data % ALIGNMENT
        self.base = self.block.ctypes.data + self.start
        self.scratch = self.base + values

    def give_back(self, idle: list[NDArray[np.uint8]]) -> None:
        """Leave the memory to the next call; one block is enough to keep."""
        if not idle and self.block is not None:
            idle.append(self.block)
        self.block = None

    def address(self, value: Value) -> int:
        return self.base + self.plan.offsets[value.place] * self.chunk

    def array(self, value: Value) -> NDArray[Any]:
        """The value's integers, shape (batch, *space, channel)."""
        assert self.block is not None
        at = self.start + self.plan.offsets[value.place] * self.chunk
        held = self.block[at : at + self.batch * value.size * value.dtype.itemsize].view(value.dtype)
        return held.reshape(self.batch, *internal_shape(value.shape))
