"""What is installed, what works, and what to do about the rest.

Packages of others are imported in processes of their own, which may crash, hang or leave without harm. A backend is well if it compiles
and runs a network whose answers were worked out by hand.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from spikeport.errors import BackendError, LowerError, NativeError, Problem, SpikeportError

State = Literal["ok", "note", "missing", "broken"]
OLDEST_PYTHON = (3, 11)
PATIENCE = 120
"""Seconds until a process that imports something of others is given up."""
GIB = 2**30
LITTLE_DISK, LITTLE_MEMORY = GIB, GIB
"""Bytes below which a model of millions of weights is not converted."""
TORCH = (
    "import json, torch; c = torch.cuda.is_available(); "
    "print(json.dumps([torch.__version__, torch.version.cuda, [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if c else []]))"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """For example "backend torch"."""
    state: State
    """"ok"; "note": worth knowing; "missing": is not there, and is not needed by what is; "broken": is there, and does not work."""
    says: str
    fix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for machines: JSON values."""


def diagnose(
    points: Sequence[metadata.EntryPoint] | None = None,
) -> tuple[tuple[str, Callable[[], list[Finding]]], ...]:
    """What there is to look at, by name; each is looked at when it is called.

    Args:
        points: entry points of backends; by default those of this environment.
    """
    from spikeport.plugin import installed

    names = sorted(installed(points))
    return (
        ("python", _python),
        ("processor", _processor),
        ("native library", _native),
        ("torch", _torch),
        *((f"backend {name}", lambda name=name: [_backend(name)]) for name in names),
        ("packages", _packages),
        ("disk and memory", _room),
    )


def _python() -> list[Finding]:
    text = f"{platform.python_version()} ({platform.python_implementation()}, {sys.platform})"
    facts = {"version": platform.python_version(), "executable": sys.executable}
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if sys.version_info < OLDEST_PYTHON:
        return [Finding("python", "broken", f"{text} is too old", f"use Python {wanted} or newer", facts)]
    return [Finding("python", "ok", text, facts=facts)]


def _processor() -> list[Finding]:
    from spikeport import native

    threads = native.default_threads()
    facts: dict[str, Any] = {"machine": platform.machine(), "threads": threads}
    if not native.available():
        return [Finding("processor", "ok", f"{platform.machine()}, {threads} threads", facts=facts)]
    facts["levels"] = list(native.levels())
    text = f"{platform.machine()}, {threads} threads; kernels for {native.level()}"
    return [Finding("processor", "ok", text, facts=facts)]


def _native() -> list[Finding]:
    from spikeport import native

    if native.available():
        return [Finding("native library", "ok", "loaded")]
    try:
        native.library()
    except NativeError as error:
        (problem,) = error.problems
        return [Finding("native library", "missing", problem.why, problem.hint)]
    raise AssertionError("unreachable")


def _torch() -> list[Finding]:
    version = _version("torch")
    if version is None:
        fix = "pip install 'spikeport[torch]'"
        return [Finding("torch", "missing", "is not installed; convert and the torch backend need it", fix)]
    code, out, err = _python_process(["-c", TORCH])
    if code != 0:
        why = f"{version} cannot be imported: {_last(err) or _ended(code)}"
        return [
            Finding("torch", "broken", why, "pip install --force-reinstall 'spikeport[torch]'", {"version": version})
        ]
    found, cuda, devices = json.loads(out.splitlines()[-1])
    facts = {"version": found, "cuda": cuda, "devices": devices}
    if devices:
        return [Finding("torch", "ok", f"{found}, CUDA {cuda}: {', '.join(devices)}", facts=facts)]
    if cuda is not None:
        why = f"{found} was built for CUDA {cuda}, and finds no GPU"
        return [
            Finding(
                "torch", "note", why, "install the driver of the GPU, or go on without: results are the same", facts
            )
        ]
    return [Finding("torch", "ok", f"{found}, without CUDA", facts=facts)]


def _backend(name: str) -> Finding:
    """One backend, tried in a process of its own."""
    what = f"backend {name}"
    code, out, err = _python_process(["-m", "spikeport.doctor", name])
    try:
        return Finding(what, **json.loads(out.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        why = f"cannot be tried: {_last(err) or _ended(code)}"
        return Finding(what, "broken", why, f"spikeport --debug targets {name}, and report it to whoever brings it")


def tried(name: str) -> Finding:
    """A backend loaded, and run where it carries the trial network in some code; in this process."""
    from spikeport.plugin import backend, installed

    what = f"backend {name}"
    claims = installed()[name]
    facts: dict[str, Any] = {
        "distribution": [f"{c.distribution} {c.version}" for c in claims],
        "place": claims[0].place,
    }
    try:
        found = backend(name)
    except SpikeportError as error:
        return _failed(what, "is installed, and cannot be used", error, facts)
    facts |= {"version": found.version, "targets": [t.name for t in found.targets]}
    try:
        code = _carried(name)
    except SpikeportError as error:
        return _failed(what, f"{found.version} does not run", error, facts)
    if code is None:
        return Finding(
            what,
            "note",
            f"{found.version}, loaded; it carries the trial network in no code, so nothing was run",
            "",
            facts,
        )
    facts["code"] = code
    return Finding(what, "ok", f"{found.version}, runs a trial network right ({code} code)", "", facts)


def _failed(what: str, doing: str, error: SpikeportError, facts: Mapping[str, Any]) -> Finding:
    problem = error.problems[0]
    missing = isinstance(error, NativeError) or "not installed" in problem.why
    return Finding(what, "missing" if missing else "broken", f"{doing}: {problem.why}", problem.hint, facts)


def _carried(name: str) -> str | None:
    """The first code in which a backend carries the trial network, and gives the right integers; None: none.

    Raises:
        BackendError: it gives others, or cannot be opened.
        SpikeportError: it cannot be run.
    """
    import numpy as np

    from spikeport.backends.opening import open_program
    from spikeport.codes import CODES, encode
    from spikeport.compile import compile

    integer, x, answers = trial_network()
    for code in CODES:
        try:
            with open_program(compile(encode(integer, code), name, progress=False)) as session:
                read = np.asarray(session.run(x).output).tolist()  # type: ignore[union-attr]  # a converted one
        except LowerError:
            continue
        if read != answers:
            why = f"gives {read} for a network ({code} code) that gives {answers}"
            raise BackendError(Problem(name, why, "report it to whoever brings it"))
        return code
    return None


def trial_network() -> tuple[Any, Any, list[list[float]]]:
    """Integers of two layers, what enters, and what comes out, worked out by hand: counts are floor(sum / threshold), 0 to 3.

    [3, 1]: sums 3 + 1 = 4, 3 - 1 = 2, counts 4 // 2 = 2 and 2 // 1 = 2, output 2 + 2 = 4 and 2 - 2 = 0;
    [0, 3]: 3, -3: 1, 0: 1, 1;  [3, 3]: 6, 0: 3, 0: 3, 3.
    """
    import numpy as np

    from spikeport.primitives import Connection, Dense, InputEncoder
    from spikeport.quantize import CountLayer, IntegerNetwork, Readout

    one, none = np.ones((), np.float64), np.zeros(2, np.int64)
    source = InputEncoder("input", (2,), "static", one, 0, 3)
    layer = CountLayer("layer", (2,), np.array([2, 1]), none, none, low=0, high=3, scale=one)
    matrix = np.array([[1, 1], [1, -1]])
    connections = (Connection("input", "layer", (Dense(matrix),)), Connection("layer", "output", (Dense(matrix),)))
    integer = IntegerNetwork(source, (layer, Readout("output", (2,), none, 1.0)), connections, 4, 16)
    x = np.array([[3, 1], [0, 3], [3, 3]], dtype=np.float64)
    return integer, x, [[4.0, 0.0], [1.0, 1.0], [3.0, 3.0]]


def _packages() -> list[Finding]:
    """Those of others that spikeport works with, and known conflicts among them."""
    found = list(_conflicts(_version, _samna_is_a_stub))
    return found or [Finding("packages", "ok", "no known conflict")]


def _conflicts(version: Callable[[str], str | None], samna_is_a_stub: Callable[[], bool]) -> Iterator[Finding]:
    numpy, nir, nirtorch, sinabs = (_numbers(version(name)) for name in ("numpy", "nir", "nirtorch", "sinabs"))
    apart = (
        "keep them in environments of their own; `spikeport nir probe sinabs --python PYTHON` reaches into another one"
    )
    if sinabs and nir and nir > (1, 0, 4):
        why = f"sinabs {version('sinabs')} reads no spiking NIR file with nir {version('nir')}: it was written for nir 1.0.4"
        yield Finding("sinabs", "note", why, apart)
    if sinabs and nirtorch and nirtorch >= (2, 6):
        why = f"sinabs {version('sinabs')} wants nir 1.0.4 at most, and nirtorch {version('nirtorch')} 1.0.6 at least"
        yield Finding("nirtorch", "note", why, apart)
    if nir and nir < (1, 0, 6):
        yield Finding("nir", "broken", f"{version('nir')} is too old", "pip install 'nir>=1.0.6'")
    if numpy and numpy < (1, 26):
        yield Finding("numpy", "broken", f"{version('numpy')} is too old", "pip install 'numpy>=1.26'")
    brian = _numbers(version("brian2"))
    if brian and brian < (2, 10) and numpy and numpy >= (2, 4):
        why = f"brian2 {version('brian2')} cannot be imported with numpy {version('numpy')}"
        yield Finding("brian2", "note", why, "pip install 'numpy<2' in an environment of its own")
    if _numbers(version("nengo-loihi")) and numpy and numpy >= (2,):
        why = f"nengo-loihi {version('nengo-loihi')} fails with numpy {version('numpy')}"
        yield Finding(
            "nengo-loihi",
            "note",
            why,
            "pip install nengo-loihi==1.1.0 nengo==3.2.0 numpy==1.23.5 in an environment of its own",
        )
    if version("samna") and samna_is_a_stub():
        why = "is the stub of the package index: importing it starts an installation from another server, and fails"
        yield Finding("samna", "note", why, "pip uninstall samna; spikeport never imports it to look")


def _samna_is_a_stub() -> bool:
    files = metadata.files("samna") or []
    return not any(path.suffix in (".so", ".pyd", ".dylib") for path in files)


def _room() -> list[Finding]:
    found = []
    for what, folder in (("disk here", Path.cwd()), ("disk for temporary files", Path(tempfile.gettempdir()))):
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            found.append(Finding(what, "broken", f"cannot be looked at: {error.strerror}", "go to another folder"))
            continue
        fix = "" if free >= LITTLE_DISK else "free some: models of millions of weights take hundreds of MB"
        found.append(Finding(what, "note" if fix else "ok", f"{free / GIB:.1f} GiB free", fix, {"free": free}))
        if not os.access(folder, os.W_OK):
            found.append(Finding(what, "note", "may not be written to", "give paths elsewhere for what is written"))
    memory = _available_memory()
    if memory is None:
        found.append(Finding("memory", "ok", "how much is available, this system does not tell"))
        return found
    fix = "" if memory >= LITTLE_MEMORY else "close other programs, or convert with smaller batches"
    found.append(
        Finding("memory", "note" if fix else "ok", f"{memory / GIB:.1f} GiB available", fix, {"available": memory})
    )
    return found


def _available_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str | None) -> tuple[int, ...]:
    """The release of a version as numbers; nothing of what is not installed.

    >>> _numbers("2.13.0+cpu")
    (2, 13, 0)
    """
    match = re.match(r"\d+(\.\d+)*", version or "")
    return tuple(map(int, match[0].split("."))) if match else ()


def _python_process(words: Sequence[str]) -> tuple[int | None, str, str]:
    """Exit code (None: it did not end), standard output and standard error of a Python."""
    try:
        ended = subprocess.run(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        return None, "", ""
    except OSError as error:
        return 1, "", str(error)
    return ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""


def _ended(code: int | None) -> str:
    if code is None:
        return f"it did not end within {PATIENCE} s"
    return f"the process ended with signal {-code}" if code < 0 else f"the process ended with exit code {code}"


def main(words: Sequence[str]) -> int:
    """Try one backend, and print the finding."""
    found = tried(words[0])
    sys.stdout.write(
        json.dumps({"state": found.state, "says": found.says, "fix": found.fix, "facts": dict(found.facts)})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
