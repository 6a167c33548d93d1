"""A network as the memories and parameters of the core: what is written to files, simulated and synthesized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.fpga.memory import Field, Memory, address_bits, signed_bits, unsigned_bits
from spikeport.backends.fpga.rows import Pattern, RowSet

Whole = NDArray[np.int64]

KINDS = (
    "accumulator",
    "signed",
    "graded",
    "bank",
    "plain",
    "phased",
    "radix",
    "maximum",
    "fires",
    "memoryless",
    "staircase",
    "levels",
    "thermometer",
    "digits",
    "leaky",
)
"""Kinds of neurons, by the number that the core knows them by."""
INPUT = 15
REGISTERS = ("threshold", "share", "rest", "initial", "extra", "deaf_for", "leak_u", "leak_v")
"""Numbers of a neuron."""


LAYOUT: Mapping[str, tuple[tuple[str, str | int], ...]] = {
    "places": (
        ("kind", 4),
        ("first", "NA"),
        ("count", "CB"),
        ("projection", "JA"),
        ("projections", "JA+"),
        ("opens", "TW"),
        ("closes", "TW"),
        ("low", "OW"),
        ("range", "QW"),
        ("shown", 1),
        ("windows", "RA"),
    ),
    "projections": (("row", "RA"), ("delay", "SA")),
    "rows": (("pattern", "PA"), ("length", "LB"), ("weight", "WA"), ("target", "NA")),
    "patterns": (("target", "TD"), ("weight", "WD")),
    "weights": (("weight", "WW"),),
    "classes": (("class", "CA"),),
    "parameters": (
        ("threshold", "HW"),
        ("share", "BW"),
        ("rest", "RW"),
        ("initial", "VW"),
        ("extra", "EW"),
        ("deaf_for", "FW"),
        ("table", "TA"),
        ("leak_u", "DW"),
        ("leak_v", "DW"),
    ),
    "steps": (("threshold", "HW"),),
}
"""Fields of the words of every memory, lowest first, and their widths: numbers, or parameters of the core, `+` for one bit more."""


def laid_out(widths: Mapping[str, int], columns: Mapping[str, Mapping[str, Any]]) -> dict[str, Memory]:
    """Memories from columns of numbers.

    Raises:
        ValueError: numbers that do not fit their width.
    """

    def width(of: str | int) -> int:
        return of if isinstance(of, int) else widths[of.removesuffix("+")] + of.endswith("+")

    return {
        name: Memory(
            name, tuple(Field(key, width(of), np.asarray(columns[name][key], dtype=np.int64)) for key, of in layout)
        )
        for name, layout in LAYOUT.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A population on the core; arrays hold one value a neuron."""

    name: str
    kind: str
    count: int
    registers: Mapping[str, Whole] = field(default_factory=dict)
    """By `REGISTERS`; what is not named is 0."""
    table: Whole | None = None
    """Thresholds, shape (step, neuron)."""
    opens: int = 0
    closes: int = 0
    low: int = 0
    range: int = 0
    shown: bool = False
    """Its potentials are told when only those that are read are asked for."""
    windows: RowSet | None = None
    """Of a maximum: the places that each neuron looks at."""
    inputs: int = 0
    """Of a maximum: places where spikes arrive."""
    ports: int = 1
    """Of leaky units: sums that arrive apart, since each is shifted by itself."""

    @property
    def region(self) -> int:
        """Addresses that it takes."""
        return max(self.count * self.ports, self.inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Synapses from an input or a population to a population."""

    source: str
    target: str
    rows: RowSet
    delay: int = 0
    port: int = 0


@dataclass(frozen=True, slots=True)
class Widths:
    """What bounds prove of the numbers of a network."""

    arrived: int
    """Bits of what has arrived and is not taken yet."""
    potential: int
    payload: int
    sent: int = 0
    """Bits of the count of what a neuron has sent; 0 where none looks at it."""


@dataclass(frozen=True, eq=False)
class Machine:
    """Everything but the text of the core."""

    name: str
    inputs: Mapping[str, int]
    """Lines by name, in the order of their places."""
    populations: Mapping[str, int]
    """Neurons by name, in the order of their places, which come after the inputs."""
    parameters: Mapping[str, int]
    memories: Mapping[str, Memory]

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Number of every input and population."""
        return {name: i for i, name in enumerate([*self.inputs, *self.populations])}

    @property
    def memory_bits(self) -> int:
        """Of all memories, those of state among them."""
        p = self.parameters
        slots = p["NEURONS"] if p["SLOTS"] == 1 else p["SLOTS"] * 2 ** p["NA"]
        state = p["NEURONS"] * self.state_bits + slots * p["AW"]
        return state + sum(memory.bits for memory in self.memories.values())

    @property
    def state_bits(self) -> int:
        """Of one neuron, without what arrives."""
        return sum(self.parameters[name] for name in ("VW", "UW", "SW", "RW", "FW"))

    @property
    def synapses(self) -> int:
        """As many as rows reach, shared weights counted each time."""
        return int(self.memories["rows"]["length"].sum()) if len(self.memories["rows"]["length"]) else 0


def build(
    name: str,
    inputs: Mapping[str, int],
    units: Sequence[Unit],
    links: Sequence[Link],
    widths: Widths,
    *,
    presentation: int,
    meaning: Mapping[str, int] | None = None,
) -> Machine:
    """Lay a network out in the memories of the core.

    Args:
        name: of the network.
        inputs: lines by name.
        units: populations in the order in which they are stepped.
        links: synapses.
        widths: of numbers that only bounds of the whole network tell.
        presentation: steps over which biases are split; 0: every step has the share.
        meaning: further parameters of the core.
    """
    firsts = np.cumsum([0, *(unit.region for unit in units)])
    neurons = int(firsts[-1])
    first = {unit.name: int(at) for unit, at in zip(units, firsts, strict=False)}
    sizes = {unit.name: unit.count for unit in units}
    patterns = _Patterns()
    rows: dict[str, list[Whole]] = {"pattern": [], "length": [], "weight": [], "target": []}
    weights: list[Whole] = []
    n_rows = n_weights = 0

    def add(row_set: RowSet, target: int) -> int:
        nonlocal n_rows, n_weights
        begin = n_rows
        starts = patterns.add(row_set.patterns)
        rows["pattern"].append(starts[row_set.pattern])
        rows["length"].append(row_set.lengths)
        rows["weight"].append(row_set.first_weight + n_weights if len(row_set.weights) else 0 * row_set.first_weight)
        rows["target"].append(row_set.first_target + target)
        weights.append(row_set.weights)
        n_rows += len(row_set.pattern)
        n_weights += len(row_set.weights)
        return begin

    columns: dict[str, list[int]] = {
        key: [] for key in ("kind", "first", "count", "projection", "projections", *_CLOCK, "shown", "windows")
    }
    projections: dict[str, list[int]] = {"row": [], "delay": []}
    for unit in (*(Unit(line, "input", count) for line, count in inputs.items()), *units):
        mine = [link for link in links if link.source == unit.name]
        columns["kind"].append(INPUT if unit.kind == "input" else KINDS.index(unit.kind))
        columns["first"].append(0 if unit.kind == "input" else first[unit.name])
        columns["count"].append(unit.count)
        columns["projection"].append(len(projections["row"]))
        columns["projections"].append(len(mine))
        for key in _CLOCK:
            columns[key].append(getattr(unit, key))
        columns["shown"].append(int(unit.shown))
        columns["windows"].append(0 if unit.windows is None else add(unit.windows, first[unit.name]))
        for link in mine:
            projections["row"].append(add(link.rows, first[link.target] + link.port * sizes[link.target]))
            projections["delay"].append(link.delay)

    registers, tables = _registers(units)
    kept, classes = np.unique(registers, axis=0, return_inverse=True)
    slots = 1 + max(projections["delay"], default=0)
    clock = max([presentation, *columns["opens"], *columns["closes"]]) + 1
    ranges = max([1, *columns["range"], *(2**unit.range - 1 for unit in units if unit.kind == "radix")])
    w: dict[str, int] = {
        "NA": address_bits(neurons),
        "CB": unsigned_bits(max(columns["count"])),
        "SA": address_bits(slots),
        "LA": unsigned_bits(len(columns["kind"])),
        "JA": address_bits(len(projections["row"])),
        "RA": address_bits(n_rows),
        "PA": address_bits(len(patterns.targets)),
        "WA": address_bits(n_weights),
        "CA": address_bits(len(kept)),
        "TA": address_bits(len(tables)),
        "TW": unsigned_bits(clock),
        "QW": unsigned_bits(ranges),
        "PW": widths.payload,
        "AW": widths.arrived,
        "VW": widths.potential,
        "UW": 32 if any(unit.kind == "leaky" for unit in units) else 0,
        "SW": widths.sent,
    }
    lengths = np.concatenate(rows["length"]) if rows["length"] else np.zeros(0, np.int64)
    held = np.concatenate(weights) if weights else np.zeros(0, np.int64)
    w["OW"] = _span(np.array(columns["low"]))
    w["LB"] = unsigned_bits(int(lengths.max(initial=0)))
    w["WW"] = _span(held)
    w["TD"], w["WD"] = unsigned_bits(max(patterns.targets, default=0)), unsigned_bits(max(patterns.weights, default=0))
    column = {key: kept[:, i] if len(kept) else np.zeros(0, np.int64) for i, key in enumerate((*REGISTERS, "table"))}
    w["HW"] = _span(np.concatenate([column["threshold"], tables]))
    w["BW"], w["EW"] = _span(column["share"]), _span(column["extra"])
    w["RW"] = int(column["rest"].max(initial=0)).bit_length() and unsigned_bits(presentation - 1)
    w["FW"] = int(column["deaf_for"].max(initial=0)).bit_length()
    w["DW"] = max(int(column[leak].max(initial=0)).bit_length() for leak in ("leak_u", "leak_v"))
    w["IW"] = (
        max(
            w["VW"] + 1,
            w["AW"] + 1,
            w["BW"] + 1,
            w["EW"] + 1,
            w["HW"] + w["QW"],
            w["SW"] + 1,
            w["PW"] + 1,
            w["OW"] + 1,
            w["UW"] and 40,
        )
        + 2
    )

    def joined(key: str) -> Whole:
        return np.concatenate(rows[key]) if rows[key] else np.zeros(0, np.int64)

    last = max(0, len(projections["row"]) - 1)
    memories = laid_out(
        w,
        {
            "places": {**columns, "projection": [min(at, last) for at in columns["projection"]]},
            "projections": projections,
            "rows": {key: joined(key) for key in rows},
            "patterns": {"target": patterns.targets, "weight": patterns.weights},
            "weights": {"weight": held},
            "classes": {"class": classes.ravel()},
            "parameters": column,
            "steps": {"threshold": tables},
        },
    )
    parameters = {
        "NEURONS": neurons,
        "SLOTS": slots,
        "PLACES": len(columns["kind"]),
        "FIRST_POPULATION": len(inputs),
        **{key.upper(): memories[key].depth for key in ("projections", "rows", "patterns", "weights")},
        "CLASSES": memories["parameters"].depth,
        "STEPS": memories["steps"].depth,
        **w,
        "PRESENT": presentation,
        "KINDS": sum({1 << KINDS.index(unit.kind) for unit in units}),
        **(meaning or {}),
    }
    return Machine(name, dict(inputs), {unit.name: unit.count for unit in units}, parameters, memories)


_CLOCK = ("opens", "closes", "low", "range")


def _span(values: Whole) -> int:
    return signed_bits(int(values.min(initial=0)), int(values.max(initial=0)))


def _registers(units: Sequence[Unit]) -> tuple[Whole, Whole]:
    """Numbers of every address, shape (address, register), the last one where its table begins; and all tables."""
    parts, tables, known, total = [], [], dict[bytes, int](), 0
    for unit in units:
        part = np.zeros((unit.region, len(REGISTERS) + 1), np.int64)
        for i, name in enumerate(REGISTERS):
            if name in unit.registers:
                part[: unit.count, i] = unit.registers[name]
        if unit.table is not None:
            for neuron, column in enumerate(np.ascontiguousarray(unit.table.T)):
                key = column.tobytes()
                if key not in known:
                    known[key] = total
                    tables.append(column)
                    total += len(column)
                part[neuron, -1] = known[key]
        parts.append(part)
    return np.concatenate(parts), np.concatenate(tables) if tables else np.zeros(0, np.int64)


class _Patterns:
    """All patterns, each once."""

    def __init__(self) -> None:
        self.targets: list[int] = []
        self.weights: list[int] = []
        self._known: dict[Pattern, int] = {}

    def add(self, patterns: Sequence[Pattern]) -> Whole:
        """Where each of them begins."""
        starts = np.zeros(max(1, len(patterns)), np.int64)
        for i, pattern in enumerate(patterns):
            if pattern not in self._known:
                self._known[pattern] = len(self.targets) if pattern[0] else 0
                self.targets += np.frombuffer(pattern[0], np.int64).tolist()
                self.weights += np.frombuffer(pattern[1], np.int64).tolist()
            starts[i] = self._known[pattern]
        return starts
