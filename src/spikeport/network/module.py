"""What a person writes: modules of populations and connections, with ports, one inside the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.network.converted import ports_of, require_streamed
from spikeport.network.recipes import Recipe
from spikeport.primitives import (
    DynamicNetwork,
    DynamicNeuron,
    Extension,
    FixedNeuron,
    Rule,
    Shape,
    Sparse,
    SpikingNetwork,
    Synapse,
    extensions,
)

Synapses = Recipe | Synapse | Sparse | tuple[Recipe | Synapse, ...]
Quantity = Literal["spikes", "v", "i", "w", "u"]
QUANTITIES: tuple[Quantity, ...] = ("spikes", "v", "i", "w", "u")
"""What a probe may look at: spikes, potential, and the second state of neurons that have one: their current i, or w, or u of Izhikevich."""
_RESERVED = "/."


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """A place of a module where spikes leave or arrive: an input, a population, an output, or a port of a part.

    `connect` and `output` take it; it belongs to the module that made it.
    """

    module: Module = field(repr=False)
    name: str
    shape: Shape
    sends: bool
    """A connection may begin here."""
    takes: bool
    """A connection may end here."""
    part: str = ""
    """Name of the part that it is a port of; empty: the module's own."""

    @property
    def path(self) -> str:
        """Its name, as seen from the module that it belongs to.

        >>> from spikeport.primitives import LIF
        >>> Module("m").population("exc", 10, LIF(tau=0.02)).path
        'exc'
        """
        return f"{self.part}/{self.name}" if self.part else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One connection, as it was written."""

    source: Port
    target: Port
    synapses: Synapses | None
    delay: float
    bias: NDArray[Any] | None
    plasticity: Rule | None
    port: Literal["", "imag"]
    exponent: int
    ext: tuple[Extension, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.source.path} -> {self.target.path}"


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What is recorded where a run is not told otherwise."""

    port: Port
    what: Quantity

    @property
    def name(self) -> str:
        """As a recording has it: `exc.spikes`."""
        return f"{self.port.path}.{self.what}"


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """An input port of a module."""

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """A population of a module."""

    name: str
    shape: Shape
    neuron: DynamicNeuron | FixedNeuron
    ext: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A module inside another, or a finished network."""

    name: str
    module: Module | DynamicNetwork | SpikingNetwork
    silent: tuple[str, ...]
    """Inputs that nothing is connected to, on purpose."""
    ports: Mapping[str, Port]

    def __getitem__(self, name: str) -> Port:
        """A port of it, by name.

        Raises:
            GraphError: it has none of that name.
        """
        if name not in self.ports:
            hint = f"its ports are {', '.join(self.ports) or 'none'}"
            raise GraphError(Problem(self.name, f"has no port {name!r}", hint))
        return self.ports[name]


class Converted(Protocol):
    """A model that was converted: what `convert` gives."""

    @property
    def network(self) -> SpikingNetwork: ...


class Module:
    """Populations, connections and modules, behind ports with names and shapes; may be part of others any number of times.

    >>> from spikeport.primitives import LIF
    >>> from spikeport.network import AllToAll
    >>> column = Module("column")
    >>> exc = column.population("exc", 80, LIF(tau=0.02))
    >>> _ = column.connect(column.input("in", 10), exc, AllToAll(0.1))
    >>> _ = column.output("out", exc)
    >>> cortex = Module("cortex")
    >>> first, second = cortex.add("v1", column), cortex.add("v2", column)
    >>> cortex.connect(first["out"], second["in"], AllToAll(0.02)).name
    'v1/out -> v2/in'
    """

    def __init__(self, name: str) -> None:
        self.name = _checked_name(name)
        self.parts: dict[str, Input | Neurons | Part] = {}
        """In the order of their lines, which is the order of update."""
        self.outputs: dict[str, Port] = {}
        self.links: list[Link] = []
        self.probes: list[Probe] = []
        self._sealed = ""

    def input(self, name: str, shape: int | Shape) -> Port:
        """A port where spikes enter, or values, that count as many spikes; negative and fractional ones too.

        Args:
            shape: a number of lines, or (channel, *space).
        """
        place = Input(self._free(name), checked_shape(name, shape))
        self.parts[name] = place
        return Port(self, name, place.shape, sends=True, takes=False)

    def population(
        self,
        name: str,
        shape: int | Shape,
        neuron: DynamicNeuron | FixedNeuron,
        *,
        ext: Mapping[str, Any] | tuple[Extension, ...] | None = None,
    ) -> Port:
        """Neurons of one kind.

        Args:
            shape: a number of neurons, or (channel, *space).
            neuron: its parameters are numbers, or arrays that broadcast to `shape`.
            ext: settings that one backend alone understands, by its name: `{"loihi2": {"cores": (3,)}}`, or an instance of its class for them.

        Raises:
            GraphError: a name that is taken, something else than a neuron, or settings that are none.
        """
        given: Any = neuron
        if not isinstance(given, DynamicNeuron | FixedNeuron):
            hint = "for example LIF(tau=0.02)"
            kind = given.__name__ if isinstance(given, type) else type(given).__name__
            raise GraphError(Problem(f"{self.name}/{name}", f"{kind} is not a neuron with its parameters", hint))
        own = extensions(ext, f"{self.name}/{name}")
        place = Neurons(self._free(name), checked_shape(name, shape), neuron, own)
        self.parts[name] = place
        return Port(self, name, place.shape, sends=True, takes=True)

    def add(self, name: str, module: Module | DynamicNetwork | Converted, *, silent: tuple[str, ...] = ()) -> Part:
        """A module, or a finished network, as part of this one. The module is sealed: nothing is added to it any more.

        Args:
            module: a network of a file has its inputs and outputs as ports. A converted one, in population code, has `input`, which takes
                the integers of its encoder in each step, `output`, which gives those of its read-out as values, and a port a
                population, the spikes of its units, as many as there are levels for each neuron or channel, one after the other.
            silent: inputs of it that nothing will be connected to.

        Raises:
            GraphError: a name that is taken, something that is no module, a module inside itself, or a converted network in a code
                that needs more than one step.
        """
        self._free(name)
        where, given = f"{self.name}/{name}", _any(module)
        if isinstance(module, Module):
            if self in (module, *_inside(module)):
                raise GraphError(Problem(where, f"{module.name} would be inside itself"))
            ports = {p.name: p for p in module.ports()}
        elif isinstance(given, DynamicNetwork):
            ports = _ports_of(given)
        elif isinstance(given := getattr(given, "network", given), SpikingNetwork):
            require_streamed(given, where)
            owner = Module(name)
            ports = {n: Port(owner, n, s, sends=sends, takes=not sends) for n, (s, sends) in ports_of(given).items()}
        else:
            hint = "a Module, or a network that was built, read or converted"
            raise GraphError(Problem(where, f"{type(given).__name__} is no module", hint))
        unknown = [n for n in silent if n not in ports or not ports[n].takes]
        if unknown:
            raise GraphError([Problem(where, f"{n!r} in `silent` is none of its inputs") for n in unknown])
        own = {n: Port(self, n, p.shape, sends=p.sends, takes=p.takes, part=name) for n, p in ports.items()}
        if isinstance(module, Module):
            module._sealed = where
        part = Part(name, given, tuple(silent), own)
        self.parts[name] = part
        return part

    def connect(
        self,
        source: Port,
        target: Port,
        synapses: Synapses | None = None,
        *,
        delay: float = 0.0,
        bias: Any = None,
        plasticity: Rule | None = None,
        port: Literal["", "imag"] = "",
        exponent: int = 0,
        ext: Mapping[str, Any] | tuple[Extension, ...] | None = None,
    ) -> Link:
        """Spikes of `source` pass `synapses` and arrive at `target`.

        Args:
            synapses: a recipe such as `Dense(weight)`, several of them in order, or None: each neuron to the one with its index.
            delay: seconds from a spike to its arrival, added to that of the recipe; 0 is as soon as the contract lets it.
            bias: what arrives in every step besides, broadcastable to the target's shape.
            plasticity: the rule by which the weights change.
            port, exponent: as in `Projection`, for the fixed-point neurons of chips.
            ext: settings that one backend alone understands, as for `population`.

        Raises:
            GraphError: a place where no connection may begin or end, or one of another module. Shapes are checked by `build`.
        """
        self._open()
        problems = []
        for place, end, may in ((_any(source), "begin", "sends"), (_any(target), "end", "takes")):
            if not isinstance(place, Port):
                given = type(place).__name__
                hint = "what `input`, `population` and `add(...)[name]` give"
                problems.append(Problem(self.name, f"a connection cannot {end} at a {given}", hint))
            elif place.module is not self:
                hint = "connect it there, or give that module a port: `input` or `output`"
                problems.append(Problem(place.path, f"belongs to module {place.module.name}, not to {self.name}", hint))
            elif not getattr(place, may):
                what = "an output of" if place.sends else "an input of"
                problems.append(Problem(f"{self.name}/{place.path}", f"no connection can {end} there: it is {what} it"))
        if problems:
            raise GraphError(problems)
        values = None if bias is None else np.asarray(bias)
        own = extensions(ext, f"{source.path} -> {target.path}")
        link = Link(source, target, synapses, float(delay), values, plasticity, port, exponent, own)
        self.links.append(link)
        return link

    def output(self, name: str, source: Port) -> Port:
        """A port where the spikes of a population, or its potentials if it never spikes, leave the module.

        Raises:
            GraphError: a name that is taken, or a source that is no population.
        """
        self._open()
        if name in self.outputs:
            raise GraphError(Problem(f"{self.name}/{name}", "is the name of two outputs"))
        inside = isinstance(source, Port) and source.module is self and source.sends
        if not inside or (not source.part and isinstance(self.parts[source.name], Input)):
            hint = "a population, or an output of a part"
            raise GraphError(Problem(f"{self.name}/{name}", "has no population of this module as its source", hint))
        self.outputs[_checked_name(name)] = source
        return Port(self, name, source.shape, sends=True, takes=False)

    def probe(self, place: Port, what: Quantity = "spikes") -> Probe:
        """Record a population in every run that is not told otherwise.

        Raises:
            GraphError: an unknown quantity, or a place of another module.
        """
        self._open()
        if what not in QUANTITIES:
            raise GraphError(Problem(f"{place.path}.{what}", "is nothing to record", f"one of {', '.join(QUANTITIES)}"))
        if place.module is not self:
            raise GraphError(Problem(place.path, f"belongs to module {place.module.name}, not to {self.name}"))
        if not place.sends or (not place.part and isinstance(self.parts[place.name], Input)):
            raise GraphError(Problem(f"{self.name}/{place.path}", "is no population", "probe what it leads to"))
        probe = Probe(place, what)
        self.probes.append(probe)
        return probe

    def ports(self) -> Iterator[Port]:
        """Inputs and outputs, as a module around this one sees them."""
        for place in self.parts.values():
            if isinstance(place, Input):
                yield Port(self, place.name, place.shape, sends=False, takes=True)
        for name, source in self.outputs.items():
            yield Port(self, name, source.shape, sends=True, takes=False)

    def _open(self) -> None:
        if self._sealed:
            hint = "finish a module before it is added"
            raise GraphError(Problem(self.name, f"is sealed: it is part of {self._sealed}", hint))

    def _free(self, name: str) -> str:
        self._open()
        if _checked_name(name) in self.parts:
            raise GraphError(Problem(f"{self.name}/{name}", "is a name that is taken", "choose another one"))
        return name

    def __copy__(self) -> Self:
        raise TypeError("a module is not copied: add it several times")

    def __repr__(self) -> str:
        counts = [sum(isinstance(p, kind) for p in self.parts.values()) for kind in (Neurons, Part)]
        return f"<{type(self).__name__} {self.name!r}: {counts[0]} populations, {counts[1]} parts, {len(self.links)} connections>"


def _ports_of(network: DynamicNetwork) -> dict[str, Port]:
    owner = Module(network.name or "network")
    ports = {i.name: Port(owner, i.name, i.shape, sends=False, takes=True) for i in network.inputs}
    for output in network.outputs:
        if output.name in ports:
            raise GraphError(Problem(output.name, "is the name of an input and of an output", "rename one of them"))
        ports[output.name] = Port(owner, output.name, network[output.source].shape, sends=True, takes=False)
    if not network.outputs:
        ports |= {p.name: Port(owner, p.name, p.shape, sends=True, takes=False) for p in network.populations}
    return ports


def _inside(module: Module) -> Iterator[Module]:
    """All modules in it, each once, however often it is a part."""
    found, waiting = set[int](), [module]
    while waiting:
        for part in waiting.pop().parts.values():
            if isinstance(part, Part) and isinstance(part.module, Module) and id(part.module) not in found:
                found.add(id(part.module))
                yield part.module
                waiting.append(part.module)


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or any(c in name for c in _RESERVED):
        raise GraphError(Problem(repr(name), "is no name", "text without / and ., which paths are made of"))
    return name


def checked_shape(name: str, shape: int | Shape) -> Shape:
    """A shape from what a person writes.

    Raises:
        GraphError: it is none.
    """
    given = _any(shape)
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        given = (given,)
    whole = isinstance(given, tuple | list) and all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in given
    )
    if not whole or not given:
        raise GraphError(
            Problem(name, f"its shape is {shape!r}", "a positive whole number, or several, as in (2, 34, 34)")
        )
    return tuple(int(n) for n in given)


def _any(value: Any) -> Any:
    """What a caller gave, whatever the signature says."""
    return value
