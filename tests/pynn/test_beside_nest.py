"""PyNN's documentation examples, built on its mock, beside what NEST 3.10 gave: made by `bench/peers/pynn/worker.py --golden`."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native

mock = pytest.importorskip("pyNN.mock", reason="PyNN is not installed: pip install 'spikeport[pynn]'")
FILE = Path(__file__).with_name("nest_examples.npz")
PLACE = Path(__file__).resolve().parents[2] / "bench" / "peers" / "pynn" / "examples.py"
CLOSE = 1e-10
"""Millivolts: potentials are computed by other operations than NEST's, and rounded at each."""


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("pynn_examples", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pynn_examples", module)  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module.EXAMPLES


@pytest.mark.parametrize("name", ["IF_curr_exp", "IF_curr_exp2", "current_injection", "Izhikevich"])
def test_examples_of_the_documentation_give_the_spikes_and_potentials_of_nest(name: str, examples: Any) -> None:
    example = examples[name][0](mock)
    found = sp.from_pynn(example.parts, like="nest")
    on = "native" if native.available() else "reference"
    run = found.run(example.duration * 1e-3, on=on)
    (population,) = example.watched
    label = found.name_of(population)
    events = run[f"{label}.spikes"]
    with np.load(FILE) as golden:
        spikes, v = golden[f"{name}.spikes"], golden[f"{name}.v"]
    ours = sorted(zip((events.steps + 1).tolist(), events.neurons.tolist(), strict=True))
    assert ours == [tuple(row) for row in spikes.tolist()]
    np.testing.assert_allclose(run[f"{label}.v"][49::50, 0][: len(v)], v, rtol=0, atol=CLOSE)
    mock.end()
