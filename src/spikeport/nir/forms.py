"""Synapses and nodes in the forms that a tool reads, and edges in an order in which it runs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.graph import output_shape
from spikeport.nir.folding import relative_change
from spikeport.nir.limits import MAX_ELEMENTS
from spikeport.nir.terms import SHORT, SUMS, TERMS
from spikeport.primitives import (
    Approximation,
    Conv,
    Dense,
    DynamicNetwork,
    OneToOne,
    Projection,
    Sparse,
    SumPool,
    Synapse,
)

Array = NDArray[Any]
ROUNDED = "of itself"
OF_SUMS = "of each sum"


def pooled(p: Projection, network: DynamicNetwork, tool: str) -> tuple[Synapse | Sparse, ...]:
    """Sums over windows as convolutions where the tool has none, and means with them."""
    shape = network.inputs[0].shape if p.source == network.inputs[0].name else network[p.source].shape
    made: list[Synapse | Sparse] = []
    pending = list(p.synapses)
    while pending:
        synapse = pending.pop(0)
        if isinstance(synapse, SumPool) and (tool not in SUMS or np.any(synapse.padding)):
            factor = 1.0
            following = pending[0] if pending else None
            if isinstance(following, OneToOne) and np.ndim(following.weight) == 0:
                factor = float(following.weight)
                del pending[0]
            eye = np.eye(shape[0]).reshape(shape[0], shape[0], *(1,) * len(synapse.kernel))
            weight = np.array(np.broadcast_to(eye * factor, (shape[0], shape[0], *synapse.kernel)))
            synapse = Conv(weight, synapse.stride, synapse.padding, (1,) * len(synapse.kernel))
        if not isinstance(synapse, Sparse):
            shape = output_shape(synapse, [shape])
        made.append(synapse)
    return tuple(made)


def scaled(p: Projection, rows: Array | None, network: DynamicNetwork) -> tuple[Synapse | Sparse, ...]:
    """The synapses, times a factor of each target."""
    if rows is None:
        return p.synapses
    last = p.synapses[-1] if p.synapses else None
    match last:
        case Dense(weight):
            return (*p.synapses[:-1], Dense(np.asarray(weight, dtype=np.float64) * rows.reshape(-1, 1)))
        case Conv(weight) if (rows.reshape(len(rows), -1) == rows.reshape(len(rows), -1)[:, :1]).all():
            each = rows.reshape(len(rows), -1)[:, 0].reshape(-1, *(1,) * (weight.ndim - 1))
            return (*p.synapses[:-1], replace(last, weight=np.asarray(weight, dtype=np.float64) * each))
        case Sparse():
            by_target = np.asarray(last.dense(), dtype=np.float64) * rows.reshape(-1, 1)
            shape = network[p.target].shape
            flat: tuple[Synapse, ...] = (Dense(by_target),)
            return flat if len(shape) == 1 else p.synapses
        case _:
            return (*p.synapses, OneToOne(rows))


def node_of(name: str, node: Any, tool: str, problems: list[Problem], ledger: list[Approximation]) -> Any:
    """The same in a form that the tool has, numbers in the format that it takes."""
    match node:
        case nir.Linear():
            node = nir.Affine(weight=node.weight, bias=np.zeros(len(node.weight)))
        case nir.Scale():
            node = _one_tap(name, node.scale, problems) or node
        case nir.Conv1d() if tool != "spikingjelly":
            hint = 'dialect="spikingjelly", or feature maps of two axes'
            problems.append(Problem(name, f"{tool} runs no convolution over one axis", hint))
        case nir.Delay():
            why = f"{tool} has no delay"
            problems.append(Problem(name, why, "leave delays out"))
    wide = TERMS[tool].wide
    for key, value in vars(node).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            single = value.astype(np.float32)
            neuron = isinstance(node, nir.IF | nir.LIF | nir.CubaLIF)
            keeps = neuron and wide and key in ("tau", "tau_mem", "tau_syn", "r", "w_in")
            setattr(node, key, value if keeps else single.astype(np.float64) if neuron and wide else single)
            if not neuron and (change := relative_change(value)):
                ledger.append(Approximation(name, f"{key} in float32", change, ROUNDED))
    return node


def _one_tap(name: str, scale: Array, problems: list[Problem]) -> Any:
    """A factor of each neuron as a matrix between channels."""
    channels = len(scale)
    each = scale.reshape(channels, -1)
    if (each != each[:, :1]).any():
        why = "has a factor for each position of feature maps, and tools have one a channel"
        problems.append(Problem(name, why, "one threshold, gain and tau a channel"))
        return None
    if channels**2 > MAX_ELEMENTS:
        problems.append(Problem(name, f"needs {channels**2:,} weights for factors of its neurons", "fewer of them"))
        return None
    matrix = np.diag(each[:, 0])
    if scale.ndim == 1:
        return nir.Affine(weight=matrix, bias=np.zeros(channels))
    weight = matrix.reshape(*matrix.shape, *(1,) * (scale.ndim - 1))
    if scale.ndim == 2:
        return nir.Conv1d(scale.shape[1], weight, 1, 0, 1, 1, np.zeros(channels))
    return nir.Conv2d(scale.shape[1:], weight, (1, 1), (0, 0), (1, 1), 1, np.zeros(channels))


def arranged(network: DynamicNetwork, edges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Edges that close loops first, then the longest way to the output: tools that run depth first come to each node after its sources."""
    place = {p.name: i for i, p in enumerate(network.populations)}
    targets: dict[str, list[str]] = {}
    for a, b in edges:
        targets.setdefault(a, []).append(b)

    def way(edge: tuple[str, str]) -> tuple[int, str]:
        """Edges from here to the next population or the output, and which that is."""
        length, at = 1, edge[1]
        while at not in place and at in targets:
            length, at = length + 1, targets[at][0]
        return length, at

    def backwards(edge: tuple[str, str]) -> bool:
        return edge[0] in place and place.get(way(edge)[1], len(place)) <= place[edge[0]]

    heights: dict[str, int] = {}
    for name in reversed([*(i.name for i in network.inputs), *place]):  # forward edges lead to later populations
        for edge in ((name, b) for b in targets.get(name, ())):
            if not backwards(edge):
                length, at = way(edge)
                heights[name] = max(heights.get(name, 0), length + heights.get(at, 0))

    def rank(edge: tuple[str, str]) -> tuple[bool, int]:
        length, at = way(edge)
        return not backwards(edge), -(length + heights.get(at, 0))

    return sorted(edges, key=rank)


def channels_last(nodes: dict[str, Any], edges: list[tuple[str, str]], problems: list[Problem]) -> None:
    """Columns of the matrix behind a Flatten of feature maps in the order in which Spyx has them."""
    for name, node in nodes.items():
        if not isinstance(node, nir.Flatten):
            continue
        shape = tuple(int(n) for n in node.input_type["input"])
        if len(shape) < 2 or shape[0] == 1 or np.prod(shape[1:]) == 1:
            continue
        after = [b for a, b in edges if a == name]
        behind = nodes[after[0]] if len(after) == 1 else None
        if not isinstance(behind, nir.Affine):
            why = "flattens feature maps, which Spyx does channels last, and no matrix follows it"
            problems.append(Problem(name, why, "a dense layer behind it"))
            continue
        order = np.arange(np.prod(shape)).reshape(shape).transpose(*range(1, len(shape)), 0).ravel()
        behind.weight = np.ascontiguousarray(behind.weight[:, order])


def long(graph: nir.NIRGraph, tool: str, step: float) -> str | None:
    """The first node whose numbers are not all short."""
    shares = TERMS[tool].shares
    for name, node in graph.nodes.items():
        for key in ("weight", "bias", "v_threshold", "v_leak", "v_reset"):
            if not _short(getattr(node, key, np.zeros(1)), beside=key == "v_threshold"):
                return name
        for key in ("tau", "tau_mem", "tau_syn"):
            share = shares(getattr(node, key), step) if hasattr(node, key) else np.zeros(1)
            if not _short(np.where(share < 2.0**-60, 0.0, share)):
                return name
    return None


def _short(values: Any, *, beside: bool = False) -> bool:
    """Whether products and sums of a few of them are exact; `beside`: or the next number is such a one."""
    exact = np.zeros(np.shape(values), dtype=bool)
    for way in (0.0, *((np.inf, -np.inf) if beside else ())):
        near = np.asarray(values, np.float32)
        near = np.nextafter(near, np.float32(way)) if way else near
        scaled = near.astype(np.float64) / SHORT
        exact |= (scaled == np.rint(scaled)) & (np.abs(near) < 1 / SHORT)
    return bool(exact.all())
