"""A converted network in population code as plain NIR: one step of any simulator that has no latency between layers is the whole of it.

A bank of L units on a neuron with the sum U is L plain units with one threshold Theta above every U. Unit k holds
U + Theta - c[k] + 1/2 after the one step, c[k] its level: it fires exactly if U >= c[k], whether a simulator compares with `>` or
with `>=`, as nothing ever meets the threshold, and at most once, whatever its reset. So the counts are those of
`spikeport.codes.population`, and the read-out is linear.

    connection          the nodes of its synapses (`spikeport.nir.stages`)
    <name>_units        Affine, or a convolution of one tap: each sum to its L units, with the levels as biases
    <name>              IF, or what a dialect has for `v = v + x`
    <name>_count        Affine, or a convolution of one tap: adds up the units of a neuron

The input is the integers of the encoder, given in the first step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.backends.reference.stepper import Stepper
from spikeport.errors import NirError, Problem, ProofError
from spikeport.graph import apply_synapse
from spikeport.nir import declared, stages
from spikeport.nir.limits import MAX_ELEMENTS, MAX_LOADED_BYTES
from spikeport.nir.names import free_name
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_from_object
from spikeport.nir.stages import Same, Scaling, Stage
from spikeport.primitives import (
    IF,
    LIF,
    Accumulator,
    Approximation,
    DynamicNetwork,
    DynamicsContract,
    Ledger,
    NirContract,
    Population,
    Relay,
    Shape,
    SpikingNetwork,
    StaircaseBank,
    UnitBank,
    remark,
)

DT = 1e-4
"""Seconds of the one step; snnTorch and SpikingJelly take no other."""
EXACT = {"float32": 2.0**23, "float64": 2.0**52}
"""Half-integers below it are exact, and so are their sums in any order."""
KEY = "spikeport_wave"
Bank = UnitBank | StaircaseBank


def _accumulate(threshold: NDArray[Any]) -> Any:
    return nir.IF(r=np.ones_like(threshold), v_threshold=threshold, v_reset=np.zeros_like(threshold))


def _per_second(threshold: NDArray[Any]) -> Any:
    return nir.IF(r=np.full_like(threshold, 1 / DT), v_threshold=threshold, v_reset=np.zeros_like(threshold))


def _leaking_all(threshold: NDArray[Any]) -> Any:
    """With tau = dt forward Euler forgets everything in a step: v = x."""
    one, zero = np.ones_like(threshold), np.zeros_like(threshold)
    return nir.LIF(tau=one * DT, r=one, v_leak=zero, v_threshold=threshold, v_reset=zero)


_STEP = NirContract(dynamics=DynamicsContract(dt=DT, integrator="accumulate"), if_gain="step")
_EULER = NirContract(dynamics=DynamicsContract(dt=DT, integrator="forward_euler"))
DIALECTS: Mapping[str, tuple[Any, NirContract]] = {
    "norse": (_accumulate, _STEP),
    "sinabs": (_accumulate, _STEP),
    "snntorch": (_leaking_all, _EULER),
    "spikingjelly": (_per_second, _EULER),
}
"""How a tool says `v = v + x`, and the contract under which the file says it."""
SEQUENTIAL = ("norse", "sinabs")
"""Tools whose importers, where values part and meet again, return another layer than the last, and do not say so."""
PLAIN = (_accumulate, _STEP)


@dataclass
class _Parts:
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def wave_graph(network: SpikingNetwork, dialect: str | None = None) -> tuple[nir.NIRGraph, Ledger]:
    """The graph of a network in population code, and what it leaves to whoever runs it.

    Args:
        dialect: the tool that will run it, None for any whose IF adds its input to the potential in each step.

    Raises:
        NirError: populations without such units, operations without a form in NIR, sums beyond exact floats; all of them by name.
    """
    build, contract = PLAIN if dialect is None else DIALECTS[dialect]
    parts = _Parts()
    largest = _largest(network, parts.problems)
    if not parts.problems and max(largest.values()) >= EXACT["float64"]:
        name = max(largest, key=largest.__getitem__)
        parts.problems.append(
            Problem(name, "its sums are beyond what floats hold exactly", "fewer levels or weight bits")
        )
    if dialect in SEQUENTIAL:
        parts.problems += _branches(network, dialect)
    if parts.problems:
        raise NirError(parts.problems)
    dtype = np.dtype(np.float32 if max(largest.values()) < EXACT["float32"] else np.float64)
    names = _names(network)
    parts.nodes[names[network.input.name]] = nir.Input(input_type={"input": np.array(network.input.shape)})
    taken: set[tuple[str, str]] = set()
    for population in network.populations:
        _population(network, population, names, dtype, build, parts, taken)
    if parts.problems:
        raise NirError(parts.problems)
    size = sum(getattr(node, "weight", np.zeros(0)).nbytes for node in parts.nodes.values())
    if size > MAX_LOADED_BYTES:
        raise NirError(Problem(network.name, f"needs {size:,} bytes of weights in NIR", f"below {MAX_LOADED_BYTES:,}"))
    output = network[network.output].neuron
    assert isinstance(output, Accumulator)
    said = {"steps": 1, "input": _encoder(network), "output_scale": float(output.scale)}
    metadata = {declared.KEY: declared.text_of(contract), KEY: json.dumps(said)}
    ledger = tuple(_remarks(network, dtype))
    try:
        return nir.NIRGraph(parts.nodes, parts.edges, metadata), ledger
    except (ValueError, AssertionError) as error:
        why = f"is refused by nir {nir.version}: {error}"
        raise NirError(Problem(network.name, why, "please report this network")) from error


def _branches(network: SpikingNetwork, dialect: str) -> Iterator[Problem]:
    """Where more than one connection begins or ends."""
    for name in (network.input.name, *(p.name for p in network.populations)):
        into = len(network.incoming(name))
        out = sum(c.source == name for c in network.connections)
        if max(into, out) > 1:
            hint = f"another dialect: {', '.join(repr(d) for d in DIALECTS if d not in SEQUENTIAL)}"
            why = f"has {into} connections in and {out} out, and the importer of {dialect} follows one"
            yield Problem(name, why, hint)


def agreeing(network: SpikingNetwork, graph: nir.NIRGraph, samples: int = 2) -> None:
    """Run the graph as its contract says, on random integers and on the ends of the input's range, beside the network.

    Raises:
        ProofError: another count or read-out anywhere; a bug of ours.
    """
    said = declared.parse(graph.metadata[declared.KEY])
    running = network_of(graph_from_object(graph), said)
    encoder, rng = network.input, np.random.default_rng(0)
    ends = [np.full(encoder.shape, n) for n in (encoder.low, encoder.high)]
    drawn = [rng.integers(encoder.low, encoder.high + 1, encoder.shape) for _ in range(samples)]
    x = np.array([*ends, *drawn])
    found = _one_step(running, x.astype(np.float64))[running.outputs[0].source]
    stepper = Stepper(network, x[None] if encoder.kind == "events" else x)
    stepper.step()
    expected = stepper.state[network.output].v
    if not np.array_equal(found, expected):
        raise ProofError(
            Problem(network.name, "the NIR graph gives another read-out than the network", "please report it")
        )


def _one_step(network: DynamicNetwork, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What each place gives in the first step, operators whole: stepping synapse by synapse takes minutes where this takes milliseconds."""
    given = {network.inputs[0].name: x}
    dt = network.contract.dt
    for population in network.populations:
        arrived: NDArray[Any] = np.zeros((len(x), *population.shape))
        for p in network.projections:
            if p.target != population.name:
                continue
            values = given[p.source]
            for synapse in p.synapses:
                values = apply_synapse(synapse, values)  # type: ignore[arg-type]  # graphs hold no Sparse
            arrived = arrived + values + (0.0 if p.bias is None else p.bias)
        match population.neuron:
            case Relay():
                given[population.name] = arrived
            case IF(r=r):
                gain = r if network.contract_of(population.name).integrator == "accumulate" else r * dt
                given[population.name] = (gain * arrived > population.neuron.threshold).astype(np.float64)
            case LIF(r=r, tau=tau):
                given[population.name] = (dt / tau * (r * arrived) > population.neuron.threshold).astype(np.float64)
            case _:
                raise AssertionError("no neuron of a dialect")
    return given


def _encoder(network: SpikingNetwork) -> dict[str, Any]:
    """How values become the integers that enter."""
    encoder = network.input
    entries = {"scale": encoder.scale, "gain": encoder.gain, "shift": encoder.shift}
    arrays = {k: None if v is None else np.asarray(v, dtype=np.float64).tolist() for k, v in entries.items()}
    return {"low": int(encoder.low), "high": int(encoder.high), **arrays}


def _remarks(network: SpikingNetwork, dtype: np.dtype[Any]) -> Iterator[Approximation]:
    yield remark(network.input.name, "takes integers: encode values before they enter, in the first step")
    yield remark(network.output, "gives integers in the first step: times its scale they are the output")
    if dtype == np.float64:
        yield Approximation(network.name, "needs float64: a simulator that computes in float32 may round", 0.0)
    for name in network.host_tail:
        yield remark(network.output, f"NIR ends before {name}, which runs on the host")


def _names(network: SpikingNetwork) -> dict[str, str]:
    taken = {"input", "output"}
    named = {network.input.name: "input", network.output: "output"}
    for population in network.populations:
        if population.name != network.output:
            named[population.name] = free_name(population.name, taken)
            taken |= {f"{named[population.name]}_units", f"{named[population.name]}_count"}
    return named


def _population(
    network: SpikingNetwork,
    population: Population,
    names: Mapping[str, str],
    dtype: np.dtype[Any],
    build: Any,
    parts: _Parts,
    taken: set[tuple[str, str]],
) -> None:
    """The nodes of a population and of everything that leads to it."""
    name, neuron = names[population.name], population.neuron
    bank = isinstance(neuron, UnitBank | StaircaseBank)
    end = f"{name}_units" if bank else name
    bias = _by_channel(neuron.bias, population, "bias", parts.problems) if isinstance(neuron, Accumulator) else None
    incoming = network.incoming(population.name)
    for connection in incoming:
        source = names[connection.source]
        start = source if connection.source == network.input.name else f"{source}_count"
        shape = network.input.shape if connection.source == network.input.name else network[connection.source].shape
        chain, found = stages.plan(connection.synapses, shape, connection.name)
        parts.problems += found
        here: list[Stage] = list(chain)
        last = connection is incoming[-1]
        if bias is not None and last and bias.any() and not (here and stages.carries_bias(here[-1])):
            here.append(Same(population.shape, population.shape))
        if not here and (start, end) in taken:
            here = [Scaling(None, shape, shape)]  # NIR has no second edge between two nodes
        carried = bias if bias is not None and last and bias.any() else None
        made: list[Any] = []
        for stage in here:
            for node in stages.nodes(stage, carried if stage is here[-1] else None, dtype):
                made.append(_common_form(node, stage, dtype))
        path = [start]
        for node in made:
            path.append(free_name(f"{name}_{type(node).__name__.lower()}", set(parts.nodes) | set(names.values())))
            parts.nodes[path[-1]] = node
        taken.add((path[-1], end))
        parts.edges += pairwise([*path, end])
    if not bank:
        parts.nodes[name] = nir.Output(output_type={"output": np.array(population.shape)})
        return
    assert isinstance(neuron, UnitBank | StaircaseBank)
    channels, units = population.shape[0], neuron.units
    levels = _levels(population, neuron, parts.problems)
    if channels**2 * units > MAX_ELEMENTS:
        hint = "fewer levels, or convolutions in place of a wide layer"
        parts.problems.append(Problem(population.name, f"needs {channels**2 * units:,} weights for its units", hint))
        return
    spread = np.repeat(np.eye(channels), units, axis=0)
    biases = (neuron.common + 0.5 - levels).reshape(-1)
    parts.nodes[f"{name}_units"] = _one_tap(spread, biases, population.shape, dtype)
    full = np.full((channels * units, *population.shape[1:]), neuron.common, dtype=dtype)
    parts.nodes[name] = build(full)
    parts.nodes[f"{name}_count"] = _one_tap(spread.T, None, population.shape, dtype)
    parts.edges += [(f"{name}_units", name), (name, f"{name}_count")]


def _common_form(node: Any, stage: Stage, dtype: np.dtype[Any]) -> Any:
    """The same in nodes that every importer has: some know no Linear, some no Scale."""
    if isinstance(node, nir.Linear):
        return nir.Affine(weight=node.weight, bias=np.zeros(len(node.weight), dtype=dtype))
    if isinstance(node, nir.Scale):
        each = node.scale.reshape(len(node.scale), -1)
        if (each == each[:, :1]).all():
            return _one_tap(np.diag(each[:, 0]), None, stage.target, dtype)
    return node


def _one_tap(matrix: NDArray[Any], bias: NDArray[Any] | None, shape: Shape, dtype: np.dtype[Any]) -> Any:
    """A matrix between channels."""
    weight = matrix.astype(dtype)
    bias = (np.zeros(len(weight)) if bias is None else bias).astype(dtype)
    if len(shape) == 1:
        return nir.Affine(weight=weight, bias=bias)
    weight = weight.reshape(*weight.shape, *(1,) * (len(shape) - 1))
    if len(shape) == 2:
        return nir.Conv1d(shape[1], weight, 1, 0, 1, 1, bias)
    return nir.Conv2d(shape[1:], weight, (1, 1), (0, 0), (1, 1), 1, bias)


def _levels(population: Population, neuron: Bank, problems: list[Problem]) -> NDArray[np.float64]:
    """What a sum has to reach for each unit, shape (channel, unit): its level without initial potential and bias."""
    if isinstance(neuron, UnitBank):
        threshold = _by_channel(neuron.threshold, population, "threshold", problems)
        table = threshold[:, None] * np.arange(1, neuron.units + 1)
    else:
        rows = [_by_channel(row, population, "steps", problems) for row in neuron.steps]
        table = np.stack(rows, axis=1)
    for what in ("initial", "bias"):
        table = table - _by_channel(getattr(neuron, what), population, what, problems)[:, None]
    return table


def _by_channel(
    values: NDArray[Any], population: Population, what: str, problems: list[Problem]
) -> NDArray[np.float64]:
    """One value a channel."""
    full = np.broadcast_to(values, population.shape).reshape(population.shape[0], -1)
    if (full != full[:, :1]).any():
        why = f"its {what} differs from place to place, and NIR has one bias a channel"
        problems.append(Problem(population.name, why, "use zero padding with symmetric input ranges"))
    return full[:, 0].astype(np.float64)


def _largest(network: SpikingNetwork, problems: list[Problem]) -> dict[str, float]:
    """A bound on every number that a simulator meets in a population, in any order of its sums."""
    counts = {network.input.name: float(max(abs(network.input.low), abs(network.input.high)))}
    shapes = {network.input.name: network.input.shape} | {p.name: p.shape for p in network.populations}
    found = {network.input.name: counts[network.input.name]}
    for population in network.populations:
        neuron = population.neuron
        if not isinstance(neuron, UnitBank | StaircaseBank | Accumulator):
            hint = 'convert with code="population", and with average pooling in place of maxima'
            problems.append(Problem(population.name, f"{type(neuron).__name__} is no bank of plain units", hint))
            continue
        if len(population.shape) > 3 or prod(population.shape) == 0:
            problems.append(Problem(population.name, f"a population of shape {population.shape} has no form in NIR"))
            continue
        total = 0.0
        for connection in network.incoming(population.name):
            x = np.full((1, *shapes[connection.source]), counts.get(connection.source, 0.0))
            for synapse in connection.synapses:
                x = apply_synapse(_absolute(synapse), x)
            total += float(x.max(initial=0.0))
        total += float(np.abs(neuron.bias).max(initial=0))
        if isinstance(neuron, Accumulator):
            found[population.name] = total
            continue
        levels = (
            np.abs(neuron.steps).max() if isinstance(neuron, StaircaseBank) else neuron.units * neuron.threshold.max()
        )
        total += float(np.abs(neuron.initial).max(initial=0)) + neuron.common + float(levels)
        found[population.name], counts[population.name] = 2 * total, float(neuron.units)
    return found


def _absolute(synapse: Any) -> Any:
    weight = getattr(synapse, "weight", None)
    return synapse if weight is None else replace(synapse, weight=np.abs(weight.astype(np.float64)))
