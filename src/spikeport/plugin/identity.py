"""Which network a state was taken of: a line of words and a hash of each part, so that another one is refused by what differs.

The hash is of structure and numbers: who is joined to whom by which synapses, and every parameter and weight, as float64. What does
not change a step is left out: the name of the network, its ledger and outputs, and settings of single backends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from spikeport.errors import Problem
from spikeport.primitives import DynamicNetwork, DynamicPopulation, Projection, SpikeInput

Identity = Mapping[str, tuple[str, str]]
"""What each part is in words, and the hash of its numbers; in the order of the network."""
_PIECE = 2**20
"""Numbers that are hashed at once."""


def identity(network: DynamicNetwork) -> Identity:
    """Of all parts, by name.

    >>> from spikeport.primitives import LIF, DynamicPopulation, DynamicsContract
    >>> neurons = DynamicPopulation("n", (2,), LIF(tau=0.02))
    >>> network = DynamicNetwork("one", (), (neurons,), (), DynamicsContract(dt=1e-3, integrator="exponential"))
    >>> identity(network)["n"][0]
    'LIF of shape (2,)'
    """
    contract = network.contract
    found = {f"contract.{field.name}": (_plain(getattr(contract, field.name)), "") for field in fields(contract)}
    for place in network.inputs:
        found[place.name] = _words(place), ""
    for population in network.populations:
        found[population.name] = _words(population), _neurons(population)
    seen = Counter[str]()
    for p in network.projections:
        seen[p.name] += 1
        found[p.name if seen[p.name] == 1 else f"{p.name} #{seen[p.name]}"] = _words(p), _synapses(p)
    return found


def differences(then: Identity, now: Identity) -> Iterator[Problem]:
    """What is other in a network than in that of a state."""
    hint = "give the network that the state was taken of"
    for name, (words, numbers) in now.items():
        if name not in then:
            yield Problem(name, f"is {words}, and there was none when the state was taken", hint)
        elif then[name][0] != words:
            yield Problem(name, f"is {words}, and was {then[name][0]} when the state was taken", hint)
        elif then[name][1] != numbers:
            way = f"{hint}; or load the state without a network, to go on with other numbers"
            yield Problem(name, "has other numbers than when the state was taken", way)
    for name, (words, _) in then.items():
        if name not in now:
            yield Problem(name, f"was {words} when the state was taken, and there is none now", hint)
    if then.keys() == now.keys() and list(then) != list(now):
        yield Problem("network", "has its parts in another order than when the state was taken", hint)


def _words(part: SpikeInput | DynamicPopulation | Projection) -> str:
    match part:
        case SpikeInput():
            return f"an input of shape {part.shape}"
        case DynamicPopulation():
            own = "" if part.contract is None else f", by {_plain(part.contract)}"
            choices = _choices(part.neuron)
            return f"{type(part.neuron).__name__}{f' ({choices})' if choices else ''} of shape {part.shape}{own}"
        case Projection():
            chain = ", ".join(type(s).__name__ for s in part.synapses) or "no synapses"
            more = [f"delay {part.delay}"]
            more += [f"exponent {part.exponent}"] if part.exponent else []
            more += [f"port {part.port!r}"] if part.port else []
            more += [f"learns by {_plain(part.plasticity)}"] if part.plasticity is not None else []
            return f"{chain} with {', '.join(more)}"


def _plain(value: Any) -> str:
    """Numbers and words as text; a number is the same whatever type it was written in."""
    match value:
        case bool() | str() | None:
            return repr(value)
        case int() | float() | np.number():
            return f"{value:.17g}"
        case tuple():
            return f"({', '.join(map(_plain, value))})"
    held = ", ".join(f"{field.name}={_plain(getattr(value, field.name))}" for field in fields(value))
    return f"{type(value).__name__}({held})"


def _choices(neuron: Any) -> str:
    """Fields that are words or counts."""
    held = {field.name: getattr(neuron, field.name) for field in fields(neuron)}
    return ", ".join(f"{name}={_plain(v)}" for name, v in held.items() if isinstance(v, str | bool | int | np.integer))


def _neurons(population: DynamicPopulation) -> str:
    """Parameters, one value a neuron, whether they were written so or as one number."""
    digest = sha256()
    for field in fields(population.neuron):
        value = getattr(population.neuron, field.name)
        if isinstance(value, str | bool | int | np.integer):
            continue
        digest.update(f"{field.name} {value is None} ".encode())
        if value is not None:
            _add(digest, np.broadcast_to(np.asarray(value), population.shape))
    return digest.hexdigest()


def _synapses(p: Projection) -> str:
    digest = sha256()
    for value in (*p.synapses, p.bias):
        _add_any(digest, value)
    return digest.hexdigest()


def _add_any(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        _add(digest, value)
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(f"{type(value).__name__} ".encode())
        for field in fields(value):
            digest.update(f"{field.name} ".encode())
            _add_any(digest, getattr(value, field.name))
    else:
        digest.update(f"{value!r} ".encode())


def _add(digest: Any, array: Any) -> None:
    """In pieces: there may be hundreds of millions."""
    digest.update(f"{array.shape} ".encode())
    flat = array.reshape(-1)
    for begin in range(0, flat.size, _PIECE):
        digest.update(np.ascontiguousarray(flat[begin : begin + _PIECE], dtype="<f8").data)
