"""A machine in a `Program`: numbers of the core as JSON, its memories as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.fpga.machine import INPUT, KINDS, LAYOUT, Machine, laid_out
from spikeport.errors import BackendError, Problem
from spikeport.plugin import Program

DEPTHS = {
    "places": "PLACES",
    "projections": "PROJECTIONS",
    "rows": "ROWS",
    "patterns": "PATTERNS",
    "weights": "WEIGHTS",
    "classes": "NEURONS",
    "parameters": "CLASSES",
    "steps": "STEPS",
}
WIDEST, DEEPEST = 64, 2**28
"""Largest width and depth that a program may ask of a tool."""


def written(machine: Machine) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The document and the arrays."""
    document = {
        "inputs": [[name, count] for name, count in machine.inputs.items()],
        "populations": [[name, count] for name, count in machine.populations.items()],
        "core": dict(machine.parameters),
    }
    arrays = {
        f"{name}.{field.name}": field.values.astype(_narrowest(field.values))
        for name, memory in machine.memories.items()
        for field in memory.fields
    }
    return document, arrays


def _narrowest(values: NDArray[np.int64]) -> Any:
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    return np.promote_types(np.min_scalar_type(min(low, -1)), np.min_scalar_type(max(high, 1)))


def read(program: Program) -> Machine:
    """The machine that a program holds.

    Raises:
        BackendError: it is damaged, or does not belong to its network.
    """
    network = program.network
    try:
        core = {str(key): int(value) for key, value in program.document["core"].items()}
        inputs = {str(key): int(value) for key, value in program.document["inputs"]}
        populations = {str(key): int(value) for key, value in program.document["populations"]}
        columns = {name: {key: program.arrays[f"{name}.{key}"] for key, _ in layout} for name, layout in LAYOUT.items()}
        machine = Machine(network.name, inputs, populations, core, laid_out(core, columns))
        _check(machine)
        for name, count in populations.items():
            if network[name].size != count:
                raise ValueError(f"{name} has {network[name].size} neurons, and {count} here")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        why = f"does not belong to its network: {type(error).__name__}: {error}"
        raise BackendError(Problem(network.name, why, "compile it again")) from None
    return machine


def _check(machine: Machine) -> None:
    """Every address that a word holds is inside of its memory."""
    p, m = machine.parameters, machine.memories
    widths = [value for key, value in p.items() if len(key) == 2]
    if not all(0 <= value <= WIDEST for value in widths):
        raise ValueError("a width is beyond all reason")
    for name, depth in DEPTHS.items():
        lengths = {len(field.values) for field in m[name].fields}
        if len(lengths) != 1 or m[name].depth != p[depth] or p[depth] > DEEPEST:
            raise ValueError(f"memory {name} has not the words that it says")

    def inside(what: str, values: NDArray[np.int64], end: int) -> None:
        if values.size and not (values.min() >= 0 and values.max() <= end):
            raise ValueError(f"{what} leaves its memory")

    places, rows, patterns = m["places"], m["rows"], m["patterns"]
    if len(places["kind"]) != len(machine.places) or p["FIRST_POPULATION"] != len(machine.inputs):
        raise ValueError("its places are not those of the network")
    inside("a population", places["first"] + places["count"] * (places["kind"] != INPUT), p["NEURONS"])
    inside("a kind", places["kind"] * (places["kind"] != INPUT), len(KINDS) - 1)
    inside("a projection", places["projection"] + places["projections"], len(m["projections"]["row"]))
    inside("a pattern", rows["pattern"] + rows["length"], len(patterns["target"]))
    inside("a class", m["classes"]["class"], p["CLASSES"] - 1)
    counts = [*machine.inputs.values(), *machine.populations.values()]
    if counts != places["count"].tolist():
        raise ValueError("its populations have other sizes")
    for place, count in enumerate(counts):
        begin = int(places["projection"][place])
        for number in range(begin, begin + int(places["projections"][place])):
            inside("a row", np.array([m["projections"]["row"][number] + count]), len(rows["length"]))
        if places["kind"][place] == KINDS.index("maximum"):
            inside("a window", np.array([places["windows"][place] + count]), len(rows["length"]))
    inside("a delay", m["projections"]["delay"], p["SLOTS"] - 1)
    reached = _furthest(machine)
    inside("a target", rows["target"] + reached["target"], p["NEURONS"] - 1)
    if len(m["weights"]["weight"]):
        inside("a weight", rows["weight"] + reached["weight"], p["WEIGHTS"] - 1)
    inside("a table", m["parameters"]["table"], p["STEPS"] - 1)


def _furthest(machine: Machine) -> dict[str, NDArray[np.int64]]:
    """Of each row the largest distance in its pattern."""
    rows, patterns = machine.memories["rows"], machine.memories["patterns"]
    found = {}
    for key in ("target", "weight"):
        largest: dict[tuple[int, int], int] = {}
        values = np.zeros(len(rows["length"]), np.int64)
        for i, part in enumerate(zip(rows["pattern"].tolist(), rows["length"].tolist(), strict=True)):
            if part not in largest:
                begin, length = part
                largest[part] = int(patterns[key][begin : begin + length].max(initial=0))
            values[i] = largest[part]
        found[key] = values
    return found
