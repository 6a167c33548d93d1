"""A `NirContract` as one JSON text in a graph's metadata, and back; every field is named both ways, and every value checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from spikeport.errors import NirError, OptionError, Problem
from spikeport.nir import limits
from spikeport.nir.fields import Value, load
from spikeport.primitives import Approximation, DynamicsContract, Ledger
from spikeport.primitives.contract import CHOICES as DYNAMICS
from spikeport.primitives.nir_contract import CHOICES, IGNORABLE, OWN, STATED, NirContract
from spikeport.version import __version__

FORMAT = "spikeport.execution/1"
KEY = "spikeport_execution"
NETWORK_FORMAT = "spikeport.network/1"
NETWORK_KEY = "spikeport_network"
"""Beside the contract, in files that we wrote: name and ledger of the network."""
WHERE = "contract"
MAX_VALUES = 2**20
"""Numbers that a node may state for itself."""
_CHIPS = ("loihi1", "loihi2")


def text_of(contract: NirContract) -> str:
    """The contract as JSON."""
    content = {
        "format": FORMAT,
        "writer": f"spikeport {__version__}",
        "dynamics": asdict(contract.dynamics),
        **{name: getattr(contract, name) for name in CHOICES},
        "refractory": float(contract.refractory),
        "ignores": list(contract.ignores),
        "order": list(contract.order),
        "nodes": {
            name: {key: np.asarray(value).tolist() for key, value in own.items()}
            for name, own in contract.nodes.items()
        },
    }
    return json.dumps(content, allow_nan=False)


def parse(text: str) -> NirContract:
    """A contract from its JSON.

    Raises:
        NirError: everything in it that is missing, of the wrong type or out of range.
    """
    problems: list[Problem] = []
    if len(text) > limits.MAX_TEXT:
        raise NirError(Problem(WHERE, f"has more than {limits.MAX_TEXT:,} characters"))
    try:
        root = Value(load(text), WHERE, problems)
    except ValueError as error:
        raise NirError(Problem(WHERE, f"is not well-formed JSON: {str(error)[:200]}")) from error
    found = root.value.get("format") if isinstance(root.value, dict) else None
    if found != FORMAT:
        why = f"has the format {str(found)[:60]!r}, not {FORMAT!r}"
        raise NirError(Problem(WHERE, why, "use the spikeport that wrote it, or give `contract`"))
    root.only("format", "writer", "dynamics", *CHOICES, "refractory", "ignores", "order", "nodes")
    names = {"at_most": limits.MAX_NAME, "at_least": 1}
    values: dict[str, Any] = {
        **{name: root[name].choice(*choices) for name, choices in CHOICES.items()},
        "refractory": root["refractory"].number(),
        "ignores": tuple(v.choice(*IGNORABLE) for v in root["ignores"].items(at_most=len(IGNORABLE))),
        "order": tuple(v.text(**names) for v in root["order"].items(at_most=limits.MAX_NODES)),
        "nodes": _nodes(root["nodes"]),
    }
    dynamics = _dynamics(root["dynamics"])
    if problems:
        raise NirError(problems)
    try:
        return NirContract(dynamics=DynamicsContract(**dynamics), **values)
    except OptionError as error:
        raise NirError(error.problems) from error


def parse_network(text: str) -> tuple[str, Ledger]:
    """Name and ledger of a network that we wrote.

    Raises:
        NirError: everything in it that is missing or of the wrong type.
    """
    problems: list[Problem] = []
    if len(text) > limits.MAX_TEXT:
        raise NirError(Problem("network", f"has more than {limits.MAX_TEXT:,} characters"))
    try:
        root = Value(load(text), "network", problems)
    except ValueError as error:
        raise NirError(Problem("network", f"is not well-formed JSON: {str(error)[:200]}")) from error
    root.only("format", "name", "ledger")
    root["format"].choice(NETWORK_FORMAT)
    name = root["name"].text(at_most=limits.MAX_NAME, at_least=0)
    entries = [v.items(at_most=3) for v in root["ledger"].items(at_most=limits.MAX_NODES)]
    rows = [tuple(cell.value for cell in entry) for entry in entries]
    for row in rows:
        if [type(cell) for cell in row] not in ([str, str, float], [str, str, int]):
            problems.append(Problem("network.ledger", "is not entries of node, text and number"))
    if problems:
        raise NirError(problems)
    return name, tuple(Approximation(node, what, float(error)) for node, what, error in rows)


def _dynamics(value: Value) -> dict[str, Any]:
    value.only(*(f.name for f in fields(DynamicsContract)))
    found: dict[str, Any] = {"dt": value["dt"].number(), "state_bits": value["state_bits"].integer(2, 48)}
    return found | {name: _choice(value[name], name) for name in DYNAMICS}


def _choice(value: Value, name: str) -> Any:
    return value.choice(*(c for c in DYNAMICS[name] if c not in _CHIPS))


def _nodes(value: Value) -> dict[str, dict[str, Any]]:
    if not isinstance(value.value, dict) or len(value.value) > limits.MAX_NODES:
        value.wrong(f"is no mapping of at most {limits.MAX_NODES:,} names")
        return {}
    return {name[: limits.MAX_NAME]: _node(value[name]) for name in value.value}


def _node(value: Value) -> dict[str, Any]:
    own: dict[str, Any] = {}
    entries: Mapping[str, Any] = value.value if isinstance(value.value, dict) else {}
    if not entries:
        value.wrong("says nothing")
    value.only(*OWN, "if_gain", "v_min", *STATED)
    for name in entries:
        here = value[name]
        if name in DYNAMICS:
            own[name] = _choice(here, name)
        elif name in STATED:
            own[name] = _numbers(here)
        elif name in CHOICES:
            own[name] = here.choice(*CHOICES[name])
    return own


def _numbers(value: Value) -> Any:
    """A number, or nested lists of them of one shape."""
    try:
        array = np.array(value.value, dtype=object)
        flat = array.ravel()
        whole = all(type(v) in (int, float) for v in flat)
        if not whole or array.size > MAX_VALUES or array.ndim > limits.MAX_RANK:
            raise ValueError
        numbers = np.array(flat.tolist(), dtype=np.float64).reshape(array.shape)
        if not np.isfinite(numbers).all():
            raise ValueError
    except (ValueError, OverflowError, TypeError):
        value.wrong("is not finite numbers of one shape")
        return 0.0
    return numbers
