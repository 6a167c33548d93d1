"""Read a NIR file, whoever wrote it: what it declares, or what whoever reads it says that it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikeport.errors import NirError, OptionError, Problem
from spikeport.nir import content, declared, settings
from spikeport.nir import contract as converted
from spikeport.nir.graph import NirGraph
from spikeport.nir.inline import inlined
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_of
from spikeport.nir.presets import PRESETS, meant, preset
from spikeport.nir.read import converted_of
from spikeport.nir.repair import repaired, with_ways_out
from spikeport.nir.storage import read_tree
from spikeport.primitives import DynamicNetwork, DynamicsContract, Ledger, SpikingNetwork
from spikeport.primitives.nir_contract import NirContract

OPEN = (
    f"say whose file it is, like= (--like) one of {', '.join(map(repr, PRESETS))}; or give contract= (--contract FILE.json); "
    "or find it out from a recording: spikeport nir discover"
)
"""Ways out where nothing says what a file means."""


def from_nir(
    path: str | Path,
    *,
    contract: NirContract | DynamicsContract | None = None,
    like: str | None = None,
    dt: float | None = None,
    repair: bool = False,
) -> SpikingNetwork | DynamicNetwork:
    """The network of a file; see `spikeport.from_nir`."""
    given = _given(contract, like, dt)
    path = Path(path)
    tree = read_tree(path)
    metadata = _metadata(tree)
    if given is None and isinstance(metadata.get(converted.KEY), str):
        return converted_of(path, tree)
    graph = graph_of(tree, str(path))
    repairs: Ledger = ()
    if repair:
        graph, repairs = repaired(graph)
    if like is not None:
        return _made(graph, lambda made: network_of(made, meant(like, inlined(made), dt), path.stem), repairs)
    if given is None:
        text = metadata.get(declared.KEY)
        if not isinstance(text, str):
            why = "carries no execution contract: plain NIR leaves time step, integrator, reset and initial state open"
            raise NirError(Problem(str(path), why, OPEN))
        given = declared.parse(text)
        _require_whole(path, tree, metadata)
        kept = metadata.get(declared.NETWORK_KEY)
        if isinstance(kept, str):
            name, ledger = declared.parse_network(kept)
            made = _made(graph, lambda made: network_of(made, given, path.stem))
            made = replace(made, name=name, ledger=(*repairs, *ledger))
            return settings.given_back(made, metadata.get(settings.KEY))
    return _made(graph, lambda made: network_of(made, given, path.stem), repairs)


def _made(graph: NirGraph, build: Callable[[NirGraph], DynamicNetwork], repairs: Ledger = ()) -> DynamicNetwork:
    """A network with the repairs of its graph first in its ledger, or why there is none and whether a repair would help."""
    try:
        made = build(graph)
    except NirError as error:
        raise with_ways_out(error, graph, build) from None
    return replace(made, ledger=(*repairs, *made.ledger)) if repairs else made


def _require_whole(path: Path, tree: Any, metadata: Any) -> None:
    """Nothing may have changed in a file that we wrote. A contract alone may have been put into a file by hand.

    Raises:
        NirError: the content is not what was written.
    """
    by_hand = not any(name.startswith("spikeport_") and name != declared.KEY for name in metadata)
    if not by_hand and not content.is_sealed(tree):
        why = "does not hold what was written: its content has another hash"
        hint = "write the network again, or give contract= to read what is there now"
        raise NirError(Problem(str(path), why, hint))


def _given(contract: NirContract | DynamicsContract | None, like: str | None, dt: float | None) -> NirContract | None:
    """What whoever reads the file says.

    Raises:
        OptionError: two things at once, or of the wrong type.
    """
    if contract is not None and like is not None:
        raise OptionError(Problem("like", "is given beside a contract", "give one of the two"))
    if like is not None:
        return preset(like, dt)
    if contract is None:
        if dt is not None:
            raise OptionError(
                Problem("dt", "is given without `like`", "give like=, or contract=DynamicsContract(dt=...)")
            )
        return None
    made: Any = NirContract(dynamics=contract) if isinstance(contract, DynamicsContract) else contract
    if not isinstance(made, NirContract):
        raise OptionError(Problem("contract", f"is a {type(contract).__name__}", "a NirContract or DynamicsContract"))
    return made if dt is None else replace(made, dynamics=replace(made.dynamics, dt=dt))


def _metadata(tree: Any) -> Any:
    root = tree.get("node")
    found = root.get("metadata") if isinstance(root, dict) else None
    return found if isinstance(found, dict) else {}
