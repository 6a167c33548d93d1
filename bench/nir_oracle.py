"""A second reading of NIR, apart from the first: steps objects of `nir` edge by edge, in the widest floats that numpy has.

It knows the equations of NIR's nodes and what the fields of a contract say, and shares no code with `spikeport.nir` and the steppers: what they
give is compared with it. It is slow, and says which of its comparisons were too close to call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives import NirContract

Wide = np.longdouble
Array = NDArray[Any]
SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
NEURONS = (*SPIKING, "I", "LI", "CubaLI")
UNITS = {"s": 1.0, "ms": 1e-3}
NEUTRAL = {"r": 1.0, "w_in": 1.0, "v_leak": 0.0, "v_reset": 0.0}
CLOSE = {"float64": 1e-9, "float32": 1e-3, "integer": 0.0}
"""Relative to the threshold: closer than this, rounding in another order may decide."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a graph gives, each (time, batch, *shape)."""

    outputs: dict[str, Array]
    """By name of the Output; of a flat name where a nested graph's is read."""
    potentials: dict[str, Array]
    """Of all neurons, by flat name."""
    sent: dict[str, Array]
    inputs: tuple[str, ...]
    """In their order."""
    decided: int
    """Steps before the first comparison that was too close to call."""
    exact: bool
    """Nothing was rounded."""


@dataclass(slots=True)
class Flat:
    """A graph without nested ones."""

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """Outputs, of nested graphs those that lead nowhere."""


def kind(node: Any) -> str:
    return type(node).__name__


def flat(graph: Any) -> Flat:
    """Nested graphs written out where they stand, nodes in the order of a file, which is that of their names."""
    found = Flat()
    _write_out(graph, "", found)
    leading = {a for a, _ in found.edges}
    found.ends = [n for n in found.ends if "\0" not in n and (n in graph.nodes or n not in leading)]
    return found


def _write_out(graph: Any, prefix: str, found: Flat) -> None:
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        if kind(node) == "NIRGraph":
            _write_out(node, f"{prefix}{name}.", found)
        else:
            found.nodes[prefix + name] = node
            if kind(node) == "Output":
                found.ends.append(prefix + name)
    for a, b in graph.edges:
        found.edges.append((prefix + _port(graph, a, "Output"), prefix + _port(graph, b, "Input")))


def _port(graph: Any, name: str, wanted: str) -> str:
    node = graph.nodes[name]
    if kind(node) != "NIRGraph":
        return name
    (port,) = (n for n, inner in node.nodes.items() if kind(inner) == wanted)
    return f"{name}.{port}"


def keeping(found: Flat, contract: NirContract) -> list[str]:
    """Nodes that keep what arrives: neurons, sums, Outputs that no single population feeds, and what is late in another way than a projection."""
    arriving = sources(found)
    kept = [
        name
        for name, node in found.nodes.items()
        if not _enters(found, arriving, name)
        and (kind(node) in NEURONS or name in contract.order or len(arriving[name]) != 1)
    ]
    read = [n for n in kept if kind(found.nodes[n]) in NEURONS or is_plain(found.nodes[n])]
    kept += [n for n in found.ends if n not in kept and arriving[n][0] not in read]
    late = contract.dynamics.bias_register == "weighted"
    # what is added and what is delayed, in the order of a chain, where a projection has it the other way round
    while True:
        more = [n for n in found.nodes if n not in kept and _crossed(found, arriving, contract, n, kept, late)]
        first = next((n for n in more if not set(_before(arriving, n, kept)) & set(more)), None)
        if first is None:
            return kept
        kept.append(first)


def _enters(found: Flat, arriving: Mapping[str, list[str]], name: str) -> bool:
    return kind(found.nodes[name]) == "Input" and not arriving[name]


def _before(arriving: Mapping[str, list[str]], name: str, kept: list[str]) -> list[str]:
    """The chain before a node, back to what is kept, that included."""
    chain: list[str] = []
    while len(arriving[name]) == 1 and arriving[name][0] not in chain:
        name = arriving[name][0]
        chain.append(name)
        if name in kept:
            break
    return chain


def _crossed(
    found: Flat, arriving: Mapping[str, list[str]], contract: NirContract, name: str, kept: list[str], late: bool
) -> bool:
    if len(arriving[name]) != 1:
        return False
    linear = [n for n in _before(arriving, name, kept) if kind(found.nodes[n]) not in NEURONS]
    # what a plain sum adds is in what it keeps
    added = any(_adds(found, contract, n) for n in linear if not (n in kept and is_plain(found.nodes[n])))
    if kind(found.nodes[name]) == "Delay" and (not late or np.ptp(found.nodes[name].delay) > 0):
        return added
    delayed = any(kind(found.nodes[n]) == "Delay" for n in linear)
    return late and _adds(found, contract, name) and delayed


def _adds(found: Flat, contract: NirContract, name: str) -> bool:
    """Whether a linear node adds something."""
    return bool(np.any(getattr(found.nodes[name], "bias", 0))) or "bias" in contract.nodes.get(name, {})


def sources(found: Flat) -> dict[str, list[str]]:
    arriving: dict[str, list[str]] = {name: [] for name in found.nodes}
    for a, b in found.edges:
        arriving[b].append(a)
    return arriving


def update_order(found: Flat, kept: list[str], inputs: list[str], contract: NirContract) -> list[str]:
    """The contract's, or from the inputs depth first, edges in their order, each node behind what leads to it where no loop is."""
    if contract.order:
        return [n for n in contract.order if n in kept]
    finished: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        seen.add(name)
        for a, b in found.edges:
            if a == name and b not in seen:
                visit(b)
        finished.append(name)

    for start in (*inputs, *found.nodes):
        if start not in seen:
            visit(start)
    return [n for n in reversed(finished) if n in kept]


class Oracle:
    """A graph under a contract."""

    def __init__(self, graph: Any, contract: NirContract) -> None:
        self.contract, self.dynamics = contract, contract.dynamics
        self.flat = flat(graph)
        self.arriving = sources(self.flat)
        self.kept = keeping(self.flat, contract)
        place = {name: i for i, name in enumerate(contract.order)}
        entering = [n for n in self.flat.nodes if _enters(self.flat, self.arriving, n)]
        self.inputs = sorted(entering, key=lambda n: place.get(n, -1))
        self.order = update_order(self.flat, self.kept, self.inputs, contract)
        self.at = {name: i for i, name in enumerate(self.order)}
        self.dtype = np.float32 if self.dynamics.arithmetic == "float32" else np.float64
        self.exact = True
        self.undecided = False
        self.taken = self._shapes()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of what each node takes: its own parameters say it, or what comes before it."""
        taken: dict[str, tuple[int, ...]] = {}
        given = self.given = dict[str, tuple[int, ...]]()
        while True:
            before = len(given)
            for name, node in self.flat.nodes.items():
                known = _own_shape(node) or next((given[a] for a in self.arriving[name] if a in given), None)
                if name in given or known is None:
                    continue
                taken[name] = known
                same = kind(node) in (*NEURONS, "Delay")
                given[name] = known if same else self._operator(name, node, np.zeros((1, *known), Wide)).shape[1:]
            if len(given) == before:
                return taken

    def run(self, x: Mapping[str, Array]) -> Trace:
        """Steps through inputs, each (time, batch, *shape)."""
        n_steps = len(next(iter(x.values())))
        self.batch = next(iter(x.values())).shape[1]
        self.history: dict[str, list[Array]] = {n: [] for n in (*self.order, *self.inputs)}
        self.state: dict[str, dict[str, Any]] = {}
        potentials: dict[str, list[Array]] = {n: [] for n in self.order}
        outputs: dict[str, list[Array]] = {n: [] for n in self.flat.ends}
        decided = n_steps
        for step in range(n_steps):
            for name in self.inputs:
                self.history[name].append(x[name][step].astype(Wide))
            for name in self.order:
                arrived = self._arrived(name, step)
                if kind(self.flat.nodes[name]) in NEURONS:
                    sent, v = self._neuron(name, arrived)
                else:
                    sent = v = self._fit(arrived + self._before(name))
                self._watch(sent, v)
                self.history[name].append(sent)
                potentials[name].append(v)
            for name in outputs:
                source = name if name in self.kept else self.arriving[name][0]
                outputs[name].append(self.history[source][step])
            if self.undecided and decided == n_steps:
                decided = step
        return Trace(
            {n: np.array(v) for n, v in outputs.items()},
            {n: np.array(v) for n, v in potentials.items()},
            {n: np.array(self.history[n]) for n in self.order},
            tuple(self.inputs),
            decided,
            self.exact,
        )

    # -- what arrives -----------------------------------------------------------------------------------------------------

    def _arrived(self, name: str, step: int) -> Array:
        """The sum of what the edges into a node bring."""
        total = np.zeros((self.batch, *self.taken[name]), Wide)
        for last in self.arriving[name]:
            source = last
            while source not in self.history:
                source = self.arriving[source][0]
            late = self._late(source, name)
            if self.dynamics.bias_register == "spikes":
                total = total + self._value(last, step, late)
            elif step >= late:
                total = total + self._value(last, step - late, 0)
        self._watch(total)
        return total

    def _late(self, source: str, target: str) -> int:
        relays = source in self.at and kind(self.flat.nodes[source]) not in NEURONS
        if self.dynamics.layer_latency and not relays:
            return 1
        return int(source in self.at and self.at[source] >= self.at[target])

    def _value(self, name: str, step: int, late: int) -> Array:
        """What a node gives in a step, where what it takes from the place that keeps it comes so many steps late."""
        node = self.flat.nodes[name]
        if kind(node) in NEURONS or name in self.inputs:
            return self._past(name, step - late)
        if kind(node) == "Delay":
            steps = np.rint(self._seconds(node.delay) / self.dynamics.dt).astype(int)
            result: Any = 0
            for d in np.unique(steps):
                before = self._into(name, step - int(d), late)
                result = result + np.where(steps == d, before, 0)
        else:
            result = self._operator(name, node, self._into(name, step, late))
        stated = self.contract.nodes.get(name, {}).get("bias")
        plain = name in self.kept and is_plain(node)
        if stated is not None and not plain:
            result = result + np.asarray(stated, dtype=Wide)
        return np.asarray(result)

    def _into(self, name: str, step: int, late: int) -> Array:
        """What a linear node takes; before the first step there was nothing, not even a bias."""
        if name in self.kept:
            return self._past(name, step - late)
        inner = self._value(self.arriving[name][0], max(step, 0), late)
        return inner if step >= 0 else np.zeros_like(inner)

    def _past(self, name: str, step: int) -> Array:
        history = self.history[name]
        if 0 <= step < len(history):
            return history[step]
        assert step < 0, name
        return np.zeros((self.batch, *self.taken[name]), Wide)

    def _before(self, name: str) -> Any:
        """A bias that a plain sum has for itself."""
        stated = self.contract.nodes.get(name, {}).get("bias")
        return 0 if stated is None or not is_plain(self.flat.nodes[name]) else np.asarray(stated, dtype=Wide)

    def _operator(self, name: str, node: Any, x: Array) -> Array:
        match kind(node):
            case "Input" | "Output":
                return x
            case "Linear":
                return x @ _wide(node.weight).T
            case "Affine":
                return x @ _wide(node.weight).T + _wide(node.bias)
            case "Scale":
                return x * _wide(node.scale)
            case "Flatten":
                if self.contract.flatten == "channels last" and x.ndim > 2:
                    x = np.moveaxis(x, 1, -1)
                    return x.reshape(len(x), -1)
                first, last = (int(n) + (x.ndim - 1 if n < 0 else 0) for n in (node.start_dim, node.end_dim))
                return x.reshape(*x.shape[: first + 1], -1, *x.shape[last + 2 :])
            case "SumPool2d" | "AvgPool2d":
                kernel, stride, padding = (_each(v, 2) for v in (node.kernel_size, node.stride, node.padding))
                total = windows(x, kernel, stride, [(p, p) for p in padding], (1, 1))
                result: Array = sum(total.values(), np.zeros_like(next(iter(total.values()))))
                return result / Wide(kernel[0] * kernel[1]) if kind(node) == "AvgPool2d" else result
            case "Conv1d" | "Conv2d":
                return convolve(node, x)
            case other:
                raise AssertionError(other)

    # -- neurons ----------------------------------------------------------------------------------------------------------

    def _seconds(self, values: Any) -> Array:
        return _wide(values) * Wide(
            self.dynamics.dt if self.contract.time_unit == "step" else UNITS[self.contract.time_unit]
        )

    def _parameters(self, name: str) -> dict[str, Any]:
        """Numbers and choices of a neuron."""
        node, own = self.flat.nodes[name], self.contract.nodes.get(name, {})
        found: dict[str, Any] = {}
        for entry in ("r", "v_threshold", "threshold", "v_leak", "v_reset", "w_in", "tau", "tau_mem", "tau_syn"):
            if not hasattr(node, entry):
                continue
            value = getattr(node, entry)
            if f"{kind(node)}.{entry}" in self.contract.ignores:
                value = np.full(np.shape(value), NEUTRAL[entry])
            found[entry] = self._seconds(value) if entry.startswith("tau") else _wide(value)
        found["threshold"] = found.get("v_threshold", found.get("threshold"))
        for choice in ("integrator", "synapse", "compare", "spikes", "reset", "reset_when", "current_order", "initial"):
            found[choice] = own.get(choice, getattr(self.dynamics, choice))
        if kind(node) == "Threshold":
            found["spikes"] = own.get("spikes", "single")
        if_gain = own.get("if_gain", self.contract.if_gain)
        by_step = found["integrator"] == "accumulate" or (if_gain == "step" and "integrator" not in own)
        found["gain"] = found.get("r", Wide(1))
        if kind(node) in ("IF", "I") and not by_step:
            found["gain"] = found["gain"] * Wide(self.dynamics.dt)
        for entry in ("tau", "tau_mem", "tau_syn"):
            if entry in found:
                ratio = Wide(self.dynamics.dt) / found[entry]
                exact = found["integrator"] == "exponential"
                rate, decay = (-np.expm1(-ratio), np.exp(-ratio)) if exact else (ratio, 1 - ratio)
                found["syn" if entry == "tau_syn" else "mem"] = rate, decay
                self._watch(rate)
        self._watch(found["gain"])
        found["bias"] = np.asarray(own.get("bias", 0.0), dtype=Wide)
        refractory = np.asarray(own.get("refractory", self.contract.refractory), dtype=np.float64)
        found["refractory"] = np.rint(refractory / self.dynamics.dt).astype(int) * int(kind(node) != "Threshold")
        v_min = own.get("v_min", self.contract.v_min)
        found["v_min"] = None
        if kind(node) in ("IF", "LIF", "CubaLIF"):
            if v_min != "none":
                found["v_min"] = Wide(0) if v_min == "zero" else -found["threshold"]
            if "v_least" in own:
                found["v_min"] = np.asarray(own["v_least"], dtype=Wide)
        start = {"zero": Wide(0), "v_leak": found.get("v_leak", 0), "v_reset": found.get("v_reset", 0)}[
            found["initial"]
        ]
        found["v"] = np.asarray(own.get("v_initial", start), dtype=Wide)
        return found

    def _neuron(self, name: str, x: Array) -> tuple[Array, Array]:
        """One step: what is sent, and the potential at its end."""
        which = kind(self.flat.nodes[name])
        if name not in self.state:
            begun = self._parameters(name)
            zero = np.zeros(x.shape, Wide)
            self.state[name] = {
                "p": begun, "v": zero + begun["v"], "i": zero, "deaf": np.zeros(x.shape, int), "fired": zero,
            }  # fmt: skip
        s = self.state[name]
        p = s["p"]
        jump: Any = 0
        c = p["bias"]
        if which in ("CubaLIF", "CubaLI"):
            old, (rate, decay) = s["i"], p["syn"]
            if p["integrator"] == "exponential":
                s["i"] = decay * old + (p["w_in"] * x if p["synapse"] == "delta" else rate * (p["w_in"] * x))
            elif p["synapse"] == "delta":
                s["i"] = (old - rate * old) + p["w_in"] * x
            else:
                s["i"] = old + rate * (p["w_in"] * x - old)
            i = c + (s["i"] if p["current_order"] == "new" else old)
            self._watch(s["i"])
        elif p["synapse"] == "delta":
            i, jump = c + np.zeros_like(x), x
        else:
            i = c + x
        v = s["v"]
        if p["reset_when"] == "next_step" and which in SPIKING:
            v = self._reset(which, p, v, s["fired"])
        if which in ("Threshold",):
            after = i + jump
        elif which in ("IF", "I"):
            after = v + p["gain"] * i + jump
        else:
            rate, decay = p["mem"]
            leak = p["v_leak"]
            if p["integrator"] == "exponential":
                after = decay * v + rate * (leak + p["gain"] * i) + jump
            else:
                after = v + rate * ((leak - v) + p["gain"] * i) + jump
        after = self._fit(after)
        active = s["deaf"] == 0
        v = np.where(active, after, v)
        s["deaf"] = np.maximum(s["deaf"] - 1, 0)
        if p["reset_when"] == "after_next_update" and which in SPIKING:
            v = self._reset(which, p, v, s["fired"])
        self._watch(v)
        if which not in SPIKING:
            s["v"] = v
            return v, v
        beyond = v > p["threshold"] if p["compare"] == ">" else v >= p["threshold"]
        fires = beyond & active
        count: Any = np.ones_like(v)
        if p["spikes"] == "multi":
            count = np.minimum(np.floor(v / p["threshold"]), 2.0**53)
        self._judge(v, p, active, fires)
        fired = np.where(fires, count, 0)
        if p["reset_when"] == "same_step":
            v = self._reset(which, p, v, fired)
        if p["v_min"] is not None:
            v = np.maximum(v, p["v_min"])
        s["v"], s["fired"] = v, fired
        s["deaf"] = np.where(fires, p["refractory"], s["deaf"])
        return fired, v

    def _reset(self, which: str, p: Mapping[str, Any], v: Array, fired: Array) -> Array:
        if which == "Threshold":
            return v
        if p["reset"] == "to_value":
            return np.where(fired != 0, p["v_reset"], v)
        return np.where(fired != 0, self._fit(v - fired * p["threshold"]), v)

    def _fit(self, v: Array) -> Array:
        if self.dynamics.arithmetic != "integer":
            return v
        half = 2.0 ** (self.dynamics.state_bits - 1)
        return np.clip(v, -half, half - 1) if self.dynamics.overflow == "saturate" else (v + half) % (2 * half) - half

    # -- rounding ---------------------------------------------------------------------------------------------------------

    def _watch(self, *values: Any) -> None:
        if self.exact:
            with np.errstate(over="ignore"):
                self.exact = all(bool((v == np.asarray(v).astype(self.dtype)).all()) for v in values)

    def _judge(self, v: Array, p: Mapping[str, Any], active: Array, fires: Array) -> None:
        """Whether rounding may decide a comparison."""
        if self.exact or self.undecided:
            return
        threshold = p["threshold"]
        close = CLOSE[self.dynamics.arithmetic] * np.maximum(1, np.abs(threshold) + np.abs(v).max(initial=0))
        near = np.abs(v - threshold) <= close
        if p["spikes"] == "multi":
            near = near | (fires & (np.abs(v - np.rint(v / threshold) * threshold) <= close))
        self.undecided = bool((near & active).any())


def convolve(node: Any, x: Array) -> Array:
    """A convolution of NIR on (batch, channel, *space), tap by tap."""
    weight = _wide(node.weight)
    axes, groups = weight.ndim - 2, int(np.asarray(node.groups))
    stride, dilation = _each(node.stride, axes), _each(node.dilation, axes)
    kernel = weight.shape[2:]
    if isinstance(node.padding, str):
        total = [d * (k - 1) if node.padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        padding = [(t // 2, t - t // 2) for t in total]
    else:
        padding = [(p, p) for p in _each(node.padding, axes)]
    taken = windows(x, kernel, stride, padding, dilation)
    outs, per = weight.shape[:2]
    space = next(iter(taken.values())).shape[2:]
    result = np.zeros((len(x), outs, *space), Wide)
    for channel in range(outs):
        first = channel // (outs // groups) * per
        for tap, part in taken.items():
            for k in range(per):
                result[:, channel] += weight[(channel, k, *tap)] * part[:, first + k]
    return result + _wide(node.bias).reshape(-1, *(1,) * axes)


def windows(x: Array, kernel: Any, stride: Any, padding: Any, dilation: Any) -> dict[tuple[int, ...], Array]:
    """By place in the kernel, what lies under it at each position."""
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    counts = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    ]
    found = {}
    for tap in product(*map(range, kernel)):
        cut = [
            slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in zip(tap, dilation, stride, counts, strict=True)
        ]
        found[tap] = padded[(slice(None), slice(None), *cut)]
    return found


def _each(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(int(n) for n in np.asarray(value).ravel())
    return values * axes if len(values) == 1 else values


def _wide(values: Any) -> Array:
    return np.asarray(values).astype(Wide)


def is_plain(node: Any) -> bool:
    """Whether a node passes on what it takes."""
    return kind(node) in ("Input", "Output") or (kind(node) == "Scale" and bool((np.asarray(node.scale) == 1).all()))


def _own_shape(node: Any) -> tuple[int, ...] | None:
    """Shape of what a node takes, where its parameters say it."""
    match kind(node):
        case "Input":
            return tuple(int(n) for n in node.input_type["input"])
        case "Affine" | "Linear":
            return (node.weight.shape[1],)
        case "Output":
            return tuple(int(n) for n in node.output_type["output"])
        case "Delay":
            return node.delay.shape
        case "Scale":
            return node.scale.shape
        case "Threshold":
            return node.threshold.shape
        case "CubaLI" | "CubaLIF" | "I" | "IF" | "LI" | "LIF":
            return node.r.shape
        case _:
            return None
