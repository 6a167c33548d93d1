"""Write NEST's spikes of a small network with delays and refractory periods of all kinds: `tests/backends/nest_balanced.npz`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nest_case
import spikeport as sp
from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of
from spikeport.primitives import SpikeEvents

WORKER = Path(__file__).parent / "peers" / "recurrent" / "nest_network.py"
DT = 5e-4
STEPS = 400
UNIT = 2.0**-16
THRESHOLD = 20.0
SIZES = {"exc": 80, "inh": 20}
LINES = 40
EDGE = {
    # weight, steps of refractory period, (step, count) of what enters
    "at the threshold": (THRESHOLD, 4, [(3, 1)]),
    "a unit below it": (THRESHOLD - UNIT, 4, [(3, 1)]),
    "a unit above it": (THRESHOLD + UNIT, 4, [(3, 1)]),
    "at the threshold by two at once": (THRESHOLD / 2, 4, [(3, 2)]),
    "deaf for two steps": (25.0, 2, [(step, 1) for step in range(3, 40)]),
    "deaf for one": (25.0, 1, [(step, 1) for step in range(3, 40)]),
    "never deaf": (25.0, 0, [(step, 1) for step in range(3, 40)]),
    "in the last step of five": (25.0, 5, [(3, 1), (8, 1), (30, 1), (36, 1)]),
    "inhibited": (-25.0, 1, [(3, 3), (9, 1)]),
}
"""Neurons that one line each drives, at and around what decides."""
Arrays = Mapping[str, NDArray[Any]]


def drawn() -> dict[str, NDArray[Any]]:
    """All numbers of the network; weights, currents and potentials are multiples of `UNIT`."""
    rng = np.random.default_rng(11)
    found: dict[str, NDArray[Any]] = {}
    for name, size in SIZES.items():
        found[f"{name}.bias"] = 21 + rng.integers(0, int(2 / UNIT), size) * UNIT
        found[f"{name}.initial"] = rng.integers(0, int(THRESHOLD / UNIT), size) * UNIT
        found[f"{name}.refractory"] = rng.choice([0, 1, 2, 4, 9], size)
    sources = {"exc": (80, 0.5, 0.2), "inh": (20, -2.5, 0.2), "drive": (LINES, 0.6, 0.25)}
    for source, (pre, weight, p) in sources.items():
        for target, post in SIZES.items():
            j, i = np.nonzero(rng.random((pre, post)) < p)
            own = rng.integers(*sorted((int(0.5 * weight / UNIT), int(1.5 * weight / UNIT))), len(j)) * UNIT
            delays = rng.integers(1, 16, len(j))
            found |= {f"{source}.{target}.{what}": v for what, v in zip(PARTS, (j, i, own, delays), strict=True)}
    counts = rng.poisson(0.03, (STEPS, LINES))
    found["drive.steps"], found["drive.lines"] = np.nonzero(counts)
    found["drive.counts"] = counts[counts > 0]
    entering = [(step, line, count) for line, (_, _, train) in enumerate(EDGE.values()) for step, count in train]
    steps, lines, many = (np.array(column) for column in zip(*sorted(entering), strict=True))
    found |= {"edge.steps": steps, "edge.lines": lines, "edge.counts": many}
    found["edge.weights"] = np.array([weight for weight, _, _ in EDGE.values()])
    found["edge.refractory"] = np.array([steps for _, steps, _ in EDGE.values()])
    return found


PARTS = ("pre", "post", "weight", "delay")


def network(arrays: Arrays) -> sp.Network:
    """Populations and connections of these numbers."""
    net = sp.Network("balanced")
    ports = {}
    for name, size in SIZES.items():
        cells = sp.LIF(
            tau=0.02,
            threshold=THRESHOLD,
            v_reset=10.0,
            bias=arrays[f"{name}.bias"],
            initial=arrays[f"{name}.initial"],
            refractory=arrays[f"{name}.refractory"] * DT,
        )
        ports[name] = net.population(name, size, cells)
    ports["drive"] = net.input("drive", LINES)
    for source in ports:
        for target in SIZES:
            pre, post, weight, delay = (arrays[f"{source}.{target}.{what}"] for what in PARTS)
            net.connect(ports[source], ports[target], sp.Sparse(pre, post, weight, delay=delay * DT))
    alone = sp.LIF(tau=0.02, threshold=THRESHOLD, v_reset=10.0, refractory=arrays["edge.refractory"] * DT)
    size = len(arrays["edge.weights"])
    lines = net.input("one line each", size)
    net.connect(lines, net.population("edge", size, alone), sp.OneToOne(arrays["edge.weights"], delay=2 * DT))
    return net


def built(arrays: Arrays, **choices: Any) -> sp.DynamicNetwork:
    """The network as NEST steps it, or with other choices of the contract."""
    contract = {"integrator": "exponential", "synapse": "delta", "layer_latency": 1, "compare": ">="} | choices
    return network(arrays).build(contract=sp.DynamicsContract(dt=DT, **contract))


def entering(arrays: Arrays) -> dict[str, SpikeEvents]:
    """What enters it."""
    found = {}
    for name, of in (("drive", "drive"), ("one line each", "edge")):
        steps, lines, counts = (arrays[f"{of}.{what}"] for what in ("steps", "lines", "counts"))
        size = LINES if of == "drive" else len(arrays["edge.weights"])
        found[name] = SpikeEvents(np.zeros(len(steps), np.int64), steps, lines, (size,), STEPS, 1, DT, counts)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("path", type=Path, help="file to write")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where peers are installed"
    )
    options = parser.parse_args()
    arrays = drawn()
    with tempfile.TemporaryDirectory() as folder:
        nest_case.save(built(arrays), entering(arrays), Path(folder))
        try:
            with Worker(python_of("nest", options.environments), "1", script=WORKER, threads=1) as nest:
                version = nest.ask("describe")["versions"]["nest-simulator"]
                nest.ask("build", case=folder)
                nest.ask("run", steps=STEPS)
                nest.ask("spikes", path=str(Path(folder) / "spikes.npz"))
        except PeerError as error:
            print(error, file=sys.stderr)
            return 2
        with np.load(Path(folder) / "spikes.npz") as spikes:
            found = {"steps": spikes["steps"].astype(np.uint16), "neurons": spikes["neurons"].astype(np.uint8)}
    kept = {name: _narrow(values) for name, values in arrays.items()}
    np.savez_compressed(options.path, **kept, **found, version=version)
    print(f"{len(found['steps'])} spikes of NEST {version}")
    return 0


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """In single precision or two bytes, where that holds the same."""
    small = values.astype(np.float32 if values.dtype.kind == "f" else np.uint16)
    return small if (small == values).all() else values


if __name__ == "__main__":
    sys.exit(main())
