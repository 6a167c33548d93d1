"""Random NIR graphs that are valid, with all node types, loops and nested graphs, and random contracts for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nir_oracle import NEURONS, SPIKING, Oracle, flat, kind
from spikeport.primitives import DynamicsContract, NirContract
from spikeport.primitives.contract import CHOICES
from spikeport.primitives.nir_contract import IGNORABLE

Shape = tuple[int, ...]
Rng = np.random.Generator
MODES = ("grid", "grid", "free", "whole")
"""Powers of two and their multiples, which floats add without rounding; normal numbers; integers."""
DEPTH = 3


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A graph, what it means, and what enters."""

    graph: Any
    contract: NirContract
    x: dict[str, NDArray[np.float64]]
    left_out: tuple[str, ...] = ()
    """HDF5 objects that older or leaner writers do not write."""


@dataclass(slots=True)
class _Level:
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    places: list[tuple[str, Shape, Shape]] = field(default_factory=list)
    """Name, and shapes of what enters and leaves."""
    left_out: list[str] = field(default_factory=list)

    def add(self, name: str, node: Any, source: Shape, target: Shape) -> None:
        self.nodes[name] = node
        self.places.append((name, source, target))

    def join(self, a: str, b: str) -> bool:
        if (a, b) in self.edges:
            return False
        self.edges.append((a, b))
        return True


def drawn(rng: Rng) -> Case:
    """A case from a generator of random numbers; the same for the same generator."""
    return _Drawer(rng).case()


class _Drawer:
    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.mode = self.pick(MODES)
        self.made: list[tuple[Any, Shape, Shape, list[str]]] = []
        """Nested graphs, to be used again."""

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def case(self) -> Case:
        dynamics = self._dynamics()
        self.dt, self.dynamics = dynamics.dt, dynamics
        self.unit = self.pick(("s", "s", "ms", "step"))
        ignores = tuple(n for n in IGNORABLE if self.chance(0.3)) if self.chance(0.2) else ()
        contract = NirContract(
            dynamics=dynamics,
            time_unit=self.unit,
            if_gain=self.pick(("dt", "step")),
            ignores=ignores,
            v_min=self.pick(("none", "none", "zero", "-threshold")),
            refractory=float(self.rng.integers(1, 4)) * self.dt if self.chance(0.15) else 0.0,
            flatten="channels last" if self.chance(0.1) else "channels first",
        )
        self.ignores, self.contract = ignores, contract
        shapes = [self.shape() for _ in range(self.pick((1, 1, 2, 2, 3)))]
        level = self.level(shapes, 0)
        graph = nir.NIRGraph(level.nodes, level.edges, metadata={}, type_check=False)
        if self.chance(0.2):
            graph.metadata = {"note": "drawn", "number": 3}
        contract = self._stated(graph, contract)
        return Case(graph, contract, self._x(graph, contract), tuple(level.left_out))

    # -- numbers ----------------------------------------------------------------------------------------------------------

    def numbers(self, shape: Shape, low: float = -2.0, high: float = 2.0) -> NDArray[Any]:
        """Weights and the like."""
        if self.mode == "whole":
            values: NDArray[Any] = self.rng.integers(int(low), int(high) + 1, shape).astype(np.float64)
        elif self.mode == "grid":
            values = self.rng.integers(int(low * 4), int(high * 4) + 1, shape) / 4
        else:
            values = self.rng.uniform(low, high, shape)
        if self.chance(0.15):
            values = values.astype(np.float32)
        elif self.mode != "free" and self.chance(0.1) and (values == np.rint(values)).all():
            values = values.astype(self.pick((np.int64, np.int32, np.int8)))
        return np.asarray(values)

    def values(self, shape: Shape, low: float = -2.0, high: float = 2.0) -> NDArray[Any]:
        """One for each neuron, often the same for all."""
        return np.array(np.broadcast_to(self.numbers(shape if self.chance(0.6) else (), low, high), shape))

    def seconds(self, steps: NDArray[Any]) -> NDArray[Any]:
        """So many steps in the file's unit."""
        return np.asarray(steps * {"s": self.dt, "ms": self.dt * 1e3, "step": 1.0}[self.unit], dtype=np.float64)

    def taus(self, shape: Shape) -> NDArray[Any]:
        if self.mode == "free":
            return self.seconds(self.rng.uniform(0.6, 9.0, shape))
        exponents = self.rng.integers(0, 3, shape if self.chance(0.5) else ())
        return np.array(np.broadcast_to(self.seconds(2.0**exponents), shape))

    def whole(self, pairs: Any) -> Any:
        """Numbers for axes in one of the forms that files have."""
        pairs = tuple(int(n) for n in pairs)
        forms: list[Any] = [pairs, np.array(pairs)]
        if len(set(pairs)) == 1:
            forms += [pairs[0], np.int64(pairs[0]), np.array(pairs[:1])]
        return self.pick(forms)

    def shape(self) -> Shape:
        size = self.rng.integers
        form = int(size(10))
        if form < 5:
            return (int(size(1, 7)),)
        if form < 7:
            return int(size(1, 5)), int(size(2, 9))
        if form < 9 or self.chance(0.5):
            return int(size(1, 5)), int(size(2, 7)), int(size(2, 8))
        return int(size(1, 3)), int(size(1, 4)), 2, int(size(1, 4))

    def name(self, taken: Any, word: str) -> str:
        n = int(self.rng.integers(100))
        while True:
            chosen = self.pick((f"{word}{n}", f"{n}", f"{word}.{n}", f"{word} {n}", f"{n}_{word}", f"τ{word}{n}", word))
            if chosen not in taken:
                return str(chosen)
            n += 1

    # -- the contract -----------------------------------------------------------------------------------------------------

    def _dynamics(self) -> DynamicsContract:
        whole = self.mode == "whole"
        chosen = {n: self.pick([v for v in CHOICES[n] if v not in ("loihi1", "loihi2")]) for n in CHOICES}
        if self.chance(0.5):
            chosen["layer_latency"] = 0
        chosen["arithmetic"] = "integer" if whole else self.pick(("float64", "float64", "float32"))
        if whole:
            chosen["integrator"] = "accumulate"
        elif self.mode == "grid" and self.chance(0.7):
            chosen["integrator"] = "forward_euler"
        dt = self.pick((2.0**-10, 2.0**-10, 1e-3, 1e-4))
        return DynamicsContract(dt=dt, state_bits=int(self.pick((8, 12, 32))), **chosen)

    def _stated(self, graph: Any, contract: NirContract) -> NirContract:
        """With an order of update, and with what single nodes have otherwise."""
        if self.chance(0.4):
            found = flat(graph)
            named = tuple(n for n in found.nodes if self.chance(0.1))
            kept = _settled(graph, replace(contract, order=named))
            enter = Oracle(graph, contract).inputs
            contract = replace(contract, order=tuple(map(str, self.rng.permutation([*kept, *enter]))))
        if self.chance(0.4):
            oracle = Oracle(graph, contract)
            own = {n: self._own(n, oracle) for n in oracle.flat.nodes if self.chance(0.4)}
            contract = replace(contract, nodes={n: entries for n, entries in own.items() if entries})
            if contract.order:  # a bias before a delay makes the delay keep what arrives
                kept = _settled(graph, contract)
                missing = [n for n in kept if n not in contract.order]
                contract = replace(contract, order=(*contract.order, *missing))
        return contract

    def _own(self, name: str, oracle: Oracle) -> dict[str, Any]:
        node, shape = oracle.flat.nodes[name], oracle.given[name]
        which = kind(node)
        if which not in NEURONS:
            fits = which != "Delay" and name not in oracle.inputs and self.chance(0.5)
            return {"bias": self.values(shape)} if fits else {}
        found: dict[str, Any] = {}
        choices: dict[str, Callable[[], Any]] = {
            "bias": lambda: self.values(shape),
            "synapse": lambda: self.pick(CHOICES["synapse"]),
        }
        if which != "Threshold":
            choices["v_initial"] = lambda: self.values(shape)
            choices["initial"] = lambda: self.pick(("zero", *(n for n in ("v_leak", "v_reset") if hasattr(node, n))))
        if which in ("CubaLI", "CubaLIF"):
            choices["current_order"] = lambda: self.pick(CHOICES["current_order"])
        if which in ("LIF", "LI", "CubaLI", "CubaLIF") and self.mode == "free":
            choices["integrator"] = lambda: self.pick(("forward_euler", "exponential"))
        if which in ("IF", "I"):
            choices["if_gain"] = lambda: self.pick(("dt", "step"))
        if which in SPIKING:
            choices["compare"] = lambda: self.pick(CHOICES["compare"])
            threshold = node.threshold if which == "Threshold" else node.v_threshold
            if (np.asarray(threshold) > 0).all():
                choices["spikes"] = lambda: self.pick(CHOICES["spikes"])
        if which in ("IF", "LIF", "CubaLIF"):
            choices["reset_when"] = lambda: self.pick(CHOICES["reset_when"])
            choices["refractory"] = lambda: self.rng.integers(0, 3, shape) * self.dt
            choices["v_min"] = lambda: self.pick(("none", "zero", "-threshold"))
            if self.chance(0.5):
                del choices["v_min"]
                choices["v_least"] = lambda: -np.abs(self.values(shape))
            if not np.any(node.v_reset):
                choices["reset"] = lambda: self.pick(CHOICES["reset"])
        names = sorted(choices)
        for entry in self.rng.choice(names, size=min(len(names), int(self.rng.integers(1, 4))), replace=False):
            found[str(entry)] = choices[str(entry)]()
        return found

    # -- graphs -----------------------------------------------------------------------------------------------------------

    def level(self, shapes: list[Shape], depth: int) -> _Level:
        made = _Level()
        for shape in shapes:
            node = nir.Input(input_type={"input": np.array(shape)})
            made.add(self.name(made.nodes, "input"), node, shape, shape)
        for _ in range(int(self.rng.integers(1, 8 if depth == 0 else 5))):
            self._grow(made, depth)
        for _ in range(int(self.pick((0, 0, 1, 2, 3)))):
            self._loop(made)
        if self.chance(0.03):
            self._alone(made)
        self._end(made, depth)
        if self.chance(0.5):
            made.edges = [made.edges[i] for i in self.rng.permutation(len(made.edges))]
        return made

    def _grow(self, made: _Level, depth: int) -> None:
        """A node behind one that is there, and where it fits behind others too."""
        name, _, shape = self.pick(made.places[-3:] if self.chance(0.6) else made.places)
        if depth < DEPTH and self.chance(0.12):
            graph, source, target, left_out = self._nested(shape, depth)
            new, word = graph, "sub"
            new_name = self.name(made.nodes, word)
            made.left_out += [f"{new_name}/nodes/{path}" for path in left_out]
        else:
            new, source, target, lean = self.node(shape)
            new_name = self.name(made.nodes, kind(new).lower())
            made.left_out += [f"{new_name}/{entry}" for entry in lean]
        others = [n for n, _, other in made.places if other == source and n != name]
        made.add(new_name, new, source, target)
        made.join(name, new_name)
        while others and self.chance(0.3):
            made.join(self.pick(others), new_name)

    def _nested(self, shape: Shape, depth: int) -> tuple[Any, Shape, Shape, list[str]]:
        fitting = [m for m in self.made if m[1] == shape]
        if fitting and self.chance(0.6):
            return self.pick(fitting)
        inner = self.level([shape], depth + 1)
        target = next(t for n, _, t in inner.places if kind(inner.nodes[n]) == "Output")
        graph = nir.NIRGraph(inner.nodes, inner.edges, metadata={}, type_check=False)
        self.made.append((graph, shape, target, inner.left_out))
        return self.made[-1]

    def _loop(self, made: _Level) -> None:
        """An edge from a node to one that is earlier, later or itself; with weights between where they fit."""
        a, _, given = self.pick(made.places)
        targets = [(n, s) for n, s, _ in made.places if kind(made.nodes[n]) != "Input"]
        fitting = [n for n, s in targets if s == given]
        dense = [(n, s) for n, s in targets if len(s) == 1 and len(given) == 1]
        if dense and self.chance(0.5):
            b, shape = self.pick(dense)
            weight = self.numbers((shape[0], given[0]), -1, 1)
            node = nir.Linear(weight) if self.chance(0.5) else nir.Affine(weight, self.numbers(shape))
            name = self.name(made.nodes, "rec")
            made.add(name, node, given, shape)
            made.join(a, name)
            made.join(name, b)
        elif fitting:
            made.join(a, self.pick(fitting))

    def _alone(self, made: _Level) -> None:
        """A neuron that nothing leads to, and that leads somewhere."""
        name, shape, _ = self.pick(made.places)
        if kind(made.nodes[name]) != "Input":
            new = self.name(made.nodes, "alone")
            made.add(new, self.neuron(shape), shape, shape)
            made.join(new, name)

    def _end(self, made: _Level, depth: int) -> None:
        count = self.pick((1, 1, 2, 3)) if depth == 0 else 1
        places = list(made.places)
        for _ in range(count):
            name, _, shape = self.pick(places[-4:] if self.chance(0.8) else places)
            new = self.name(made.nodes, "output")
            made.add(new, nir.Output(output_type={"output": np.array(shape)}), shape, shape)
            made.join(name, new)
            others = [n for n, _, other in places if other == shape and n != name]
            if others and self.chance(0.2):
                made.join(self.pick(others), new)
            onward = [n for n, s, _ in places if s == shape and kind(made.nodes[n]) != "Input"]
            if onward and self.chance(0.04):
                made.join(new, self.pick(onward))

    # -- nodes ------------------------------------------------------------------------------------------------------------

    def node(self, shape: Shape) -> tuple[Any, Shape, Shape, list[str]]:
        """One that takes a shape, what it gives, and parameters that a file need not hold."""
        rank = len(shape)
        kinds = ["neuron"] * 5 + ["Scale", "Delay"]
        kinds += ["Affine", "Linear"] * 2 if rank == 1 else ["Flatten"]
        kinds += ["Conv1d"] * 3 if rank == 2 else []
        kinds += ["Conv2d"] * 3 + ["SumPool2d", "AvgPool2d"] if rank == 3 else []
        which = self.pick(kinds)
        match which:
            case "neuron":
                node = self.neuron(shape)
                return node, shape, shape, self._older(node)
            case "Scale":
                ones = self.chance(0.1)
                return nir.Scale(np.ones(shape) if ones else self.numbers(shape)), shape, shape, []
            case "Delay":
                steps = self.rng.integers(0, 4, shape if self.chance(0.4) else ())
                late = self.seconds(steps + (0.4 if self.chance(0.02) else 0.0))
                return nir.Delay(np.array(np.broadcast_to(late, shape))), shape, shape, []
            case "Affine" | "Linear":
                post = int(self.rng.integers(1, 7))
                weight = self.numbers((post, shape[0]))
                made = nir.Linear(weight) if which == "Linear" else nir.Affine(weight, self.numbers((post,)))
                return made, shape, (post,), []
            case "Flatten":
                return self._flatten(shape)
            case "Conv1d" | "Conv2d":
                return self._convolution(shape)
            case _:
                return self._pooling(which, shape)

    def _older(self, node: Any) -> list[str]:
        """What older files leave out, where it is what leaving it out means."""
        lean = []
        if hasattr(node, "v_reset") and not np.any(node.v_reset):
            lean.append("v_reset")
        if hasattr(node, "w_in") and (np.asarray(node.w_in) == 1).all():
            lean.append("w_in")
        return lean if self.chance(0.3) else []

    def neuron(self, shape: Shape) -> Any:
        kinds = ["IF", "IF", "I", "Threshold"]
        if self.dynamics.integrator != "accumulate":
            kinds += ["LIF"] * 3 + ["LI", "CubaLIF", "CubaLIF", "CubaLI"]
        which = self.pick(kinds)
        multi = self.dynamics.spikes == "multi"
        threshold = self.values(shape, 1, 2) if multi or self.chance(0.9) else self.values(shape)
        if which == "Threshold":
            return nir.Threshold(threshold)
        zero = self.dynamics.reset == "subtract" or self.chance(0.5)
        v_reset = np.zeros(shape) if zero else self.values(shape, -1, 1)
        r = self.values(shape)
        if which in ("IF", "I") and self.dynamics.integrator != "accumulate" and self.chance(0.7):
            r = np.array(r / self.dt if self.dt == 2.0**-10 else np.full(shape, 1 / self.dt))
        if which == "I":
            return nir.I(r)
        if which == "IF":
            return nir.IF(r=r, v_threshold=threshold, v_reset=v_reset)
        leak = self.values(shape, -1, 1)
        if which == "LI":
            return nir.LI(tau=self.taus(shape), r=r, v_leak=leak)
        if which == "LIF":
            return nir.LIF(tau=self.taus(shape), r=r, v_leak=leak, v_threshold=threshold, v_reset=v_reset)
        w_in = np.ones(shape) if self.chance(0.4) else self.values(shape)
        rest = {"tau_syn": self.taus(shape), "tau_mem": self.taus(shape), "r": r, "v_leak": leak, "w_in": w_in}
        if which == "CubaLI":
            return nir.CubaLI(**rest)
        return nir.CubaLIF(**rest, v_threshold=threshold, v_reset=v_reset)

    def _flatten(self, shape: Shape) -> tuple[Any, Shape, Shape, list[str]]:
        rank = len(shape)
        first = 0 if self.contract.flatten == "channels last" else int(self.rng.integers(rank))
        last = rank - 1 if first == 0 and self.chance(0.5) else int(self.rng.integers(first, rank))
        if self.contract.flatten == "channels last":
            last = rank - 1
        start, end = (n - rank if self.chance(0.4) else n for n in (first, last))
        node = nir.Flatten(input_type={"input": None}, start_dim=start, end_dim=end)
        node.input_type = {"input": np.array(shape)}  # not by the constructor: its own inference is in doubt
        target = (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
        return node, shape, target, ["input_type"] if self.chance(0.2) else []

    def _convolution(self, shape: Shape) -> tuple[Any, Shape, Shape, list[str]]:
        space = shape[1:]
        axes = len(space)
        groups = self.pick([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])
        kernel = tuple(int(self.rng.integers(1, min(n, 4) + 1)) for n in space)
        stride, dilation, padding = ([1] * axes, [1] * axes, [0] * axes)
        form = self.pick(("same", "valid", "numbers", "numbers"))
        for i, (n, k) in enumerate(zip(space, kernel, strict=True)):
            padding[i] = int(self.rng.integers(0, k + 1)) if form == "numbers" else 0
            dilation[i] = (
                int(self.rng.integers(1, max(1, (n + 2 * padding[i] - 1) // max(1, k - 1)) + 1)) if k > 1 else 1
            )
            dilation[i] = min(dilation[i], 3)
            stride[i] = 1 if form == "same" else int(self.rng.integers(1, 4))
        if form == "same":
            out = space
        else:
            rows = zip(space, padding, dilation, kernel, stride, strict=True)
            out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in rows)
        post = groups * int(self.rng.integers(1, 3))
        weight = self.numbers((post, shape[0] // groups, *kernel))
        bias = np.zeros(post) if self.chance(0.3) else self.numbers((post,))
        numbers = [self.whole(v) for v in (stride, dilation)]
        pad = form if form != "numbers" else self.whole(padding)
        if axes == 1:
            numbers = [int(np.ravel(v)[0]) for v in numbers]
            pad = pad if isinstance(pad, str) else int(np.ravel(pad)[0])
        make = nir.Conv1d if axes == 1 else nir.Conv2d
        node = make(None, weight, numbers[0], pad, numbers[1], groups, bias)
        node.input_shape = space[0] if axes == 1 else self.pick((space, np.array(space)))
        lean = ["input_shape"] if self.chance(0.2) else []
        return node, shape, (post, *out), lean

    def _pooling(self, which: str, shape: Shape) -> tuple[Any, Shape, Shape, list[str]]:
        space = shape[1:]
        kernel = [int(self.rng.integers(1, min(n, 3) + 1)) for n in space]
        if which == "AvgPool2d" and self.mode == "grid" and self.chance(0.8):
            kernel = [min(k, 2) for k in kernel]
        stride = [int(self.rng.integers(1, 4)) for _ in space]
        padding = [int(self.rng.integers(0, k // 2 + 1)) for k in kernel]
        out = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(space, padding, kernel, stride, strict=True))
        node = getattr(nir, which)(
            *(np.array(v) if self.chance(0.7) else self.whole(v) for v in (kernel, stride, padding))
        )
        return node, shape, (shape[0], *out), []

    def _x(self, graph: Any, contract: NirContract) -> dict[str, NDArray[np.float64]]:
        steps, batch = int(self.rng.integers(3, 9)), int(self.rng.integers(1, 3))
        oracle = Oracle(graph, contract)
        found = {}
        for name in oracle.inputs:
            shape = (steps, batch, *oracle.taken[name])
            raster = (self.rng.random(shape) < 0.5).astype(np.float64)
            found[name] = raster * self.numbers(shape, -2, 3).astype(np.float64) if self.chance(0.4) else raster
        return found


def _settled(graph: Any, contract: NirContract) -> list[str]:
    """What keeps something once all of it is named."""
    while True:
        kept = Oracle(graph, contract).kept
        if set(kept) <= set(contract.order):
            return kept
        contract = replace(contract, order=(*contract.order, *(n for n in kept if n not in contract.order)))


def features(case: Case) -> Iterator[str]:
    """What a case holds, for counting."""
    nodes = [*_walk(case.graph)]
    yield from sorted({kind(node) for node, _ in nodes})
    depth = max((depth for _, depth in nodes), default=0)
    if depth:
        yield f"nested {depth} deep"
    graphs = [node for node, _ in nodes if kind(node) == "NIRGraph"]
    if len(graphs) > len({id(g) for g in graphs}):
        yield "one nested graph twice"
    if _looped(flat(case.graph).edges):
        yield "loop"
    for level in (case.graph, *graphs):
        if any(kind(level.nodes[n]) == "NIRGraph" and _reaches(level.edges, n, n) for n in level.nodes):
            yield "loop through a nested graph"
            break
    convolutions = [n for n, _ in nodes if kind(n) in ("Conv1d", "Conv2d")]
    for word, found in (
        ("groups", any(int(n.groups) > 1 for n in convolutions)),
        ("rectangular kernel", any(len(set(n.weight.shape[2:])) > 1 for n in convolutions)),
        ("stride", any(np.any(np.asarray(n.stride) > 1) for n in convolutions)),
        ("dilation", any(np.any(np.asarray(n.dilation) > 1) for n in convolutions)),
        ("padding same", any(isinstance(n.padding, str) and n.padding == "same" for n in convolutions)),
        ("padding valid", any(isinstance(n.padding, str) and n.padding == "valid" for n in convolutions)),
        ("several inputs", len(case.x) > 1),
        ("several outputs", sum(kind(n) == "Output" for n in case.graph.nodes.values()) > 1),
        ("an Output that leads on", any(kind(case.graph.nodes[a]) == "Output" for a, _ in case.graph.edges)),
        ("an older or leaner file", bool(case.left_out)),
        ("order of update", bool(case.contract.order)),
        ("nodes with something of their own", bool(case.contract.nodes)),
        ("ignored parameters", bool(case.contract.ignores)),
        ("delays that differ by element", any(kind(n) == "Delay" and np.ptp(n.delay) > 0 for n, _ in nodes)),
    ):
        if found:
            yield word
    dynamics = case.contract.dynamics
    yield from (f"{n} {getattr(dynamics, n)}" for n in CHOICES)
    yield from (f"{n} {getattr(case.contract, n)}" for n in ("time_unit", "if_gain", "v_min", "flatten"))


def _walk(graph: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    for node in graph.nodes.values():
        if kind(node) == "NIRGraph":
            yield node, depth + 1
            yield from _walk(node, depth + 1)
        else:
            yield node, depth


def _reaches(edges: list[tuple[str, str]], start: str, end: str) -> bool:
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        for a, b in edges:
            if a == here and b == end:
                return True
            if a == here and b not in seen:
                seen.add(b)
                todo.append(b)
    return False


def _looped(edges: list[tuple[str, str]]) -> bool:
    return any(_reaches(edges, a, a) for a in {a for a, _ in edges})
