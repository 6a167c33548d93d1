"""States as files: what comes out is what went in, other networks are refused by what differs, and files are not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.backends.hosts import NATIVE, REFERENCE
from spikeport.errors import ArchiveError, DataError, FileError, OptionError
from spikeport.plugin import SessionState
from spikeport.plugin.identity import identity
from spikeport.primitives import (
    IF,
    LIF,
    STDP,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedResonateAndFire,
    FixedSigmaDelta,
    OneToOne,
    Projection,
    SpikeInput,
)
from spikeport.storage import archive
from tests.states import assert_equal_states, opened

HOSTS = [REFERENCE, *([NATIVE] if native.available() else [])]


def network() -> DynamicNetwork:
    cells = DynamicPopulation("cortex/exc", (3,), LIF(tau=0.01, refractory=2e-3))
    after = DynamicPopulation("after", (2,), IF(threshold=2.0, r=1000))
    return DynamicNetwork(
        "plain",
        (SpikeInput("in", (2,)),),
        (cells, after),
        (
            Projection("in", "cortex/exc", (Dense(np.full((3, 2), 0.75)),), delay=1, plasticity=STDP(w_max=1.0)),
            Projection(
                "cortex/exc",
                "cortex/exc",
                (OneToOne(np.ones(3)),),
                delay=2,
                plasticity=STDP(w_max=1.0, delays="dendritic"),
            ),
            Projection("cortex/exc", "after", (Dense(np.ones((2, 3))),), delay=3),
            Projection("cortex/exc", "after", (Dense(np.full((2, 3), -0.25)),), bias=np.array([0.0, 1.0])),
        ),
        DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta"),
    )


def taken(net: DynamicNetwork, steps: int = 4) -> SessionState:
    with opened(REFERENCE, net) as session:
        session.reset(2)
        for _ in range(steps):
            session.step({"in": np.ones((2, 2), np.int64)})
        return session.snapshot()


@pytest.mark.parametrize("backend", HOSTS, ids=lambda b: b.name)
def test_a_session_goes_on_from_a_file(backend: Any, tmp_path: Path) -> None:
    net = network()
    spikes = {"in": np.ones((6, 2, 2), np.int64)}
    with opened(REFERENCE, net) as session:
        session.reset(2)
        session.advance(4, {"in": spikes["in"][:4]})
        path = sp.save_state(session.snapshot(), tmp_path / "here.sps", net)
        expected = session.advance(6, spikes)
    assert expected.spikes["cortex/exc"].any()
    loaded = sp.load_state(path, net)
    assert_equal_states(loaded, taken(net))
    with opened(backend, net) as other:
        other.restore(loaded)
        found = other.advance(6, spikes)
    for name, values in expected.potentials.items():
        assert np.array_equal(found.potentials[name], values)


def test_states_of_chips_and_infinities_go_through_a_file(tmp_path: Path) -> None:
    neurons = (FixedSigmaDelta(threshold=2, bias=1), FixedResonateAndFire(cos=3000, sin=2000, threshold=9))
    populations = tuple(DynamicPopulation(f"n{i}", (2,), neuron) for i, neuron in enumerate(neurons))
    projections = tuple(Projection("in", p.name, (OneToOne(np.array([2, 4])),), delay=1) for p in populations)
    chip = DynamicNetwork("chip", (SpikeInput("in", (2,)),), populations, projections, DynamicsContract.loihi("loihi2"))
    assert_equal_states(sp.load_state(sp.save_state(taken(chip), tmp_path / "a.sps", chip), chip), taken(chip))
    net = network()
    state = taken(net)
    v = np.array([[np.inf, np.nan], [-np.inf, -0.0]])
    state = replace(state, populations={**state.populations, "after": replace(state.populations["after"], v=v)})
    assert_equal_states(sp.load_state(sp.save_state(state, tmp_path / "b.sps", net)), state)


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    net = network()
    first, again = (sp.save_state(taken(net), tmp_path / name, net).read_bytes() for name in ("a.sps", "b.sps"))
    assert first == again


def neurons(net: DynamicNetwork, number: int, **fields: Any) -> DynamicNetwork:
    populations = list(net.populations)
    populations[number] = replace(populations[number], **fields)
    return replace(net, populations=tuple(populations))


def joined(net: DynamicNetwork, number: int, **fields: Any) -> DynamicNetwork:
    projections = list(net.projections)
    projections[number] = replace(projections[number], **fields)
    return replace(net, projections=tuple(projections))


OTHERS: dict[str, tuple[Callable[[DynamicNetwork], DynamicNetwork], str]] = {
    "another step": (
        lambda n: replace(n, contract=replace(n.contract, dt=2e-3)),
        "contract.dt: is 0.002.*, and was 0.001.* when the state was taken",
    ),
    "other neurons": (
        lambda n: neurons(n, 1, neuron=LIF(tau=0.01)),
        r"after: is LIF of shape \(2,\), and was IF of shape \(2,\) when the state was taken",
    ),
    "another contract of its own": (
        lambda n: neurons(n, 1, contract=replace(n.contract, compare=">=")),
        "after: is IF of shape .*compare='>='.*, and was IF of shape",
    ),
    "another parameter": (
        lambda n: neurons(n, 0, neuron=LIF(tau=0.01, refractory=2e-3, threshold=1.5)),
        "cortex/exc: has other numbers than when the state was taken",
    ),
    "another name": (lambda n: neurons_named(n, "last"), "last: is IF of shape .* and there was none"),
    "another weight": (
        lambda n: joined(n, 2, synapses=(Dense(np.full((2, 3), 1.5)),)),
        "cortex/exc -> after: has other numbers",
    ),
    "another bias": (
        lambda n: joined(n, 3, bias=np.array([0.0, 2.0])),
        "cortex/exc -> after #2: has other numbers",
    ),
    "another delay": (
        lambda n: joined(n, 3, delay=1),
        "cortex/exc -> after #2: is Dense with delay 1, and was Dense with delay 0",
    ),
    "another rule": (
        lambda n: joined(n, 0, plasticity=STDP(w_max=1.0, tau_plus=0.03)),
        "in -> cortex/exc: is Dense with delay 1, learns by .*, and was Dense with delay 1, learns by",
    ),
    "another order": (
        lambda n: replace(n, populations=n.populations[::-1], contract=n.contract),
        "network: has its parts in another order",
    ),
    "a projection less": (
        lambda n: replace(n, projections=n.projections[:-1]),
        "cortex/exc -> after #2: was Dense with delay 0 when the state was taken, and there is none now",
    ),
}


def neurons_named(net: DynamicNetwork, name: str) -> DynamicNetwork:
    moved = replace(net, projections=net.projections[:2])
    return neurons(moved, 1, name=name)


@pytest.mark.parametrize("what", OTHERS)
def test_states_of_another_network_are_refused_by_what_differs(what: str, tmp_path: Path) -> None:
    net = network()
    if what == "another order":  # both orders have to be networks
        later = replace(net.contract, layer_latency=1)
        net = replace(net, contract=later)
    path = sp.save_state(taken(net), tmp_path / "state.sps", net)
    other, match = OTHERS[what]
    with pytest.raises(DataError, match=match):
        sp.load_state(path, other(net))
    assert sp.load_state(path).step == 4  # who wants to go on with other numbers does without


def test_how_numbers_were_written_makes_no_other_network() -> None:
    net = network()
    spelled = LIF(tau=np.full(3, 0.01), refractory=np.full((3,), 2e-3), threshold=np.float32(1.0))
    same = replace(
        joined(neurons(net, 0, neuron=spelled), 2, synapses=(Dense(np.ones((2, 3), np.int8)),)),
        name="renamed",
        contract=replace(net.contract, dt=np.float64(1e-3)),
    )
    assert identity(same) == identity(net)
    assert list(identity(same)) == list(identity(net))


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Path:
    """A sealed file of other content."""
    documents, arrays = archive.read_archive(path)
    document, arrays = json.loads(documents["state.json"]), dict(arrays)
    change(document, arrays)
    return archive.write_archive(path, {"state.json": json.dumps(document).encode()}, arrays)


HOSTILE: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "another format": lambda d, a: d.update(format="spikeport.state/9"),
    "a step that is none": lambda d, a: d.update(step="3"),
    "a step that is true": lambda d, a: d.update(step=True),
    "one more field": lambda d, a: d.update(more=1),
    "a field less": lambda d, a: d.pop("sent"),
    "an array that is used twice": lambda d, a: d["populations"]["after"].update(v="a0"),
    "an array that is missing": lambda d, a: d["populations"]["after"].update(v="a99"),
    "an array that nothing uses": lambda d, a: a.update(a99=np.zeros(3)),
    "a name that is a number": lambda d, a: d["populations"]["after"].update(v=3),
    "a population of other fields": lambda d, a: d["populations"]["after"].update(w=None),
    "populations as a list": lambda d, a: d.update(populations=[]),
    "no network": lambda d, a: d.update(network={}),
    "a network of numbers": lambda d, a: d.update(network=[[1, 2, 3]]),
    "a part twice": lambda d, a: d["network"].append(d["network"][0]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_files_that_are_no_states_are_refused(what: str, tmp_path: Path) -> None:
    net = network()
    path = rewritten(sp.save_state(taken(net), tmp_path / "state.sps", net), HOSTILE[what])
    with pytest.raises(ArchiveError):
        sp.load_state(path, net)


def test_files_of_wrong_values_do_not_fit(tmp_path: Path) -> None:
    net = network()
    path = sp.save_state(taken(net), tmp_path / "state.sps", net)

    def change(document: dict[str, Any], arrays: dict[str, Any]) -> None:
        name = document["populations"]["after"]["fired"]
        arrays[name] = arrays[name] + 2

    with pytest.raises(DataError, match=r"after\.fired"):
        sp.load_state(rewritten(path, change), net)


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    net = network()
    path = sp.save_state(taken(net), tmp_path / "state.sps", net)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 30):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(ArchiveError):
            sp.load_state(path, net)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError):
        sp.load_state(path)
    with pytest.raises(FileError):
        sp.load_state(tmp_path / "nowhere.sps")
    program = REFERENCE.compile(net, REFERENCE.targets[0], REFERENCE.options()).save(tmp_path / "a.spp")
    with pytest.raises(ArchiveError, match=r"state\.json"):
        sp.load_state(program)


def test_what_does_not_fit_is_not_saved(tmp_path: Path) -> None:
    net, state = network(), taken(network())
    with pytest.raises(DataError, match="is in the state"):
        sp.save_state(state, tmp_path / "state.sps", neurons_named(net, "last"))
    with pytest.raises(OptionError, match="network: is a str"):
        sp.save_state(state, tmp_path / "state.sps", "net")  # type: ignore[arg-type]
    with pytest.raises(FileError):
        sp.save_state(state, tmp_path / "no folder" / "state.sps", net)
    assert not list(tmp_path.iterdir())
