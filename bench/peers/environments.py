"""Make the environments of the peers: `.peers/<group>`, from the pinned packages of `requirements/<group>.txt`.

A group whose packages need another Python says so in its first line: `# Python 3.10: why`. A package that would not go with the others
by what it says itself is installed after them: `# Without dependencies: sinabs==3.1.3 (why)`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements")
GROUPS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
DONE = ".installed"
"""Copy of the requirements, written when all of them are installed."""


class NoPythonError(Exception):
    """There is no Python of the version that a group needs."""


def needed(requirements: Path) -> str | None:
    """The version of Python that the first line of requirements asks for, such as "3.10"."""
    first = requirements.read_text(encoding="utf-8").split("\n", 1)[0]
    found = re.match(r"# Python (\d+\.\d+)\b", first)
    return found[1] if found else None


def alone(requirements: Path) -> list[str]:
    """Packages that are installed last, without what they ask for."""
    return re.findall(r"^# Without dependencies: (\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)


def interpreter(version: str | None, given: Path | None = None) -> Path:
    """A Python of a version: the one that is given, this one, `python<version>`, or pyenv's.

    Raises:
        NoPythonError: there is none, or the one that is given is another.
    """
    if version is None:
        return given or Path(sys.executable)
    if given is not None:
        if (found := _version(given)) != version:
            raise NoPythonError(f"needs Python {version}, and {given} is {found or 'no Python'}")
        return given
    named = shutil.which(f"python{version}")
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [Path(sys.executable), *([Path(named)] if named else [])]
    candidates += sorted(root.glob(f"{version}.*/bin/python"), reverse=True)
    for candidate in candidates:
        if _version(candidate) == version:
            return candidate
    raise NoPythonError(f"needs Python {version}, and there is none; name one with --python")


def _version(python: Path) -> str:
    """Such as "3.10"; empty where it does not run."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # pyenv leaves names of versions that are switched off
        return ""


def make(group: str, folder: Path, python: Path | None = None) -> None:
    """Make one environment; nothing is done if it is there with the same requirements.

    Raises:
        NoPythonError: there is no Python of the version that the group needs.
    """
    wanted = REQUIREMENTS / f"{group}.txt"
    place = folder / group
    if (place / DONE).exists() and (place / DONE).read_bytes() == wanted.read_bytes():
        print(f"{group}: is there", file=sys.stderr)
        return
    found = interpreter(needed(wanted), python)
    print(f"{group}: installing into {place}", file=sys.stderr)
    subprocess.run([found, "-m", "venv", "--clear", place], check=True)
    pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", wanted], check=True)
    if last := alone(wanted):
        subprocess.run([*pip, "--no-deps", *last], check=True)
    shutil.copyfile(wanted, place / DONE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("groups", nargs="+", choices=GROUPS, help="which environments")
    parser.add_argument("--into", type=Path, default=ROOT / ".peers", metavar="DIR", help="folder of the environments")
    parser.add_argument("--python", type=Path, help="the Python to make them with, where none is found")
    options = parser.parse_args()
    for group in options.groups:
        try:
            make(group, options.into, options.python)
        except (NoPythonError, subprocess.CalledProcessError) as error:
            print(f"{group}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
