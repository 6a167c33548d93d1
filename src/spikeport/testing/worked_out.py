"""What networks written by hand may have besides plain neurons, with answers that were worked out by hand.

The reference computes all of it, and the suite compares backends with the reference; these answers hold the reference itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from spikeport.primitives import (
    IF,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    I,
    OneToOne,
    Projection,
    SpikeInput,
)
from spikeport.testing.carrying import Run, run_of
from spikeport.testing.handmade import DT, Simulation

Rows = list[list[int]]
"""Numbers of a step, one a neuron."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkedOut:
    """A run of one sample, and what comes of it."""

    run: Run
    spikes: Mapping[str, Rows]
    """How many each neuron sends, by population."""
    potentials: Mapping[str, Rows]
    """At the end of a step, by population."""

    def differs(self, found: DynamicRecording) -> str:
        """Where a recording is not as it should be; empty where it is."""
        for name, rows in self.spikes.items():
            sent = found.spikes[name].train().raster[:, 0].tolist()
            if sent != rows:
                return f"{name} sends {sent}, and should send {rows}"
        for name, rows in self.potentials.items():
            left = found.potentials[name][:, 0].tolist()
            if left != rows:
                return f"{name} has potentials of {left}, and should have {rows}"
        return ""


def worked_out(what: str) -> Iterator[WorkedOut]:
    """In floats and in integers, which come to the same."""
    arithmetics: tuple[Literal["float64", "integer"], ...] = ("float64", "integer")
    for arithmetic in arithmetics:
        contract = DynamicsContract(
            dt=DT, integrator="accumulate", compare=">=", reset="subtract", arithmetic=arithmetic
        )
        yield CASES[what](contract)


def _network(contract: DynamicsContract, populations: Mapping[str, Any], *arrows: str) -> DynamicNetwork:
    """Populations of one size, joined one to one by weights of 1; a pair is a neuron and a contract of its own."""
    made = []
    for name, neuron in populations.items():
        kind, own = neuron if isinstance(neuron, tuple) else (neuron, None)
        made.append(DynamicPopulation(name, (2,), kind, own))
    pairs = [arrow.split() for arrow in arrows]
    projections = tuple(Projection(a, b, (OneToOne(np.array([1, 1])),)) for a, b in pairs)
    return DynamicNetwork("worked out", (SpikeInput("in", (2,)),), tuple(made), projections, contract)


def _run(network: DynamicNetwork, rows: Rows, about: str) -> Run:
    x = np.array(rows, dtype=np.int64)[:, None]
    return run_of(Simulation(network, {"in": x}, len(x)), f"{about}, {network.contract.arithmetic}")


def _several(contract: DynamicsContract) -> WorkedOut:
    network = _network(
        replace(contract, spikes="multi"),
        {"cells": IF(threshold=np.array([2, 3])), "after": IF(threshold=100)},
        "in cells",
        "cells after",
    )
    run = _run(network, [[5, 2], [1, 9], [4, 0], [0, 1], [7, 6]], "several spikes in a step")
    return WorkedOut(
        run,
        # 5 is two thresholds and 1; 2 is one; 4 is two; 7 is three and 1. And 2; 11 is three and 2; 2; 3 is one; 6 is two
        {"cells": [[2, 0], [1, 3], [2, 0], [0, 1], [3, 2]], "after": [[0, 0]] * 5},
        {"cells": [[1, 2], [0, 2], [0, 2], [0, 0], [1, 0]], "after": [[2, 0], [3, 3], [5, 3], [5, 4], [8, 6]]},
    )


def _lowest(contract: DynamicsContract) -> WorkedOut:
    network = _network(contract, {"cells": IF(threshold=3, v_min=np.array([-1, 1]))}, "in cells")
    run = _run(network, [[-4, 0], [1, 2], [3, 1], [-2, -5], [5, 2]], "a lowest potential")
    return WorkedOut(
        run,
        # -4 is held at -1; 0; 3 fires and leaves 0; -2 is held; 4 fires. And 0 is held at 1; 3 fires, and what is left is held too
        {"cells": [[0, 0], [0, 1], [1, 0], [0, 0], [1, 1]]},
        {"cells": [[-1, 1], [0, 1], [0, 2], [-1, 1], [1, 1]]},
    )


def _analog(contract: DynamicsContract) -> WorkedOut:
    network = _network(contract, {"sum": I(), "cells": IF(threshold=4)}, "in sum", "sum cells")
    run = _run(network, [[1, 3], [1, -4], [1, 0], [1, 6], [1, 0]], "potentials that are sent")
    return WorkedOut(
        run,
        # gains 1, 2, 3, 4, 5: 1, 3, 6, 6, 7, less 4 where it fires; and 3, -1, -1, 5, 5: 3, 2, 1, 6, 7
        {"cells": [[0, 0], [0, 0], [1, 0], [1, 1], [1, 1]]},
        {"sum": [[1, 3], [2, -1], [3, -1], [4, 5], [5, 5]], "cells": [[1, 3], [3, 2], [2, 1], [2, 2], [3, 3]]},
    )


def _own(contract: DynamicsContract) -> WorkedOut:
    forgets, beyond = replace(contract, reset="to_value"), replace(contract, compare=">")
    network = _network(
        contract,
        {"keeps": IF(threshold=3), "forgets": (IF(threshold=3), forgets), "beyond": (IF(threshold=2), beyond)},
        "in keeps",
        "in forgets",
        "in beyond",
    )
    run = _run(network, [[2, 3]] * 4, "populations by contracts of their own")
    return WorkedOut(
        run,
        {
            "keeps": [[0, 1], [1, 1], [1, 1], [0, 1]],  # 2, 4, 3, 2; and 3 each time
            "forgets": [[0, 1], [1, 1], [0, 1], [1, 1]],  # 2, 4, 2, 4
            "beyond": [[0, 1], [1, 1], [1, 1], [1, 1]],  # 2 is not beyond 2; then 4, and 2 is left
        },
        {
            "keeps": [[2, 0], [1, 0], [0, 0], [2, 0]],
            "forgets": [[2, 0], [0, 0], [2, 0], [0, 0]],
            "beyond": [[2, 1], [2, 2], [2, 3], [2, 4]],
        },
    )


CASES: Mapping[str, Callable[[DynamicsContract], WorkedOut]] = {
    "several spikes": _several,
    "a lowest potential": _lowest,
    "analog values": _analog,
    "contracts of single populations": _own,
}
