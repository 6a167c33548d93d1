"""A network with another module in the place of a part."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from spikeport.errors import GraphError, Problem
from spikeport.network.module import Converted, Module, Part, Port
from spikeport.network.network import Network
from spikeport.primitives import DynamicNetwork


def with_part(network: Network, path: str, module: Module | DynamicNetwork | Converted) -> Network:
    """The network as it would be with that module as its part; the network itself stays, and so do other parts that are the same module.

    Args:
        path: of the part, `cortex/v1`.

    Raises:
        GraphError: there is no such part, or the module lacks ports that are connected; all of them.
    """
    first, *rest = path.split("/") if isinstance(path, str) else [path]
    return _exchanged(network, first, rest, module, path)


def _exchanged(outer: Any, name: str, rest: list[str], module: Any, path: str) -> Any:
    part = outer.parts.get(name)
    if not isinstance(part, Part) or (rest and not isinstance(part.module, Module)):
        known = [n for n, p in outer.parts.items() if isinstance(p, Part)]
        hint = f"parts of {outer.name} are {', '.join(known) or 'none'}"
        raise GraphError(Problem(str(path), f"{name!r} is no module that was added to {outer.name}", hint))
    made = _emptied(outer)
    if rest:
        inner = _exchanged(part.module, rest[0], rest[1:], module, path)
        made.parts[name] = replace(part, module=inner)
        return made
    sealed = getattr(module, "_sealed", None)
    new = Module(outer.name).add(name, module)
    problems = list(_port_problems(outer, part, new, path))
    if problems:
        if isinstance(module, Module):
            module._sealed = sealed or ""  # what was refused may be mended
        raise GraphError(problems)
    made.parts[name] = replace(new, silent=part.silent)
    return made


def _emptied(outer: Module) -> Module:
    """It with lists of its own; what they hold is shared."""
    made = object.__new__(type(outer))
    made.__dict__.update(outer.__dict__)
    made.parts = copy.copy(outer.parts)
    return made


def _port_problems(outer: Module, old: Part, new: Part, path: str) -> Iterator[Problem]:
    used: dict[str, Port] = {}
    places = [end for link in outer.links for end in (link.source, link.target)]
    for place in (*places, *outer.outputs.values(), *(probe.port for probe in outer.probes)):
        if place.part == old.name:
            used[place.name] = place
    for name, place in used.items():
        found = new.ports.get(name)
        if found is None or (found.sends, found.takes) != (place.sends, place.takes):
            what = "output" if place.sends else "input"
            yield Problem(
                path, f"has no {what} {name!r}, which is connected", f"its ports are {', '.join(new.ports) or 'none'}"
            )
        elif found.shape != place.shape:
            yield Problem(f"{path}/{name}", f"has shape {found.shape}, and what it stands for {place.shape}")
    for name in old.silent:
        if name not in new.ports:
            yield Problem(path, f"has no input {name!r}, which was left silent on purpose", "give it one")
    connected = {*used, *old.silent}
    for name, port in new.ports.items():
        if port.takes and name not in connected:
            yield Problem(f"{path}/{name}", "is an input that nothing is connected to", "inputs of the part before it")
