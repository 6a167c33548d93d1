"""Write NEST's spikes of a small balanced network, which the tests compare ours with: `tests/backends/nest_spikes.npz`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from balanced import Balanced, draw, save
from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of

SMALL = Balanced(neurons=150, connectivity=0.2, seed=3, weight=0.3)
STEPS = 400
WORKER = Path(__file__).parent / "peers" / "recurrent" / "nest_worker.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("path", type=Path, help="file to write")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where peers are installed"
    )
    options = parser.parse_args()
    drawn = draw(SMALL)
    with tempfile.TemporaryDirectory() as folder:
        save(drawn, Path(folder))
        try:
            with Worker(python_of("nest", options.environments), "1", script=WORKER, threads=1) as nest:
                version = nest.ask("describe")["versions"]["nest-simulator"]
                nest.ask("build", case=folder, numbers=asdict(SMALL))
                nest.ask("run", steps=STEPS)
                nest.ask("spikes", path=str(Path(folder) / "spikes.npz"))
        except PeerError as error:
            print(error, file=sys.stderr)
            return 2
        with np.load(Path(folder) / "spikes.npz") as spikes:
            found = {"steps": spikes["steps"].astype(np.uint16), "neurons": spikes["neurons"].astype(np.uint16)}
    arrays = {name: getattr(drawn, name) for name in ("current", "initial")}
    # offsets and targets fit two bytes, weights are exact in single precision
    narrow = {"offsets": drawn.offsets.astype(np.uint16), "targets": drawn.targets.astype(np.uint8)}
    narrow["weights"] = drawn.weights.astype(np.float32)
    if not (narrow["weights"] == drawn.weights).all() or drawn.offsets[-1] >= 2**16:
        print("the network does not fit the types of the file", file=sys.stderr)
        return 2
    np.savez_compressed(options.path, **arrays, **narrow, **found, n_steps=STEPS, version=version)
    print(f"{len(found['steps'])} spikes of NEST {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
