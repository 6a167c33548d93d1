"""One door to all backends that step, and the native session and its ways to end."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import spikeport as sp
from spikeport import codes, native
from spikeport.backends import reference, stepping
from spikeport.errors import DataError, Interrupted, NativeError, OptionError
from spikeport.native import loader
from spikeport.primitives import SpikingNetwork
from tests.integer_networks import random_input, random_network
from tests.recordings import assert_equal_recordings

ROOT = Path(__file__).parents[2]
needs_library = pytest.mark.skipif(not native.available(), reason=native.why_missing())


def static() -> tuple[SpikingNetwork, np.ndarray]:
    base = random_network(3, digits=True)
    return codes.encode(base, "signed"), random_input(base, 3)


def events(steps: int = 12, code: str = "signed") -> tuple[SpikingNetwork, np.ndarray]:
    base = random_network(4, kind="events", digits=True)
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 2, size=(steps, *base.input.shape))
    return codes.encode(base, code, steps=steps), bins


@pytest.mark.parametrize("on", [None, *stepping.BUILT_IN])
def test_every_backend_gives_the_same_recording(on: str | None) -> None:
    if on == "native" and not native.available():
        pytest.skip(native.why_missing())
    if on == "torch" and find_spec("torch") is None:
        pytest.skip("torch is not installed")
    network, x = static()
    expected = reference.simulate(network, x, record=None)
    assert_equal_recordings(sp.simulate(network, x, record=None, on=on), expected)


def test_without_the_library_the_reference_steps_and_a_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_loaded", lambda: "was not built when spikeport was installed")
    from spikeport.backends.native import plan as module

    monkeypatch.setattr(sys.modules[module.__module__], "_kept", type(sys.modules[module.__module__]._kept)())
    network, x = static()
    assert stepping.stepped_on(network) == "reference"
    assert_equal_recordings(sp.simulate(network, x), reference.simulate(network, x))
    with pytest.raises(NativeError, match="was not built"):
        sp.simulate(network, x, on="native")


def test_a_name_of_no_backend_is_refused() -> None:
    network, x = static()
    with pytest.raises(OptionError, match=r"on: 'gpu' is no backend.*\n.*native, pynn, reference, torch"):
        sp.simulate(network, x, on="gpu")  # type: ignore[arg-type]


@needs_library
def test_what_has_no_native_form_is_stepped_by_the_reference() -> None:
    """Weights before weights; no conversion makes them."""
    from dataclasses import replace

    from spikeport.primitives import Conv, OneToOne

    base = random_network(3, digits=True)
    index = next(i for i, c in enumerate(base.connections) if isinstance(c.weighted, Conv))
    twice = list(base.connections)
    twice[index] = replace(twice[index], synapses=(OneToOne(np.full((1, 1, 1), 2)), *twice[index].synapses))
    network = codes.encode(replace(base, connections=tuple(twice)), "signed")
    x = random_input(base, 3)
    assert stepping.stepped_on(network) == "reference"
    with pytest.raises(NativeError, match=r"has weights before its weights.*\n.*on=\"reference\""):
        sp.simulate(network, x, on="native")
    assert_equal_recordings(sp.simulate(network, x), reference.simulate(network, x))


@needs_library
@pytest.mark.parametrize("code", ["phased", "signed", "staircase"])
def test_packets_give_what_time_bins_give(code: str) -> None:
    from spikeport.backends.native import open_stepper

    network, bins = events(code=code)
    expected = reference.simulate(network, bins[:, None], record=None)
    scale = expected.output[0] / np.where(expected.readout[-1, 0] == 0, 1, expected.readout[-1, 0])
    for threads in (1, 2):
        with open_stepper(network, threads=threads) as session:
            for _ in range(2):  # the second sample begins as the first did
                for step in range(expected.n_steps):
                    output = session.step(bins[step].astype(np.uint8) if step < len(bins) else None)
                    assert np.allclose(output, expected.readout[step, 0] * scale.max())
                    assert session.fired == any(
                        t.raster[step].any() for n, t in expected.spikes.items() if n != network.output
                    )
                for name, counts in expected.counts.items():
                    assert np.array_equal(session.counts[name], counts[0])
                session.reset()


@needs_library
def test_a_packet_that_does_not_fit_is_refused() -> None:
    from spikeport.backends.native import open_stepper

    network, bins = events()
    with open_stepper(network) as session:
        with pytest.raises(DataError, match="has shape"):
            session.step(bins[0, :-1])
        with pytest.raises(DataError, match="whole numbers"):
            session.step(bins[0] - 0.5)
        with pytest.raises(DataError, match=f"holds {network.input.high + 1} events in one place"):
            session.step(np.full(network.input.shape, network.input.high + 1))
        session.reset()
        session.step(np.full(network.input.shape, network.input.high))
        with pytest.raises(DataError, match="since the last reset"):
            session.step(np.ones(network.input.shape))
        # nothing of a refused packet is kept, not even the places before the one that does not fit
        session.reset()
        broken = bins[0].astype(np.float64)
        broken.flat[:] = network.input.high
        broken.flat[-1] = 0.5
        with pytest.raises(DataError, match="whole numbers"):
            session.step(broken)
        outputs = [session.step(packet).copy() for packet in bins]
        session.reset()
        assert np.array_equal(outputs, [session.step(packet) for packet in bins])
        session.step(None)
        with pytest.raises(DataError, match="after the 12 packets"):
            session.step(np.ones(network.input.shape))
    with pytest.raises(OptionError, match="takes static input"):
        open_stepper(static()[0])


@needs_library
def test_a_closed_session_says_so() -> None:
    from spikeport.backends.native import open_stepper

    network, bins = events()
    session = open_stepper(network)
    session.close()
    session.close()
    for use in (lambda: session.step(bins[0]), session.reset, lambda: session.counts):
        with pytest.raises(NativeError, match="session: is closed"):
            use()


@needs_library
def test_a_thousand_sessions_leave_nothing() -> None:
    from spikeport.backends.native import open_stepper
    from spikeport.native.stepping import open_objects

    network, bins = events()

    def use(times: int) -> None:
        for i in range(times):
            session = open_stepper(network)
            session.step(bins[0])
            if i % 2:
                session.close()
            del session

    use(20)
    gc.collect()
    before, resident = open_objects(), _resident()
    use(1000)
    gc.collect()
    assert open_objects() == before
    if resident is not None:
        # a session of this network holds about 100 KiB: a thousand that leaked would be 100 MiB
        assert _resident() - resident < 20 * 2**20


def _resident() -> int | None:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else None


@needs_library
def test_threads_step_side_by_side() -> None:
    network, x = static()
    expected = reference.simulate(network, x, record=None)
    found: list[sp.Recording] = []

    def work() -> None:
        found.extend(sp.simulate(network, x, record=None, on="native") for _ in range(5))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 20
    for recording in found:
        assert_equal_recordings(recording, expected)


FORKING = """
import os, warnings
import numpy as np
import spikeport as sp
from tests.backends.test_stepping import static

warnings.simplefilter("ignore")  # that the process has threads is the point
network, x = static()
expected = sp.simulate(network, x, on="native").readout  # the parent has its pool of threads
child = os.fork()
same = np.array_equal(sp.simulate(network, x, on="native").readout, expected)
if child == 0:
    os._exit(0 if same else 1)
assert same
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@needs_library
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_steps_too() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_an_interruption_is_a_keyboard_interrupt_that_holds_what_was_finished() -> None:
    network, x = static()
    finished = reference.simulate(network, x[:2])
    error = pickle.loads(pickle.dumps(Interrupted(finished, 2, 3)))  # noqa: S301
    assert isinstance(error, KeyboardInterrupt)
    assert str(error) == "interrupted after 2 of 3 samples"
    assert error.done == 2
    assert_equal_recordings(error.finished, finished)


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import spikeport as sp
from spikeport.backends import reference
from spikeport.native.stepping import Run
from tests.backends.test_stepping import long_run

network, x = long_run()
begun, begin = threading.Semaphore(0), Run.begin

def counted(self, *args):
    begun.release()
    begin(self, *args)

Run.begin = counted
sent = []

def interrupt():
    for _ in range(4):  # some groups are finished, and one is in progress
        begun.acquire()
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    sp.simulate(network, x, on="native")
except sp.Interrupted as error:
    waited = time.monotonic() - sent[0]
    assert 0 < error.done < len(x), error.done
    expected = reference.simulate(network, x[:3])
    assert np.array_equal(error.finished.readout[-1][:3], expected.readout[-1])
    assert len(error.finished.quiet_after) == error.done
    assert waited < 30, waited  # a second is promised; the bound is for machines that do much else
else:
    sys.exit("was not interrupted")
"""


def long_run() -> tuple[SpikingNetwork, np.ndarray]:
    """Minutes of stepping."""
    base = random_network(1, layers=8, digits=True)
    network = codes.encode(base, "signed", steps=4000)
    return network, np.repeat(random_input(base, 1), 1_000, axis=0)


@needs_library
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_keeps_the_samples_that_were_finished() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
