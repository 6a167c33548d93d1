"""Small models with certificates, and what an attacker does to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from spikeport import certify, codes
from spikeport.certify.certificate import tensor_hash
from spikeport.graph import Graph, Input, Node
from spikeport.model import SpikingModel
from spikeport.quantize import IntegerNetwork
from spikeport.report import Report
from spikeport.storage.archive import read_archive, write_archive
from tests.integer_networks import random_input, random_network


def model_of(network: IntegerNetwork, code: str = "signed", *, samples: int = 3, seed: int = 0) -> SpikingModel:
    """An integer network as a model that was never converted; no samples for 0."""
    shape = network.input.shape
    graph = Graph((Node("input", Input(shape), (), shape),), "input")
    spiking = codes.encode(network, code)
    report = Report.empty(code=code, drain_bound=spiking.contract.max_steps)
    kept = random_input(network, seed, samples).astype(np.int64) if samples else None
    return SpikingModel(graph, network, spiking, report, kept)


def random_model(
    seed: int,
    code: str = "signed",
    *,
    kind: str = "static",
    layers: int = 4,
    curved: bool = False,
    digits: bool | None = None,
) -> SpikingModel:
    network = random_network(
        seed, kind=kind, layers=layers, digits=code == "radix" if digits is None else digits, curved=curved
    )
    return model_of(network, code, seed=seed)


@dataclass(frozen=True)
class Pair:
    """A certificate and its model on disk."""

    certificate: Path
    model: Path

    def check(self) -> list[str]:
        return certify.check(self.certificate, self.model)

    def document(self) -> dict[str, Any]:
        return json.loads(self.certificate.read_text())

    def claim(self, document: dict[str, Any]) -> None:
        """Write a certificate as an attacker does: with the right hash."""
        rest = {key: value for key, value in document.items() if key != "sha256"}
        self.certificate.write_text(text({**rest, "sha256": sha256(text(rest).encode()).hexdigest()}))

    def members(self) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Any]]:
        documents, arrays = read_archive(self.model)
        return json.loads(documents["model.json"]), documents, arrays

    def rewrite(self, model: Any, documents: dict[str, bytes], arrays: dict[str, Any]) -> None:
        """Write a `.spk` file as an attacker does: with the right manifest, and a certificate that has the new hashes."""
        write_archive(self.model, {**documents, "model.json": json.dumps(model).encode()}, arrays)
        tensors: dict[str, str] = {}
        hashes = {}
        for name, part in zip(("graph", "structure"), model["content"], strict=True):
            hashes[name] = sha256(text(hashed(part, arrays, "", tensors if name == "structure" else {})).encode())
        document = self.document()
        document["hashes"] = {"tensors": tensors, **{name: found.hexdigest() for name, found in hashes.items()}}
        self.claim(document)


def written(model: SpikingModel, folder: Path) -> Pair:
    pair = Pair(folder / "certificate.json", model.save(folder / "model.spk"))
    certify.write(model.certificate, pair.certificate)
    return pair


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"


def hashed(value: Any, arrays: dict[str, Any], place: str, tensors: dict[str, str]) -> Any:
    if isinstance(value, dict) and value.keys() == {"array"}:
        tensors[place] = tensor_hash(arrays[value["array"]])
        return {"array": tensors[place]}
    if isinstance(value, dict):
        return {
            k: hashed(v, arrays, place if k[0].isupper() else f"{place}/{k}".strip("/"), tensors)
            for k, v in value.items()
        }
    if isinstance(value, list):
        names = [next(iter(v.values())).get("name", i) if isinstance(v, dict) else i for i, v in enumerate(value)]
        names = [
            i if isinstance(v, dict) and "array" in v else n for i, (n, v) in enumerate(zip(names, value, strict=True))
        ]
        return [hashed(v, arrays, f"{place}/{n}", tensors) for n, v in zip(names, value, strict=True)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of everything that is neither an object nor a list."""
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path


def get(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    get(value, path[:-1])[path[-1]] = new


def other(value: Any) -> Any:
    """Something else of the same type."""
    match value:
        case None:
            return 1
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value[1:] + ("0" if value[:1] != "0" else "1")
        case _:
            return [*value, 0] if isinstance(value, list) else {**value, "x": 0}
