"""Snapshots and journals as files: the archive of `.spk` with other documents, of listed types and arrays alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import ArchiveError, GraphError, Problem
from spikeport.plugin.state import NeuronState, PlasticState, SessionState
from spikeport.primitives import DynamicNetwork, SpikeEvents
from spikeport.runtime.events import content_of, event_of
from spikeport.runtime.journal import Applied, Entry, Forgotten, Journal, Planned, Ran, Restored, Snapshot, Undone
from spikeport.storage import archive, codec

SNAPSHOT, JOURNAL = "spikeport.snapshot/1", "spikeport.journal/1"
_HINT = "save it again"


def save_snapshot(snapshot: Snapshot, path: Path) -> Path:
    """See `Snapshot.save`."""
    return _write(path, SNAPSHOT, _of_snapshot(snapshot))


def load_snapshot(path: Path) -> Snapshot:
    """See `Snapshot.load`."""
    return _read(path, SNAPSHOT, _snapshot)


def save_journal(journal: Journal, path: Path) -> Path:
    """See `Journal.save`."""
    entries = tuple(_of_entry(entry) for entry in journal.entries)
    return _write(path, JOURNAL, (journal.network, journal.batch, entries))


def load_journal(path: Path) -> Journal:
    """See `Journal.load`."""
    return _read(path, JOURNAL, _journal)


def _write(path: Path, form: str, content: tuple[Any, ...]) -> Path:
    structure, arrays = codec.encode(content)
    document = json.dumps({"format": form, "content": structure}, allow_nan=False, sort_keys=True)
    return archive.write_archive(path, {"session.json": document.encode()}, arrays)


def _read(path: Path, form: str, make: Any) -> Any:
    documents, arrays = archive.read_archive(path)
    try:
        found = json.loads(documents["session.json"])
    except (KeyError, ValueError, RecursionError) as error:
        why = f"holds none of {form}: it has {', '.join(documents)}"
        raise ArchiveError(Problem(str(path), why, _HINT)) from error
    if not isinstance(found, dict) or found.keys() != {"format", "content"} or found["format"] != form:
        raise ArchiveError(Problem(str(path), f"is not of the format {form}", "use the spikeport that wrote it"))
    try:
        return make(codec.decode(found["content"], arrays))
    except GraphError as error:
        raise ArchiveError(Problem(f"{path}: {p.where}", p.why, p.hint) for p in error.problems) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(Problem(str(path), f"is not well formed: {error}", _HINT)) from error


def _of_mapping(values: Mapping[str, Any], one: Any = lambda value: value) -> tuple[Any, ...]:
    return tuple((name, one(value)) for name, value in values.items())


def _plain(instance: Any) -> tuple[Any, ...]:
    return tuple(getattr(instance, field.name) for field in fields(instance))


def _of_snapshot(snapshot: Snapshot) -> tuple[Any, ...]:
    state = snapshot.state
    kinds = (_of_mapping(state.populations, _plain), _of_mapping(state.plastic, _plain), _of_mapping(state.sent))
    return (snapshot.network, snapshot.closed, (state.step, state.batch, *kinds))


def _of_entry(entry: Entry) -> tuple[Any, ...]:
    match entry:
        case Ran():
            told = (_of_mapping(entry.currents), _of_mapping(entry.modulation))
            asked = (entry.record, entry.record_weights, entry.weights_every)
            return ("ran", entry.n_steps, _of_mapping(entry.inputs, _plain), *told, *asked)
        case Applied(event):
            return ("applied", content_of(event))
        case Planned(step, event):
            return ("planned", step, content_of(event))
        case Undone():
            return ("undone",)
        case Forgotten():
            return ("forgotten",)
        case Restored(snapshot):
            return ("restored", _of_snapshot(snapshot))


def _mapping(content: Any, one: Any) -> dict[str, Any]:
    """From pairs of a name and a value.

    Raises:
        ValueError: they are none, or a name comes twice.
    """
    found = {}
    for name, value in _tuple(content):
        if not isinstance(name, str) or name in found:
            raise ValueError(f"{name!r} is no name of its own")
        found[name] = one(value)
    return found


def _tuple(content: Any) -> tuple[Any, ...]:
    if not isinstance(content, tuple):
        raise ValueError("a list is missing")
    return content


def _array(content: Any) -> np.ndarray[Any, Any]:
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "iufb":
        raise ValueError("an array of numbers is missing")
    return content


def _arrays(content: Any) -> tuple[np.ndarray[Any, Any], ...]:
    return tuple(map(_array, _tuple(content)))


def _maybe(content: Any) -> np.ndarray[Any, Any] | None:
    return None if content is None else _array(content)


def _whole(content: Any, low: int = 0) -> int:
    if type(content) is not int or content < low:
        raise ValueError(f"{content!r} is no whole number from {low} on")
    return content


def _texts(content: Any) -> tuple[str, ...]:
    if not all(isinstance(text, str) for text in _tuple(content)):
        raise ValueError("names are no texts")
    return tuple(content)


def _network(content: Any) -> DynamicNetwork:
    if not isinstance(content, DynamicNetwork):
        raise ValueError("its network is missing")
    return content


def _snapshot(content: Any) -> Snapshot:
    network, closed, (step, batch, populations, plastic, sent) = _tuple(content)
    state = SessionState(
        _whole(step),
        _whole(batch),
        _mapping(populations, _neurons),
        _mapping(plastic, _learning),
        _mapping(sent, _array),
    )
    return Snapshot(_network(network), _texts(closed), state)


def _neurons(content: Any) -> NeuronState:
    names = [field.name for field in fields(NeuronState)]
    optional = [field.name for field in fields(NeuronState) if field.default is None]
    values = dict(zip(names, _tuple(content), strict=True))
    return NeuronState(**{name: (_maybe if name in optional else _array)(v) for name, v in values.items()})  # type: ignore[arg-type]


def _learning(content: Any) -> PlasticState:
    weights, pre, post, synapse, passing = _tuple(content)
    return PlasticState(_array(weights), _arrays(pre), _arrays(post), _arrays(synapse), _maybe(passing))


def _events(content: Any) -> SpikeEvents:
    samples, steps, neurons, shape, n_steps, batch, dt, values = _tuple(content)
    rows = [_array(a) for a in (samples, steps, neurons)]
    if any(row.ndim != 1 or row.dtype.kind not in "iu" or len(row) != len(rows[0]) for row in rows):
        raise ValueError("spikes are not three rows of whole numbers")
    if type(dt) is not float:
        raise ValueError("a step has no duration")
    sizes = tuple(_whole(n, 1) for n in _tuple(shape))
    return SpikeEvents(rows[0], rows[1], rows[2], sizes, _whole(n_steps), _whole(batch, 1), dt, _maybe(values))


def _entry(content: Any) -> Entry:
    match content:
        case ("ran", n_steps, inputs, currents, modulation, record, record_weights, every):
            return Ran(
                _whole(n_steps, 1),
                _mapping(inputs, _events),
                _mapping(currents, _array),
                _mapping(modulation, _array),
                _texts(record),
                _texts(record_weights),
                None if every is None else _whole(every, 1),
            )
        case ("applied", event):
            return Applied(event_of(event))
        case ("planned", step, event):
            return Planned(_whole(step), event_of(event))
        case ("undone",):
            return Undone()
        case ("forgotten",):
            return Forgotten()
        case ("restored", snapshot):
            return Restored(_snapshot(snapshot))
    raise ValueError("an entry is none that there is")


def _journal(content: Any) -> Journal:
    network, batch, entries = _tuple(content)
    return Journal(_network(network), _whole(batch, 1), tuple(map(_entry, _tuple(entries))))
