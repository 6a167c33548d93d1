"""The comparison with peers: cases, their plain stepper, their wiring in torch, and the talk with workers."""

import argparse
import importlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport import native
from spikeport.quantize import evaluate

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
    case = small_residual_case() if name == "resnet" else event_case()

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


@cache
def event_case() -> Any:
    cases = module("cases")
    return cases.nmnist_cnn(cases.random_events(2, steps=4, activity=0.05))


@cache
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
    for case, wanted in ((small_residual_case(), 0.1), (event_case(), 0.05)):
        assert module("plain").step(case).activity(case) == pytest.approx(wanted, rel=0.2)
        for layer in case.layers:
            assert layer.threshold % 4 == 2
            assert not (layer.bias % 2).any()
            assert all(not (i.weight % 2).any() for i in layer.inflows if i.weight is not None)
            assert layer.gain & (layer.gain - 1) == 0


def test_the_networks_have_the_sizes_they_are_called_by(peers: Any) -> None:
    pytest.importorskip("torch")
    case = event_case()
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


def test_our_networks_are_the_case_unit_for_unit(peers: Any) -> None:
    pytest.importorskip("torch")
    ours, plain = module("ours"), module("plain")
    for case in (small_residual_case(), event_case()):
        expected = plain.step(case)
        for on in ("reference", "native") if native.available() else ("reference",):
            run, _ = ours.stepper(ours.spiking_network(case), case.input, threads=2, on=on)
            found = ours.counts(run(), case.batch)
            assert expected.differing(found) == (case.batch * case.neurons, 0)
            np.testing.assert_array_equal(found.readout, expected.readout)


def test_one_pass_gives_the_counts_of_units_under_a_constant_current(peers: Any) -> None:
    pytest.importorskip("torch")
    ours, case = module("ours"), small_residual_case()
    network = ours.integer_network(case)
    x = case.input.astype(np.float32)
    expected: dict[str, Any] = {}
    readout = evaluate(network, x, visit=lambda layer, counts: expected.__setitem__(layer.name, counts))
    found: dict[str, Any] = {}
    evaluator, _ = ours.exact_evaluator(network, threads=2)
    np.testing.assert_array_equal(evaluator(x, lambda layer, counts: found.__setitem__(layer.name, counts)), readout)
    for name, counts in expected.items():
        np.testing.assert_array_equal(found[name], counts)
    np.testing.assert_array_equal(expected["stem"], module("plain").step(case).layers["stem"])


FAKE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from peers import case, plain
from peers.protocol import serve

held = {}

def build(case):
    held["case"] = sys.modules["peers.case"].load(case)
    return {"way": "as it is", "seconds": float(sys.argv[3])}

def count(path):
    counts = plain.step(held["case"])
    layers = {f"layer {name}": value for name, value in counts.layers.items()}
    layers["layer stem"] = layers["layer stem"] + (sys.argv[2] == "norse")
    np.savez(path, readout=counts.readout, **layers)
    return {}

serve({
    "describe": lambda: {"versions": {sys.argv[2]: "1.0"}},
    "build": build,
    "time": lambda times: {"seconds": [float(sys.argv[3])] * times},
    "count": count,
})
"""


def test_a_contest_finds_the_best_peer_and_what_differs(
    peers: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Workers that only say how long they take; one of them counts wrongly."""
    pytest.importorskip("torch")
    contest, protocol = module("contest"), module("protocol")
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    seconds = {"snntorch": "9", "sinabs": "2", "norse": "2.5"}

    def worker(python: Path, name: str, **options: Any) -> Any:
        return protocol.Worker(
            Path(sys.executable), str(ROOT / "bench"), name, seconds[name], script=script, threads=options["threads"]
        )

    monkeypatch.setattr(contest, "Worker", worker)
    monkeypatch.setattr(contest, "python_of", lambda group, folder: tmp_path)
    options = contest.parser("", rounds=3).parse_args([])
    case = small_residual_case()
    expected = module("plain").step(case.first(2))
    result = contest.contest(options, case, lambda: None, names=tuple(seconds), expected=expected, turn=0.001)
    assert result.best.name == "sinabs"
    assert [(s.name, len(s.seconds)) for s in result.standings] == [("snntorch", 0), ("sinabs", 3), ("norse", 3)]
    assert result.best.ratios == [2 / ours for ours in result.best.ours]
    stem = 2 * 4 * 8 * 8
    assert {name: wrong for name, (_, wrong) in result.differing.items()} == {"snntorch": 0, "sinabs": 0, "norse": stem}
    assert "snntorch (as it is): 9.00 s, not a contender" in result.lines()


def answered(name: str, **options: Any) -> Any:
    """What a command finds when the best peer takes a second a run, and ours a tenth."""
    command = importlib.import_module(name)
    contest = module("contest")
    standing = contest.Standing("sinabs", {"sinabs": "3"}, "planes", 1.0, [1.0, 1.1, 0.9], [0.1, 0.1, 0.1])
    given = contest.parser("", rounds=3).parse_args([])
    for option, value in options.items():
        setattr(given, option, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contest, "contest", lambda *_, **__: contest.Result((standing,), {}))
        patch.setattr(module("cases"), "resnet18", lambda batch, steps=16: small_residual_case())
        return command.measure(given)


@pytest.mark.skipif(not native.available(), reason="no native library: " + native.why_missing())
def test_one_pass_against_stepped_is_missed_below_what_is_required(peers: Any) -> None:
    pytest.importorskip("torch")
    common = {"batch": 3, "steps": 6, "turn": 1.0}
    found = answered("onepass", at_least=9.5, **common)
    assert (found.misses, found.values["one_pass_against_stepped"], found.values["differing"]) == ((), [9, 10, 11], 0)
    assert found.values["stepped_against_stepped"] == [9, 10, 11]
    assert answered("onepass", at_least=10.5, **common).misses == ("one pass against stepped: 10.0, required 10.5",)


@pytest.mark.skipif(not native.available(), reason="no native library: " + native.why_missing())
def test_stepping_is_missed_below_what_is_required_or_when_a_count_differs(
    peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    stepwise = importlib.import_module("stepwise")
    common = {"questions": ["resnet18-1"], "on": "native", "turn": 1.0}
    assert answered("stepwise", **common).misses == ()
    monkeypatch.setitem(stepwise.QUESTIONS, "resnet18-1", stepwise.Question("resnet18", 1, 10.5))
    assert answered("stepwise", **common).misses == ("resnet18-1: ratio 10.00, required 10.5",)
    ours = module("ours")
    right = ours.counts

    def wrong(recording: Any, samples: int) -> Any:
        found = right(recording, samples)
        stem = found.layers["stem"].copy()
        stem[0, 0, 0, 0] += 1
        return module("plain").Counts({**found.layers, "stem": stem}, found.readout)

    monkeypatch.setattr(ours, "counts", wrong)
    assert answered("stepwise", **common).misses[1].startswith("resnet18-1: 1 of ")


@pytest.mark.skipif(not native.available(), reason="no native library: " + native.why_missing())
def test_packets_are_missed_when_they_take_longer_than_asked(peers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    packet = importlib.import_module("packet")
    monkeypatch.setattr(packet, "_frames", lambda options: (event_case().input, "a few events"))
    given = argparse.Namespace(data=None, packets=16, p50=1e9, p99=1e9, threads=1)
    found = packet.measure(given)
    assert (found.misses, found.values["packets"], found.values["differing"]) == ((), 16, 0)
    given.p50 = given.p99 = 0.0
    assert len(packet.measure(given).misses) == 2


def test_a_group_says_which_python_it_needs(peers: Any, tmp_path: Path) -> None:
    environments = module("environments")
    requirements = ROOT / "bench" / "peers" / "requirements"
    assert environments.needed(requirements / "lava.txt") == "3.10"
    assert environments.needed(requirements / "nest.txt") is None
    assert environments.alone(requirements / "nir_torch.txt") == ["sinabs==3.1.3"]
    assert environments.alone(requirements / "torch.txt") == []
    here = "{}.{}".format(*sys.version_info)
    assert environments.interpreter(None) == Path(sys.executable)
    assert environments.interpreter(here) == Path(sys.executable)
    with pytest.raises(environments.NoPythonError, match=r"needs Python 3\.10, and .*switched-off is no Python"):
        environments.interpreter("3.10", script(tmp_path / "switched-off", "exit 127"))
    with pytest.raises(environments.NoPythonError, match=r"needs Python 3\.10, and .*other is 3\.9"):
        environments.interpreter("3.10", script(tmp_path / "other", "echo 3.9"))
    given = script(tmp_path / "right", "echo 3.10")
    assert environments.interpreter("3.10", given) == given


def test_a_python_is_found_on_the_path_or_in_pyenv(peers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments = module("environments")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    with pytest.raises(environments.NoPythonError, match="there is none; name one with --python"):
        environments.interpreter("2.99")
    script(tmp_path / "bin" / "python2.99", "exit 127")
    in_pyenv = script(tmp_path / "pyenv" / "versions" / "2.99.1" / "bin" / "python", "echo 2.99")
    assert environments.interpreter("2.99") == in_pyenv
    named = script(tmp_path / "bin" / "python2.99", "echo 2.99")
    assert environments.interpreter("2.99") == named


def script(path: Path, does: str) -> Path:
    """A program that says something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return path


def test_a_worker_that_does_not_answer_in_time_is_ended(peers: Any, tmp_path: Path) -> None:
    protocol = module("protocol")
    sleeping = tmp_path / "sleeping.py"
    sleeping.write_text("import subprocess, sys\nsubprocess.run(['sleep', '1000'])\n")
    with (
        protocol.Worker(Path(sys.executable), script=sleeping, limit=0.2) as worker,
        pytest.raises(protocol.PeerError, match="ended with status -9"),
    ):
        worker.ask("anything")
