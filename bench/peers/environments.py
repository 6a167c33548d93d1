"""Make the environments of the peers: `.peers/<group>`, from the pinned packages of `requirements/<group>.txt`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements")
GROUPS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
DONE = ".installed"
"""Copy of the requirements, written when all of them are installed."""


def make(group: str, folder: Path) -> None:
    """Make one environment; nothing is done if it is there with the same requirements."""
    wanted = REQUIREMENTS / f"{group}.txt"
    place = folder / group
    if (place / DONE).exists() and (place / DONE).read_bytes() == wanted.read_bytes():
        print(f"{group}: is there", file=sys.stderr)
        return
    print(f"{group}: installing into {place}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
    pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", wanted], check=True)
    shutil.copyfile(wanted, place / DONE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("groups", nargs="+", choices=GROUPS, help="which environments")
    parser.add_argument("--into", type=Path, default=ROOT / ".peers", metavar="DIR", help="folder of the environments")
    options = parser.parse_args()
    for group in options.groups:
        try:
            make(group, options.into)
        except subprocess.CalledProcessError as error:
            print(f"{group}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
