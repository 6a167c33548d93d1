"""States as files: `.sps`, the archive of `.spk` with other documents.

    state.json    step and batch, which array is what, and the identity of the network, part by part
    arrays        numbered

A reader believes nothing of it: the archive is bounded and hashed, and a session looks at a state before it takes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import ArchiveError, DataError, OptionError, Problem
from spikeport.plugin.identity import Identity, differences, identity
from spikeport.plugin.restoring import require_state
from spikeport.plugin.state import NeuronState, PlasticState, SessionState
from spikeport.primitives import DynamicNetwork
from spikeport.storage import archive

FORMAT = "spikeport.state/1"
_HINT = "save the state again"
_KEYS = ("format", "step", "batch", "populations", "plastic", "sent", "network")


def save_state(state: SessionState, path: str | Path, network: DynamicNetwork) -> Path:
    """Write a state into one file, whole or not at all, with the identity of its network.

    Args:
        state: what `snapshot` gave of a session of the network.
        path: where to, usually `.sps`; an older file is replaced when the new one is complete.

    Raises:
        DataError: it is no state of this network.
        FileError: the folder is missing, not writable or full, or the state is larger than a file may be.
    """
    _require_network(network)
    require_state(network, state)
    arrays: dict[str, NDArray[Any]] = {}

    def held(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            arrays[name] = value
            return name
        return [held(each) for each in value] if isinstance(value, tuple) else value

    def parts(given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {field.name: held(getattr(part, field.name)) for field in fields(part)}
            for name, part in given.items()
        }

    document = {
        "format": FORMAT,
        "step": state.step,
        "batch": state.batch,
        "populations": parts(state.populations),
        "plastic": parts(state.plastic),
        "sent": {name: held(rows) for name, rows in state.sent.items()},
        "network": [[name, *part] for name, part in identity(network).items()],
    }
    return archive.write_archive(Path(path), {"state.json": json.dumps(document).encode()}, arrays)


def load_state(path: str | Path, network: DynamicNetwork | None = None) -> SessionState:
    """Read a state that `save_state` wrote; nothing in it is executed, and every size is bounded before it is believed.

    Args:
        network: the one that is to go on from it; another one than it was taken of is refused. None: nothing is compared, and `restore`
            looks whether the state fits.

    Raises:
        FileError: the file does not exist.
        ArchiveError: it is truncated, altered, too large, or no state.
        DataError: it was taken of another network; what differs, by name.
    """
    documents, arrays = archive.read_archive(Path(path))
    try:
        found = json.loads(documents["state.json"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ArchiveError(Problem(f"{path}: state.json", "is missing or is not JSON", _HINT)) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ArchiveError(Problem(f"{path}: state.json", f"is not of the format {FORMAT}", _HINT))
    try:
        if found.keys() != {*_KEYS} or documents.keys() != {"state.json"}:
            raise ValueError("its fields are others")
        state = _state(found, arrays)
        then = _identity(found["network"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(Problem(str(path), f"holds a state that is not well formed: {error}", _HINT)) from error
    if network is not None:
        _require_network(network)
        other = list(differences(then, identity(network)))
        if other:
            raise DataError(other)
        require_state(network, state)
    return state


def _state(found: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SessionState:
    left = dict(arrays)

    def array(name: object) -> NDArray[Any]:
        if not isinstance(name, str) or name not in left:
            raise ValueError("an array is missing, or used twice")
        return left.pop(name)

    def value(given: object) -> Any:
        if given is None:
            return None
        return tuple(array(name) for name in given) if isinstance(given, list) else array(given)

    def parts(given: object, kind: type[Any]) -> dict[str, Any]:
        names = {field.name for field in fields(kind)}
        made = {}
        for name, part in _mapping(given).items():
            if _mapping(part).keys() != names:
                raise ValueError(f"{name[:80]!r} has other fields")
            made[name] = kind(**{key: value(held) for key, held in part.items()})
        return made

    step, batch = found["step"], found["batch"]
    if type(step) is not int or type(batch) is not int:
        raise ValueError("its step or batch is no number")
    neurons, learned = parts(found["populations"], NeuronState), parts(found["plastic"], PlasticState)
    sent = {name: array(rows) for name, rows in _mapping(found["sent"]).items()}
    if left:
        raise ValueError("it does not use all of its arrays")
    return SessionState(step, batch, neurons, learned, sent)


def _identity(given: object) -> Identity:
    made = dict[str, tuple[str, str]]()
    if not isinstance(given, list):
        raise ValueError("it does not say which network it is of")
    for entry in given:
        match entry:
            case [str(name), str(words), str(numbers)] if name not in made:
                made[name] = words, numbers
            case _:
                raise ValueError("it does not say which network it is of")
    return made


def _mapping(given: object) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ValueError("a JSON object is expected")
    return given


def _require_network(network: object) -> None:
    if not isinstance(network, DynamicNetwork):
        why = f"is a {type(network).__name__}"
        raise OptionError(Problem("network", why, "the DynamicNetwork that `build` or `from_nir` gives"))
