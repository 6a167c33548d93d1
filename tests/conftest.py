"""How the tests run.

Without torch installed the suite still runs: a test module that needs it begins with
`torch = pytest.importorskip("torch")`.
"""

import os
import signal
import threading
from importlib.util import find_spec
from pathlib import Path

from hypothesis import settings

# a shell starts what runs in the background deaf to Ctrl-C, and so would be all that the tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("here", deadline=None)  # a slow machine is no failure
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

if "PYTEST_XDIST_WORKER" in os.environ and find_spec("torch"):
    import torch

    torch.set_num_threads(1)  # the workers already use every core

if (
    "SPIKEPORT_TEST_LIBRARY" in os.environ
):  # `make sanitize`: another build of the kernels than the one in the source tree
    from spikeport.native import loader

    loader.FOLDERS = (Path(os.environ["SPIKEPORT_TEST_LIBRARY"]),)
