"""The finite space of meanings: which questions a graph leaves open, and what the answers may be.

A question that cannot matter for this graph is not asked, and it is said why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from spikeport.nir.graph import NirGraph
from spikeport.nir.shapes import Shapes
from spikeport.primitives import DynamicsContract
from spikeport.primitives.nir_contract import IGNORABLE, NEUTRAL, NirContract

LEAKY = ("CubaLI", "CubaLIF", "LI", "LIF")
FIRING = ("CubaLIF", "IF", "LIF")
IGNORES = "ignores "
"""Before the name of a parameter: whether a tool reads over it."""
DYNAMICS = (
    "dt",
    "integrator",
    "synapse",
    "compare",
    "spikes",
    "reset",
    "reset_when",
    "layer_latency",
    "current_order",
    "initial",
    "bias_register",
)
MEANING = ("time_unit", "if_gain", "v_min", "flatten")
Assignment = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dimension:
    """A question, and its answers: the one that most tools give comes first."""

    name: str
    choices: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """What is asked of a graph, and what is not."""

    dimensions: tuple[Dimension, ...]
    settled: Mapping[str, Any]
    """Answers that make no difference, or were given."""
    left_out: Mapping[str, str]
    """Why."""

    @property
    def size(self) -> int:
        return int(np.prod([len(d.choices) for d in self.dimensions], dtype=object))

    def assignments(self) -> Iterator[dict[str, Any]]:
        """All of them, the usual answers first: those that depart in one question before those that depart in two."""
        usual = {d.name: d.choices[0] for d in self.dimensions}
        others = [d for d in self.dimensions if len(d.choices) > 1]
        for n in range(len(others) + 1):
            for chosen in combinations(others, n):
                for values in product(*(d.choices[1:] for d in chosen)):
                    yield usual | dict(zip((d.name for d in chosen), values, strict=True))

    def contract(self, assignment: Assignment) -> NirContract:
        """The contract that an assignment is."""
        values = {**self.settled, **assignment}
        dynamics = DynamicsContract(**{name: values[name] for name in DYNAMICS})
        ignores = tuple(name for name in IGNORABLE if values.get(f"{IGNORES}{name}"))
        return NirContract(dynamics=dynamics, ignores=ignores, **{name: values[name] for name in MEANING})

    def assignment(self, contract: NirContract) -> dict[str, Any]:
        """What a contract answers."""
        return {d.name: answer(contract, d.name) for d in self.dimensions}


def answer(contract: NirContract, name: str) -> Any:
    """What a contract answers to one question."""
    if name.startswith(IGNORES):
        return name.removeprefix(IGNORES) in contract.ignores
    return getattr(contract if name in MEANING else contract.dynamics, name)


def names() -> tuple[str, ...]:
    """All questions."""
    return (*DYNAMICS, *MEANING, *(f"{IGNORES}{name}" for name in IGNORABLE))


def space_of(flat: NirGraph, shapes: Mapping[str, Shapes], dts: Sequence[float], given: Assignment) -> Space:
    """The questions of a graph without nested ones.

    Args:
        dts: possible durations of a step.
        given: answers that are known, by question.
    """
    asked: list[Dimension] = []
    settled: dict[str, Any] = {"dt": dts[0]}
    left_out: dict[str, str] = {}
    for name, choices, why in _questions(flat, shapes, tuple(dict.fromkeys(dts))):
        if name in given:
            settled[name] = given[name]
            left_out[name] = "given"
        elif len(choices) == 1:
            settled[name] = choices[0]
            left_out[name] = why
        else:
            asked.append(Dimension(name, choices))
    return Space(tuple(asked), settled, left_out)


def _questions(
    flat: NirGraph, shapes: Mapping[str, Shapes], dts: tuple[float, ...]
) -> Iterator[tuple[str, tuple[Any, ...], str]]:
    """Name, answers, and why there is only one where there is only one."""
    kinds = {node.kind for node in flat.nodes.values()}
    fires, leaks, cuba = kinds & set(FIRING), kinds & set(LEAKY), kinds & {"CubaLI", "CubaLIF"}

    def ask(name: str, matters: Any, choices: tuple[Any, ...], why: str) -> tuple[str, tuple[Any, ...], str]:
        return name, choices if matters else choices[:1], why

    yield ask("dt", True, dts, "one was said")
    yield ask("integrator", leaks, ("forward_euler", "exponential"), "no node leaks")
    yield ask("synapse", leaks or kinds & {"I", "IF"}, ("current", "delta"), "no node integrates")
    yield ask("compare", fires or "Threshold" in kinds, (">", ">="), "no node fires")
    yield ask("spikes", fires, ("single", "multi"), "no node fires that keeps a potential")
    yield ask("reset", fires, ("to_value", "subtract"), "no node has a reset")
    yield ask("reset_when", fires, ("same_step", "next_step", "after_next_update"), "no node has a reset")
    yield ask("v_min", fires, ("none", "zero", "-threshold"), "no node has a reset")
    yield ask("layer_latency", True, (0, 1), "")
    yield ask("current_order", cuba, ("new", "old"), "no node has a synaptic current")
    starts = [name for name in ("v_leak", "v_reset") if _differs(flat, name)]
    yield "initial", ("zero", *starts), "v_leak and v_reset are 0, or absent"
    yield ask("bias_register", _differs(flat, "bias"), ("spikes", "weighted"), "no linear node adds anything")
    units = {"s": 1.0, "ms": 1e-3, "step": dts[0]}
    timed = leaks or "Delay" in kinds
    distinct = [u for i, u in enumerate(units) if len(dts) > 1 or units[u] not in list(units.values())[:i]]
    yield ask("time_unit", timed, tuple(distinct), "no node holds a time")
    counted = kinds & {"I", "IF"} and dts != (1.0,)
    yield ask("if_gain", counted, ("dt", "step"), "no IF or I node, or a step is one unit of time")
    wide = [n for n, node in flat.nodes.items() if node.kind == "Flatten" and _wide(shapes[n].source)]
    yield ask("flatten", wide, ("channels first", "channels last"), "no Flatten of feature maps")
    for full in IGNORABLE:
        kind, name = full.split(".")
        held = [node for node in flat.nodes.values() if node.kind == kind]
        matters = any(name in node.parameters and np.any(node[name] != NEUTRAL[name]) for node in held)
        why = f"{name} is {NEUTRAL[name]:g} in each {kind}" if held else f"there is no {kind}"
        yield ask(f"{IGNORES}{full}", matters, (False, True), why)


def _differs(flat: NirGraph, parameter: str) -> bool:
    """Whether a parameter is anywhere other than 0."""
    return any(np.any(n[parameter] != 0) for n in flat.nodes.values() if parameter in n.parameters)


def _wide(shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and shape[0] > 1 and int(np.prod(shape[1:])) > 1


def twin(flat: NirGraph, assignment: Assignment, settled: Assignment, late_biases: bool) -> tuple[Any, ...]:
    """What assignments share that provably give the same spikes, so that one of them is run.

    A reset at the end of a step and one before the next integrates leave the same potential to integrate from, unless a lower clip comes between
    them that acts on what the reset left. The register of a bias is nothing where nothing is late. What jumps into a potential is not
    scaled by r or dt, and nothing else arrives at neurons without a synaptic current.
    """
    values = {**settled, **assignment}
    key = dict(assignment)
    clipped = values["v_min"] != "none" and not _harmless_clip(flat, values)
    if values["reset_when"] == "next_step" and not clipped and "reset_when" in key:
        key["reset_when"] = "same_step"
    if not late_biases and values["layer_latency"] == 0 and "bias_register" in key:
        key["bias_register"] = "spikes"
    if values["synapse"] == "delta":
        unscaled = ("if_gain", *(f"{IGNORES}{kind}.r" for kind in ("I", "IF", "LI", "LIF")))
        key |= {name: None for name in unscaled if name in key}
    return tuple(key.values())


def _harmless_clip(flat: NirGraph, values: Assignment) -> bool:
    """Whether a reset never leaves a potential below the clip."""
    firing = [node for node in flat.nodes.values() if node.kind in FIRING]
    if not all(np.all(node["v_threshold"] > 0) for node in firing):
        return False
    if values["reset"] == "subtract":
        return bool(values["spikes"] == "single")
    resets = [node["v_reset"] for node in firing if "v_reset" in node.parameters]
    return all(np.all(reset >= 0) for reset in resets)


def biases_are_late(flat: NirGraph) -> bool:
    """Whether some projection may have both a bias and a delay of its own, layer latency apart: behind a Delay, or in a loop."""
    if flat.of_kind("Delay"):
        return True
    targets: dict[str, list[str]] = {name: [] for name in flat.nodes}
    entering = dict.fromkeys(flat.nodes, 0)
    for a, b in flat.edges:
        targets[a].append(b)
        entering[b] += 1
    ready = [name for name, n in entering.items() if n == 0]
    done = 0
    while ready:  # what cannot be sorted holds a loop
        done += 1
        for target in targets[ready.pop()]:
            entering[target] -= 1
            if entering[target] == 0:
                ready.append(target)
    return done < len(flat.nodes)
