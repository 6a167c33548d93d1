"""Exact evaluation of an `IntegerNetwork` in one pass, at the speed of the model itself.

Products run in float32 where the proved bound keeps every partial sum below 2**24, in float64 below 2**53; both are then
exact in whatever order the library adds. Division by the threshold is exact too: for `|k| * threshold < 2**23` a quotient
just below the integer k is at least 1 / threshold away from it, more than half a unit in the last place, so it is never
rounded up to k. A layer that does not fit is computed in float64. Tables of thresholds are cut to what sums can reach, so that
they fit too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.backends.torch.operations import TorchOperations
from spikeport.backends.torch.precision import FLOAT64_EXACT, exact_arithmetic, exact_dtype, require_exact_products
from spikeport.errors import DataError, Problem, QuantizeError
from spikeport.primitives import Connection, Conv, InputEncoder, MaxPool, OneToOne, Shape, SumPool, Weighted
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer, partial_sums

CHUNK_VALUES = 2**21
"""Values of the largest layer held at once, so that elementwise passes stay near the cache."""


@dataclass(frozen=True)
class _Step:
    layer: Layer
    incoming: tuple[Connection, ...]
    dtype: torch.dtype
    constant: Tensor | None
    threshold: Tensor | None
    """Of a counting layer; of a staircase its table, one row for each place that has thresholds of its own."""
    last_use: tuple[str, ...]


class ExactEvaluator:
    """Counts and read-out of an integer network for batches of tensors, on one device."""

    def __init__(
        self, network: IntegerNetwork, *, device: torch.device | str = "cpu", explicit: bool | None = None
    ) -> None:
        """`explicit` as for `TorchOperations`: whether convolutions are products of matrices."""
        self.network = network
        self.device = torch.device(device)
        if self.device.type != "cpu":
            with exact_arithmetic():
                require_exact_products(self.device)
        self._operations = {
            dtype: TorchOperations(device=device, dtype=dtype, explicit=explicit)
            for dtype in (torch.float32, torch.float64)
        }
        self._steps = tuple(self._plan())
        widest = max(int(np.prod(layer.shape)) for layer in network.layers)
        self._chunk = max(1, CHUNK_VALUES // max(widest, int(np.prod(network.input.shape))))

    def __call__(self, x: Tensor, *, visit: Callable[[Layer, Tensor], None] | None = None) -> Tensor:
        """Read-out U as int64, shape (batch, *readout).

        Args:
            x: any real dtype, shape (batch, *input).
            visit: called with each layer and its counts; for a large batch once for each part of it.

        Raises:
            DataError: wrong shape, values that are not finite, counts that are no counts.
        """
        with exact_arithmetic():
            encoded = encode(self.network.input, x.to(self.device))
            parts = [self._run(part, visit) for part in torch.split(encoded, self._chunk)]
            return torch.cat(parts) if parts else torch.zeros((0, *self.network.readout.shape), dtype=torch.int64)

    def _plan(self) -> Iterator[_Step]:
        network = self.network
        sums = partial_sums(network)
        readers: dict[str, str] = {c.source: c.target for layer in network.layers for c in network.incoming(layer.name)}
        for layer in network.layers:
            incoming = network.incoming(layer.name)
            magnitude = sums[layer.name].magnitude
            quotient = 0
            constant = threshold = None
            if isinstance(layer, CountLayer):
                quotient = 2 * int(layer.threshold.max()) * max(layer.high, -layer.low)
            exact = max(magnitude, quotient)
            dtype = exact_dtype(exact)
            if dtype is None:
                why = f"its sums reach {exact}, beyond exact arithmetic"
                raise QuantizeError(Problem(layer.name, why, "convert with fewer state_bits"))
            ops = self._operations[dtype]
            if isinstance(layer, CountLayer):
                constant, threshold = ops.load(layer.bias + layer.offset), ops.load(layer.threshold)
            elif isinstance(layer, StaircaseLayer):
                # no sum lies beyond the bounds, so a step outside counts like one just outside
                low, high = int(sums[layer.name].low.min()), int(sums[layer.name].high.max())
                reachable = np.clip(layer.steps, low, min(high + 1, FLOAT64_EXACT))
                constant, threshold = ops.load(layer.bias), ops.load(_rows(reachable, layer.shape))
            elif isinstance(layer, Readout):
                constant = ops.load(layer.bias)
            done = tuple(name for name, target in readers.items() if target == layer.name)
            yield _Step(layer, incoming, dtype, constant, threshold, done)

    def _run(self, encoded: Tensor, visit: Callable[[Layer, Tensor], None] | None) -> Tensor:
        values = {self.network.input.name: encoded}
        result = encoded
        for step in self._steps:
            result = self._respond(step, values)
            values[step.layer.name] = result
            if visit is not None:
                visit(step.layer, result)
            for name in step.last_use:
                del values[name]
        return result.to(torch.int64)

    def _respond(self, step: _Step, values: dict[str, Tensor]) -> Tensor:
        total = self._drive(step, values)
        match step.layer:
            case CountLayer(low=low, high=high):
                assert step.threshold is not None
                return total.div_(step.threshold).floor_().clamp_(low, high)
            case StaircaseLayer(low=low):
                assert step.threshold is not None
                return _climbed(step.threshold, total).add_(low)
            case MaxLayer(window=window):
                return self._max(window, total)
            case Readout():
                return total

    def _max(self, window: MaxPool, total: Tensor) -> Tensor:
        return self._operations[total.dtype].apply(window, [total])

    def _drive(self, step: _Step, values: dict[str, Tensor]) -> Tensor:
        """Sum of all connections and the constant, in a tensor of its own."""
        ops = self._operations[step.dtype]
        total: Tensor | None = None
        constant = step.constant
        for connection in step.incoming:
            x = values[connection.source].to(step.dtype)
            *before, last = connection.synapses or (None,)
            for synapse in before:
                x = ops.synapse(synapse, x)
            if total is not None and isinstance(last, OneToOne):
                total.addcmul_(x, ops.constant(last.weight))
                continue
            if constant is not None and total is None and isinstance(last, Conv) and _per_channel(constant):
                part, constant = ops.conv(last, x, constant.flatten()), None
            else:
                part = x if last is None else ops.synapse(last, x)
                if total is None and not any(isinstance(s, Weighted | SumPool) for s in connection.synapses):
                    part = part.clone()  # it may be a view of the source's counts, and sums are made in place
            total = part if total is None else total.add_(part)
        assert total is not None
        if constant is not None:
            total = total + constant
        return total


def _rows(steps: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """A table as rows of thresholds: one for all neurons, one a channel, or one a neuron."""
    if steps[0].size == 1:
        return steps.reshape(1, -1)
    full = steps.reshape(len(steps), *(1,) * (len(shape) - steps.ndim + 1), *steps.shape[1:])
    uniform = full[0].size == full.shape[1]
    target = shape[:1] if uniform else shape
    full = full.reshape(len(full), -1) if uniform else full
    return np.ascontiguousarray(np.broadcast_to(full, (len(full), *target)).reshape(len(full), -1).T)


def _climbed(rows: Tensor, total: Tensor) -> Tensor:
    """Steps that each sum has reached, in the dtype of the sums."""
    if len(rows) == 1:
        return torch.searchsorted(rows[0], total.contiguous(), right=True).to(total.dtype)
    values = total.reshape(len(total), len(rows), -1).transpose(0, 1).contiguous()
    found = torch.searchsorted(rows, values.view(len(rows), -1), right=True).view(values.shape)
    return found.transpose(0, 1).reshape(total.shape).to(total.dtype)


def _per_channel(constant: Tensor) -> bool:
    return constant.ndim > 1 and constant.shape[1:].numel() == 1 and constant.shape[0] > 1


def encode(encoder: InputEncoder, x: Tensor) -> Tensor:
    """Integers of a batch as float32; the same float64 arithmetic as `spikeport.quantize.encode_input`.

    Raises:
        DataError: as `encode_input`.
    """
    problem = _input_problem(encoder, x)
    if problem is not None:
        raise DataError(problem)
    if encoder.kind == "events":
        return x.to(torch.float32)

    def constant(array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=x.device)

    value = x.to(torch.float64, copy=True)
    if encoder.gain is not None:
        value.mul_(constant(encoder.gain))
    if encoder.shift is not None:
        value.add_(constant(encoder.shift))
    return value.div_(constant(encoder.scale)).round_().clamp_(encoder.low, encoder.high).to(torch.float32)


def _input_problem(encoder: InputEncoder, x: Tensor) -> Problem | None:
    if x.is_complex():
        return Problem("input", f"has dtype {x.dtype}", "convert it to a real number type")
    if tuple(x.shape[1:]) != encoder.shape:
        return Problem(
            "input",
            f"has shape {tuple(x.shape)}, not (batch, {', '.join(map(str, encoder.shape))})",
            "give a batch, with the batch axis first",
        )
    if not x.numel() or (encoder.kind == "static" and not x.is_floating_point()):
        return None
    x = x if x.is_floating_point() else x.to(torch.int64)  # torch has no minimum of its unsigned integers
    lowest, highest = (float(v) for v in torch.aminmax(x))  # one pass; NaN shows in both
    if not isfinite(lowest) or not isfinite(highest):
        return Problem("input", "holds NaN or infinite values", "clean the data first")
    if encoder.kind == "events":
        if lowest < 0 or (x.is_floating_point() and bool((x != x.round()).any())):
            return Problem(
                "input", "event counts must be whole numbers from 0 on", 'pass input="static" for analogue values'
            )
        if highest > encoder.high:
            hint = f"convert with a larger input_bits; the declared maximum is {encoder.high}"
            return Problem("input", f"holds {int(highest)} events in one place", hint)
    return None
