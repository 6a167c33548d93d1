"""`spikeport` without torch installed, played in a process of its own in which importing torch fails."""

import subprocess
import sys

from spikeport.version import __version__

# An entry of None makes `import torch` raise ModuleNotFoundError and find_spec("torch") answer None.
BLOCK = "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCK + code], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_block_works() -> None:
    done = run("import torch")
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_every_public_name_is_there() -> None:
    done = run("import spikeport\nassert spikeport.__all__\nfor name in spikeport.__all__: getattr(spikeport, name)")
    assert done.returncode == 0, done.stderr


def test_every_room_that_is_not_about_torch_imports() -> None:
    done = run("""
import importlib, pkgutil, spikeport
about_torch = ("spikeport.capture", "spikeport.backends.torch")
library = "spikeport.native.libspikeport_native"  # a plain C library that the import system takes for a module
def rooms(package):
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if found.name in about_torch or found.name == library:
            continue
        module = importlib.import_module(found.name)
        print(found.name)
        if found.ispkg:
            rooms(module)
rooms(spikeport)
""")
    assert done.returncode == 0, done.stderr
    assert {"spikeport.backends.reference", "spikeport.cli", "spikeport.convert"} <= set(done.stdout.split())


def test_the_command_line_says_its_version() -> None:
    done = run("sys.argv = ['spikeport', 'version']\nfrom spikeport.cli import main\nsys.exit(main())")
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


def test_a_program_for_torch_names_the_extra_that_is_missing() -> None:
    done = run("""
import numpy as np, spikeport as sp
from spikeport.errors import BackendError
from spikeport.primitives import *
ones = np.ones(1, dtype=np.int64)
network = SpikingNetwork(
    "net",
    InputEncoder("in", (1,), "static", np.ones(()), -7, 7),
    (Population("a", (1,), SignedIF(3 * ones, ones, ones, 0, 5)), Population("out", (1,), Accumulator(ones, 1.0))),
    (Connection("in", "a", (Dense(np.array([[2]])),)), Connection("a", "out", (Dense(np.array([[1]])),))),
    "out",
    ExecutionContract("signed", 3, 20, 24),
)
program = sp.compile(network, "torch")
for use in (lambda: sp.open(program), lambda: sp.simulate(network, np.ones((1, 1)), on="torch")):
    try:
        use()
    except BackendError as error:
        assert error.problems[0].hint == "pip install 'spikeport[torch]'", error
    else:
        raise AssertionError("torch was not missed")
with sp.open(sp.compile(network, "reference")) as session:
    assert session.run(np.ones((1, 1))).output.shape == (1, 1)
""")
    assert done.returncode == 0, done.stderr
