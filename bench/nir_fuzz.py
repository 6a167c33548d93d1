"""Does a random NIR graph keep every spike on the way through a file, or is it refused by name? Compared with an interpreter of its own."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from nir_draw import Case, drawn, features
from nir_oracle import CLOSE, Oracle, Trace
from spikeport import native
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import SpikeportError
from spikeport.nir import declare, declared
from spikeport.primitives import DynamicNetwork, DynamicRecording
from spikeport.storage import hdf5_process, hdf5_reader
from spikeport.storage.hdf5_reader import Bounds

GRAPHS = 10_000
TORCH, APART = 50, 10
"""One of so many also goes through torch; one of so many is read by another process."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case."""

    kind: str
    """"exact", "close" (equal up to rounding), "refused", "CHANGED" or "CRASH"."""
    detail: str = ""
    reasons: tuple[str, ...] = ()
    """Of refusals, without names and numbers."""
    steps: int = 0
    """Compared with the other interpreter."""
    cells: int = 0
    written: str = ""
    """Of what was read, written and read again: "same", or the reason of the refusal."""

    @property
    def bad(self) -> bool:
        return self.kind in ("CHANGED", "CRASH")


class ChangedError(Exception):
    """Something came out that is not what went in."""


def file_of(case: Case, path: Path) -> None:
    """The graph as the `nir` package writes it, without what older and leaner writers leave out."""
    packed = BytesIO()
    nir.write(packed, case.graph)
    with h5py.File(packed, "r+") as file:
        for place in case.left_out:
            del file[f"node/nodes/{place}"]
    path.write_bytes(packed.getvalue())


def tried(case: Case, folder: Path, *, apart: bool = False, torch: bool = False) -> Verdict:
    """Every road of a case; `apart` with files read by another process, as users do, and with a contract put into the file."""
    try:
        with nullcontext() if apart else reading_here():
            return _tried(case, folder, apart, torch)
    except ChangedError as error:
        return Verdict("CHANGED", str(error))
    except Exception as error:
        return Verdict("CRASH", f"{type(error).__name__}: {error}")


@contextmanager
def reading_here() -> Iterator[None]:
    """Files are read by the same code, but in this process: starting others takes most of the time."""
    real = hdf5_process.read

    def read(path: Path, bounds: Bounds) -> dict[str, Any]:
        with hdf5_reader.opened(path, bounds) as tree:
            return _loaded(tree)

    hdf5_process.read = read  # type: ignore[assignment]  # for the time of the block
    try:
        yield
    finally:
        hdf5_process.read = real


def _loaded(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: _loaded(inner) for name, inner in item.items()}
    if isinstance(item, hdf5_reader.Stored):
        return np.concatenate([block.reshape(-1) for block in item.blocks()]).reshape(item.shape)
    return item


def _tried(case: Case, folder: Path, apart: bool, torch: bool) -> Verdict:
    path, said, again = folder / "drawn.nir", folder / "said.nir", folder / "again.nir"
    file_of(case, path)
    try:
        network = sp.from_nir(path, contract=case.contract)
        assert isinstance(network, DynamicNetwork)
        found = run(network, case.x)
    except SpikeportError as error:
        return Verdict("refused", str(error), reasons_of(error))
    expected = Oracle(case.graph, case.contract).run(case.x)
    close, cells = against_oracle(network, found, expected)
    if native.why_missing() is None:
        alike("native", found, run(network, case.x, on="native"))
    if torch:
        against_torch(network, case, found, expected)
    if apart:
        declare(path, case.contract, said)
        same("what the file declares", network, sp.from_nir(said))
    try:
        lost = sp.to_nir(network, again)
    except SpikeportError as error:
        written = "; ".join(reasons_of(error))
    else:
        del lost
        back = sp.from_nir(again)
        assert isinstance(back, DynamicNetwork)
        alike("written and read again", found, run(back, case.x))
        named = {(o.name, o.source) for o in network.outputs}
        if {(o.name, o.source) for o in back.outputs} != named or back.inputs != network.inputs:
            raise ChangedError("written and read again: other inputs or outputs")
        written = "same"
    kind_of = "close" if close else "exact"
    return Verdict(kind_of, steps=expected.decided, cells=cells, written=written)


def run(network: DynamicNetwork, x: Mapping[str, NDArray[Any]], *, on: str = "reference") -> DynamicRecording:
    """Everything of every population, and as many steps as went in."""
    names = [p.name for p in network.populations]
    given = {place.name: x[place.name] for place in network.inputs if place.name in x}
    if on == "reference":
        return simulate_dynamics(network, given, potentials=names)
    return sp.simulate(network, given, record=names, on=on)


def values_of(network: DynamicNetwork, recording: DynamicRecording, name: str) -> NDArray[Any]:
    """What a population sends in each step."""
    if name in recording.spikes:
        return recording.spikes[name].train().raster
    return recording.potentials[name]


def against_oracle(network: DynamicNetwork, found: DynamicRecording, expected: Trace) -> tuple[bool, int]:
    """Whether rounding shows, and how many values were compared.

    Raises:
        ChangedError: another value, input or output.
    """
    if tuple(i.name for i in network.inputs) != expected.inputs:
        raise ChangedError(f"inputs {[i.name for i in network.inputs]}, not {list(expected.inputs)}")
    if [o.name for o in network.outputs] != sorted(expected.outputs, key=list(expected.outputs).index):
        raise ChangedError(f"outputs {[o.name for o in network.outputs]}, not {list(expected.outputs)}")
    steps, cells, rounded = expected.decided, 0, False
    names = [p.name for p in network.populations]
    if set(names) != set(expected.sent):
        raise ChangedError(f"populations {sorted(names)}, not {sorted(expected.sent)}")
    pairs = [
        (f"output {o.name}", values_of(network, found, o.source), expected.outputs[o.name]) for o in network.outputs
    ]
    pairs += [(f"sent by {n}", values_of(network, found, n), expected.sent[n]) for n in names]
    pairs += [(f"potential of {n}", found.potentials[n], expected.potentials[n]) for n in names]
    for what, mine, theirs in pairs:
        if mine.shape != theirs.shape:
            raise ChangedError(f"{what} has shape {mine.shape}, not {theirs.shape}")
        mine, theirs = mine[:steps], theirs[:steps]
        cells += theirs.size
        if not (mine == theirs).all():
            scale = float(np.abs(theirs).max(initial=1.0))
            far = np.abs(mine - theirs) > CLOSE[network.contract.arithmetic] * scale
            if far.any() or (what.startswith("sent") and mine.dtype.kind in "iu"):
                step = int(np.argmax((mine != theirs).reshape(steps, -1).any(axis=1)))
                raise ChangedError(f"{what} in step {step}: {mine[step].ravel()}, not {theirs[step].ravel()}")
            rounded = True
    return rounded, cells


def alike(what: str, one: DynamicRecording, other: DynamicRecording) -> None:
    """Every bit of two recordings."""
    for name, expected in one.potentials.items():
        if not np.array_equal(other.potentials[name], expected):
            raise ChangedError(f"{what}: the potential of {name} is another")
    for name, events in one.spikes.items():
        if not np.array_equal(other.spikes[name].train().raster, events.train().raster):
            raise ChangedError(f"{what}: {name} spikes otherwise")


def same(what: str, one: DynamicNetwork, other: Any) -> None:
    """Every number of two networks."""
    if _numbers(one) != _numbers(other):
        raise ChangedError(f"{what} is another network")


def _numbers(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, tuple):
        return tuple(map(_numbers, value))
    if is_dataclass(value):
        skipped = ("name",) if isinstance(value, DynamicNetwork) else ()
        kept = (f.name for f in fields(value) if f.init and f.name not in skipped)
        return type(value).__name__, tuple((n, _numbers(getattr(value, n))) for n in kept)
    return value


def against_torch(network: DynamicNetwork, case: Case, found: DynamicRecording, expected: Trace) -> None:
    """Integers and numbers that nothing rounds bit for bit, others up to the order of their sums."""
    other = run(network, case.x, on="torch")
    if expected.exact:
        alike("torch", found, other)
        return
    steps = expected.decided
    for name, mine in found.potentials.items():
        scale = float(np.abs(mine[:steps]).max(initial=1.0))
        if not np.allclose(
            other.potentials[name][:steps], mine[:steps], rtol=0, atol=CLOSE[network.contract.arithmetic] * scale
        ):
            raise ChangedError(f"torch: the potential of {name} is another")
    for name, events in found.spikes.items():
        if not np.array_equal(other.spikes[name].train().raster[:steps], events.train().raster[:steps]):
            raise ChangedError(f"torch: {name} spikes otherwise")


def reasons_of(error: SpikeportError) -> tuple[str, ...]:
    """The texts without what differs from case to case."""
    return tuple(sorted({_plain(problem.why) for problem in error.problems}))


def _plain(text: str) -> str:
    text = re.sub(r"\(\d[\d, ]*,?\)", "(..)", text)
    text = re.sub(r"-?\d[\d.,e+-]*", "#", text)
    return re.sub(r"^(\S+) (gives shape)", r"a node \2", re.sub(r"and \S+ takes", "and the next takes", text))[:110]


def smaller(case: Case, bad: Verdict, folder: Path) -> Case:
    """The case with as few nodes as still give the same kind of verdict."""
    shrinking = True
    while shrinking:
        shrinking = False
        for name in list(case.graph.nodes):
            graph = nir.NIRGraph(
                {n: node for n, node in case.graph.nodes.items() if n != name},
                [edge for edge in case.graph.edges if name not in edge],
                type_check=False,
            )
            gone = {name} | {n for n in case.contract.nodes if n.startswith(f"{name}.")}
            contract = replace(
                case.contract,
                order=tuple(n for n in case.contract.order if n not in gone and not n.startswith(f"{name}.")),
                nodes={n: own for n, own in case.contract.nodes.items() if n not in gone},
            )
            x = {n: values for n, values in case.x.items() if n != name and not n.startswith(f"{name}.")}
            left_out = tuple(p for p in case.left_out if not p.startswith(f"{name}/"))
            tried_case = Case(graph, contract, x, left_out)
            if x and tried(tried_case, folder).kind == bad.kind:
                case, shrinking = tried_case, True
    return case


def keep(case: Case, verdict: Verdict, where: Path, name: str) -> None:
    """A case as files, for a look and for `--replay`."""
    where.mkdir(parents=True, exist_ok=True)
    file_of(case, where / f"{name}.nir")
    np.savez(where / f"{name}.npz", **case.x)
    text = {"verdict": verdict.kind, "detail": verdict.detail, "contract": declared.text_of(case.contract)}
    (where / f"{name}.json").write_text(json.dumps(text, indent=2))


def kept(stem: Path) -> Case:
    """A case from its files; what a file leaves out is written out again."""
    contract = declared.parse(json.loads(stem.with_suffix(".json").read_text())["contract"])
    with np.load(stem.with_suffix(".npz")) as x:
        entering = {name: x[name] for name in x.files}
    return Case(nir.read(stem.with_suffix(".nir"), type_check=False), contract, entering)


@dataclass(slots=True)
class Table:
    """What came of all cases."""

    verdicts: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    unwritten: Counter[str] = field(default_factory=Counter)
    cells: int = 0
    cut: int = 0
    bad: list[tuple[int, Verdict]] = field(default_factory=list)

    def add(self, index: int, case: Case, verdict: Verdict) -> None:
        self.verdicts[verdict.kind] += 1
        self.features.update(set(features(case)))
        self.refusals.update(verdict.reasons)
        self.cells += verdict.cells
        self.cut += verdict.kind in ("exact", "close") and verdict.steps < len(next(iter(case.x.values())))
        if verdict.written:
            self.unwritten[verdict.written] += 1
        if verdict.bad:
            self.bad.append((index, verdict))

    def lines(self) -> Iterator[str]:
        total = self.verdicts.total()
        yield f"{total:,} graphs, {self.cells:,} values compared with the other interpreter"
        yield from _rows("verdict", self.verdicts)
        yield f"  {self.cut:,} of them compared up to a step where rounding decides"
        yield from _rows("read, written, read again", self.unwritten)
        yield from _rows("refused because", self.refusals)
        yield from _rows("held", self.features)
        for index, verdict in self.bad:
            yield f"{verdict.kind} --first {index} --graphs 1: {verdict.detail[:300]}"


def _rows(title: str, counts: Counter[str]) -> Iterator[str]:
    yield title
    yield from (f"  {count:>6,} {what}" for what, count in sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def case_of(seed: int, index: int) -> Case:
    """The case of a seed and a place."""
    return drawn(np.random.default_rng([seed, index]))


def main() -> int:
    """Print the table; 1 if anything was changed in silence, or crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=GRAPHS)
    parser.add_argument("--first", type=int, default=0, help="place of the first graph")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--torch", type=int, default=TORCH, help="one of so many also goes through torch; 0: none")
    parser.add_argument("--keep", type=Path, help="folder for cases that fail, as small as they get")
    parser.add_argument("--replay", type=Path, help="a case that was kept, without the ending of its files")
    options = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.replay:
            verdict = tried(kept(options.replay), folder)
            print(verdict.kind, verdict.detail)
            return int(verdict.bad)
        started = time.monotonic()
        for index in range(options.first, options.first + options.graphs):
            case = case_of(options.seed, index)
            with_torch = bool(options.torch) and index % options.torch == 0
            verdict = tried(case, folder, apart=index % APART == 0, torch=with_torch)
            table.add(index, case, verdict)
            if verdict.bad:
                print(f"{index}: {verdict.kind} {verdict.detail[:300]}", file=sys.stderr, flush=True)
                if options.keep:
                    keep(smaller(case, verdict, folder), verdict, options.keep, f"{options.seed}_{index}")
            if (index + 1) % 500 == 0:
                print(f"{index + 1}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(table.lines()))
    return int(bool(table.bad))


if __name__ == "__main__":
    sys.exit(main())
