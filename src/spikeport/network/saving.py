"""Networks by hand as files, as they were written: modules once however often they are parts, recipes as recipes.

    network.json    the modules, each after those that are parts of it, the network itself last
    arrays          weights, and those of finished networks that are parts

It is the archive of `.spk` with another document, with the same promises: nothing in it is executed, every size is bounded before it is
believed, and what comes out has gone through the checks of `Module`. A network that is read builds the same flat network, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import ArchiveError, FileError, GraphError, Problem
from spikeport.network import recipes
from spikeport.network.module import Input, Link, Module, Neurons, Part, Port, Quantity
from spikeport.network.recipes import DistanceDependent, Recipe
from spikeport.primitives import DynamicNetwork, Extension, Rule, Sparse, SpikingNetwork, Synapse
from spikeport.storage import archive, codec

if TYPE_CHECKING:
    from spikeport.network.network import Network

FORMAT = "spikeport.hierarchy/1"
DOCUMENT = "network.json"
MOST_PLACES = 2**22
"""Inputs, populations and connections of the whole, modules counted as often as they are parts."""
_HINT = "save the network again"


@dataclass(frozen=True, slots=True)
class SavedPort:
    """One of the module's own places, or a port of a part."""

    part: str
    name: str


@dataclass(frozen=True, slots=True)
class SavedPart:
    name: str
    module: int
    """Place in the list of modules, before the one that it is part of."""
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SavedLink:
    source: SavedPort
    target: SavedPort
    synapses: Recipe | Synapse | Sparse | tuple[Recipe | Synapse, ...] | None
    delay: float
    bias: NDArray[Any] | None
    plasticity: Rule | None
    port: Literal["", "imag"]
    exponent: int
    ext: tuple[Extension, ...]


@dataclass(frozen=True, slots=True)
class SavedOutput:
    name: str
    source: SavedPort


@dataclass(frozen=True, slots=True)
class SavedProbe:
    place: SavedPort
    what: Quantity


@dataclass(frozen=True, slots=True, eq=False)
class SavedModule:
    name: str
    seed: int | None
    """Of a `Network`; None: a `Module`."""
    places: tuple[Input | Neurons | SavedPart, ...]
    outputs: tuple[SavedOutput, ...]
    links: tuple[SavedLink, ...]
    probes: tuple[SavedProbe, ...]


TYPES: Mapping[str, type[Any]] = {
    **{kind.__name__: kind for kind in (SavedPort, SavedPart, SavedLink, SavedOutput, SavedProbe, SavedModule)},
    "ModuleInput": Input,
    "ModulePopulation": Neurons,
    **{
        f"Written{kind.__name__}": kind
        for kind in (
            recipes.AllToAll,
            recipes.AvgPool2d,
            recipes.Conv1d,
            recipes.Conv2d,
            recipes.Dense,
            recipes.DistanceDependent,
            recipes.FixedInDegree,
            recipes.FixedProbability,
            recipes.Normal,
            recipes.OneToOne,
            recipes.Sparse,
            recipes.SumPool2d,
            recipes.Uniform,
        )
    },
}
"""What such a file holds besides the types of `codec`; recipes have names of operators, and so other ones there."""


def save_network(network: Network, path: str | Path) -> Path:
    """See `Network.save`."""
    modules = list(_modules(network))
    numbers = {id(module): i for i, module in enumerate(modules)}
    problems = [problem for module in modules if isinstance(module, Module) for problem in _unwritable(module)]
    if problems:
        raise FileError(problems)
    saved = tuple(_saved(module, numbers) if isinstance(module, Module) else module for module in modules)
    try:
        structure, arrays = codec.encode(saved, TYPES)
    except ArchiveError as error:
        raise FileError(error.problems) from error
    text = json.dumps({"format": FORMAT, "modules": structure}, allow_nan=False)
    return archive.write_archive(Path(path), {DOCUMENT: text.encode()}, arrays)


def load_network(path: str | Path) -> Module:
    """The network of a file, as it was written.

    Raises:
        FileError: the file does not exist.
        ArchiveError: it is truncated, altered, too large, or holds no such network.
    """
    documents, arrays = archive.read_archive(Path(path))
    if DOCUMENT not in documents:
        other = {"model.json": "a model: `load` reads it", "program.json": "a program: `load_program` reads it"}
        said = next((text for name, text in other.items() if name in documents), "something else")
        raise ArchiveError(Problem(str(path), f"holds no network by hand, but {said}"))
    where = f"{path}: {DOCUMENT}"
    try:
        found = json.loads(documents[DOCUMENT])
    except (ValueError, RecursionError) as error:
        raise ArchiveError(Problem(where, "is not JSON", _HINT)) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ArchiveError(Problem(where, f"is not of the format {FORMAT}", "use the spikeport that wrote it"))
    if found.keys() != {"format", "modules"} or documents.keys() != {DOCUMENT}:
        raise ArchiveError(Problem(where, "has other entries", _HINT))
    modules: Any = codec.decode(found["modules"], arrays, TYPES)
    kinds = SavedModule | DynamicNetwork | SpikingNetwork
    if not isinstance(modules, tuple) or not modules or not all(isinstance(m, kinds) for m in modules):
        raise ArchiveError(Problem(where, "is no list of modules", _HINT))
    if not isinstance(modules[-1], SavedModule) or modules[-1].seed is None:
        raise ArchiveError(Problem(where, "does not end with a network", _HINT))
    _bound(modules, where)
    made: list[Any] = []
    for i, module in enumerate(modules):
        try:
            made.append(_made(module, made) if isinstance(module, SavedModule) else module)
        except GraphError as error:
            raise ArchiveError(Problem(f"{where}: {p.where}", p.why, p.hint) for p in error.problems) from error
        except (LookupError, TypeError, ValueError) as error:
            why = f"holds a module that is not well formed: {type(error).__name__}: {error}"
            raise ArchiveError(Problem(f"{where}: modules[{i}]", why[:300], _HINT)) from error
    network: Module = made[-1]
    return network


def _modules(module: Any) -> Iterator[Any]:
    """It and all that is inside, each once, parts before what they are part of."""
    seen = set[int]()
    stack: list[tuple[Any, Iterator[Any]]] = [(module, _inside(module))]
    while stack:
        current, rest = stack[-1]
        following = next((m for m in rest if id(m) not in seen), None)
        if following is not None:
            stack.append((following, _inside(following)))
            continue
        stack.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current


def _inside(module: Any) -> Iterator[Any]:
    parts = module.parts.values() if isinstance(module, Module) else ()
    return iter([place.module for place in parts if isinstance(place, Part)])


def _unwritable(module: Module) -> Iterator[Problem]:
    """What no file holds, or not as it is."""
    for link in module.links:
        chain = link.synapses if isinstance(link.synapses, tuple) else (link.synapses,)
        for recipe in chain:
            where = f"{module.name}/{link.name}"
            if isinstance(recipe, DistanceDependent) and not isinstance(recipe.probability, recipes.Normal):
                hint = "Normal(0, std) is the bell exp(-d^2 / (2 std^2)); or draw the pairs, and give Sparse"
                yield Problem(where, "has a function as its probability, and files hold none", hint)
            for name in () if not is_dataclass(recipe) else (f.name for f in fields(recipe) if f.init):
                value = getattr(recipe, name)
                if isinstance(value, np.generic) and np.asarray(value.item()).dtype != value.dtype:
                    why = f"has {name} as a number of type {value.dtype}, and files hold Python's"
                    yield Problem(where, why, f"{name}={value.item()!r}")


def _saved(module: Module, numbers: Mapping[int, int]) -> SavedModule:
    places = tuple(
        SavedPart(place.name, numbers[id(place.module)], place.silent) if isinstance(place, Part) else place
        for place in module.parts.values()
    )
    return SavedModule(
        module.name,
        getattr(module, "seed", None),
        places,
        tuple(SavedOutput(name, _port(source)) for name, source in module.outputs.items()),
        tuple(_link(link) for link in module.links),
        tuple(SavedProbe(_port(probe.port), probe.what) for probe in module.probes),
    )


def _port(port: Port) -> SavedPort:
    return SavedPort(port.part, port.name)


def _link(link: Link) -> SavedLink:
    rest = {f.name: getattr(link, f.name) for f in fields(Link) if f.name not in ("source", "target")}
    return SavedLink(_port(link.source), _port(link.target), **rest)


def _bound(modules: tuple[Any, ...], where: str) -> None:
    """Refuse a file in which modules are parts so often that nobody could have meant it.

    Raises:
        ArchiveError: that, or parts that are none of the modules before.
    """
    sizes = list[int]()
    for i, module in enumerate(modules):
        if not isinstance(module, SavedModule):
            sizes.append(len(module.populations))
            continue
        parts = [place for place in module.places if isinstance(place, SavedPart)]
        if any(not 0 <= part.module < i for part in parts):
            raise ArchiveError(Problem(f"{where}: modules[{i}]", "has a part that is not before it", _HINT))
        sizes.append(len(module.places) + len(module.links) + sum(sizes[part.module] for part in parts))
        if sizes[-1] > MOST_PLACES:
            why = f"comes to more than {MOST_PLACES:,} populations and connections, with all its parts"
            raise ArchiveError(Problem(f"{where}: modules[{i}]", why))


def _made(saved: SavedModule, before: list[Any]) -> Module:
    """A module by the calls that once made it."""
    from spikeport.network.network import Network  # which saves by this file

    module = Module(saved.name) if saved.seed is None else Network(saved.name, seed=saved.seed)
    own: dict[str, Port] = {}
    parts: dict[str, Part] = {}
    for place in saved.places:
        match place:
            case Input(name, shape):
                own[name] = module.input(name, shape)
            case Neurons(name, shape, neuron):
                own[name] = module.population(name, shape, neuron, ext=place.ext)
            case SavedPart(name, number, silent):
                parts[name] = module.add(name, before[number], silent=silent)

    def port(wanted: SavedPort) -> Port:
        return parts[wanted.part][wanted.name] if wanted.part else own[wanted.name]

    for link in saved.links:
        rest = {f.name: getattr(link, f.name) for f in fields(SavedLink) if f.name not in ("source", "target")}
        module.connect(port(link.source), port(link.target), **rest)
    for output in saved.outputs:
        module.output(output.name, port(output.source))
    for probe in saved.probes:
        module.probe(port(probe.place), probe.what)
    return module
