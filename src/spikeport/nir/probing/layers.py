"""Probes: layers of neurons that are driven one by one, so that what leaves them tells how they step.

Every neuron of a layer has an input of its own, so its drive can be anything. Drives are short binary fractions scaled by what a tool may multiply them
with, and meet the threshold exactly; the other half is random. Parts of a layer do not touch each other: what is odd in one leaves the
others readable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.nir.graph import NirGraph
from spikeport.nir.parse import graph_from_object

N_STEPS = 32
SEED = 20
TAU, TAU_SYN = 4, 2
"""Time constants of membrane and synapse, in steps."""
K, K_SYN = 1 / TAU, 1 / TAU_SYN
RING = 8
"""Neurons of a loop."""
Variant = Mapping[str, str]
"""What a layer of some kind may hold, by feature."""
FEATURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "LIF": {
        "r": ("free", "tau / dt", "1"),
        "v_leak and v_reset": ("free", "v_leak = 0", "equal", "0"),
        "neurons": ("different", "equal"),
    },
    "IF": {"r": ("free", "1 / dt", "1"), "v_reset": ("free", "0")},
    "CubaLIF": {
        "r": ("free", "tau_mem / dt", "1"),
        "w_in": ("free", "tau_syn / dt", "1"),
        "v_leak and v_reset": ("free", "v_leak = 0", "equal", "0"),
        "neurons": ("different", "equal"),
    },
}
"""Of the kinds that fire: what may be said of their parameters, the most telling first. Tools refuse some of it."""


def variants(kind: str) -> tuple[Variant, ...]:
    """All variants of a kind, the most telling first."""
    features = FEATURES[kind]
    return tuple(dict(zip(features, chosen, strict=True)) for chosen in product(*features.values()))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Neurons of one layer that belong together."""

    name: str
    neurons: Mapping[str, NDArray[np.float64]]
    """Parameters, each (neuron,)."""
    drive: NDArray[np.float64]
    """(time, neuron), what enters them."""
    loop: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """Weights and biases of an Affine from them to them."""
    strong: tuple[int, ...] = ()
    """Neurons that are driven by several thresholds at once."""

    @property
    def size(self) -> int:
        return self.drive.shape[1]

    def some(self, which: Sequence[int]) -> Part:
        """Some neurons of it."""
        own = list(which)
        loop = None if self.loop is None else (self.loop[0][np.ix_(own, own)], self.loop[1][own])
        strong = tuple(own.index(i) for i in self.strong if i in own)
        return Part(self.name, {k: v[own] for k, v in self.neurons.items()}, self.drive[:, own], loop, strong)

    def first(self, n: int) -> Part:
        """The first neurons of it."""
        return self.some(range(n))


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A layer behind another one that fires where a neuron there does: one for each, and some more that have a bias, or need two spikes at once."""

    kind: str
    variant: Variant
    weight: float
    biases: tuple[float, ...] = ()
    """Of additional ones, which read the first neurons; in units of the weight."""
    deaf: bool = True
    """Whether each neuron that is driven strongly has another reader, with half the weight."""

    def more(self, parts: Sequence[Part]) -> int:
        """Number of additional neurons."""
        return len(self.biases) + (sum(len(p.strong) for p in parts) if self.deaf else 0)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A graph of parts, whole or some of it, and what enters it."""

    file: nir.NIRGraph
    graph: NirGraph
    x: NDArray[np.float32]
    """(time, *shape)."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Of neurons, by node."""


def layer(kind: str, variant: Variant, dt: float) -> tuple[Part, ...]:
    """The parts of a layer, first the plain one."""
    several = variant.get("neurons") == "different"
    rest = variant.get("v_leak and v_reset", "")
    main = {**variant, "v_leak and v_reset": "v_leak = 0"} if several and rest == "free" else variant
    parts = [_part("plain", kind, main, dt, dt, N_STEPS, random=5 if kind == "CubaLIF" else 8)]
    if several and rest == "free":
        parts.append(_part("v_leak", kind, variant, dt, dt, N_STEPS, random=4))
    if several:
        scales = {"time constants in ms": 1e3 * dt, "time constants in steps": 1.0}
        named = {
            name: scale
            for name, scale in scales.items()
            if not np.isclose(scale, [dt, *(s for n, s in scales.items() if n < name)]).any()
        }
        parts += [_part(name, kind, main, dt, scale, N_STEPS, random=4) for name, scale in named.items()]
    return tuple(parts)


def parameters(kind: str, variant: Variant, dt: float, scale: float, n: int) -> dict[str, NDArray[np.float64]]:
    """Of n equal neurons, whose time constants are `scale` for each step."""
    rest = variant.get("v_leak and v_reset") or {"free": "v_leak = 0", "0": "0"}[variant["v_reset"]]
    leak, reset = {"free": (0.25, -0.5), "v_leak = 0": (0.0, -0.5), "equal": (-0.5, -0.5), "0": (0.0, 0.0)}[rest]
    full = {"IF": 1 / dt}.get(kind, TAU * scale / dt)
    free = {"IF": 2.0}.get(kind, 2 * full)
    values = {"r": {"free": free, "1": 1.0}.get(variant["r"], full), "v_threshold": 1.0, "v_reset": reset}
    if kind == "LIF":
        values |= {"tau": TAU * scale, "v_leak": leak}
    if kind == "CubaLIF":
        once = TAU_SYN * scale / dt
        w_in = {"free": 2 * once, "1": 1.0}.get(variant["w_in"], once)
        values |= {"tau_mem": TAU * scale, "tau_syn": TAU_SYN * scale, "v_leak": leak, "w_in": w_in}
    return {name: np.full(n, value) for name, value in values.items()}


def gains(kind: str, values: Mapping[str, NDArray[np.float64]], dt: float) -> tuple[float, ...]:
    """What a tool may multiply an input by, as far as it reads the parameters in one way or another."""
    r = float(values["r"][0])
    if kind == "IF":
        found = {1.0, r, r * dt}
    elif kind == "LIF":
        found = {1.0, K, K * r}
    else:
        w_in = float(values["w_in"][0])
        found = {a * b for a in (1.0, K_SYN, w_in, K_SYN * w_in) for b in (K, K * r)}
    return tuple(sorted(found))


def _part(name: str, kind: str, variant: Variant, dt: float, scale: float, steps: int, random: int = 8) -> Part:
    one = parameters(kind, variant, dt, scale, 1)
    designed = _designed(steps) if random > 4 else _designed(steps)[:4]
    rng = np.random.default_rng(SEED)
    columns: list[NDArray[np.float64]] = []
    strong: list[int] = []
    for gain in gains(kind, one, dt):
        strong += [len(columns) + i for i in STRONG]
        columns += [column / gain for column in designed]
        columns += [rng.integers(-8, 17, steps) / 8 * amplitude / gain for amplitude in np.geomspace(0.25, 2, random)]
    if len(columns) % 2:
        columns.append(columns[0])  # halves of them can be feature maps
    drive = np.stack(columns, axis=1).astype(np.float32).astype(np.float64)
    return Part(name, parameters(kind, variant, dt, scale, drive.shape[1]), drive, strong=tuple(strong))


STRONG = (1, 3)
"""Of the designed drives those by several thresholds."""


def _designed(steps: int) -> list[NDArray[np.float64]]:
    """Drives in units of what brings a potential at 0 to the threshold in one step; each is there from the first step on."""
    patterns: list[dict[int, float]] = [
        {0: 1.0, 8: 1 + 1 / 64, 16: 1 - 1 / 64, 24: 1.0},  # at the threshold, a little more, a little less
        {0: 3.5, 2: 0.5, 8: 1.5, 9: 0.75, 10: 0.75, 20: 2.5},  # several thresholds, and what a reset leaves
        {0: -3.0, 1: -3.0, 2: -1.0, 3: 1.5, 4: 1.25, 6: 1.0, 16: 1.5},  # from far below: is there a clip
        {0: 2.0, 4: 3.0, 12: 4.0},  # exactly several thresholds
        {0: 0.5, 1: 0.5, 8: 0.5, 9: 0.625, 16: 0.25, 17: 0.75},  # exactly in two steps, without and with a leak
        {0: 1.5, 1: 1.5, 2: 1.5, 3: 1.5, 16: -0.5, 17: 1.5, 18: 1.0},
        {0: -1.0, 1: 1.0, 2: 1.0, 3: 1.0, 14: -0.5, 15: 1.25},
        {1: 1.25, 2: 0.25, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0},
    ]
    made = [np.array([pattern.get(step, 0.0) for step in range(steps)]) for pattern in patterns]
    return [*made, *(np.full(steps, level) for level in (0.3125, 0.75, 1.25))]


def ring(kind: str, variant: Variant, dt: float) -> Part:
    """Neurons that feed each other over weights and biases, once for each gain: they tell where a loop keeps its values."""
    one = parameters(kind, variant, dt, dt, 1)
    rng = np.random.default_rng(SEED + 1)
    levels = gains(kind, one, dt)
    n = RING * len(levels)
    weight, bias, drive = np.zeros((n, n)), np.zeros(n), np.zeros((N_STEPS, n))
    for i, gain in enumerate(levels):
        own = slice(RING * i, RING * (i + 1))
        weight[own, own] = rng.integers(-6, 9, (RING, RING)) / 8 / gain
        bias[own] = rng.integers(2, 5, RING) / 8 / gain
        drive[:, own] = rng.integers(-6, 9, (N_STEPS, RING)) / 8 / gain
        drive[0, own] = 1.125 / gain - bias[own]  # it fires in the first step if the bias is there
    rounded = [a.astype(np.float32).astype(np.float64) for a in (weight, bias, drive)]
    return Part("loop", parameters(kind, variant, dt, dt, n), rounded[2], (rounded[0], rounded[1]))


def made(
    kind: str,
    parts: Sequence[Part],
    dt: float,
    *,
    reader: Reader | None = None,
    flatten: bool = False,
    dropped: frozenset[str] = frozenset(),
) -> Made:
    """The graph of some parts side by side.

    Args:
        reader: a layer behind it.
        flatten: two feature maps go in, and are flattened before the reader.
        dropped: nodes that are left out, as some tools do.
    """
    n = sum(p.size for p in parts)
    drive = np.concatenate([p.drive for p in parts], axis=1)
    shape = (2, n // 2, 1) if flatten else (n,)
    values = {name: np.concatenate([p.neurons[name] for p in parts]).reshape(shape) for name in parts[0].neurons}
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shape)})}
    if not flatten:
        nodes["fc"] = nir.Affine(np.eye(n), np.zeros(n))
    first = f"{kind.lower()}1"
    nodes[first] = getattr(nir, kind)(**values)
    kinds = {first: kind}
    if reader is not None:
        if flatten:
            nodes["flat"] = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
        more = reader.more(parts)
        weight, bias = _reading(parts, n, reader)
        nodes["fc2"] = nir.Affine(weight, bias)
        second = f"{reader.kind.lower()}2"
        nodes[second] = getattr(nir, reader.kind)(**parameters(reader.kind, reader.variant, dt, dt, n + more))
        kinds[second] = reader.kind
        n += more
    nodes["output"] = nir.Output({"output": np.array(shape if reader is None else (n,))})
    nodes = {name: node for name, node in nodes.items() if name not in dropped}
    edges = list(pairwise(nodes))
    if any(p.loop for p in parts) and "w_rec" not in dropped:
        nodes["w_rec"] = _loops(parts)
        edges[edges.index(("fc", first)) + 1 : 0] = [(first, "w_rec"), ("w_rec", first)]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    kinds = {name: k for name, k in kinds.items() if name not in dropped}
    return Made(graph, graph_from_object(graph), drive.reshape(-1, *shape).astype(np.float32), kinds)


def _reading(parts: Sequence[Part], n: int, reader: Reader) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    biased = len(reader.biases)
    rows = [np.eye(n), np.eye(biased, n)]
    starts = np.cumsum([0, *(p.size for p in parts)])
    if reader.deaf:
        rows += [np.eye(n)[[start + i for i in p.strong]] / 2 for p, start in zip(parts, starts, strict=False)]
    weight = reader.weight * np.concatenate(rows)
    bias = np.zeros(len(weight))
    bias[n : n + biased] = reader.weight * np.array(reader.biases)
    return weight, bias


def _loops(parts: Sequence[Part]) -> nir.Affine:
    n = sum(p.size for p in parts)
    weight, bias, at = np.zeros((n, n)), np.zeros(n), 0
    for part in parts:
        if part.loop is not None:
            own = slice(at, at + part.size)
            weight[own, own], bias[own] = part.loop
        at += part.size
    return nir.Affine(weight, bias)
