"""What a file means, found out from recordings that the reference makes under contracts drawn at random."""

from __future__ import annotations

from itertools import product
from typing import Any

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import DataError, NirError, OptionError
from spikeport.nir.dimensions import biases_are_late, space_of, twin
from spikeport.nir.discover import fitted
from spikeport.nir.discovery import classes
from spikeport.nir.inline import inlined
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_from_object
from spikeport.nir.recorded import NirRecording
from spikeport.nir.shapes import infer
from spikeport.nir.trials import outputs
from spikeport.primitives import DynamicsContract, NirContract

DT = 1e-3
EULER = DynamicsContract(dt=DT, integrator="forward_euler")


def graph(nodes: dict[str, Any], *edges: str) -> Any:
    pairs = [tuple(e.split()) for e in edges]
    return nir.NIRGraph(nodes, pairs, type_check=False)


def ports(*shapes: tuple[int, ...]) -> dict[str, Any]:
    first, last = shapes
    return {
        "i": nir.Input(input_type={"input": np.array(first)}),
        "o": nir.Output(output_type={"output": np.array(last)}),
    }


def affine(rng: np.random.Generator, n: int, m: int, scale: float = 1.0) -> Any:
    return nir.Affine(weight=rng.normal(0.3, scale, (n, m)), bias=rng.normal(0, 0.2, n))


def lif(n: int, r: float = 1.0, leak: float = 0.0, reset: float = 0.0, tau: float = 4e-3) -> Any:
    one = np.ones(n)
    return nir.LIF(tau=tau * one, r=r * one, v_leak=leak * one, v_threshold=0.5 * one, v_reset=reset * one)


def cuba(n: int) -> Any:
    one = np.ones(n)
    return nir.CubaLIF(
        tau_syn=2e-3 * one,
        tau_mem=4e-3 * one,
        r=2 * one,
        v_leak=0 * one,
        v_threshold=0.5 * one,
        w_in=one,
        v_reset=0 * one,
    )


def integrate(shape: tuple[int, ...]) -> Any:
    one = np.ones(shape)
    return nir.IF(r=one, v_threshold=one, v_reset=0 * one)


def layers(rng: np.random.Generator) -> Any:
    nodes = {
        **ports((3,), (2,)),
        "a": affine(rng, 4, 3),
        "n": lif(4, r=1.5),
        "b": affine(rng, 2, 4),
        "m": lif(2, r=1.5),
    }
    return graph(nodes, "i a", "a n", "n b", "b m", "m o")


def loop(rng: np.random.Generator) -> Any:
    nodes = {**ports((3,), (3,)), "a": affine(rng, 3, 3), "n": cuba(3), "w": affine(rng, 3, 3)}
    return graph(nodes, "i a", "a n", "n w", "w n", "n o")


def maps(rng: np.random.Generator) -> Any:
    convolution = nir.Conv2d(
        input_shape=(3, 3),
        weight=rng.normal(0.2, 0.6, (2, 1, 2, 2)),
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=np.zeros(2),
    )
    flatten = nir.Flatten(input_type={"input": np.array([2, 2, 2])}, start_dim=0, end_dim=-1)
    nodes = {**ports((1, 3, 3), (2,)), "c": convolution, "n": integrate((2, 2, 2)), "f": flatten}
    nodes |= {"b": nir.Linear(weight=rng.normal(0.1, 0.8, (2, 8))), "m": integrate((2,))}
    return graph(nodes, "i c", "c n", "n f", "f b", "b m", "m o")


def resting(rng: np.random.Generator) -> Any:
    nodes = {**ports((3,), (2,)), "a": affine(rng, 2, 3), "n": lif(2, leak=0.2, reset=-0.3)}
    return graph(nodes, "i a", "a n", "n o")


def recorded(made: Any, contract: NirContract, x: Any) -> dict[str, Any]:
    network = network_of(graph_from_object(made), contract)
    inputs, _ = fitted(
        network, NirRecording({"": x}, {"": np.zeros((len(x), network[network.outputs[0].source].size))})
    )
    (values,) = outputs(network, inputs, len(x), simulate_dynamics).values()
    return {"input": x, "expected": values, "dt": DT}


def asked(made: Any) -> Any:
    flat = inlined(graph_from_object(made))
    return flat, space_of(flat, infer(flat), (DT,), {})


@pytest.mark.parametrize("make", [layers, loop, maps, resting])
def test_the_truth_is_among_what_is_found(make: Any) -> None:
    rng = np.random.default_rng(3)
    made = make(rng)
    flat, space = asked(made)
    told = 0
    for _ in range(6):
        while True:
            truth = {d.name: d.choices[rng.integers(len(d.choices))] for d in space.dimensions}
            try:
                network_of(flat, space.contract(truth))
            except NirError:
                continue
            break
        searched = rng.permutation(list(truth))[:5]
        given = {name: value for name, value in truth.items() if name not in searched}
        contract = space.contract(truth)
        recording = recorded(made, contract, (rng.random((30, *flat["i"]["shape"])) < 0.5).astype(float))
        found = sp.discover(made, recording, given=given)
        assert found.complete
        assert found.closest is None
        assert found.allows(contract), truth
        again = recorded(made, found.found[-1].contract, recording["input"])
        assert np.array_equal(again["expected"], recording["expected"])
        told += sum(f.size for f in found.found) < found.space.size
    assert told >= 4  # most recordings tell something


def test_classes_hold_what_is_exact_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    made = layers(rng)
    x = (rng.random((25, 3)) < 0.5).astype(float)
    recording = recorded(made, NirContract(dynamics=EULER), x)
    given = {"spikes": "single", "v_min": "none", "time_unit": "s", "bias_register": "spikes"}
    found = sp.discover(made, recording, given=given)
    exact = set()
    for answers in found.space.assignments():
        contract = found.space.contract(answers)
        if np.array_equal(recorded(made, contract, x)["expected"], recording["expected"]):
            exact.add(tuple(answers.values()))
    held = {tuple(a.values()) for a in found.space.assignments() if found.allows(found.space.contract(a))}
    assert held == exact
    assert sum(f.size for f in found.found) >= len(exact) > 0
    assert found.contract == NirContract(dynamics=EULER)  # the usual one comes first


@pytest.mark.parametrize("make", [layers, loop, maps, resting])
def test_what_is_not_run_gives_what_its_twin_gives(make: Any) -> None:
    rng = np.random.default_rng(7)
    made = make(rng)
    flat, space = asked(made)
    x = (rng.random((20, *flat["i"]["shape"])) < 0.6).astype(float)
    compared = 0
    for answers in space.assignments():
        if rng.random() > 300 / space.size:
            continue
        other = dict(answers)
        for name, value in (
            ("reset_when", "next_step"),
            ("bias_register", "weighted"),
            ("if_gain", "step"),
            ("ignores LIF.r", True),
        ):
            if name in other and rng.random() < 0.7:
                other[name] = value
        key = twin(flat, answers, space.settled, biases_are_late(flat))
        if other == answers or twin(flat, other, space.settled, biases_are_late(flat)) != key:
            continue
        try:
            one, two = (recorded(made, space.contract(a), x)["expected"] for a in (answers, other))
        except NirError:
            continue
        compared += 1
        assert np.array_equal(one, two), (answers, other)
    assert compared >= 10


def test_the_closest_with_its_first_deviation() -> None:
    made = graph({**ports((1,), (1,)), "n": lif(1)}, "i n", "n o")
    x = np.full((12, 1), 1.2)
    recording = recorded(made, NirContract(dynamics=EULER), x)
    fired = np.flatnonzero(recording["expected"])
    assert len(fired) >= 2
    recording["expected"] = recording["expected"].astype(float)
    recording["expected"][fired[1]] = 7  # which no contract gives
    given = {"spikes": "single", "time_unit": "s", "v_min": "none"}
    found = sp.discover(made, recording, given=given)
    assert found.found == ()
    assert found.contract is None
    assert found.closest is not None
    assert found.closest.contract == NirContract(dynamics=EULER)
    assert found.closest.cells == 1
    assert str(found.closest.deviation) == f"o, step {fired[1]}, neuron 0: ours 1, theirs 7"
    assert "no contract gives all 12 recorded values" in str(found)


def test_potentials_are_compared_as_simulators_round_them() -> None:
    one = np.ones(1)
    made = graph({**ports((1,), (1,)), "n": nir.LI(tau=4e-3 * one, r=one, v_leak=0 * one)}, "i n", "n o")
    x = np.array([[1.0], [0], [2], [0], [0]])
    recording = recorded(made, NirContract(dynamics=EULER), x)
    recording["expected"] = recording["expected"].astype(np.float32)
    found = sp.discover(made, recording)
    assert found.allows(NirContract(dynamics=EULER))
    assert {f.answers["integrator"] for f in found.found} == {"forward_euler"}
    recording["expected"] = recording["expected"] * 1.00001
    assert not sp.discover(made, recording).found


def test_a_step_that_is_not_known_is_searched() -> None:
    made = layers(np.random.default_rng(5))
    x = (np.random.default_rng(6).random((30, 3)) < 0.5).astype(float)
    recording = recorded(made, NirContract(dynamics=EULER), x)
    given = {"v_min": "none", "spikes": "single", "time_unit": "s", "synapse": "current", "reset": "to_value"}
    found = sp.discover(made, recording, dt=(1e-4, DT), given=given)
    assert {dt for f in found.found for dt in f.open.get("dt", (f.answers["dt"],))} == {DT}


def test_what_does_not_fit_is_said() -> None:
    made = layers(np.random.default_rng(5))
    x = np.ones((4, 3))
    with pytest.raises(OptionError, match="how long a step is"):
        sp.discover(made, {"input": x, "expected": np.zeros((4, 2))})
    with pytest.raises(DataError, match="has 5 values a step, and o has 2"):
        sp.discover(made, {"input": x, "expected": np.zeros((4, 5))}, dt=DT)
    with pytest.raises(DataError, match="steps"):
        sp.discover(made, {"input": x, "expected": np.zeros((3, 2))}, dt=DT)
    with pytest.raises(DataError, match="'p'"):
        sp.discover(made, {"input.p": x, "expected": np.zeros((4, 2))}, dt=DT)
    with pytest.raises(DataError, match="target: is not known"):
        sp.discover(made, {"input": x, "target": np.zeros((4, 2))}, dt=DT)
    with pytest.raises(OptionError, match="is no question"):
        sp.discover(made, {"input": x, "expected": np.zeros((4, 2))}, dt=DT, given={"rest": 1})


def test_an_end_in_time_is_said() -> None:
    made = layers(np.random.default_rng(5))
    found = sp.discover(made, {"input": np.ones((4, 3)), "expected": np.full((4, 2), 9), "dt": DT}, limit=1e-9)
    assert found.tried == 1
    assert not found.complete
    assert "the time was up" in str(found)


def test_recordings_of_nir(tmp_path: Any) -> None:
    made = layers(np.random.default_rng(5))
    x = (np.random.default_rng(6).random((30, 3)) < 0.5).astype(float)
    arrays = recorded(made, NirContract(dynamics=EULER), x)
    given = {"spikes": "single", "v_min": "none", "time_unit": "s", "synapse": "current", "reset_when": "same_step"}
    expected = str(sp.discover(made, arrays, given=given))

    def data(name: str, values: Any) -> Any:
        grid = nir.TimeGriddedData(values[None], DT)
        return nir.NIRGraphData({name: nir.NIRNodeData({"spikes": grid})})

    assert str(sp.discover(made, (data("i", x), data("o", arrays["expected"])), given=given)) == expected
    np.savez(tmp_path / "r.npz", **arrays)
    nir.write(tmp_path / "g.nir", made)
    assert str(sp.discover(tmp_path / "g.nir", tmp_path / "r.npz", given=given)) == expected
    (tmp_path / "bad.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(DataError, match="is no npz of arrays"):
        sp.discover(made, tmp_path / "bad.npz", dt=DT)


def test_answers_that_depend_on_each_other_are_several_classes() -> None:
    _, space = asked(layers(np.random.default_rng(0)))
    usual = {d.name: d.choices[0] for d in space.dimensions}
    exact = [usual, usual | {"compare": ">="}, usual | {"reset": "subtract"}]  # but not both
    found = classes(space, exact)
    held = set()
    for one in found:
        for values in product(*(one.open.get(name, (one.answers[name],)) for name in usual)):
            held.add(values)
    assert held == {tuple(a.values()) for a in exact}
    assert len(found) == 2


def test_what_deviates_late_is_not_found() -> None:
    made = graph({**ports((1,), (1,)), "n": lif(1)}, "i n", "n o")
    x = np.zeros((400, 1))
    x[-3:] = 3
    recording = recorded(made, NirContract(dynamics=EULER), x)
    assert recording["expected"][-3:].any()
    given = {"spikes": "single", "time_unit": "s", "v_min": "none", "synapse": "current"}
    assert sp.discover(made, recording, given=given).allows(NirContract(dynamics=EULER))
    recording["expected"] = np.zeros((400, 1))
    found = sp.discover(made, recording, given=given)
    assert not found.allows(NirContract(dynamics=EULER))
    assert all(f.answers["layer_latency"] == 1 for f in found.found)
