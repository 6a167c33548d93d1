"""Programs as files: `.spp`, the archive of `.spk` with other documents.

    program.json    who made it for what, the network as `spikeport.storage.codec` writes it, offsets, bill, ledger, the backend's document
    report.json     of a network that was quantized for the target
    arrays          of the network, and of the backend

A reader believes nothing of it: the archive is bounded and hashed, only listed types come out of it, and numbers are checked before use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import ArchiveError, BackendError, FileError, Problem
from spikeport.lower import Bill, Cut, Use
from spikeport.plugin.program import PLUGIN_VERSION, Program
from spikeport.primitives import Approximation, DynamicNetwork, SpikingNetwork
from spikeport.storage import archive, codec

FORMAT = "spikeport.program/1"
_TEXTS = ("backend", "backend_version", "target", "distribution")
_REST = ("format", "plugin_version", "content", "offsets", "bill", "cut", "document")
_HINT = "compile the network again"


def save_program(program: Program, path: str | Path) -> Path:
    """See `Program.save`."""
    arrays = tuple((name, program.arrays[name]) for name in sorted(program.arrays))
    structure, held = codec.encode((program.network, program.whole, program.ledger, arrays))
    document = {
        "format": FORMAT,
        "plugin_version": program.plugin_version,
        **{name: getattr(program, name) for name in _TEXTS},
        "content": structure,
        "offsets": dict(program.offsets),
        "bill": [asdict(use) for use in program.bill.uses],
        "cut": None if program.cut is None else asdict(program.cut),
        "document": dict(program.document),
    }
    try:
        text = json.dumps(document, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"its document of backend {program.backend!r} is no JSON: {error}"
        raise FileError(Problem(str(path), why, f"report it to {program.distribution or 'the author'}")) from error
    documents = {"program.json": text.encode()}
    if program.report is not None:
        documents["report.json"] = program.report.encode()
    return archive.write_archive(Path(path), documents, held)


def load_program(path: str | Path) -> Program:
    """Read a `.spp` file; nothing in it is executed, and every size is bounded before it is believed. No backend is needed.

    Raises:
        FileError: the file does not exist.
        ArchiveError: it is truncated, altered, too large, or no program.
        BackendError: it was written for another version of the plug-in contract.
    """
    documents, arrays = archive.read_archive(Path(path))
    if "model.json" in documents:
        raise ArchiveError(Problem(str(path), "holds a model, not a program", "read it by `load`, and compile it"))
    try:
        found = json.loads(documents["program.json"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ArchiveError(Problem(f"{path}: program.json", "is missing or is not JSON", _HINT)) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ArchiveError(Problem(f"{path}: program.json", f"is not of the format {FORMAT}", _HINT))
    version = found.get("plugin_version")
    if type(version) is int and version != PLUGIN_VERSION:
        why = f"is a program for version {version} of the plug-in contract, and this is {PLUGIN_VERSION}"
        raise BackendError(Problem(str(path), why, _HINT))
    report = documents.get("report.json")
    try:
        if found.keys() != {*_TEXTS, *_REST} or documents.keys() - {"program.json", "report.json"}:
            raise ValueError("its fields are others")
        if type(version) is not int or any(type(found[name]) is not str for name in _TEXTS):
            raise ValueError("who made it is not said in words")
        network, whole, ledger, own = _content(codec.decode(found["content"], arrays))
        return Program(
            network=network,
            offsets=_offsets(found["offsets"]),
            bill=_bill(found["bill"]),
            ledger=ledger,
            document=_mapping(found["document"]),
            arrays=own,
            report=None if report is None else report.decode(),
            whole=whole,
            cut=_cut(found["cut"], network, whole),
            **{name: found[name] for name in _TEXTS},
        )
    except ArchiveError:
        raise
    except BackendError as error:
        raise ArchiveError(Problem(f"{path}: {p.where}", p.why, p.hint) for p in error.problems) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveError(Problem(str(path), f"holds a program that is not well formed: {error}", _HINT)) from error


def _content(content: object) -> tuple[SpikingNetwork | DynamicNetwork, SpikingNetwork | None, Any, dict[str, Any]]:
    match content:
        case (
            SpikingNetwork() | DynamicNetwork() as network,
            (SpikingNetwork() | None) as whole,
            tuple(ledger),
            tuple(own),
        ):
            pass
        case _:
            raise ValueError("a network and arrays are expected")
    if not all(isinstance(entry, Approximation) for entry in ledger):
        raise ValueError("its ledger has other entries")
    arrays: dict[str, Any] = {}
    for entry in own:
        match entry:
            case (str(name), np.ndarray() as array) if name not in arrays:
                arrays[name] = array
            case _:
                raise ValueError("its arrays have no names")
    return network, whole, ledger, arrays


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")
    return value


def _offsets(value: object) -> dict[str, int]:
    offsets = _mapping(value)
    if any(type(offset) is not int or not 0 <= offset < 2**31 for offset in offsets.values()):
        raise ValueError("its offsets are no steps")
    return dict(offsets)


def _bill(value: object) -> Bill:
    kinds = {"resource": str, "used": int, "enforced": bool, "source": str, "exact": bool, "unit": str}
    uses = []
    if not isinstance(value, list):
        raise ValueError("its bill is no list")
    for entry in value:
        limit = _mapping(entry).get("limit")
        right = limit is None or type(limit) is int
        if not right or any(type(v) is not kinds.get(k) for k, v in entry.items() if k != "limit"):
            raise ValueError("its bill has other entries")
        uses.append(Use(**entry))
    return Bill(tuple(uses))


def _cut(value: object, network: SpikingNetwork | DynamicNetwork, whole: SpikingNetwork | None) -> Cut | None:
    if value is None and whole is None:
        return None
    fields = _mapping(value)
    parts = [fields[name] for name in ("before", "on_chip", "after")]
    if any(not isinstance(part, list) or any(type(name) is not str for name in part) for part in parts):
        raise ValueError("its cut names no populations")
    before, chip, after = (tuple(part) for part in parts)
    cut = Cut(before, chip, after, str(fields["entering"]), str(fields["leaving"]))
    everywhere = [*cut.before, *cut.on_chip, *cut.after]
    if whole is None or len(set(everywhere)) < len(everywhere) or not set(cut.on_chip) <= network.by_name.keys():
        raise ValueError("its cut is none of this network")
    if not whole.by_name.keys() - whole.on_host() <= set(everywhere) <= whole.by_name.keys():
        raise ValueError("its cut is none of this network")
    return cut
