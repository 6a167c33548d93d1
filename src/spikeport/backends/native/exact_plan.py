"""An integer network as a list of kernel calls: compiled once, run for every batch.

Each layer becomes one product over the patches of all its weighted connections, side by side; identities are added while
the sums are in registers, and the threshold is applied before anything is written. What stands around the weights becomes
steps of its own: pools, values that change place, sums that are added later. A layer that no kernel computes exactly is
evaluated by the numpy reference, and its step says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.native.layout import Lifetime, Value, arranged, first, last, origins, parameter, table
from spikeport.graph import output_shape
from spikeport.native import encoding, matrix, windows
from spikeport.native.matrix import Matrix, Operand, Response, Term, smallest
from spikeport.primitives import Connection, Conv, Dense, MaxPool, OneToOne, Pad, Routing, Shape, SumPool, Synapse
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer, partial_sums
from spikeport.quantize.bounds import counts
from spikeport.quantize.integer import drive, respond


class Memory(Protocol):
    """Where the values of one chunk lie."""

    batch: int
    threads: int
    scratch: int

    def address(self, value: Value) -> int: ...

    def array(self, value: Value) -> NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class Step:
    """One call: what it does, for which layer, what it reads and what it makes."""

    layer: str
    kernel: str
    inputs: tuple[Value, ...]
    output: Value
    run: Callable[[Memory], None]
    scratch: int = 0
    work: int = 0
    """Multiplications of one sample."""


@dataclass(frozen=True, eq=False)
class Plan:
    """All steps, and where their values lie."""

    source: Value
    encoding: encoding.Encoding | None
    steps: tuple[Step, ...]
    results: dict[str, Value]
    """The counts of each layer."""
    offsets: tuple[int, ...]
    bytes_each: int
    """Of the arena, for one sample."""
    scratch: int
    """Bytes that each thread needs."""

    @cached_property
    def widest(self) -> int:
        """Multiplications of one sample in the largest step."""
        return max((step.work for step in self.steps), default=0)


class _NotCoveredError(Exception):
    """A layer that no kernel computes."""


def compile_plan(network: IntegerNetwork) -> Plan:
    """Choose kernels for every layer."""
    return _Compiler(network).plan()


class _Compiler:
    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self.steps: list[Step] = []
        self.places = 0
        self.values: dict[str, Value] = {}

    def plan(self) -> Plan:
        encoder = self.network.input
        source = self._value(encoder.shape, min(encoder.low, 0), max(encoder.high, 0))
        self.values[encoder.name] = source
        for layer in self.network.layers:
            steps, places = len(self.steps), self.places
            try:
                self.values[layer.name] = self._layer(layer)
            except _NotCoveredError:
                del self.steps[steps:]
                self.places = places
                self.values[layer.name] = self._reference(layer)
        ends = len(self.steps)
        readout = self.values[self.network.readout.name].place
        begin, end = {source.place: -1}, {source.place: -1}
        sizes = {source.place: source.size * source.dtype.itemsize}
        # counts are shown to a visitor after the layer's last step, so they live as long as that
        for i, step in enumerate(self.steps):
            begin.setdefault(step.output.place, i)
            sizes[step.output.place] = step.output.size * step.output.dtype.itemsize
            for value in (*step.inputs, step.output):
                end[value.place] = i
        end[readout] = ends
        lifetimes = [Lifetime(sizes.get(p, 0), begin.get(p, 0), end.get(p, 0)) for p in range(self.places)]
        offsets, size = arranged(lifetimes)
        results = {layer.name: self.values[layer.name] for layer in self.network.layers}
        scratch = max((step.scratch for step in self.steps), default=0)
        return Plan(source, encoding.encoding(encoder), tuple(self.steps), results, offsets, size, scratch)

    def _value(self, shape: Shape, low: int, high: int, dtype: np.dtype[Any] | None = None) -> Value:
        dtype = dtype or smallest(low, high)
        if dtype is None:
            raise _NotCoveredError
        self.places += 1
        return Value(self.places - 1, shape, low, high, dtype)

    # ---- layers

    def _layer(self, layer: Layer) -> Value:
        incoming = self.network.incoming(layer.name)
        match layer:
            case CountLayer():
                constant = np.broadcast_to(layer.bias + layer.offset, layer.shape)
                response = Response(layer.low, layer.high, parameter(layer.threshold, layer.shape))
                return self._weighted(layer.name, layer.shape, incoming, constant, response)
            case StaircaseLayer():
                response = Response(layer.low, layer.high, steps=table(layer.steps, layer.shape))
                return self._weighted(layer.name, layer.shape, incoming, layer.bias, response)
            case Readout():
                return self._weighted(layer.name, layer.shape, incoming, layer.bias, Response())
            case MaxLayer():
                if len(incoming) == 1 and incoming[0].weighted is None:
                    value = self._through(layer.name, self.values[incoming[0].source], incoming[0].synapses)
                else:
                    shape = self._shape(incoming[0])
                    value = self._weighted(layer.name, shape, incoming, np.zeros((), np.int64), Response())
                return self._pooled(layer.name, value, layer.window)
        raise _NotCoveredError

    def _weighted(
        self,
        name: str,
        shape: Shape,
        incoming: Sequence[Connection],
        constant: NDArray[np.int64],
        response: Response,
    ) -> Value:
        """One product for all connections whose weights come last and have as many groups; the others are made before it."""
        operands: list[tuple[Value, Operand]] = []
        terms: list[tuple[Value, Term]] = []
        for connection in incoming:
            *before, end = connection.synapses or (None,)
            value = self.values[connection.source]
            match end:
                case Dense() | Conv():
                    found = self._operand(name, value, before, end)
                    if operands and operands[0][1].conv.groups != found[1].conv.groups:
                        terms.append(_added(self._product(name, shape, [found], [], 0, Response())))
                    else:
                        operands.append(found)
                case OneToOne(weight):
                    value = self._through(name, value, before)
                    terms.append((value, Term(value.dtype, value.low, value.high, parameter(weight, value.shape))))
                case _:
                    terms.append(_added(self._through(name, value, connection.synapses)))
        return self._product(name, shape, operands, terms, constant, response)

    def _product(
        self,
        name: str,
        shape: Shape,
        operands: Sequence[tuple[Value, Operand]],
        terms: Sequence[tuple[Value, Term]],
        constant: NDArray[np.int64] | int,
        response: Response,
    ) -> Value:
        place = Value(-1, shape, 0, 0, np.dtype(np.uint8))
        made = matrix.matrix(
            [o for _, o in operands],
            [t for _, t in terms],
            parameter(np.asarray(constant), shape),
            response,
            height=place.height,
            width=place.width,
            outs=place.channels,
        )
        if made is None:
            raise _NotCoveredError
        if response.threshold is None and response.steps is None:
            most = int(matrix.magnitude(made.operands, made.terms, made.outs).max(initial=0))
            most += int(np.abs(made.constant).max(initial=0))
            out = self._value(shape, -most, most, made.dtype)
        else:
            out = self._value(shape, min(response.low, 0), response.high, made.dtype)
        read, added = [v for v, _ in operands], [v for v, _ in terms]

        def run(memory: Memory) -> None:
            matrix.launch(
                made,
                [memory.address(v) for v in read],
                [memory.address(v) for v in added],
                memory.address(out),
                batch=memory.batch,
                threads=memory.threads,
                scratch=memory.scratch,
            )

        work = sum(o.conv.weight[0].size for o in made.operands) * out.size
        self.steps.append(Step(name, _described(made), (*read, *added), out, run, made.scratch, work))
        return out

    def _operand(self, name: str, value: Value, before: Sequence[Synapse], end: Dense | Conv) -> tuple[Value, Operand]:
        if isinstance(end, Dense):
            routing = [s for s in before if isinstance(s, Routing)]
            if len(routing) == len(before):  # routing only chooses the columns of the weights
                index, _ = origins(value.shape, routing, logical=True)
                weight = np.zeros((len(end.weight), value.size), np.int64)
                np.add.at(weight.T, index[index >= 0], end.weight.T[index >= 0].astype(np.int64))
            else:
                value, weight = self._through(name, value, before), np.asarray(end.weight, dtype=np.int64)
            conv = Conv(weight[:, :, None, None], (1, 1), ((0, 0), (0, 0)), (1, 1))
            return value, Operand(value.dtype, value.low, value.high, 1, 1, conv)
        if before and isinstance(before[-1], Pad) and not any(before[-1].width[0]):
            pads = tuple((a + c, b + d) for (a, b), (c, d) in zip(before[-1].width[1:], end.padding, strict=True))
            return self._operand(name, value, before[:-1], replace(end, padding=pads))
        value = self._through(name, value, before)
        return value, Operand(value.dtype, value.low, value.high, value.height, value.width, _two_dimensional(end))

    def _shape(self, connection: Connection) -> Shape:
        """Shape of what a connection delivers."""
        shape = self.values[connection.source].shape
        for synapse in connection.synapses:
            shape = output_shape(synapse, [shape])
        return shape

    # ---- chains

    def _through(self, name: str, value: Value, synapses: Sequence[Synapse | None]) -> Value:
        """The value after a chain of synapses."""
        routing: list[Routing] = []
        for synapse in synapses:
            if synapse is None:
                continue
            if isinstance(synapse, Routing):
                routing.append(synapse)
                continue
            value, routing = self._routed(name, value, routing), []
            shape = output_shape(synapse, [value.shape])
            match synapse:
                case SumPool():
                    value = self._pooled(name, value, synapse)
                case Dense() | Conv():
                    value = self._product(name, shape, [self._operand(name, value, (), synapse)], [], 0, Response())
                case OneToOne(weight):
                    term = Term(value.dtype, value.low, value.high, parameter(weight, value.shape))
                    value = self._product(name, shape, [], [(value, term)], 0, Response())
        return self._routed(name, value, routing)

    def _routed(self, name: str, value: Value, routing: Sequence[Routing]) -> Value:
        if not routing:
            return value
        index, shape = origins(value.shape, routing)
        if np.array_equal(index, np.arange(value.size)):
            return value.under(shape)
        out = self._value(shape, value.low, value.high, value.dtype)
        route = windows.Route(index, value.size, value.dtype)
        runs = route.runs()

        def run(memory: Memory) -> None:
            windows.launch_route(
                route, runs, memory.address(value), memory.address(out), batch=memory.batch, threads=memory.threads
            )

        self.steps.append(Step(name, "route", (value,), out, run))
        return out

    def _pooled(self, name: str, value: Value, pool: SumPool | MaxPool) -> Value:
        shape = output_shape(pool, [value.shape])
        wide = _two_dimensional_pool(pool)
        if isinstance(wide, MaxPool):
            if not _always_inside(wide, value.height, value.width):
                raise _NotCoveredError
            low, high = value.low, value.high
        else:
            low, high = (bound * prod(wide.kernel) for bound in (value.low, value.high))
        out = self._value(shape, low, high, value.dtype if isinstance(wide, MaxPool) else None)
        struct = windows.Windows(
            wide, value.channels, value.height, value.width, out.height, out.width, value.dtype, out.dtype
        ).struct()

        def run(memory: Memory) -> None:
            windows.launch(
                struct, memory.address(value), memory.address(out), batch=memory.batch, threads=memory.threads
            )

        kernel = "largest of windows" if isinstance(wide, MaxPool) else "sum of windows"
        self.steps.append(Step(name, kernel, (value,), out, run, work=out.size * prod(wide.kernel)))
        return out

    # ---- what no kernel covers

    def _reference(self, layer: Layer) -> Value:
        incoming = self.network.incoming(layer.name)
        sent = counts(layer, partial_sums(self.network)[layer.name])
        out = self._value(layer.shape, min(int(sent.low.min()), 0), max(int(sent.high.max()), 0))
        sources = {c.source: self.values[c.source] for c in incoming}

        def run(memory: Memory) -> None:
            read = {name: first(memory.array(value)).astype(np.int64) for name, value in sources.items()}
            memory.array(out)[...] = last(respond(layer, drive(incoming, read)))

        self.steps.append(Step(layer.name, "numpy", tuple(sources.values()), out, run))
        return out


def _added(value: Value) -> tuple[Value, Term]:
    return value, Term(value.dtype, value.low, value.high, None)


def _described(m: Matrix) -> str:
    shapes = (f"{o.channels}x{'x'.join(map(str, o.conv.weight.shape[2:]))}" for o in m.operands)
    return " ".join((m.name, *shapes, *(f"+{len(m.terms)}" for _ in m.terms[:1])))


def _two_dimensional(conv: Conv) -> Conv:
    if len(conv.stride) == 2:
        return conv
    return Conv(conv.weight[:, :, None], (1, *conv.stride), ((0, 0), *conv.padding), (1, *conv.dilation), conv.groups)


def _two_dimensional_pool(pool: SumPool | MaxPool) -> SumPool | MaxPool:
    if len(pool.kernel) == 2:
        return pool
    if len(pool.kernel) != 1:
        raise _NotCoveredError
    wide = replace(pool, kernel=(1, *pool.kernel), stride=(1, *pool.stride), padding=((0, 0), *pool.padding))
    return replace(wide, dilation=(1, *wide.dilation)) if isinstance(wide, MaxPool) else wide


def _always_inside(pool: MaxPool, height: int, width: int) -> bool:
    """Whether every window sees at least one value that is not padding."""
    for size, k, s, (low, high), d in zip(
        (height, width), pool.kernel, pool.stride, pool.padding, pool.dilation, strict=True
    ):
        starts = np.arange(0, size + low + high - (k - 1) * d, s)[:, None] - low
        seen = starts + np.arange(k) * d
        if not ((seen >= 0) & (seen < size)).any(axis=1).all():
            return False
    return True
