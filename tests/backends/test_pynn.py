"""The backend `pynn`: what it refuses, what it tells the script, children that fail; and NEST's own spikes, by `bench/pynn_backend.py --golden`."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.pynn import PYNN, PyNNOptions
from spikeport.backends.pynn.written import written

HERE = Path(__file__).parent
GOLDEN = HERE / "pynn_nest.npz"
PLACE = HERE.parents[1] / "bench" / "peers" / "pynn" / "networks.py"
CONTRACT = sp.DynamicsContract(
    dt=1e-3, integrator="exponential", synapse="delta", compare=">=", layer_latency=1, current_order="old"
)


@pytest.fixture(scope="module")
def networks() -> Any:
    spec = importlib.util.spec_from_file_location("pynn_networks", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(neuron: Any = None, *, contract: Any = CONTRACT, **choices: Any) -> sp.DynamicNetwork:
    net = sp.Network("small")
    cells = net.population("cells", 2, neuron or sp.LIF(tau=0.02, refractory=0.002))
    net.connect(net.input("in", 2), cells, sp.Dense([[0.5, 0.0], [-0.25, 1.0]], delay=0.003), **choices)
    return net.build(contract=contract)


def child(folder: Path, text: str) -> str:
    """A program in the place of Python: it is called with the script, the simulator, the network and the answer."""
    path = folder / "child"
    path.write_text(f"#!{sys.executable}\nimport sys, time, shutil\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def opened(network: sp.DynamicNetwork, python: str, **choices: Any) -> Any:
    program = PYNN.compile(network, PYNN.target, PyNNOptions(python=python, **choices))
    names = list(network.by_name)
    return PYNN.open(program, record=names, potentials=names)


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_the_reference_gives_every_spike_that_nest_gave(networks: Any, kind: str) -> None:
    network = networks.network(kind, 0)
    found = sp.simulate(
        network, networks.spikes(0), record=list(network.by_name)
    )  # by the fastest, which equals the reference
    with np.load(GOLDEN) as golden:
        for i, name in enumerate(network.by_name):
            events = found.spikes[name]
            places = sorted(zip(events.samples.tolist(), events.steps.tolist(), events.neurons.tolist(), strict=True))
            assert places == [tuple(row) for row in golden[f"nest.{kind}.{i}"].tolist()]
            assert len(places) > 1000


def test_the_script_is_told_synapses_in_the_units_of_pynn() -> None:
    script = written(small(sp.LIF(tau=0.02, r=4.0, threshold=1.5, refractory=0.002, bias=0.25)), "nest")
    (cells,) = script.document["populations"]
    assert (cells["cells"], cells["size"]) == ("IF_curr_delta", 2)
    told = {name: script.arrays[f"{name}.0"].tolist() for name in cells["parameters"]}
    expected = {
        "tau_m": 20.0,
        "cm": 5.0,
        "v_thresh": 1.5,
        "tau_refrac": 2.0,
        "i_offset": 0.25,
        "v_rest": 0.0,
        "v_reset": 0.0,
    }
    assert told == expected
    up, down = script.document["projections"]
    assert (up["receptor"], down["receptor"]) == ("excitatory", "inhibitory")
    rows = {}
    for i in (0, 1):
        columns = (script.arrays[f"{name}.{i}"].tolist() for name in ("pre", "post", "weight", "delay"))
        rows[i] = sorted(zip(*columns, strict=True))
    assert rows == {0: [(0, 0, 0.5, 3.0), (1, 1, 1.0, 3.0)], 1: [(0, 1, -0.25, 3.0)]}


def test_brian2_counts_the_step_of_the_spike_among_the_deaf_ones() -> None:
    contract = sp.DynamicsContract(
        dt=1e-3, integrator="exponential", synapse="delta", layer_latency=1, current_order="old"
    )
    cells = sp.CubaLIF(tau_syn=0.005, tau_mem=0.02, refractory=0.002)
    assert written(small(cells, contract=contract), "brian2").arrays["tau_refrac.0"] == 3.0


def test_weights_of_currents_are_scaled_by_the_ratio_that_from_pynn_takes_back() -> None:
    from spikeport.pynn.cells import onto_membrane

    script = written(small(sp.CubaLIF(tau_syn=0.005, tau_mem=0.02, w_in=1.0)), "nest")
    factor = script.arrays["weight.0"].max()
    back = factor * onto_membrane(np.asarray(20.0), np.asarray(5.0), 1.0) / -np.expm1(-1 / 20)
    assert back == pytest.approx(1.0, rel=1e-14)


def test_what_standard_cells_cannot_say_is_refused_by_name_all_at_once() -> None:
    net = sp.Network("refused")
    first = net.population("first", 2, sp.IF())
    net.population("second", 2, sp.LIF(tau=0.02, v_min=-1.0))
    net.connect(first, first, sp.Dense([[0.5, 0.5], [0.5, 0.5]]), bias=1.0, plasticity=sp.STDP())
    contract = sp.DynamicsContract(dt=1e-3, integrator="forward_euler", synapse="delta", layer_latency=1)
    with pytest.raises(sp.LowerError) as caught:
        PYNN.compile(net.build(contract=contract), PYNN.target, PyNNOptions())
    where = [problem.where for problem in caught.value.problems]
    assert where == [
        "contract.integrator",
        "contract.compare",
        "first",
        "second.v_min",
        "first -> first",
        "first -> first",
    ]
    assert all(problem.hint for problem in caught.value.problems)
    with pytest.raises(sp.LowerError, match="jumps come after the comparison"):
        PYNN.compile(small(), PYNN.target, PyNNOptions(simulator="brian2"))
    with pytest.raises(sp.OptionError, match="'neuron'"):
        PYNN.compile(small(), PYNN.target, PyNNOptions(simulator="neuron"))  # type: ignore[arg-type]


def test_a_missing_simulator_names_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeport.backends.pynn.session.find_spec", lambda name: None)
    program = PYNN.compile(small(), PYNN.target, PyNNOptions())
    with pytest.raises(sp.BackendError, match="pip install PyNN nest-simulator"):
        PYNN.open(program, record=[], potentials=[])
    with (
        opened(small(), os.path.join(os.sep, "nowhere", "python")) as session,
        pytest.raises(sp.BackendError, match="cannot be started"),
    ):
        session.run(np.zeros((3, 1, 2)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('boom'); sys.exit(3)", r"ended with status 3; it said:\s+boom"),
        (
            "print('still here', flush=True); time.sleep(600)",
            r"took longer than 1 s and was ended; it said:\s+still here",
        ),
        ("print('nothing to tell')", r"without the answer that was asked for[^;]*; it said:\s+nothing to tell"),
        ("open(sys.argv[4], 'w').write('no archive')", "without the answer"),
    ],
)
def test_a_child_that_fails_shows_what_it_said(tmp_path: Path, text: str, said: str) -> None:
    seconds = 1.0 if "sleep" in text else 60.0
    with (
        opened(small(), child(tmp_path, text), timeout_s=seconds) as session,
        pytest.raises(sp.BackendError, match=said),
    ):
        session.run(np.zeros((3, 1, 2)))


def test_an_answer_becomes_a_recording_and_steps_are_runs_from_the_beginning(tmp_path: Path) -> None:
    answer = """import json, numpy as np
told = np.load(sys.argv[3])
document = json.loads(str(told["document"]))
n, found = document["n_steps"], {}
for sample in range(document["batch"]):
    # what entered on line 0 is what neuron 1 sends in the same step
    steps = told[f"steps.0.{sample}"][told[f"lines.0.{sample}"] == 0]
    found |= {f"steps.0.{sample}": steps, f"cells.0.{sample}": np.ones_like(steps)}
    found[f"v.0.{sample}"] = np.arange(2 * n).reshape(n, 2) + 100.0 * sample
np.savez(sys.argv[4], **found)"""
    x = np.zeros((4, 2, 2))
    x[1, 0, 0] = x[3, 1, 0] = x[2, 1, 1] = 1
    with opened(small(), child(tmp_path, answer)) as session:
        run = session.run(x)
        events = run.spikes["cells"]
        assert list(zip(events.samples, events.steps, events.neurons, strict=True)) == [(0, 1, 1), (1, 3, 1)]
        assert run.counts["cells"].tolist() == [[0, 1], [0, 1]]
        assert run.potentials["cells"][:, 1, 1].tolist() == [101.0, 103.0, 105.0, 107.0]
        session.reset(2)
        steps = [session.step({"in": values}) for values in x]
        assert [s.spikes["cells"].tolist() for s in steps[1:3]] == [[[0, 1], [0, 0]], [[0, 0], [0, 0]]]
        assert steps[3].potentials["cells"].tolist() == [[6.0, 7.0], [106.0, 107.0]]
        with pytest.raises(sp.DataError, match="no numbers of spikes"):
            session.run(0.5 * x)
        with pytest.raises(sp.DataError, match="is fed a current"):
            session.run(x, currents={"cells": 1.0})
    with pytest.raises(sp.BackendError, match="is closed"):
        session.run(x)


def test_programs_are_saved_and_those_of_others_refused(tmp_path: Path) -> None:
    program = PYNN.compile(small(), PYNN.target, PyNNOptions(python="python"))
    again = PYNN.compile(small(), PYNN.target, PyNNOptions(python="python"))
    first, second = program.save(tmp_path / "a.spp").read_bytes(), again.save(tmp_path / "b.spp").read_bytes()
    assert first == second
    from dataclasses import replace

    for damaged in (replace(program, backend_version="0"), replace(program, document={"simulator": "other"})):
        with pytest.raises(sp.BackendError, match="compile it again"):
            PYNN.open(damaged, record=[], potentials=[])
