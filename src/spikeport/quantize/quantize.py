"""Graph -> IntegerNetwork, layer by layer, on calibration data.

    th_c = floor(q * s_out,c / max_j |w_cj s_in,j|)          q = 2**(weight_bits - 1) - 1
    W_cj = round(w_cj s_in,j th_c / s_out,c)                 so that U_c / th_c = a_c / s_out,c
    b_c  = round(bias_c th_c / s_out,c),  h_c = floor(th_c / 2)
    m_ck = round(s_skip,k th_c / s_out,c)                    identity connections

Curved activations have tables of thresholds instead: `spikeport.quantize.staircases`.

Each layer sees the counts that the layers before it really send; the mean error that remains goes into its bias.

Cross-layer equalization (Nagel et al., ICCV 2019) divides the weights into a channel by a factor and multiplies the weights out
of it by the same. Here that changes nothing: s_out,c of that channel shrinks by the factor, so `w_cj s_in,j` and
`w_cj / s_out,c` stay what they were. Scales of each channel already are the best equalization; a test holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem, ProofError, QuantizeError
from spikeport.graph import (
    Activation,
    Affine,
    Graph,
    Input,
    Node,
    NumpyOperations,
    Operations,
    Relu,
    evaluate,
    insert_quantizers,
    is_spiking,
    normalized,
    output_shape,
    split_host_tail,
)
from spikeport.primitives import Approximation, Connection, InputKind, MaxPool
from spikeport.progress import track
from spikeport.quantize.bounds import Interval, combine, counts, reach
from spikeport.quantize.integer import IntegerNetwork, Layer, MaxLayer, NeuronLayer, Readout, encode_input, respond
from spikeport.quantize.layers import (
    BEYOND,
    Term,
    count_layer,
    fits,
    readout_layer,
    scaled_weight,
    settled,
    term,
    with_correction,
)
from spikeport.quantize.observe import channel_samples, encoder_for, take_normalization
from spikeport.quantize.paths import (
    Path,
    carried_scale,
    constant_terms,
    needs_one_scale,
    paths_into,
    shape_after,
    synapses,
)
from spikeport.quantize.rounding import MAX_COLUMNS, refine
from spikeport.quantize.scales import best_scales
from spikeport.quantize.staircases import Curved, curved_layer, curved_scales, read_both, trimmed

Floats = NDArray[np.floating]
CHUNK = 32
"""Samples evaluated at once."""
REWRITES_PROVED = 16
"""Samples on which the rewritten graph is compared with the captured one."""
REWRITE_TOLERANCE = 1e-5
"""Largest difference over the output's scale: folded weights are stored in the parameters' own precision."""
FAR = 2**48
"""Biases beyond every membrane."""
UNITS = "of the model's units"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeOptions:
    """Widths of the integer network."""

    levels: int | Mapping[str, int] = 31
    """Largest count L of a neuron, 1 to 4095; a mapping gives it for some layers by name, the rest have 31."""
    weight_bits: int = 8
    """2 to 16, two's complement, symmetric."""
    input_bits: int = 8
    """2 to 16; for event input the declared maximum is 2**input_bits - 1 events."""
    state_bits: int = 24
    """Width of a membrane potential, 8 to 48."""
    input: InputKind = "static"

    def __post_init__(self) -> None:
        ranges = {"weight_bits": (2, 16), "input_bits": (2, 16), "state_bits": (8, 48)}
        problems = []
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                problems.append(Problem(name, f"is {value!r}", f"give a whole number from {low} to {high}"))
        levels = self.levels if isinstance(self.levels, Mapping) else {"levels": self.levels}
        for name, value in levels.items():
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 4095:
                problems.append(Problem(name, f"has {value!r} levels", "give a whole number from 1 to 4095"))
        if self.input not in ("static", "events"):
            problems.append(Problem("input", f"is {self.input!r}", 'one of "static", "events"'))
        if problems:
            raise OptionError(problems)

    def levels_of(self, name: str) -> int:
        return self.levels.get(name, 31) if isinstance(self.levels, Mapping) else self.levels


def prepared(graph: Graph) -> Graph:
    """The graph as quantization reads it: neurons beside their weights, quantizers where spikes are needed."""
    body, _ = split_host_tail(graph)
    return insert_quantizers(normalized(body))


def prove_same(graph: Graph, ready: Graph, x: NDArray[Any], operations: Operations | None) -> None:
    """Check on real inputs that the rewrites left the graph's function as it was.

    Raises:
        ProofError: they did not, which is a bug of ours.
    """
    body, _ = split_host_tail(graph)
    expected, found = (evaluate(g, np.asarray(x, np.float64), operations=operations) for g in (body, ready))
    scale, difference = float(np.abs(expected).max(initial=0.0)), float(np.abs(found - expected).max(initial=0.0))
    if not difference <= REWRITE_TOLERANCE * (scale or 1.0):
        why = f"rewriting the graph changed its output by {difference:.2e} at a scale of {scale:.2e}"
        raise ProofError(Problem(graph.output, why, "this is a bug of spikeport; please report it with the model"))


def quantize(
    graph: Graph,
    samples: NDArray[Any],
    options: QuantizeOptions,
    *,
    operations: Operations | None = None,
    exact_operations: Operations | None = None,
    refined: bool = True,
    progress: bool = False,
) -> IntegerNetwork:
    """The integer network of a float graph.

    Args:
        graph: as captured.
        samples: calibration data, shape (sample, *input); labels are not needed.
        options: widths.
        operations: evaluates the float graph; numpy by default.
        exact_operations: evaluates integer sums, in float64 or wider.
        refined: choose the roundings of weights by what they do to the data; without, they are rounded to nearest, which is enough to
            see what fits where.
        progress: show a bar.

    Raises:
        QuantizeError: a layer that has no integer form; those after it depend on it and are not looked at.
        DataError: samples that do not fit.
        OptionError: levels for a layer that does not exist.
    """
    _, tail = split_host_tail(graph)
    ready = prepared(graph)
    calibration = _Calibration(ready, options, operations, exact_operations, refined)
    calibration.enter(samples)
    prove_same(graph, ready, samples[:REWRITES_PROVED], exact_operations or operations)
    for node in track(calibration.graph.nodes, "quantize", enabled=progress):
        calibration.visit(node)
    calibration.read_out()
    layers, connections = read_both(calibration.layers, calibration.connections, calibration.pairs)
    return IntegerNetwork(
        input=calibration.encoder,
        layers=layers,
        connections=connections,
        weight_bits=options.weight_bits,
        state_bits=options.state_bits,
        host_tail=tail,
        ledger=tuple(calibration.ledger),
    )


class _Calibration:
    """Walks the graph once, holding three values of each node for the calibration data, in parts:

    the model's own, the one that results from quantized counts before it, and (for spiking nodes) the counts.
    """

    def __init__(
        self,
        graph: Graph,
        options: QuantizeOptions,
        operations: Operations | None,
        exact_operations: Operations | None,
        refined: bool,
    ) -> None:
        self.options, self.refined = options, refined
        self.graph, self.normalization = take_normalization(graph, options.input)
        self.operations = operations or NumpyOperations()
        self.exact = exact_operations or NumpyOperations()
        self.paths = {n.name: paths_into(self.graph, n.inputs[0]) for n in self.graph.nodes if _is_layer(n)}
        self.output_paths = paths_into(self.graph, self.graph.output)
        self.constants = constant_terms(self.graph)
        self.together = self._sources_of_one_scale()
        self.left = {name: len(users) for name, users in self.graph.consumers().items()}
        self.left[self.graph.output] += 1
        self.model: dict[str, list[Any]] = {}
        self.seen: dict[str, list[Any]] = {}
        self.counts: dict[str, list[Any]] = {}
        self.scales: dict[str, Floats] = {}
        self.intervals: dict[str, Interval] = {}
        self.layers: list[Layer] = []
        self.connections: list[Connection] = []
        self.ledger: list[Approximation] = []
        self.pairs: dict[str, Curved] = {}
        """Nodes that are the difference of two layers."""
        self._check_names()

    def _sources_of_one_scale(self) -> set[str]:
        readers: list[tuple[Path, object]] = [
            (p, self.graph[name].op) for name, paths in self.paths.items() for p in paths
        ]
        readers += [(p, None) for p in self.output_paths]
        return {path.source for path, op in readers if needs_one_scale(self.graph, path, op)}

    def _check_names(self) -> None:
        neurons = {name for name in self.paths if not isinstance(self.graph[name].op, MaxPool)}
        if not neurons:
            hint = "the model has no activation that could become a neuron; is its ReLU missing?"
            raise QuantizeError(Problem("model", "converts to 0 neurons", hint))
        if isinstance(self.options.levels, Mapping):
            unknown = sorted(set(self.options.levels) - neurons)
            hint = f"layers with levels: {', '.join(sorted(neurons))}"
            if unknown:
                raise OptionError([Problem(name, "is not a layer of this model", hint) for name in unknown])

    def enter(self, samples: NDArray[Any]) -> None:
        """Choose the input encoder and encode the data."""
        node = self.graph.input
        self.encoder, entries = encoder_for(
            node, samples, self.options.input, self.options.input_bits, self.normalization, node.name in self.together
        )
        self.ledger += entries
        parts = [samples[i : i + CHUNK] for i in range(0, len(samples), CHUNK)]
        whole = [encode_input(self.encoder, part) for part in parts]
        gain, shift = self.normalization
        self.model[node.name] = [self.operations.load(_affine(part, gain, shift)) for part in parts]
        self.seen[node.name] = [self.operations.load((n * self.encoder.scale).astype(np.float32)) for n in whole]
        self.counts[node.name] = [self.exact.load(n.astype(np.float64)) for n in whole]
        self.scales[node.name] = self.encoder.scale
        self.intervals[node.name] = Interval(
            np.full(node.shape, self.encoder.low), np.full(node.shape, self.encoder.high)
        )

    def visit(self, node: Node) -> None:
        """Evaluate a node; a neuron or maximum becomes a layer."""
        if isinstance(node.op, Input):
            return
        self.model[node.name] = self._apply(node, self.model)
        if not is_spiking(node.op):
            self.seen[node.name] = self._apply(node, self.seen)
        elif isinstance(node.op, MaxPool):
            self._max_layer(node)
        elif isinstance(node.op, Activation):
            self._curved_layer(node, node.op)
        else:
            self._count_layer(node)
        for name in node.inputs:
            self.left[name] -= 1
            if not self.left[name]:
                self.model.pop(name, None)
                self.seen.pop(name, None)

    def _apply(self, node: Node, values: dict[str, list[Any]]) -> list[Any]:
        return [
            self.operations.apply(node.op, inputs) for inputs in zip(*(values[i] for i in node.inputs), strict=True)
        ]

    def _terms(self, paths: tuple[Path, ...], shape: tuple[int, ...], *, channels: bool = True) -> tuple[Term, ...]:
        terms = []
        for path in paths:
            source = self.graph[path.source].shape
            before = shape_after(source, path.before)
            output = before if path.weight is None else output_shape(path.weight, [before])
            terms.append(term(path, shape, source, self.scales[path.source], output, channels=channels))
        return tuple(terms)

    def _count_layer(self, node: Node) -> None:
        options, before = self.options, node.inputs[0]
        high = options.levels_of(node.name)
        low = 0 if isinstance(node.op, Relu) else -high
        with _named(node):
            terms = self._terms(self.paths[node.name], node.shape)
            target, seen = self._samples(node)
            scale = best_scales(target, seen, low=low, high=high, together=node.name in self.together)
            layer, connections = count_layer(
                node.name,
                node.shape,
                terms,
                self.constants[before],
                scale,
                low=low,
                high=high,
                weight_bits=options.weight_bits,
                state_bits=options.state_bits,
                sources=self.intervals,
                together=node.name in self.together,
            )
        unit = layer.scale / layer.threshold
        factor = np.broadcast_to((1 / unit).reshape(-1), layer.shape[:1])
        connections = self._refined(layer, connections, terms, factor)
        self._remember_weights(node.name, connections, terms, factor)
        layer, totals = self._corrected(layer, connections, self.model[before], unit)
        self._remember(node.name, layer, target, scale)
        self._add(layer, connections, [respond(layer, total) for total in totals])

    def _curved_layer(self, node: Node, activation: Activation) -> None:
        options, before = self.options, node.inputs[0]
        levels, together = options.levels_of(node.name), node.name in self.together
        with _named(node):
            terms = self._terms(self.paths[node.name], node.shape)
            target, seen = self._samples(node)
            scale, depth = curved_scales(activation, target, seen, levels=levels, together=together)
            curved, connections, factor = curved_layer(
                node.name,
                node.shape,
                terms,
                self.constants[before],
                scale,
                activation,
                levels=levels,
                depth=depth,
                weight_bits=options.weight_bits,
                state_bits=options.state_bits,
                sources=self.intervals,
            )
        unit = 1 / factor.reshape(-1, *(1,) * (len(node.shape) - 1))
        connections = self._refined(curved.layer, connections, terms, factor)
        self._remember_weights(node.name, connections, terms, factor)
        layer, totals = self._corrected(curved.layer, connections, self.model[before], unit)
        total = combine([reach(c.synapses, self.intervals[c.source]) for c in connections])
        curved = trimmed(replace(curved, layer=layer), total)
        rising, *falling = curved.parts
        self._remember(node.name, rising, target, scale)
        counted = [respond(rising, t) - sum(respond(part, t) for part in falling) for t in totals]
        self._add(rising, connections, counted)
        self.intervals[node.name] = curved.interval
        for part in falling:
            self.layers.append(part)
            self.connections += [replace(c, target=part.name) for c in connections]
            self.pairs[node.name] = curved

    def _samples(self, node: Node) -> tuple[Floats, Floats]:
        """What a neuron's channels send in the model, and the sums that they will see."""
        return channel_samples(
            [self.operations.store(v) for v in self.model[node.name]],
            [self.operations.store(v) for v in self.seen[node.inputs[0]]],
        )

    def _remember(self, name: str, layer: NeuronLayer, target: Floats, wished: Floats) -> None:
        """Ledger entries of a layer whose scale is not what the data asked for."""
        top = float((layer.scale * layer.high).max())
        what = f"activations rounded to {layer.high - layer.low + 1} levels, clipped above {top:.3g} at most"
        self.ledger.append(Approximation(name, what, float(layer.scale.max()) / 2, UNITS))
        if not target.any():
            what = "never active on the calibration data; its scale is arbitrary"
            self.ledger.append(Approximation(name, what, 0.0))
        found = np.broadcast_to(layer.scale, (len(wished), *layer.scale.shape[1:])).reshape(-1)
        coarser = found > wished * (1 + 1e-6)
        if coarser.any():
            what = f"{int(coarser.sum())} nearly silent channels rounded more coarsely, so that their thresholds are at least 1"
            self.ledger.append(Approximation(name, what, float((found - wished).max()) / 2, UNITS))

    def _refined(
        self,
        layer: NeuronLayer | Readout,
        connections: tuple[Connection, ...],
        terms: tuple[Term, ...],
        factor: Floats,
    ) -> tuple[Connection, ...]:
        """Connections with weights rounded on what arrives for the calibration data, where the membranes still fit."""
        if not self.refined:
            return connections
        limit = 2 ** (self.options.weight_bits - 1) - 1
        refined = []
        for t, connection in zip(terms, connections, strict=True):
            if t.path.weight is not None and t.weight[0].size <= MAX_COLUMNS:
                arriving = self._through(t.path, self.counts[connection.source])
                output = output_shape(t.path.weight, [arriving[0].shape[1:]])
                whole = refine(t.path.weight, scaled_weight(t, factor), arriving, output, limit=limit)
                connection = replace(connection, synapses=synapses(t.path, replace(t.path.weight, weight=whole)))
            refined.append(connection)
        total = combine([reach(c.synapses, self.intervals[c.source]) for c in refined])
        return tuple(refined) if fits(layer, total, self.options.state_bits) else connections

    def _remember_weights(
        self, name: str, connections: tuple[Connection, ...], terms: tuple[Term, ...], factor: Floats
    ) -> None:
        """Ledger entry of what rounding did to a layer's weights."""
        lost = {"weights": [0.0, 0.0], "coefficients": [0.0, 0.0]}
        for t, connection in zip(terms, connections, strict=True):
            assert connection.weighted is not None
            real, whole = np.broadcast_arrays(np.atleast_1d(scaled_weight(t, factor)), connection.weighted.weight)
            sums = lost["coefficients" if t.is_identity else "weights"]
            sums[0] += float(np.square(whole - real).sum())
            sums[1] += float(np.square(real).sum())
        percent = {kind: 100 * (change / size) ** 0.5 if size else 0.0 for kind, (change, size) in lost.items()}
        unit = "% of their root mean square"
        if not all(t.is_identity for t in terms):
            what = f"weights rounded to {self.options.weight_bits} bits"
            self.ledger.append(Approximation(name, what, percent["weights"], unit))
        if any(t.is_identity for t in terms):
            what = "coefficients of connections without weights rounded to integers, as wide as they need"
            self.ledger.append(Approximation(name, what, percent["coefficients"], unit))

    def _through(self, path: Path, parts: list[Any]) -> list[NDArray[Any]]:
        """Counts as they arrive at a path's weights."""
        arriving = []
        for value in parts:
            for op in path.before:
                value = value if isinstance(op, Affine) else self.exact.apply(op, [value])
            arriving.append(self.exact.store(value))
        return arriving

    def _max_layer(self, node: Node) -> None:
        assert isinstance(node.op, MaxPool)
        paths = self.paths[node.name]
        before = self.graph[node.inputs[0]].shape
        parts = [carried_scale(self.scales[p.source], self.graph[p.source].shape, p.before) for p in paths]
        known = [np.where(np.isnan(p), 0.0, p) for p in parts if p is not None]
        if len(known) < len(parts):
            raise QuantizeError(Problem(node.name, "takes the maximum of activations of different scales"))
        full = np.sum(known, axis=0)
        scale = full.reshape(before[0], -1).max(axis=1).reshape(-1, *(1,) * (len(before) - 1))
        layer = MaxLayer(node.name, node.shape, node.op, scale)
        connections = tuple(Connection(p.source, node.name, synapses(p, None)) for p in paths)
        self._add(layer, connections, [respond(layer, total) for total in self._drive(connections)])

    def read_out(self) -> None:
        """The last layer: the graph's output."""
        output = self.graph[self.graph.output]
        name = "output" if "output" not in self.graph.by_name else f"{output.name}.output"
        terms = self._terms(self.output_paths, output.shape, channels=False)
        readout, connections = readout_layer(
            name,
            output.shape,
            terms,
            self.constants[output.name],
            weight_bits=self.options.weight_bits,
            state_bits=self.options.state_bits,
            sources=self.intervals,
        )
        factor = np.asarray(1 / readout.scale)
        connections = self._refined(readout, connections, terms, factor)
        self._remember_weights(name, connections, terms, factor)
        readout, _ = self._corrected(readout, connections, self.model[output.name], np.asarray(readout.scale))
        self.layers.append(readout)
        self.connections += connections

    def _drive(self, connections: tuple[Connection, ...]) -> list[NDArray[np.int64]]:
        """Exact integer input of a layer for each part of the data."""
        totals = []
        for values in zip(*(self.counts[c.source] for c in connections), strict=True):
            total: Any = None
            for connection, value in zip(connections, values, strict=True):
                for synapse in connection.synapses:
                    value = self.exact.apply(synapse, [value])
                total = value if total is None else total + value
            totals.append(self.exact.store(total).astype(np.int64))
        return totals

    def _corrected(
        self, layer: Any, connections: tuple[Connection, ...], model: list[Any], unit: Floats
    ) -> tuple[Any, list[NDArray[np.int64]]]:
        """The layer with the mean error of its input moved into its bias, and its integer input without bias."""
        totals = self._drive(connections)
        axes = (0, *range(2, 1 + len(layer.shape)))
        counted = (
            np.abs(layer.bias) < FAR
        )  # what stands far outside any membrane says nothing about the rest of its channel
        error, weight = np.zeros(1), np.zeros(1)
        for m, t in zip(model, totals, strict=True):
            missing = self.operations.store(m).astype(np.float64) - (t + layer.bias) * unit
            error = error + np.where(counted, missing, 0.0).sum(axis=axes, keepdims=True)
            weight = weight + np.broadcast_to(counted, missing.shape).sum(axis=axes, keepdims=True)
        mean = (error / np.maximum(weight, 1))[0]
        shift = np.rint(np.clip(mean / unit, -BEYOND, BEYOND)).astype(np.int64)
        total = combine([reach(c.synapses, self.intervals[c.source]) for c in connections])
        corrected = with_correction(layer, shift, total, self.options.state_bits)
        return settled(corrected, total, self.options.state_bits), totals

    def _add(
        self, layer: NeuronLayer | MaxLayer, connections: tuple[Connection, ...], values: list[NDArray[np.int64]]
    ) -> None:
        self.layers.append(layer)
        self.connections += connections
        self.scales[layer.name] = layer.scale
        self.counts[layer.name] = [self.exact.load(v.astype(np.float64)) for v in values]
        self.seen[layer.name] = [self.operations.load((v * layer.scale).astype(np.float32)) for v in values]
        total = combine([reach(c.synapses, self.intervals[c.source]) for c in connections])
        self.intervals[layer.name] = counts(layer, total)


@contextmanager
def _named(node: Node) -> Iterator[None]:
    """Gives the problems of a layer its name and place."""
    try:
        yield
    except QuantizeError as error:
        place = f"{node.name} ({node.source})" if node.source else node.name
        named = [p if p.where == node.name else replace(p, where=f"{place}: {p.where}") for p in error.problems]
        raise QuantizeError(named) from error


def _is_layer(node: Node) -> bool:
    return is_spiking(node.op) and not isinstance(node.op, Input)


def _affine(x: NDArray[Any], gain: Floats | None, shift: Floats | None) -> NDArray[np.float32]:
    y = x if gain is None else x * gain
    return (y if shift is None else y + shift).astype(np.float32)
