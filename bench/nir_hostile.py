"""Does a damaged .nir file ever harm its reader, or pass for what was written? Truncations and bit flips of our files and of others', and of
recordings (NIRData), which have no hash: those are refused, or are some recording that NIRData can hold."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import spikeport as sp
from spikeport.errors import DataError, FileError, NirError
from spikeport.nir import content
from spikeport.nir.storage import NIR, read_tree
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    DynamicRecording,
    ExecutionContract,
    InputEncoder,
    Population,
    Reshape,
    SignedIF,
    SpikeEvents,
    SpikingNetwork,
    SumPool,
)
from spikeport.storage.hdf5 import bounds_of
from spikeport.storage.hdf5_reader import opened

CHANGES = 5_000
SLOW = 20.0
"""Seconds after which a reading counts as a hang; a good file takes some hundredths of one."""
TYPED = (NirError, FileError)


def example(rng: np.random.Generator) -> SpikingNetwork:
    """Convolution, pooling, and a dense read-out: metadata, edges, packed numbers and short ones."""

    def signed(shape: tuple[int, ...]) -> SignedIF:
        compact = (shape[0], *(1,) * (len(shape) - 1))
        return SignedIF(
            rng.integers(2, 25, compact), rng.integers(0, 4, compact), rng.integers(-30, 31, compact), -2, 7
        )

    conv = Conv(rng.integers(-6, 7, (4, 2, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    pool = SumPool((2, 2), (2, 2), ((0, 0), (0, 0)))
    return SpikingNetwork(
        name="example",
        input=InputEncoder("in", (2, 8, 8), "static", np.asarray(0.05), -40, 40),
        populations=(
            Population("conv", (4, 8, 8), signed((4, 8, 8))),
            Population("out", (10,), Accumulator(rng.integers(-6, 7, 10), 0.25)),
        ),
        connections=(
            Connection("in", "conv", (conv,)),
            Connection("conv", "out", (pool, Reshape((64,)), Dense(rng.integers(-6, 7, (10, 64))))),
        ),
        output="out",
        contract=ExecutionContract("signed", 4, 100, 24),
    )


def changed(original: bytes, rng: np.random.Generator) -> bytes:
    """One to three flipped bits, or the file cut anywhere; half of the flips in the bytes that are not zero."""
    kind = rng.integers(4)
    if kind == 0:
        return original[: rng.integers(len(original))]
    places: Any = np.arange(len(original)) if kind == 1 else np.flatnonzero(np.frombuffer(original, np.uint8))
    result = bytearray(original)
    for place in rng.choice(places, rng.integers(1, 4), replace=False):
        result[place] ^= 1 << int(rng.integers(8))
    return bytes(result)


class Trial:
    """Reads changed versions of one file, and says what came of each."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.original = path.read_bytes()
        self.ours = content.KEY in read_tree(path).get("node", {}).get("metadata", {})
        self.digest = _digest(read_tree(path))
        self.network = sp.from_nir(path) if self.ours else None
        self.path = folder / "changed.nir"

    def outcome(self, data: bytes) -> str:
        """One of the lines of the table; those in capitals must not occur."""
        self.path.write_bytes(data)
        started = time.monotonic()
        same = None
        try:
            tree = read_tree(self.path)
            same = _digest(tree) == self.digest
            network = sp.from_nir(self.path)
        except TYPED:
            found = (
                "refused"
                if same is None
                else "refused: same content, other bytes"
                if same
                else "other content: refused"
            )
        except Exception as error:
            found = f"UNTYPED {type(error).__name__}"
        else:
            alike = self.network is not None and _network_digest(network) == _network_digest(self.network)
            found = "same content: same network" if same and alike else "ANOTHER CONTENT TAKEN FOR WHAT WAS WRITTEN"
        if not self.ours and same is not None and found.startswith(("refused", "other")):
            found = "read: same content" if same else "read: other content, which nothing declares"
        return "HANG" if time.monotonic() - started > SLOW else found


def _digest(tree: Mapping[str, Any]) -> str:
    node = tree.get("node")
    metadata = node.get("metadata", {}) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(metadata, dict):
        return ""
    seal = metadata.get(content.KEY)
    return content.digest({**tree, "node": {**node, "metadata": metadata}}) + str(seal)


def _network_digest(network: SpikingNetwork | None) -> str:
    from spikeport.nir import contract

    assert network is not None
    return contract.digest(network) + repr(network.ledger) + repr(network.contract)


def hostile(files: list[Path], changes: int, folder: Path, seed: int) -> tuple[Counter[str], Counter[str]]:
    """What came of the changes, spread over the files: of ours, and of others'."""
    rng = np.random.default_rng(seed)
    ours: Counter[str] = Counter()
    foreign: Counter[str] = Counter()
    trials = [Trial(path, folder) for path in files]
    for index in range(changes):
        trial = trials[index % len(trials)]
        (ours if trial.ours else foreign)[trial.outcome(changed(trial.original, rng))] += 1
    return ours, foreign


def recording(path: Path, rng: np.random.Generator) -> None:
    """Events with values and without, and both kinds of grids."""
    raster = rng.random((2, 40, 6)) < 0.2
    samples, steps, neurons = np.nonzero(raster)
    kinds = {
        "single": SpikeEvents(samples, steps, neurons, (6,), 40, 2, 1e-3),
        "multi": SpikeEvents(samples, steps, neurons, (6,), 40, 2, 1e-3, rng.integers(2, 9, len(steps))),
    }
    potentials = {"single": rng.normal(size=(40, 2, 6)), "fired": raster.transpose(1, 0, 2)}
    sp.write_nirdata(DynamicRecording(40, {}, kinds, potentials), path)


def hostile_recordings(path: Path, changes: int, folder: Path, seed: int) -> Counter[str]:
    """What came of the changes of a recording."""
    rng = np.random.default_rng(seed)
    original, changed_path = path.read_bytes(), folder / "changed.nird"
    counts: Counter[str] = Counter()
    for _ in range(changes):
        changed_path.write_bytes(changed(original, rng))
        started = time.monotonic()
        try:
            read = sp.read_nirdata(changed_path)
        except (DataError, FileError):
            found = "refused"
        except Exception as error:
            found = f"UNTYPED {type(error).__name__}"
        else:
            try:
                read.recording(1e-3)
                found = "read"
            except DataError:
                found = "read, and refused as a recording"
            except Exception as error:
                found = f"UNTYPED {type(error).__name__} as a recording"
        counts["HANG" if time.monotonic() - started > SLOW else found] += 1
    return counts


def cost(folder: Path, megabytes: int) -> list[str]:
    """Reading beside reading in the same process, in alternation: medians."""
    small, packed, plain = folder / "small.nir", folder / "packed.nir", folder / "plain.nir"
    sp.to_nir(example(np.random.default_rng(0)), small)
    numbers = np.random.default_rng(0).integers(-100, 100, (megabytes, 2**18)).astype("f4")
    with h5py.File(plain, "w") as file:
        file["weight"] = numbers
    with h5py.File(packed, "w") as file:
        file.create_dataset("weight", data=numbers, compression="gzip")
    del numbers
    lines = []
    for path, name, times in (
        (small, "small", 15),
        (packed, f"{megabytes} MB, packed", 3),
        (plain, f"{megabytes} MB, plain", 5),
    ):
        pairs = [(_seconds(_direct, path), _seconds(read_tree, path)) for _ in range(times)]
        here, apart = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        lines.append(f"{name:>20}: {here:.4f} s in this process, {apart:.4f} s by another, {ratio:.2f} times as long")
    return lines


def _direct(path: Path) -> dict[str, Any]:
    """The same reader without a process of its own."""
    with opened(path, bounds_of(path.stat().st_size, NIR)) as tree:
        return {
            name: np.concatenate(list(item.blocks())) if hasattr(item, "blocks") and item.shape else item
            for name, item in tree.items()
        }


def _seconds(read: Callable[[Path], object], path: Path) -> float:
    started = time.perf_counter()
    read(path)
    return time.perf_counter() - started


def main() -> int:
    """Print the table; 1 if anything in it must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--foreign", type=Path, help="folder of .nir files that other tools wrote")
    parser.add_argument("--changes", type=int, default=CHANGES, help="of our files, and as many of others'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cost", action="store_true", help="measure what the process of its own costs instead")
    parser.add_argument("--megabytes", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.cost:
            print("\n".join(cost(folder, options.megabytes)))
            return 0
        sp.to_nir(example(np.random.default_rng(options.seed)), folder / "ours.nir")
        groups = {"ours": [folder / "ours.nir"]}
        if options.foreign:
            groups["foreign"] = sorted(options.foreign.rglob("*.nir"))
        failed = False
        for group, files in groups.items():
            ours, foreign = hostile(files, options.changes, folder, options.seed)
            counts = ours + foreign
            print(f"{group}: {counts.total():,} changes of {len(files)} files")
            for outcome, count in sorted(counts.items()):
                print(f"  {count:>6,} {outcome}")
                failed |= outcome.split()[0].isupper()
        recording(folder / "ours.nird", np.random.default_rng(options.seed))
        counts = hostile_recordings(folder / "ours.nird", options.changes, folder, options.seed)
        print(f"recordings: {counts.total():,} changes of 1 file")
        for outcome, count in sorted(counts.items()):
            print(f"  {count:>6,} {outcome}")
            failed |= outcome.split()[0].isupper()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
