"""Do facts of the catalog hold in the packages of the vendors? Constants that they declare, and what they map and compute when asked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of
from spikeport.targets import Target, find_target

MISSED, UNUSABLE = 1, 2
SCRIPT = Path(__file__).parent / "peers" / "chips" / "facts_worker.py"
GROUPS = ("akida", "lava", "nengo_loihi", "xylosim")


def differing(target: Target, found: dict[str, object]) -> list[str]:
    """Facts that the package sees otherwise."""
    lines = []
    for name, value in found.items():
        known = target.known(name)
        ours = sorted(known) if isinstance(known, frozenset) else list(known) if isinstance(known, tuple) else known
        if ours != value:
            lines.append(f"{target.name}: {name} is {value}, and the catalog says {ours}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", choices=GROUPS, action="append", help="environment to ask (all)")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="folder of the environments")
    options = parser.parse_args()
    wrong, asked = [], 0
    try:
        for group in options.group or GROUPS:
            with Worker(python_of(group, options.environments), group, script=SCRIPT) as worker:
                answer = worker.ask("facts")
            for chip, found in answer.items():
                lines = differing(find_target(chip), found)
                print(f"{chip}: {len(found) - len(lines)} of {len(found)} facts hold ({group})")
                wrong += lines
                asked += len(found)
    except PeerError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{asked - len(wrong)} of {asked} facts hold")
    return MISSED if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
