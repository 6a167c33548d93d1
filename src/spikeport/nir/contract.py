"""The execution contract as one JSON text in a graph's metadata: what NIR does not say, and where the rest stands.

Integers that NIR nodes hold (weights, thresholds) stay there and are referred to; the others (initial potentials, biases,
the input's scale) are metadata arrays. `document` writes, `parse` reads; both name every field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from math import isfinite
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError, Problem
from spikeport.nir import limits
from spikeport.nir.fields import Value, load
from spikeport.nir.lower import Plan
from spikeport.nir.stages import Convolution, Matrix, Scaling
from spikeport.primitives import (
    Accumulator,
    Approximation,
    Connection,
    Conv,
    Dense,
    ExecutionContract,
    GradedIF,
    Ledger,
    OneToOne,
    Pad,
    Reshape,
    Shape,
    SignedIF,
    Slice,
    SpikingNetwork,
    SumPool,
)
from spikeport.version import __version__

FORMAT = "spikeport.nir/1"
KEY = "spikeport"
ARRAYS = "spikeport_arrays"
WHERE = "contract"

SYNAPSES: Mapping[str, type] = {
    "dense": Dense,
    "conv": Conv,
    "one_to_one": OneToOne,
    "sum_pool": SumPool,
    "reshape": Reshape,
    "slice": Slice,
    "pad": Pad,
}
NAMES = {kind: name for name, kind in SYNAPSES.items()}
PAIRS = ("padding", "width")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an array stands: in metadata under a key, or among the weights of a node, from `first` on each `step`."""

    shape: Shape
    array: str | None = None
    node: str | None = None
    first: Shape = ()
    step: Shape = ()


@dataclass(frozen=True, slots=True)
class DeclaredSynapse:
    """A synapse by name, its plain parameters, and where its weights are."""

    kind: type
    parameters: Mapping[str, Any]
    weight: Reference | None


@dataclass(frozen=True, slots=True)
class DeclaredConnection:
    """A connection and its NIR nodes, in order."""

    source: str
    target: str
    nodes: tuple[str, ...]
    synapses: tuple[DeclaredSynapse, ...]


@dataclass(frozen=True, slots=True)
class DeclaredPopulation:
    """A population, its NIR node, and where its arrays are."""

    name: str
    node: str
    shape: Shape
    kind: type
    parameters: Mapping[str, Any]
    arrays: Mapping[str, Reference]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A contract as read: types and ranges are checked, references not yet."""

    name: str
    contract: ExecutionContract
    input: DeclaredPopulation
    populations: tuple[DeclaredPopulation, ...]
    connections: tuple[DeclaredConnection, ...]
    output: str
    ledger: Ledger
    host_tail: tuple[str, ...]
    dtype: str
    digest: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Names of NIR nodes: of the input and each population, and of each connection's nodes."""

    populations: Mapping[str, str]
    connections: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class _Store:
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def put(self, name: str, array: NDArray[Any]) -> dict[str, Any]:
        key = f"{name}_{len(self.arrays)}"
        self.arrays[key] = array.reshape(-1)  # HDF5 does not compress scalars
        return {"array": key, "shape": list(array.shape)}


def document(
    network: SpikingNetwork, plan: Plan, placement: Placement, dtype: np.dtype[Any], remarks: Ledger
) -> dict[str, Any]:
    """Graph metadata: the JSON text, and the arrays that it refers to."""
    store = _Store()
    encoder = network.input
    content = {
        "format": FORMAT,
        "writer": f"spikeport {__version__}",
        "name": network.name,
        "contract": asdict(network.contract),
        "input": {
            "name": encoder.name,
            "node": placement.populations[encoder.name],
            "shape": list(encoder.shape),
            "kind": encoder.kind,
            "low": int(encoder.low),
            "high": int(encoder.high),
            **{
                name: None if array is None else store.put(name, array)
                for name, array in (("scale", encoder.scale), ("gain", encoder.gain), ("shift", encoder.shift))
            },
        },
        "populations": [
            {
                "name": p.name,
                "node": placement.populations[p.name],
                "shape": list(p.shape),
                "neuron": _neuron(p.neuron, store),
            }
            for p in network.populations
        ],
        "connections": [
            {
                "source": c.source,
                "target": c.target,
                "nodes": list(names),
                "synapses": _synapses(c, chain, names, store),
            }
            for c, chain, names in zip(network.connections, plan.chains, placement.connections, strict=True)
        ],
        "output": network.output,
        "host_tail": list(network.host_tail),
        "ledger": _ledger(network.ledger),
        "dtype": dtype.name,
        "digest": digest(network),
        "plain": {"grade": "approximate", "remarks": _ledger(remarks)},
    }
    return {KEY: json.dumps(content, allow_nan=False), ARRAYS: store.arrays}


def digest(network: SpikingNetwork) -> str:
    """A hash of all that a network says: the contract's bounds are proved for these numbers and no others."""
    state = hashlib.sha256()
    _feed(state, network)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    """Add a value of a network; numbers count by value, not by type."""
    if isinstance(value, np.ndarray):
        state.update(f"array {value.shape};".encode())
        state.update(np.ascontiguousarray(value, dtype="<f8" if value.dtype.kind == "f" else "<i8").tobytes())
    elif isinstance(value, tuple):
        state.update(f"tuple {len(value)};".encode())
        for item in value:
            _feed(state, item)
    elif is_dataclass(value):
        state.update(f"{type(value).__name__};".encode())
        for item in fields(value):
            if item.init:
                _feed(state, getattr(value, item.name))
    elif isinstance(value, str) or value is None:
        state.update(f"{value!r};".encode())
    else:
        state.update(f"{int(value) if isinstance(value, Integral) else float(value)!r};".encode())


def _neuron(neuron: Any, store: _Store) -> dict[str, Any]:
    match neuron:
        case SignedIF() | GradedIF():
            content = {
                "kind": "signed_if" if isinstance(neuron, SignedIF) else "graded_if",
                "threshold": {"shape": list(neuron.threshold.shape)},
                "initial": store.put("initial", _integer(neuron.initial)),
                "bias": store.put("bias", _integer(neuron.bias)),
                "low": int(neuron.low),
                "high": int(neuron.high),
            }
            return content if isinstance(neuron, SignedIF) else content | {"fires_at": int(neuron.fires_at)}
        case Accumulator(bias, scale):
            return {"kind": "accumulator", "bias": store.put("bias", _integer(bias)), "scale": float(scale)}
        case _:
            raise AssertionError("refused by the plan")


def _synapses(
    connection: Connection, chain: Sequence[Any], names: Sequence[str], store: _Store
) -> list[dict[str, Any]]:
    place: dict[int, tuple[str, Any]] = {}
    position = 0
    for stage in chain:
        position += 2 if isinstance(stage, Convolution) and stage.crop else 1
        if isinstance(stage, Matrix | Convolution | Scaling):
            place[id(stage.weight)] = names[position - 1], stage
    result = []
    for synapse in connection.synapses:
        content: dict[str, Any] = {"kind": NAMES[type(synapse)]}
        for item in fields(synapse):
            value = getattr(synapse, item.name)
            if item.name != "weight":
                content[item.name] = np.asarray(value).tolist()
            elif id(synapse) not in place:
                content["weight"] = store.put("weight", _integer(value))
            else:
                node, stage = place[id(synapse)]
                content["weight"] = {"node": node, "shape": list(value.shape)}
                if isinstance(stage, Convolution):
                    content["weight"] |= {n: [getattr(w, n) for w in stage.windows] for n in ("first", "step")}
        result.append(content)
    return result


def _integer(array: NDArray[Any]) -> NDArray[np.int64]:
    return array.astype(np.int64)


def _ledger(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        asdict(entry) | {"error": float(entry.error) if isfinite(entry.error) else str(float(entry.error))}
        for entry in ledger
    ]


def parse(text: str) -> Declaration:
    """A contract from its JSON text.

    Raises:
        NirError: everything in it that is missing, of the wrong type or out of range.
    """
    problems: list[Problem] = []
    if len(text) > limits.MAX_TEXT:
        raise NirError(Problem(WHERE, f"has more than {limits.MAX_TEXT} characters"))
    try:
        root = Value(load(text), WHERE, problems)
    except ValueError as error:
        raise NirError(
            Problem(WHERE, f"is not well-formed JSON: {str(error)[:200]}", "export the network again")
        ) from error
    if not isinstance(root.value, dict) or root.value.get("format") != FORMAT:
        found = root.value.get("format") if isinstance(root.value, dict) else None
        raise NirError(
            Problem(WHERE, f"has the format {str(found)[:60]!r}, not {FORMAT!r}", "use the spikeport that wrote it")
        )
    root.only(
        *("format", "writer", "name", "contract", "input", "populations", "connections", "output"),
        *("host_tail", "ledger", "dtype", "digest", "plain"),
    )
    declaration = Declaration(
        name=root["name"].text(at_most=limits.MAX_NAME),
        contract=_contract(root["contract"]),
        input=_input(root["input"]),
        populations=tuple(map(_population, root["populations"].items(at_most=limits.MAX_NODES, at_least=1))),
        connections=tuple(map(_connection, root["connections"].items(at_most=limits.MAX_NODES, at_least=1))),
        output=root["output"].text(at_most=limits.MAX_NAME),
        ledger=tuple(map(_approximation, root["ledger"].items(at_most=100_000))),
        host_tail=tuple(v.text(at_most=limits.MAX_NAME) for v in root["host_tail"].items(at_most=100)),
        dtype=root["dtype"].choice("float32", "float64"),
        digest=root["digest"].text(at_least=64, at_most=64),
    )
    if problems:
        raise NirError(problems)
    return declaration


def _contract(value: Value) -> ExecutionContract:
    value.only(*(item.name for item in fields(ExecutionContract)))
    return ExecutionContract(
        code=value["code"].choice("signed", "graded"),
        presentation=value["presentation"].integer(1, limits.MAX_PRESENTATION),
        max_steps=value["max_steps"].integer(1, limits.MAX_STEPS),
        state_bits=value["state_bits"].integer(1, 64),
        dt=value["dt"].number(),
        arithmetic=value["arithmetic"].choice("integer"),
        integrator=value["integrator"].choice("accumulate"),
        compare=value["compare"].choice(">="),
        reset=value["reset"].choice("subtract"),
        layer_latency=value["layer_latency"].choice(0),
        split=value["split"].choice("floor"),
        sample_boundary=value["sample_boundary"].choice("reset"),
    )


def _input(value: Value) -> DeclaredPopulation:
    value.only("name", "node", "shape", "kind", "low", "high", "scale", "gain", "shift")
    optional = [name for name in ("gain", "shift") if value[name].value is not None]
    return DeclaredPopulation(
        *_place(value),
        kind=object,
        parameters={"kind": value["kind"].choice("static", "events"), **_range(value)},
        arrays={name: _reference(value[name]) for name in ("scale", *optional)},
    )


def _population(value: Value) -> DeclaredPopulation:
    value.only("name", "node", "shape", "neuron")
    neuron = value["neuron"]
    kind = neuron["kind"].choice("signed_if", "graded_if", "accumulator")
    if kind == "accumulator":
        neuron.only("kind", "bias", "scale")
        arrays = {"bias": _reference(neuron["bias"])}
        return DeclaredPopulation(*_place(value), Accumulator, {"scale": neuron["scale"].number()}, arrays)
    node = value["node"].value
    arrays = {
        "threshold": Reference(
            _shape(neuron["threshold"].only("shape")["shape"]), node=node if isinstance(node, str) else ""
        ),
        "initial": _reference(neuron["initial"]),
        "bias": _reference(neuron["bias"]),
    }
    if kind == "signed_if":
        neuron.only("kind", "threshold", "initial", "bias", "low", "high")
        return DeclaredPopulation(*_place(value), SignedIF, _range(neuron), arrays)
    neuron.only("kind", "threshold", "initial", "bias", "low", "high", "fires_at")
    fires_at = neuron["fires_at"].integer(0, limits.MAX_STEPS)
    return DeclaredPopulation(*_place(value), GradedIF, {**_range(neuron), "fires_at": fires_at}, arrays)


def _place(value: Value) -> tuple[str, str, Shape]:
    name = value["name"].text(at_least=1, at_most=limits.MAX_NAME)
    return name, _node_name(value["node"]), _shape(value["shape"])


def _range(value: Value) -> dict[str, int]:
    return {"low": value["low"].integer(-limits.MAX_INTEGER, 0), "high": value["high"].integer(0, limits.MAX_INTEGER)}


def _connection(value: Value) -> DeclaredConnection:
    value.only("source", "target", "nodes", "synapses")
    return DeclaredConnection(
        source=value["source"].text(at_most=limits.MAX_NAME),
        target=value["target"].text(at_most=limits.MAX_NAME),
        nodes=tuple(_node_name(v) for v in value["nodes"].items(at_most=100)),
        synapses=tuple(map(_synapse, value["synapses"].items(at_most=50))),
    )


def _synapse(value: Value) -> DeclaredSynapse:
    kind = SYNAPSES[value["kind"].choice(*SYNAPSES)]
    names = [item.name for item in fields(kind)]
    value.only("kind", *names)
    parameters: dict[str, Any] = {}
    for name in names:
        if name == "groups":
            parameters[name] = value[name].integer(1, limits.MAX_ELEMENTS)
        elif name in PAIRS:
            parameters[name] = value[name].pairs(0, limits.MAX_ELEMENTS, at_most=limits.MAX_RANK)
        elif name != "weight":
            parameters[name] = value[name].integers(0, limits.MAX_ELEMENTS, at_most=limits.MAX_RANK)
    return DeclaredSynapse(kind, parameters, _reference(value["weight"]) if "weight" in names else None)


def _reference(value: Value) -> Reference:
    shape = _shape(value["shape"])
    if isinstance(value.value, dict) and "node" in value.value:
        value.only("node", "shape", "first", "step")
        first, step = (_taps(value[name]) if name in value.value else () for name in ("first", "step"))
        return Reference(shape, node=_node_name(value["node"]), first=first, step=step)
    value.only("array", "shape")
    return Reference(shape, array=_node_name(value["array"]))


def _node_name(value: Value) -> str:
    return value.text(at_least=1, at_most=limits.MAX_NAME)


def _taps(value: Value) -> Shape:
    return value.integers(0, limits.MAX_ELEMENTS, at_most=2)


def _shape(value: Value) -> Shape:
    return value.integers(1, limits.MAX_ELEMENTS, at_most=limits.MAX_RANK)


def _approximation(value: Value) -> Approximation:
    value.only("node", "what", "error", "unit")
    error = value["error"]
    special = isinstance(error.value, str) and error.value in ("inf", "-inf", "nan")
    return Approximation(
        node=value["node"].text(at_most=limits.MAX_NAME),
        what=value["what"].text(at_most=100_000),
        error=float(error.value) if special else error.number(),
        unit=value["unit"].text(at_most=limits.MAX_NAME),
    )
