"""From a flat NIR graph and what it means to a network that steps.

Neurons become populations, and what lies between them projections. A linear node where values are added up before it, a delay behind
a bias, and an Output that no single population feeds become a `Relay`, which sums within the step. An edge that leads backwards in the order of
update takes one step: that is where a loop keeps its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, NirError, Problem
from spikeport.graph import apply_synapse
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.inline import inlined
from spikeport.nir.keeping import Kept, depth_first, kept_nodes, passes
from spikeport.nir.nodes import TYPES
from spikeport.nir.shapes import (
    Shapes,
    convolution_window,
    flattened,
    infer,
    pooling_window,
    whole,
)
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    Approximation,
    Conv,
    CubaLI,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    I,
    NetworkOutput,
    OneToOne,
    Projection,
    Relay,
    Reshape,
    Shape,
    SpikeInput,
    SumPool,
    Synapse,
    Threshold,
    Transpose,
)
from spikeport.primitives.dynamic_network import MAX_DELAY, WHOLE
from spikeport.primitives.nir_contract import NEUTRAL, OWN, STATED, NirContract

NEURONS: Mapping[str, type] = {
    "CubaLI": CubaLI,
    "CubaLIF": CubaLIF,
    "I": I,
    "IF": IF,
    "LI": LI,
    "LIF": LIF,
    "Threshold": Threshold,
}
RENAMED = {"v_threshold": "threshold", "v_initial": "initial", "v_least": "v_min"}
MAX_DELAYS = 1024
"""Different delays of one node."""


def network_of(graph: NirGraph, contract: NirContract, name: str = "nir") -> DynamicNetwork:
    """The network that a graph is under a contract.

    Raises:
        NirError: what does not fit, what has no meaning under the contract, what we cannot step; all of it by the names of the nodes.
    """
    return Meanings(inlined(graph)).network(contract, name)


class Meanings:
    """One graph under many contracts: networks share the objects that are the same under several, so that a search makes them once."""

    def __init__(self, flat: NirGraph) -> None:
        """Of a graph without nested ones."""
        self.flat, self.shapes = flat, infer(flat)
        self._made: dict[tuple[Any, ...], tuple[Any, tuple[Approximation, ...]]] = {}

    def network(self, contract: NirContract, name: str = "nir") -> DynamicNetwork:
        """The network under a contract; as `network_of`."""
        plain = not contract.nodes and not contract.order  # what is said of single nodes is not worth the bookkeeping
        builder = _Builder(self.flat, self.shapes, contract, self._made if plain else {})
        network = builder.build(name)
        if builder.problems:
            raise NirError(builder.problems)
        assert network is not None
        return network


@dataclass(frozen=True, slots=True)
class _Late:
    """The place of a Delay in a chain."""

    node: str


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """What lies between a place and a node: synapses in order, and what they add."""

    source: str
    """Input or population."""
    synapses: tuple[Synapse | _Late, ...]
    bias: NDArray[Any] | None


class _Builder:
    def __init__(
        self,
        graph: NirGraph,
        shapes: Mapping[str, Shapes],
        contract: NirContract,
        made: dict[tuple[Any, ...], tuple[Any, tuple[Approximation, ...]]],
    ) -> None:
        self.graph, self.shapes, self.contract, self.made = graph, shapes, contract, made
        self.problems: list[Problem] = []
        self.entries: list[Approximation] = []
        self.arriving: dict[str, list[str]] = {node: [] for node in graph.nodes}
        for a, b in graph.edges:
            self.arriving[b].append(a)
        place = {node: i for i, node in enumerate(contract.order)}
        inputs = (n for n in graph.of_kind("Input") if not self.arriving[n])
        self.inputs = tuple(sorted(inputs, key=lambda n: place.get(n, -1)))
        register = contract.dynamics.bias_register
        self.kept: Kept = self._once(lambda: kept_nodes(graph, self.arriving, self.inputs, contract), "kept", register)

    def _once(self, make: Callable[[], Any], *key: Any) -> Any:
        """What `make` gives, with its entries of the ledger; once for each key, unless there are problems."""
        if key not in self.made:
            before, begin = len(self.problems), len(self.entries)
            value = make()
            if len(self.problems) > before:
                return value
            self.made[key] = value, tuple(self.entries[begin:])
            return value
        value, entries = self.made[key]
        self.entries += entries
        return value

    def build(self, name: str) -> DynamicNetwork | None:
        unknown = sorted(set(self.contract.nodes) - set(self.graph.nodes))
        self.problems += [Problem(f"contract.nodes[{n!r}]", "is no node of this graph") for n in unknown]
        if not self.inputs and not self.contract.order and "neuron" not in self.kept.values():
            self.problems.append(Problem("graph", "has neither an Input nor a neuron: there is nothing to run"))
        for node in self.graph.nodes:
            if not self.arriving[node] and node not in self.inputs and self.graph[node].kind != "Affine":
                self._unfed(node)
        register = self.contract.dynamics.bias_register  # where it sits says what is kept
        order = self._once(self._order, "order", register)
        if set(order) != set(self.kept):
            return None
        place = {node: i for i, node in enumerate(order)}
        populations = [p for p in map(self._population, order) if p is not None]
        timed = (self.contract.time_unit, self.contract.dynamics.dt) if self.graph.of_kind("Delay") else None
        means = self.contract.flatten, self.contract.dynamics.layer_latency, register, timed
        projections = [
            p for node in order for p in self._once(partial(self._found, node, place), "projections", node, *means)
        ]
        outputs = tuple(map(self._output, self.graph.ends))
        if self.problems:
            return None
        inputs = tuple(SpikeInput(n, self.shapes[n].target) for n in self.inputs)
        dynamics = self.contract.dynamics
        try:
            return DynamicNetwork(
                name, inputs, tuple(populations), tuple(projections), dynamics, tuple(self.entries), outputs
            )
        except GraphError as error:
            self.problems += error.problems
            return None

    def _order(self) -> list[str]:
        """Populations in the order of update: the contract's, or depth first from the inputs, so that only loops lead backwards."""
        if self.contract.order:
            given = [name for name in self.contract.order if name not in self.inputs]
            odd = sorted(set(self.kept) ^ set(given))
            if odd or len(given) != len(self.kept):
                why = f"does not name each node that keeps something once: {', '.join(odd[:5])}"
                self.problems.append(Problem("contract.order", why, f"these are {', '.join(self.kept)}"))
            return given
        return depth_first(self.graph, self.inputs, self.kept)

    # -- populations ----------------------------------------------------------------------------------------------------

    def _population(self, name: str) -> DynamicPopulation | None:
        node, shape = self.graph[name], self.shapes[name].target
        own = self.contract.nodes.get(name, {})
        if self.kept[name] == "relay":
            if set(own) - OWN - {"bias"}:
                hint = "leave it out of the contract's nodes"
                why = f"{node.kind} has nothing of its own but a bias"
                self.problems.append(Problem(f"contract.nodes[{name!r}]", why, hint))
            # what another node adds, it adds to what it gives: see `_path`
            bias = np.asarray(own.get("bias", 0.0) if passes(node) else 0.0, dtype=np.float64)
            try:
                contract = self._contract(name, node, own)
                return DynamicPopulation(name, self.shapes[name].source, Relay(bias=bias), contract)
            except GraphError as error:
                self.problems += error.problems
                return None
        ignored = tuple(full for full in self.contract.ignores if full.startswith(f"{node.kind}."))
        unit = self.contract.dynamics.dt if self.contract.time_unit == "step" else self.contract.time_unit
        means = ignored, unit, self.contract.refractory, self.contract.v_min
        neuron = self._once(partial(self._neuron, name, node, own), "neuron", name, *means)
        contract = self._contract(name, node, own)
        try:
            if contract is not None:
                return DynamicPopulation(name, shape, neuron, contract)
            made: DynamicPopulation = self._once(
                lambda: DynamicPopulation(name, shape, neuron), "population", name, *means
            )
            return made
        except GraphError as error:
            self.problems += error.problems
            return None

    def _neuron(self, name: str, node: NirNode, own: Mapping[str, Any]) -> Any:
        values: dict[str, Any] = {}
        self._unknown(name, node, own)
        for parameter in TYPES[node.kind].parameters:
            field = RENAMED.get(parameter.name, parameter.name)
            if f"{node.kind}.{parameter.name}" in self.contract.ignores:
                self._ignored(name, node, parameter.name)
                values[field] = NEUTRAL[parameter.name]
            elif parameter.name not in node.parameters:
                values[field] = parameter.absent
                self.entries.append(
                    Approximation(name, f"{parameter.name} is not in the file, which means {parameter.absent:g}", 0.0)
                )
            elif parameter.name.startswith("tau"):
                values[field] = self._seconds(node[parameter.name])
            else:
                values[field] = np.asarray(node[parameter.name], dtype=np.float64)
        kind = NEURONS[node.kind]
        accepts = {f.name for f in fields(kind)}
        if "refractory" in accepts and self.contract.refractory:
            values["refractory"] = self.contract.refractory
        for entry in STATED:
            field = RENAMED.get(entry, entry)
            if entry in own:
                if field not in accepts:
                    self.problems.append(Problem(f"contract.nodes[{name!r}].{entry}", f"{node.kind} has no {entry}"))
                else:
                    values[field] = np.asarray(own[entry], dtype=np.float64)
        v_min = own.get("v_min", "none" if "v_least" in own else self.contract.v_min)
        if "v_min" in accepts and v_min != "none":
            values["v_min"] = 0.0 if v_min == "zero" else -np.asarray(values["threshold"])
        return kind(**values)

    def _unknown(self, name: str, node: NirNode, own: Mapping[str, Any]) -> None:
        """What of a node's own has no meaning for its type, or two."""
        where = f"contract.nodes[{name!r}]"
        if "if_gain" in own and node.kind not in ("IF", "I"):
            self.problems.append(Problem(f"{where}.if_gain", f"{node.kind} has no if_gain", "IF and I have one"))
        if "v_min" in own and node.kind not in ("IF", "LIF", "CubaLIF"):
            hint = "IF, LIF and CubaLIF have one"
            self.problems.append(Problem(f"{where}.v_min", f"{node.kind} has no lower bound", hint))
        for pair in (("v_min", "v_least"), ("if_gain", "integrator")):
            if set(pair) <= set(own):
                self.problems.append(Problem(where, f"has both {' and '.join(pair)}", "state one of the two"))

    def _ignored(self, name: str, node: NirNode, parameter: str) -> None:
        """An entry of the ledger where ignoring it changes something."""
        if parameter in node.parameters:
            change = np.abs(node[parameter].astype(np.float64) - NEUTRAL[parameter]).max(initial=0.0)
            if change:
                why = f"{parameter} is ignored, as the contract says: it reads as {NEUTRAL[parameter]:g}"
                self.entries.append(Approximation(name, why, float(change)))

    def _seconds(self, values: NDArray[Any]) -> NDArray[np.float64]:
        unit = {"s": 1.0, "ms": 1e-3, "step": self.contract.dynamics.dt}[self.contract.time_unit]
        return np.asarray(values, dtype=np.float64) * unit

    def _contract(self, name: str, node: NirNode, own: Mapping[str, Any]) -> DynamicsContract | None:
        """Of one population, where it is not the network's."""
        unknown = sorted(set(own) - OWN - {"if_gain", "v_min", *STATED})
        if unknown:
            hint = f"a node may have {', '.join(sorted(OWN | {'if_gain', 'v_min', *STATED}))}"
            self.problems.append(Problem(f"contract.nodes[{name!r}]", f"has {', '.join(unknown)}", hint))
            return None
        changes = {entry: own[entry] for entry in own if entry in OWN}
        dynamics = self.contract.dynamics
        if node.kind in ("IF", "I") and dynamics.integrator != "accumulate":
            gain = own.get("if_gain", self.contract.if_gain)
            if gain == "step":
                changes.setdefault("integrator", "accumulate")
        if node.kind == "Threshold":
            changes.setdefault("spikes", "single")
        made = replace(dynamics, **changes)
        return None if made == dynamics else made

    # -- projections ----------------------------------------------------------------------------------------------------

    def _projections(self, name: str, place: Mapping[str, int]) -> Iterator[Projection]:
        """Everything that leads to a population, in the order of the edges."""
        for source in self.arriving[name]:
            path = self._path(source)
            if path is None:
                continue
            late = self.contract.dynamics.layer_latency and self.kept.get(path.source) == "neuron"
            backwards = path.source in place and place[path.source] >= place[name] and not late
            bias = None if path.bias is None else _shaped(path.bias, self.shapes[name].source)
            for synapses, delay in self._delayed(path):
                yield Projection(
                    path.source,
                    name,
                    synapses,
                    delay + int(backwards),
                    bias,
                )
                bias = None  # several delays of one chain share it

    def _found(self, name: str, place: Mapping[str, int]) -> tuple[Projection, ...]:
        return tuple(self._projections(name, place))

    def _path(self, last: str) -> _Path | None:
        """The chain that ends at a node, from the place where its values are kept."""
        chain = [last]
        while chain[-1] not in self.kept and chain[-1] not in self.inputs:
            if len(chain) > len(self.graph.nodes):
                raise AssertionError("a loop without a kept node")
            chain.append(self.arriving[chain[-1]][0])
        source = chain[-1]
        synapses: list[Synapse | _Late] = []
        bias: NDArray[Any] | None = None
        through = [n for n in reversed(chain) if n != source or self.kept.get(n) == "relay"]
        for name in through:
            node = self.graph[name]
            try:
                if node.kind == "Delay":
                    if "bias" in self.contract.nodes.get(name, {}):
                        raise ValueError("a Delay has no bias: state it at a node before or behind it")
                    synapses.append(_Late(name))
                    continue
                made = list(synapses_of(node, self.shapes[name], self.contract))
            except ValueError as error:
                self.problems.append(Problem(name, str(error)))
                return None
            synapses += made
            if bias is not None:
                for synapse in made:
                    bias = apply_synapse(synapse, bias[None])[0]
            stated = self.contract.nodes.get(name, {})
            if name in self.kept:
                stated = {} if passes(node) else {"bias": stated["bias"]} if "bias" in stated else {}
            elif set(stated) - {"bias"}:
                why = f"{node.kind} has nothing of its own but a bias"
                self.problems.append(Problem(f"contract.nodes[{name!r}]", why, "leave it out of the contract's nodes"))
            if "bias" in stated:
                try:
                    more = np.broadcast_to(np.asarray(stated["bias"], dtype=np.float64), self.shapes[name].target)
                except ValueError:
                    why = f"is of another shape than {self.shapes[name].target}"
                    self.problems.append(Problem(f"contract.nodes[{name!r}].bias", why))
                    return None
                bias = more if bias is None else bias + more
            if "bias" in node.parameters:
                own = np.asarray(node["bias"], dtype=np.float64)
                own = own.reshape(-1, *(1,) * (len(self.shapes[name].target) - 1))
                wide = np.broadcast_to(own, self.shapes[name].target)
                bias = wide if bias is None else bias + wide
        return _Path(source, tuple(synapses), bias)

    def _delayed(self, path: _Path) -> Iterator[tuple[tuple[Synapse, ...], int]]:
        """The chain once for each delay: a mask lets through what is that late."""
        choices: list[tuple[tuple[Synapse, ...], int]] = [((), 0)]
        for synapse in path.synapses:
            if not isinstance(synapse, _Late):
                choices = [((*chain, synapse), delay) for chain, delay in choices]
                continue
            steps = self._steps(synapse.node)
            if steps is None:
                return
            values = np.unique(steps)
            if len(values) == 1:
                choices = [(chain, delay + int(values[0])) for chain, delay in choices]
                continue
            if len(values) * len(choices) > MAX_DELAYS:
                why = f"comes to more than {MAX_DELAYS} different delays"
                self.problems.append(Problem(synapse.node, why, "use fewer, or other nodes between"))
                return
            choices = [
                ((*chain, OneToOne((steps == value).astype(np.float64))), delay + int(value))
                for chain, delay in choices
                for value in values
            ]
        yield from choices

    def _steps(self, name: str) -> NDArray[np.int64] | None:
        """Delays of a node in steps."""
        exact = self._seconds(self.graph[name]["delay"]) / self.contract.dynamics.dt
        steps = np.rint(exact)
        if (steps < 0).any() or (steps >= MAX_DELAY).any():
            self.problems.append(Problem(f"{name}.delay", f"is not within 0 and {MAX_DELAY - 1:,} steps"))
            return None
        if (np.abs(exact - steps) > WHOLE * np.maximum(1, steps)).any():
            dt = self.contract.dynamics.dt
            why = f"is not a whole number of steps of {dt:g} s: {exact.ravel()[np.argmax(np.abs(exact - steps))]:g}"
            self.problems.append(Problem(f"{name}.delay", why, "give a dt that divides it, or another time_unit"))
            return None
        return steps.astype(np.int64)

    # -- ends -----------------------------------------------------------------------------------------------------------

    def _output(self, name: str) -> NetworkOutput:
        return NetworkOutput(name, name if name in self.kept else self.arriving[name][0])

    def _unfed(self, name: str) -> None:
        """A node that nothing leads to."""
        group = TYPES[self.graph[name].kind].group
        if group == "neuron" or name in self.contract.order:
            self.entries.append(Approximation(name, "nothing leads to it: it runs on what it has", 0.0))
        else:
            hint = "lead an Input to it"
            self.problems.append(Problem(name, "nothing leads to it", hint))


def synapses_of(node: NirNode, shapes: Shapes, contract: NirContract) -> Iterator[Synapse]:
    """A linear node as operators, without its bias.

    Raises:
        ValueError: what we cannot step.
    """
    match node.kind:
        case "Input" | "Output":
            return
        case "Affine" | "Linear":
            yield Dense(np.asarray(node["weight"], dtype=np.float64))
        case "Scale":
            yield OneToOne(np.asarray(node["scale"], dtype=np.float64))
        case "Conv1d" | "Conv2d":
            window = convolution_window(node)
            weight = np.asarray(node["weight"], dtype=np.float64)
            yield Conv(weight, window.stride, window.padding, window.dilation, whole(node["groups"]))
        case "SumPool2d" | "AvgPool2d":
            window = pooling_window(node)
            yield SumPool(window.kernel, window.stride, window.padding)
            if node.kind == "AvgPool2d":
                yield OneToOne(np.asarray(1.0 / np.prod(window.kernel)))
        case "Flatten":
            target = flattened(node, shapes.source)
            if contract.flatten == "channels last" and len(shapes.source) > 1:
                if target != (int(np.prod(shapes.source)),):
                    raise ValueError("flattens some axes only, which channels last leaves open")
                yield Transpose((*range(1, len(shapes.source)), 0))
            yield Reshape(target)
        case _:
            raise AssertionError(node.kind)


def _shaped(bias: NDArray[Any], shape: Shape) -> NDArray[Any]:
    return np.array(np.broadcast_to(bias, shape))
