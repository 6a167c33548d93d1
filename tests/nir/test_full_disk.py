"""A disk that is full at any byte of a file leaves the old file and an error; the library of HDF5 would crash."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
from spikeport.errors import FileError
from spikeport.nir import from_nir, to_nir
from tests.nir.networks import residual

path = Path(sys.argv[1])
network = residual(np.random.default_rng(0))
to_nir(network, path)
old = path.read_bytes()
for limit in [*range(0, len(old), 4001), len(old) - 1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        to_nir(network, path)
    except FileError as error:
        assert "File too large" in str(error), error
    else:
        raise AssertionError(limit)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]
resource.setrlimit(resource.RLIMIT_FSIZE, (len(old), resource.RLIM_INFINITY))
to_nir(network, path)
assert path.read_bytes() == old
from_nir(path)
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not limit the size of files")
def test_a_full_disk_leaves_the_old_file_and_an_error(tmp_path):
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "network.nir")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
