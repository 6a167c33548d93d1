"""Do simulators run NIR files with the spikes that we say? Files, importers and presets, cell by cell; and their exports, read by us.

A cell is exact, refused (by whom and why), or differs: how many values, and the first one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of
from spikeport.backends.reference import simulate_dynamics
from spikeport.nir.presets import PRESETS
from spikeport.primitives import DynamicNetwork

PATIENCE = 120.0
"""Seconds that a simulator may take for a file."""
STEPS = 60
SIZE = 8
WORKER = Path(__file__).parent / "peers" / "nir_worker.py"
MISSED = 1


@dataclass(frozen=True, slots=True)
class Tool:
    """A simulator, its environment, and the duration of a step that its runs are asked for."""

    name: str
    group: str
    dt: float
    exports: tuple[str, ...] = ()
    """Networks of its own that its exporter is tried with."""


TOOLS = (
    Tool("snntorch", "nir_torch", 1e-4, ("lif", "cuba")),
    Tool("norse", "nir_torch", 2.0**-10),
    Tool("spikingjelly", "nir_torch", 2.0**-10, ("lif", "v_reset", "cuba", "cnn_avg")),
    Tool("sinabs", "nir_torch", 1.0),
    Tool("spyx", "jax", 2.0**-10),
    Tool("rockpool", "nir_torch", 2.0**-10),
)
Graph = tuple[dict[str, Any], list[tuple[str, str]]]
Row = Callable[[np.random.Generator, float], Graph]


def _dyadic(rng: np.random.Generator, *shape: int, bits: int = 2) -> NDArray[np.float32]:
    """Multiples of 2^-bits around 0, so that sums are exact and potentials meet the threshold."""
    top = 2**bits
    return (rng.integers(-top, top + 1, shape) / top).astype(np.float32)


def _full(value: float, *shape: int) -> NDArray[np.float64]:
    return np.full(shape or (SIZE,), value)


def _ends(shape: tuple[int, ...], out: int) -> dict[str, Any]:
    return {
        "input": nir.Input(input_type={"input": np.array(shape)}),
        "output": nir.Output(output_type={"output": np.array([out])}),
    }


def _chain(shape: tuple[int, ...], outputs: int, /, **nodes: Any) -> Graph:
    names = ["input", *nodes, "output"]
    return {**_ends(shape, outputs), **nodes}, list(pairwise(names))


def _affine(rng: np.random.Generator, n: int = SIZE) -> Any:
    return nir.Affine(weight=_dyadic(rng, SIZE, n), bias=_dyadic(rng, SIZE, bits=3))


def _lif(dt: float, **changes: Any) -> Any:
    """A quarter of the way to rest in a step; the input counts in full."""
    values = {"tau": 4 * dt, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nir.LIF(**{name: np.broadcast_to(value, (SIZE,)) * 1.0 for name, value in {**values, **changes}.items()})


def _two(make: Callable[[np.random.Generator, float], Any]) -> Row:
    def row(rng: np.random.Generator, dt: float) -> Graph:
        return _chain((SIZE,), SIZE, fc1=_affine(rng), lif1=make(rng, dt), fc2=_affine(rng), lif2=make(rng, dt))

    return row


def _each(rng: np.random.Generator, dt: float) -> Any:
    steps = rng.choice([2.0, 4.0, 8.0], SIZE)
    return _lif(dt, tau=steps * dt, r=steps, v_threshold=rng.choice([0.5, 1.0, 1.5], SIZE))


def _cuba(rng: np.random.Generator, dt: float) -> Any:
    values = {
        "tau_syn": 2 * dt,
        "tau_mem": 4 * dt,
        "r": 4.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "w_in": 2.0,
    }
    return nir.CubaLIF(**{name: _full(value) for name, value in values.items()})


def _linear(rng: np.random.Generator, dt: float) -> Graph:
    return _chain((SIZE,), SIZE, fc=nir.Linear(weight=_dyadic(rng, SIZE, SIZE)), lif=_lif(dt))


def _residual(rng: np.random.Generator, dt: float) -> Graph:
    nodes = {"fc1": _affine(rng), "lif1": _lif(dt), "fc2": _affine(rng), "lif2": _lif(dt)}
    made, edges = _chain((SIZE,), SIZE, **nodes)
    return made, [*edges, ("lif1", "lif2")]


def _recurrent(bias: bool, *, last: bool = False) -> Row:
    """`last`: the edges of the loop come behind those to the output; some importers go by that."""

    def row(rng: np.random.Generator, dt: float) -> Graph:
        back = _affine(rng) if bias else nir.Linear(weight=_dyadic(rng, SIZE, SIZE))
        made, edges = _chain((SIZE,), SIZE, fc=_affine(rng), lif=_lif(dt))
        loop = [("lif", "w_rec"), ("w_rec", "lif")]
        return {**made, "w_rec": back}, [*edges, *loop] if last else [*edges[:2], *loop, *edges[2:]]

    return row


def _cnn(pool: Any, neuron: str, gain: str) -> Row:
    def row(rng: np.random.Generator, dt: float) -> Graph:
        def neurons(*shape: int) -> Any:
            reset = {"v_threshold": _full(1.0, *shape), "v_reset": _full(0.0, *shape)}
            if neuron == "LIF":
                return nir.LIF(tau=_full(4 * dt, *shape), r=_full(4.0, *shape), v_leak=_full(0.0, *shape), **reset)
            return nir.IF(r=_full(1.0 if gain == "step" else 1 / dt, *shape), **reset)

        conv = nir.Conv2d((6, 6), _dyadic(rng, 3, 2, 3, 3), 1, 1, 1, 1, _dyadic(rng, 3, bits=3))
        two = np.array([2, 2])
        flat = nir.Flatten(input_type={"input": np.array([3, 3, 3])}, start_dim=0, end_dim=-1)
        nodes = {
            "conv": conv,
            "n1": neurons(3, 6, 6),
            "pool": pool(kernel_size=two, stride=two, padding=np.array([0, 0])),
            "flat": flat,
            "fc": _affine(rng, 27),
            "n2": neurons(SIZE),
        }
        return _chain((2, 6, 6), SIZE, **nodes)

    return row


ROWS: dict[str, Row] = {
    "LIF, r = tau / dt": _two(lambda rng, dt: _lif(dt)),
    "LIF, r = 1": _two(lambda rng, dt: _lif(dt, r=1.0, v_threshold=0.25)),
    "LIF, each neuron its own": _two(_each),
    "LIF, v_leak": _two(lambda rng, dt: _lif(dt, v_leak=0.25)),
    "LIF, v_reset": _two(lambda rng, dt: _lif(dt, v_reset=-0.5)),
    "LIF, v_reset = v_leak": _two(lambda rng, dt: _lif(dt, v_reset=-0.5, v_leak=-0.5)),
    "CubaLIF": _two(_cuba),
    "Linear": _linear,
    "residual": _residual,
    "CNN, IF r = 1, sum": _cnn(nir.SumPool2d, "IF", "step"),
    "CNN, IF r = 1, average": _cnn(nir.AvgPool2d, "IF", "step"),
    "CNN, IF r = 1 / dt, sum": _cnn(nir.SumPool2d, "IF", "dt"),
    "CNN, IF r = 1 / dt, average": _cnn(nir.AvgPool2d, "IF", "dt"),
    "CNN, LIF, sum": _cnn(nir.SumPool2d, "LIF", ""),
    "CNN, LIF, average": _cnn(nir.AvgPool2d, "LIF", ""),
    "recurrent, bias": _recurrent(True),
    "recurrent, no bias": _recurrent(False),
    "recurrent, loop last": _recurrent(True, last=True),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one file in one simulator."""

    verdict: str
    """"exact", "refused" or "differs"."""
    detail: str


def ours(path: Path, x: NDArray[np.float32], tool: str, dt: float) -> NDArray[np.float64]:
    """What leaves the only output in each step, in float64."""
    network = sp.from_nir(path, like=tool, dt=dt)
    assert isinstance(network, DynamicNetwork)
    source = network.outputs[0].source
    recording = simulate_dynamics(network, x[:, None].astype(np.float64), potentials=[source])
    if source in recording.spikes:
        return np.asarray(recording.spikes[source].train().raster[:, 0], dtype=np.float64)
    return recording.potentials[source][:, 0]


def compared(mine: NDArray[Any], theirs: NDArray[Any]) -> Cell:
    """Every value of every step."""
    if mine.shape != theirs.shape:
        return Cell("differs", f"shape {theirs.shape} for {mine.shape}")
    odd = np.argwhere(mine != theirs)
    if len(odd):
        at = tuple(int(i) for i in odd[0])
        what = f"{len(odd)} of {mine.size} values, first at {at}: {theirs[at]:g} for {mine[at]:g}"
        return Cell("differs", f"{what} ({theirs.sum():g} spikes for {mine.sum():g})")
    return Cell("exact", f"{mine.size} values, {mine.sum():g} spikes")


def imported(tool: Tool, worker: Worker, row: Row, seed: int, folder: Path) -> Cell:
    """A plain file, in the simulator and, by its preset, in our reference."""
    rng = np.random.default_rng(seed)
    nodes, edges = row(rng, tool.dt)
    path, given, found = folder / "graph.nir", folder / "x.npz", folder / "y.npz"
    nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
    shape = tuple(int(n) for n in nodes["input"].input_type["input"])
    x = rng.integers(0, 2, (STEPS, *shape)).astype(np.float32)
    np.savez(given, input=x)
    mine = None
    try:
        if tool.name in PRESETS:
            mine = ours(path, x, tool.name, tool.dt)
    except sp.SpikeportError as error:
        return Cell("refused", f"by us: {str(error).splitlines()[0]}")
    try:
        worker.ask("run", graph=str(path), given=str(given), into=str(found), dt=tool.dt)
    except PeerError as error:
        return Cell("refused", "by it: " + str(error).splitlines()[0].split(": run: ", 1)[-1])
    if mine is None:
        return Cell("refused", "by us: there is no contract that all its layers have; it runs the file in its own way")
    with np.load(found) as arrays:
        return compared(mine, arrays["output"])


def exported(tool: Tool, worker: Worker, case: str, folder: Path) -> Cell:
    """A network of the simulator, by its own exporter, run by us."""
    path, given, found = folder / "theirs.nir", folder / "x.npz", folder / "y.npz"
    try:
        dt = worker.ask("export", case=case, path=str(path), given=str(given), into=str(found))["dt"]
    except PeerError as error:
        return Cell("refused", "by it: " + str(error).splitlines()[0].split(": export: ", 1)[-1])
    with np.load(given) as a, np.load(found) as b:
        x, theirs = a["input"], b["output"]
    try:
        return compared(ours(path, x, tool.name, dt), theirs)
    except sp.SpikeportError as error:
        return Cell("refused", f"by us: {str(error).splitlines()[0]}")


def together(cells: list[Cell]) -> Cell:
    """Of several seeds: the first that differs, else the first that was refused."""
    for verdict in ("differs", "refused"):
        found = [cell for cell in cells if cell.verdict == verdict]
        if found:
            return found[0]
    return Cell("exact", f"{len(cells)} networks, the last: {cells[-1].detail}")


def columns(tool: Tool, options: argparse.Namespace) -> Iterator[tuple[str, Cell]]:
    """All cells of one simulator."""
    with (
        tempfile.TemporaryDirectory() as name,
        Worker(
            python_of(tool.group, options.environments), tool.name, script=WORKER, threads=1, limit=PATIENCE
        ) as worker,
    ):
        folder = Path(name)
        versions = worker.ask("describe")["versions"]
        print(f"{tool.name}: " + ", ".join(f"{k} {v}" for k, v in versions.items()), file=sys.stderr)
        for name, row in ROWS.items():
            yield (
                f"read: {name}",
                together([imported(tool, worker, row, seed, folder) for seed in range(options.seeds)]),
            )
        for case in tool.exports:
            yield f"wrote: {case}", exported(tool, worker, case, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tools", nargs="*", metavar="TOOL", help=f"all of them if none is named: {', '.join(t.name for t in TOOLS)}"
    )
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="made by peers/environments.py"
    )
    parser.add_argument("--seeds", type=int, default=10, help="networks of each row")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args()
    unknown = set(options.tools) - {tool.name for tool in TOOLS}
    if unknown:
        parser.error(f"no such simulator: {', '.join(sorted(unknown))}")
    found: dict[str, dict[str, Any]] = {}
    for tool in TOOLS:
        if options.tools and tool.name not in options.tools:
            continue
        cells = found.setdefault(tool.name, {})
        try:
            for row, cell in columns(tool, options):
                cells[row] = {"verdict": cell.verdict, "detail": cell.detail}
                if not options.json:
                    print(f"{tool.name:13} {row:36} {cell.verdict:8} {cell.detail}", flush=True)
        except PeerError as error:
            print(error, file=sys.stderr)
            return 2
    if options.json:
        print(json.dumps(found, indent=2))
    wrong = [(t, row) for t, cells in found.items() for row, cell in cells.items() if cell["verdict"] == "differs"]
    print(f"{sum(map(len, found.values()))} cells, {len(wrong)} differ", file=sys.stderr)
    return MISSED if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
