"""The commands `nir ...`."""

import json
from pathlib import Path

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    one = np.ones(1)
    neuron = nir.IF(r=one, v_threshold=2 * one, v_reset=0 * one)
    graph = nir.NIRGraph.from_list(
        nir.Input(input_type={"input": np.array([1])}), neuron, nir.Output({"output": np.array([1])})
    )
    nir.write(tmp_path / "g.nir", graph)
    x = np.array([[1.0], [1.5], [1.5], [1], [0], [2], [1.5]])
    # fires above 2, loses 2, in the step of the spike
    np.savez(tmp_path / "r.npz", input=x, expected=np.array([0, 1, 0, 1, 0, 1, 1])[:, None], dt=1e-3)
    return str(tmp_path / "g.nir"), str(tmp_path / "r.npz"), str(tmp_path / "out.nir")


def test_what_was_found_is_printed_and_written(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    graph, recording, out = files
    assert main(["nir", "discover", graph, recording, "--given", "if_gain=step", "--write", out]) == 0
    printed = capsys.readouterr()
    assert "contracts give all 7 recorded values exactly" in printed.out
    assert "reset subtract" in printed.out
    assert f"wrote {out}" in printed.err
    network = sp.from_nir(out)
    x = np.load(recording)["input"][:, None]
    (output,) = network.outputs
    spikes = sp.simulate(network, x, record=[output.source]).spikes[output.source].train().raster
    assert spikes.ravel().tolist() == [0, 1, 0, 1, 0, 1, 1]
    nir.read(out)  # it stays a file that everybody reads
    assert main(["nir", "discover", out, recording, "--given", "if_gain=step", "--write", out]) == 0  # again, in place


def test_what_was_found_as_json(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    graph, recording, _ = files
    assert main(["nir", "discover", graph, recording, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["complete"] is True
    resets = [found["contract"]["dynamics"]["reset"] for found in document["found"]]
    assert "subtract" in resets
    assert document["contracts"] == document["tried"] > sum(found["contracts"] for found in document["found"])


def test_nothing_found(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    graph, recording, out = files
    assert main(["nir", "discover", graph, recording, "--given", "reset=to_value", "--write", out]) == 1
    assert "no contract gives all 7 recorded values" in capsys.readouterr().out
    assert not Path(out).exists()
    assert main(["nir", "discover", graph, recording, "--given", "reset=never"]) == 2
    assert "one of 'to_value', 'subtract'" in capsys.readouterr().err
    assert main(["nir", "discover", graph, recording, "--given", "reset"]) == 2
