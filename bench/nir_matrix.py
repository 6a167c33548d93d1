"""Do simulators run NIR files with the spikes that we say, and we their exports? Cell by cell, and as the page `docs/nir-conformance.md`.

A cell is exact, refused (by whom and why), or differs: how many values, and the first one. What is found of a simulator is kept as
`docs/nir-conformance/TOOL.json`; the page is made from all that are there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from nir_losses import EXPORTS, LOSSES, layers_of
from nir_page import ROADS, WRONG, Cell, Column, dumped, lines, loaded, page, recorded, together
from nir_rows import ROWS, Row
from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of
from spikeport.backends.reference import simulate_dynamics
from spikeport.nir.presets import PRESETS
from spikeport.primitives import DynamicNetwork

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "nir-conformance.md"
KEPT = ROOT / "docs" / "nir-conformance"
EULER = sp.DynamicsContract(dt=1.0, integrator="forward_euler")
WRITTEN = {name: row for name, row in ROWS.items() if not name.startswith("CNN, IF r = 1,")}
"""All but those whose r = 1 is a tool's way to say a gain: in networks of ours r counts, and such neurons never fire."""
PATIENCE = 120.0
"""Seconds that a simulator may take for a file."""
STEPS = 60
WORKER = Path(__file__).parent / "peers" / "nir_worker.py"
NUDGE = 2.0**-18
"""A current beside thresholds of about 1: thirty times the rounding of float32."""
MISSED = 1
NO_CONTRACT = {
    "rockpool": "of each layer it guesses another step, min(tau_mem / (1 + r)), and leaves out the gain of the input that the file says"
}
"""Why we do not read files as a tool does."""
Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A simulator, its environment, and the duration of a step that its runs are asked for."""

    name: str
    group: str
    dt: float


TOOLS = (
    Tool("snntorch", "nir_torch", 1e-4),
    Tool("norse", "nir_torch", 2.0**-10),
    Tool("spikingjelly", "nir_torch", 2.0**-10),
    Tool("sinabs", "nir_torch", 1.0),
    Tool("spyx", "jax", 2.0**-10),
    Tool("rockpool", "nir_torch", 2.0**-10),
)


def played(network: DynamicNetwork, x: NDArray[np.float32], **nudged: Any) -> Values:
    """What leaves each population in each step, and, as "output", what leaves the only output, in float64."""
    source = network.outputs[0].source
    recording = simulate_dynamics(network, x[:, None].astype(np.float64), potentials=[source], **nudged)
    found = {name: np.asarray(r.train().raster[:, 0], dtype=np.float64) for name, r in recording.spikes.items()}
    return {**found, "output": found[source] if source in found else recording.potentials[source][:, 0]}


def compared(network: DynamicNetwork, x: NDArray[np.float32], theirs: Values) -> Cell:
    """Every value of every step, of all that both have; `network` is ours."""
    mine = played(network, x)
    shared = [name for name in mine if name in theirs]  # in the order of update
    source = network.outputs[0].source
    counted = [name for name in shared if name != "output" or source not in shared]
    for name in shared:
        if mine[name].shape != theirs[name].shape:
            return Cell("differs", f"{name} has shape {theirs[name].shape[1:]}, not {mine[name].shape[1:]}")
    odd = {name: np.argwhere(mine[name] != theirs[name]) for name in shared}
    values, spikes = sum(mine[name].size for name in counted), int(mine["output"].sum())
    steps = {name: int(places[0, 0]) for name, places in odd.items() if len(places)}
    if not steps:
        return Cell("exact", values=values, spikes=spikes)
    name = min(steps, key=lambda n: steps[n])
    at = tuple(int(i) for i in odd[name][0])
    count = sum(len(odd[name]) for name in counted)
    what = f"first {name} at {at}, {theirs[name][at]:g} for {mine[name][at]:g}"
    if _on_the_edge(network, x, source if name == "output" else name, at, theirs[name][at]):
        return Cell("rounds", f"{what}, where the potential equals the threshold but for rounding", values=values)
    return Cell("differs", f"{count} of {values} values, {what}", values=values)


def _on_the_edge(network: DynamicNetwork, x: NDArray[np.float32], name: str, at: tuple[int, ...], value: float) -> bool:
    """Whether a current in one step, too small for anything but an equality, gives the simulator's value in that step."""
    for nudge in (NUDGE, -NUDGE):
        current = np.zeros((len(x), 1, *network[name].shape))
        current[(at[0], 0, *at[1:])] = nudge
        if played(network, x, currents={name: current})[name][at] == value:
            return True
    return False


def _why(error: Exception, question: str = "") -> str:
    """The first sentence of a reason."""
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0].split(f": {question}: ", 1)[-1].split(". ")[0]


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulator that waits for questions."""

    tool: Tool
    worker: Worker
    folder: Path

    def run(self, path: Path, x: NDArray[np.float32]) -> Values:
        """What the simulator makes of a file.

        Raises:
            PeerError: it does not run it.
        """
        given, found = self.folder / "x.npz", self.folder / "y.npz"
        np.savez(given, input=x)
        self.worker.ask("run", graph=str(path), given=str(given), into=str(found), dt=self.tool.dt)
        with np.load(found) as arrays:
            return dict(arrays)

    def read(self, row: Row, seed: int) -> Cell:
        """A plain file, in the simulator and, by its preset, in our reference."""
        rng = np.random.default_rng(seed)
        nodes, edges = row(rng, self.tool.dt)
        path = self.folder / "graph.nir"
        nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
        x = drawn(rng, tuple(int(n) for n in nodes["input"].input_type["input"]))
        theirs: Values | None = None
        failed = ""
        try:
            theirs = self.run(path, x)
        except PeerError as error:
            failed = _why(error, "run")
        plain = None if theirs is None else beside(as_written(path, x, self.tool.dt), theirs)
        if theirs is None and self.tool.name in NO_CONTRACT:
            return Cell("refused", failed, "it")
        try:
            mine = self.ours(path, self.tool.dt)
        except (
            sp.SpikeportError
        ) as error:  # before its own failure: with nodes that it does not know that depends on chance
            return Cell("refused", _why(error), "us", plain=plain)
        if theirs is None:
            return Cell("refused", failed, "it")
        return replace(compared(mine, x, theirs), plain=plain)

    def written(self, row: Row, seed: int) -> Cell:
        """A network of ours with the tool's dynamics, every parameter in use, by the tool's dialect."""
        rng = np.random.default_rng(seed)
        nodes, edges = row(rng, self.tool.dt)
        plain, path = self.folder / "plain.nir", self.folder / "graph.nir"
        nir.write(plain, nir.NIRGraph(nodes, edges, type_check=False))
        x = drawn(rng, tuple(int(n) for n in nodes["input"].input_type["input"]))
        try:
            dynamics = PRESETS[self.tool.name].dynamics if self.tool.name in PRESETS else EULER
            network = sp.from_nir(plain, contract=replace(dynamics, dt=self.tool.dt))
            assert isinstance(network, DynamicNetwork)
            sp.to_nir(network, path, dialect=self.tool.name)
        except sp.SpikeportError as error:
            return Cell("refused", _why(error), "us")
        try:
            return compared(network, x, self.run(path, x))
        except PeerError as error:
            return Cell("refused", _why(error, "run"), "it")

    def ours(self, path: Path, dt: float) -> DynamicNetwork:
        """A file as the tool means it.

        Raises:
            NirError: we have no contract for it.
        """
        if self.tool.name in NO_CONTRACT:
            raise sp.NirError(sp.Problem(self.tool.name, NO_CONTRACT[self.tool.name]))
        network = sp.from_nir(path, like=self.tool.name, dt=dt)
        assert isinstance(network, DynamicNetwork)
        return network

    def exported(self, case: str, seed: int) -> Cell:
        """A network of the simulator, by its own exporter, run by us."""
        path, given, found = self.folder / "theirs.nir", self.folder / "x.npz", self.folder / "y.npz"
        try:
            answer = self.worker.ask("export", case=case, seed=seed, path=str(path), given=str(given), into=str(found))
        except PeerError as error:
            return Cell("refused", _why(error, "export"), "it")
        if "absent" in answer:
            return Cell("absent", answer["absent"] or "no network of the kind")
        with np.load(given) as a, np.load(found) as b:
            x, theirs = a["input"], dict(b)
        if (layers := layers_of(path)) < EXPORTS[case]:
            return Cell(
                "theirs", f"its exporter leaves out a layer of neurons: the file has {layers} of {EXPORTS[case]}"
            )
        loss = LOSSES.get((self.tool.name, case))
        try:
            cell = compared(self.ours(path, answer["dt"]), x, theirs)
        except sp.SpikeportError as error:
            cell = Cell("refused", _why(error), "us")
        if loss is None or cell.verdict == "exact":
            return cell
        mended = compared(loss.read(path, answer["dt"]), x, theirs)
        if mended.verdict != "exact":
            return Cell("differs", f"{loss.why}, but read that way {mended.why}")
        return replace(mended, verdict=loss.verdict, why=loss.why)


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Spikes for half of the inputs in each step."""
    return rng.integers(0, 2, (STEPS, *shape)).astype(np.float32)


def as_written(path: Path, x: NDArray[np.float32], dt: float) -> Values:
    """NIR's own equations, every parameter in use."""
    network = sp.from_nir(path, contract=sp.DynamicsContract(dt=dt, integrator="forward_euler"))
    assert isinstance(network, DynamicNetwork)
    return played(network, x)


def beside(written: Values, theirs: Values) -> tuple[int, int]:
    """Values of the output that are others, and how many there are."""
    a, b = written["output"], theirs["output"]
    return (int((a != b).sum()) if a.shape == b.shape else a.size), a.size


def measured(tool: Tool, options: argparse.Namespace) -> Column:
    """All cells of one simulator.

    Raises:
        PeerError: there is no environment, or the simulator cannot be imported.
    """
    python = python_of(tool.group, options.environments)
    seeds = range(options.seeds)
    with (
        tempfile.TemporaryDirectory() as name,
        Worker(python, tool.name, script=WORKER, threads=1, limit=PATIENCE) as worker,
    ):
        versions = worker.ask("describe")["versions"]
        bench = Bench(tool, worker, Path(name))

        def whole(names: Mapping[str, Any], make: Callable[[Any, int], Cell]) -> dict[str, Cell]:
            return {row: together([make(what, seed) for seed in seeds]) for row, what in names.items()}

        roads: Mapping[str, Callable[[], dict[str, Cell]]] = {
            "read": lambda: whole(ROWS, bench.read),
            "written": lambda: whole(WRITTEN, bench.written),
            "exported": lambda: whole({case: case for case in EXPORTS}, bench.exported),
        }
        cells = {road: roads[road]() for road in options.roads}
        return Column(tool.name, versions, tool.dt, options.seeds, cells)


def keep(column: Column, path: Path) -> None:
    """With the roads that were measured before, of the same versions and as many networks."""
    if path.exists():
        before = loaded(path.read_text(encoding="utf-8"))
        if replace(before, cells={}) == replace(column, cells={}):
            merged = {**before.cells, **column.cells}
            column = replace(column, cells={road: merged[road] for road in ROADS if road in merged})
    path.write_text(dumped(column), encoding="utf-8")


def chosen(names: list[str]) -> Iterator[Tool]:
    return (tool for tool in TOOLS if not names or tool.name in names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [tool.name for tool in TOOLS]
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"all of them if none is named: {', '.join(known)}")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="made by peers/environments.py"
    )
    parser.add_argument("--seeds", type=int, default=10, help="networks of each row")
    parser.add_argument(
        "--roads",
        nargs="+",
        choices=list(ROADS),
        default=list(ROADS),
        help="what is measured; the rest stays as it is kept",
    )
    parser.add_argument(
        "--kept", type=Path, default=KEPT, metavar="DIR", help="where the results of each simulator are"
    )
    parser.add_argument("--into", type=Path, default=PAGE, metavar="FILE", help="the page")
    parser.add_argument("--page", action="store_true", help="run nothing: print what is kept, and write the page")
    options = parser.parse_args()
    if unknown := set(options.tools) - set(known):
        parser.error(f"no such simulator: {', '.join(sorted(unknown))}")
    options.kept.mkdir(parents=True, exist_ok=True)
    for tool in [] if options.page else chosen(options.tools):
        try:
            column = measured(tool, options)
        except PeerError as error:
            print(error, file=sys.stderr)
            return 2
        keep(column, options.kept / f"{tool.name}.json")
        print(f"{tool.name}: done", file=sys.stderr)
    columns = recorded(options.kept, known)
    options.into.write_text(page(columns), encoding="utf-8")
    print(*(line for column in columns for line in lines(column)), sep="\n")
    verdicts = [cell.verdict for column in columns for rows in column.cells.values() for cell in rows.values()]
    wrong = sum(verdict in WRONG for verdict in verdicts)
    print(f"{len(verdicts)} cells, {wrong} wrong", file=sys.stderr)
    return MISSED if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
