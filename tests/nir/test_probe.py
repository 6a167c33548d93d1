"""What a simulator means, found out by probing one whose meaning is known: our reference behind a driver."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spikeport.cli import main
from spikeport.errors import BackendError, OptionError
from spikeport.nir.probing import probe

DRIVER = """
import numpy as np
PACKAGES = ("numpy",)
DT = 2.0**-10
STEP = "what it was asked for"
KINDS = {kinds!r}

def run(path, x, dt):
    from spikeport.backends.reference import simulate_dynamics
    from spikeport.nir.network import network_of
    from spikeport.nir.parse import read_graph
    from spikeport.primitives import DynamicsContract, NirContract
    graph = read_graph(path)
    for name, node in graph.nodes.items():
        if node.kind not in KINDS:
            raise NotImplementedError("there is no " + node.kind)
        if "v_leak" in node.parameters and (node["v_leak"] != 0).any():
            raise ValueError("v_leak is not supported")
    contract = NirContract(dynamics=DynamicsContract(dt=dt, {dynamics}), {meaning})
    network = network_of(graph, contract)
    source = network.outputs[0].source
    found = simulate_dynamics(network, x[:, None].astype(np.float64), record=[source])
    return found.spikes[source].train().raster[:, 0].reshape(len(x), -1)
"""
ENDS = ("Input", "Output", "Affine", "Flatten")
PLAIN = {"dynamics": "integrator='forward_euler'", "meaning": ""}


def driver(folder: Path, text: str, **values: Any) -> str:
    path = folder / "fake.py"
    path.write_text(text.format(**values) if values else text)
    return str(path)


def test_the_contract_of_a_simulator_is_found(tmp_path: Path) -> None:
    dynamics = "integrator='exponential', synapse='delta', compare='>=', reset='subtract', layer_latency=1, bias_register='weighted'"
    meaning = "time_unit='step', ignores=('LIF.r', 'LIF.v_reset', 'IF.r', 'IF.v_reset'), flatten='channels last'"
    fake = driver(tmp_path, DRIVER, kinds=(*ENDS, "LIF", "IF"), dynamics=dynamics, meaning=meaning)
    found = probe(fake)
    assert found.kinds == ("LIF", "IF")
    assert len(found.probes) <= 3
    assert found.contract is not None
    said = found.contract
    assert said.dynamics.integrator == "exponential"
    assert (said.dynamics.synapse, said.dynamics.compare, said.dynamics.reset) == ("delta", ">=", "subtract")
    assert (said.dynamics.layer_latency, said.dynamics.bias_register) == (1, "weighted")
    assert (said.time_unit, said.flatten) == ("step", "channels last")
    assert "LIF.v_reset" in said.ignores
    assert not set(found.apart) - {"LIF.ignores r", "IF.ignores r", "IF.if_gain", "IF.synapse", "IF.reset_when"}
    assert any(r.why == "ValueError: v_leak is not supported" for r in found.refusals)
    assert any("there is no CubaLIF" in r.why for r in found.refusals)


def test_what_no_contract_gives_is_said(tmp_path: Path) -> None:
    text = DRIVER + "\nplain = run\ndef run(path, x, dt):\n    return 1 - plain(path, x, dt)\n"
    found = probe(driver(tmp_path, text, kinds=(*ENDS, "IF"), **PLAIN))
    assert found.contract is None
    assert any(text.startswith("IF: no contract gives what it gave; the closest") for text in found.odd)
    assert "no contract was found" in str(found)


def test_a_simulator_that_dies_hangs_or_talks_nonsense_is_an_error(tmp_path: Path) -> None:
    head = "PACKAGES = ('numpy',)\nDT = 1.0\nSTEP = ''\n"
    dies = driver(tmp_path, head + "import os\nprint('about to go', flush=True)\nos._exit(3)\n")
    with pytest.raises(BackendError, match="ended with status 3") as error:
        probe(dies)
    assert "about to go" in error.value.__notes__[0]
    hangs = driver(tmp_path, "import time\nprint('thinking', flush=True)\ntime.sleep(3600)\n")
    start = time.monotonic()
    with pytest.raises(BackendError, match="has not answered for 2 s") as error:
        probe(hangs, patience=2)
    assert "thinking" in error.value.__notes__[0]
    assert time.monotonic() - start < 3000
    nonsense = driver(tmp_path, head + "def run(path, x, dt):\n    return ['spam'] * len(x)\n")
    found = probe(nonsense)
    assert found.contract is None
    assert all("for numbers" in r.why for r in found.refusals)
    garbage = driver(
        tmp_path,
        head
        + "import os\nfor fd in range(3, 9):\n    try:\n        os.write(fd, b'{]\\n')\n    except OSError:\n        pass\n",
    )
    with pytest.raises(BackendError, match="an answer that is none"):
        probe(garbage)


def test_a_recording_with_objects_in_it_is_not_loaded(tmp_path: Path) -> None:
    text = "PACKAGES = ('numpy',)\nDT = 1.0\nSTEP = ''\nimport numpy as np\nsave = np.savez\n"
    text += "np.savez = lambda path, output: save(path, output=np.array([{}], dtype=object))\n"
    text += "def run(path, x, dt):\n    return x\n"
    with pytest.raises(BackendError, match="gave no recording"):
        probe(driver(tmp_path, text))


def test_unknown_names_and_missing_simulators_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError, match="norse, rockpool, sinabs, snntorch, spikingjelly, spyx"):
        probe("nonsuch")
    with pytest.raises(OptionError, match="cannot be run"):
        probe("norse", python=tmp_path / "python")
    missing = driver(tmp_path, "PACKAGES = ('no-such-simulator',)\nDT = 1.0\nSTEP = ''\n")
    assert main(["nir", "probe", missing, "--json"]) == 2
    printed = capsys.readouterr()
    assert "no-such-simulator: is not installed" in printed.err
    assert "--python PATH" in json.loads(printed.out)["error"]["problems"][0]["hint"]
    with pytest.raises(OptionError, match="more than 0"):
        probe(missing, python=sys.executable, dt=-1.0)


def test_what_was_found_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake = driver(
        tmp_path, DRIVER, kinds=(*ENDS, "IF"), dynamics="integrator='forward_euler'", meaning="if_gain='step'"
    )
    assert main(["nir", "probe", fake]) == 0
    printed = capsys.readouterr().out
    assert "if_gain='step'" in printed
    assert "refused: LIF: NotImplementedError: there is no LIF" in printed
    assert main(["nir", "probe", fake, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["contract"]["if_gain"] == "step"
    assert document["kinds"] == ["IF"]
