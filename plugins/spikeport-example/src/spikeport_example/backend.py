"""Compiles networks for example8: what does not fit is refused by name, the rest becomes one matrix of weights for each connection."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeport.plugin import (
    Backend,
    BackendSession,
    LowerError,
    Problem,
    Program,
    Target,
    legalize,
    read_target,
    unrolled,
)
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport_example.session import Session

TARGET = read_target((files("spikeport_example") / "example8.toml").read_bytes(), "example8.toml")


class ExampleBackend(Backend):
    """The door of the chip."""

    name: ClassVar[str] = "example"
    version: ClassVar[str] = "0.1.0"

    @property
    def targets(self) -> tuple[Target, ...]:
        return (TARGET,)

    def compile(self, network: SpikingNetwork | DynamicNetwork, target: Target, options: Any) -> Program:
        found = legalize(network, target)  # everything that the facts of the target refuse, at once
        problems = [*found.reasons, *(_unlike(network, target) if isinstance(network, DynamicNetwork) else ())]
        if problems:
            raise LowerError(problems)
        return Program(self.name, self.version, target.name, network, bill=found.bill, arrays=weights_of(network))

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        return Session(program, record, potentials)


def _unlike(network: DynamicNetwork, target: Target) -> Iterator[Problem]:
    """What a contract says otherwise than the chip."""
    contract = network.contract
    settled = {"arithmetic": "integer", "reset_when": "same_step", "layer_latency": 0, "overflow": "saturate"}
    for name, value in (settled | {"compare": ">=", "reset": "subtract"}).items():
        if getattr(contract, name) != value:
            why = f"its contract has {name}={getattr(contract, name)!r}"
            yield Problem(network.name, why, f"{target.title} has {value!r}")
    if contract.state_bits > target.known("state_bits"):
        yield Problem(network.name, f"its potentials have {contract.state_bits} bits", "give the contract fewer")


def weights_of(network: SpikingNetwork | DynamicNetwork) -> dict[str, NDArray[np.int64]]:
    """The matrix (post, pre) of each connection, by its number: what every unit of the source is worth at the targets."""
    hand_made = isinstance(network, DynamicNetwork)
    places = [*network.inputs, *network.populations] if hand_made else [network.input, *network.populations]
    shapes = {place.name: place.shape for place in places}
    matrices = {}
    for number, joint in enumerate(network.projections if hand_made else network.connections):
        if hand_made or joint.source not in network.on_host():
            matrices[str(number)] = unrolled(joint.synapses, shapes[joint.source])
    return matrices


BACKEND = ExampleBackend()
