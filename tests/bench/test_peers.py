"""The comparison with peers: cases, their plain stepper, their wiring in torch, and the talk with workers."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

ANSWERING = """
import sys
sys.path.insert(0, sys.argv[1])
from peers.protocol import serve

def add(a, b):
    print("a library says something")
    return {"sum": a + b}

def fail():
    raise ValueError("no such case")

def leave():
    sys.exit(3)

serve({"add": add, "fail": fail, "leave": leave})
"""


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`bench/peers`, imported as the commands import it."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("peers")


def module(name: str) -> Any:
    return importlib.import_module(f"peers.{name}")


def small_case() -> Any:
    """Two layers of one unit each, the second with an identity: a table by hand."""
    case = module("case")
    one = np.full((1, 1, 1, 1), 2)
    first = case.Layer("a", (1, 1, 1), (case.Inflow("input", one),), np.array([0]), 10)
    second = case.Layer("b", (1, 1, 1), (case.Inflow("a", one), case.Inflow("a", None)), np.array([-2]), 6, gain=4)
    return case.Case("small", 5, np.full((1, 1, 1, 1), 3), True, (first, second), np.array([[7]]), 1)


def test_a_case_is_the_same_after_writing_and_reading(peers: Any, tmp_path: Path) -> None:
    case = module("case")
    made = small_case()
    case.save(made, tmp_path / "case.npz")
    found = case.load(tmp_path / "case.npz")
    assert (found.name, found.steps, found.static, found.pool, found.batch) == ("small", 5, True, 1, 1)
    assert [(layer.name, layer.shape, layer.threshold, layer.gain) for layer in found.layers] == [
        ("a", (1, 1, 1), 10, 1),
        ("b", (1, 1, 1), 6, 4),
    ]
    assert found.layers[1].inflows[1].weight is None
    np.testing.assert_array_equal(found.layers[1].inflows[0].weight, made.layers[1].inflows[0].weight)
    np.testing.assert_array_equal(found.input, made.input)
    assert (found.neurons, found.macs) == (2, 3)


def test_the_plain_stepper_follows_a_table(peers: Any) -> None:
    pytest.importorskip("torch")
    # a: v = 5 +6=11 fires 1; +6=7; +6=13 fires 3; +6=9; +6=15 fires 5
    # b: v = 3 +6-2=7 fires 1; -2=-1; +4=3; -2=1; +4=5
    found = module("plain").step(small_case())
    assert found.layers["a"].ravel().tolist() == [3]
    assert found.layers["b"].ravel().tolist() == [1]
    assert found.readout.tolist() == [[7]]
    assert found.activity(small_case()) == 4 / 10


@pytest.mark.parametrize("name", ["resnet", "events"])
def test_a_library_on_the_wiring_gives_the_counts_of_the_plain_stepper(peers: Any, name: str) -> None:
    torch = pytest.importorskip("torch")
    wiring = module("libraries.wiring")
    case = small_residual_case() if name == "resnet" else module("cases").nmnist_cnn(some_events())

    class Units(torch.nn.Module):
        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.threshold = layer.threshold / layer.gain
            self.v: Any = None

        def forward(self, current: Any) -> Any:
            self.v = (self.threshold / 2 if self.v is None else self.v) + current
            spikes = (self.v > self.threshold).float()
            self.v = self.v - self.threshold * spikes
            return spikes

    def go(made: Any, x: Any) -> Any:
        for units in made.neurons.values():
            units.v = None
        return wiring.step_by_step(case, made, x, made)

    network = wiring.Network(case, wiring.Wiring(case, Units), "channels last", go)
    expected = module("plain").step(case)
    for _ in range(2):  # state is fresh each time
        counts, readout = network.count()
        compared, differing = expected.differing(module("plain").Counts(counts, readout))
        assert (compared, differing) == (case.batch * case.neurons, 0)
        np.testing.assert_array_equal(readout, expected.readout)


def some_events() -> Any:
    return module("cases").random_events(2, steps=8, activity=0.05)


def small_residual_case() -> Any:
    cases = module("cases")
    build = cases._Builder(0.1, 0)
    build.begin(2 * build.rng.integers(-3, 4, (1, 3, 8, 8)), 6, static=True)
    build.layer("stem", 4, 1, biased=True)
    build.layer("one", 4, 1, biased=True, shortcut="stem")
    build.layer("two", 8, 2, biased=True)
    build.layer("three", 8, 1, biased=True, shortcut="one", shortcut_stride=2)
    return build.case("small residual", 2 * build.rng.integers(-3, 4, (3, 3, 8, 8)), pool=4)


def test_units_are_as_active_as_asked_and_never_meet_their_threshold(peers: Any) -> None:
    pytest.importorskip("torch")
    for case, wanted in ((small_residual_case(), 0.1), (module("cases").nmnist_cnn(some_events()), 0.05)):
        assert module("plain").step(case).activity(case) == pytest.approx(wanted, rel=0.2)
        for layer in case.layers:
            assert layer.threshold % 4 == 2
            assert not (layer.bias % 2).any()
            assert all(not (i.weight % 2).any() for i in layer.inflows if i.weight is not None)
            assert layer.gain & (layer.gain - 1) == 0


def test_the_networks_have_the_sizes_they_are_called_by(peers: Any) -> None:
    pytest.importorskip("torch")
    case = module("cases").nmnist_cnn(some_events())
    assert (case.macs, case.neurons) == (3_209_472, 32_928)
    short = module("cases").resnet18(2, steps=1)
    assert (short.macs, short.neurons, short.batch) == (555_422_720, 557_056, 2)


def test_a_worker_answers_whatever_its_library_prints(peers: Any, tmp_path: Path) -> None:
    protocol = module("protocol")
    script = tmp_path / "answering.py"
    script.write_text(ANSWERING)
    with protocol.Worker(Path(sys.executable), str(ROOT / "bench"), script=script) as worker:
        assert worker.ask("add", a=1, b=2) == {"sum": 3}
        with pytest.raises(protocol.PeerError, match="ValueError: no such case"):
            worker.ask("fail")
        assert worker.ask("add", a=2, b=2) == {"sum": 4}
        with pytest.raises(protocol.PeerError, match="ended with status 3"):
            worker.ask("leave")
        with pytest.raises(protocol.PeerError, match="ended with status 3"):
            worker.ask("add", a=1, b=1)


def test_an_environment_that_is_not_there_is_named_with_the_command_that_makes_it(peers: Any, tmp_path: Path) -> None:
    protocol = module("protocol")
    with pytest.raises(protocol.PeerError, match=r"environments\.py torch"):
        protocol.python_of("torch", tmp_path)
