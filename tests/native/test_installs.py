"""What `pip install` gives with a compiler and without one."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.native.test_loader import COMPILER

pytest.importorskip("scikit_build_core", reason="needs the build backend")
ROOT = Path(__file__).parents[2]
ASK = "from spikeport import native; from spikeport.targets import target_names; print(native.why_missing() or native.levels(), target_names())"


def installed(folder: Path, **environment: str) -> tuple[str, str]:
    """Build a wheel, unpack it, and ask what it has: (what the build said, what the package says)."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--verbose"]
    command += ["-C", f"build-dir={folder / 'build'}", "--wheel-dir", str(folder), str(ROOT)]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
        assert not [name for name in archive.namelist() if "csrc" in name]
    # without site: no link to the source tree, where the package may be installed for editing
    environment |= {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(Path(np.__file__).parents[1])])}
    asked = [sys.executable, "-S", "-P", "-c", ASK]
    found = subprocess.run(asked, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    assert "'loihi2'" in found.stdout  # the catalog of targets is there
    return built.stdout + built.stderr, found.stdout


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler on this machine")
def test_with_a_compiler_the_native_kernels_are_there(tmp_path: Path) -> None:
    _, found = installed(tmp_path, **os.environ)
    assert "portable" in found


def test_without_a_compiler_it_installs_and_says_what_is_missing(tmp_path: Path) -> None:
    tools = Path(sys.executable).parent  # cmake and ninja are here; compilers are not
    said, found = installed(tmp_path, PATH=str(tools), HOME=str(tmp_path))
    assert "no C++ compiler was found" in " ".join(said.split())
    assert "was not built" in found
