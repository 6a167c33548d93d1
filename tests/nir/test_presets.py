"""How tools mean their files: by hand for one neuron, and what they change without a word is refused by name.

That whole networks run as the tools run them is measured with the tools: `bench/nir_matrix.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError
from spikeport.nir.presets import PRESETS
from spikeport.primitives import DynamicNetwork


def one(value: float) -> np.ndarray:
    return np.full(1, value)


def lif(**changes: float) -> Any:
    values = {"tau": 2.0, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: one(value) for name, value in values.items()})


def written(path: Path, nodes: dict[str, Any], *edges: str) -> Path:
    ends = {
        "input": nir.Input(input_type={"input": np.array([1])}),
        "output": nir.Output(output_type={"output": np.array([1])}),
    }
    pairs = [tuple(edge.split()) for edge in edges] or [("input", "n"), ("n", "output")]
    nir.write(path / "net.nir", nir.NIRGraph({**ends, **nodes}, pairs, type_check=False))
    return path / "net.nir"


def spikes(path: Path, x: list[float], like: str, dt: float = 1.0) -> list[float]:
    network = sp.from_nir(path, like=like, dt=dt)
    assert isinstance(network, DynamicNetwork)
    source = network.outputs[0].source
    found = simulate_dynamics(network, np.array(x).reshape(-1, 1, 1)).spikes[source]
    return [float(v) for v in found.train().raster[:, 0, 0]]


def test_equality_with_the_threshold_fires_where_the_tool_fires(tmp_path: Path) -> None:
    path = written(tmp_path, {"n": lif()})
    assert spikes(path, [1, 0, 0], "spikingjelly") == [1, 0, 0]
    assert spikes(path, [1, 0, 0], "sinabs") == [1, 0, 0]
    assert spikes(path, [1, 1, 0], "norse") == [0, 0, 0]  # 0.5, 0.75: without r
    assert spikes(path, [1, 1, 0], "spyx") == [0, 0, 1]  # 1, then 1.5, a step late


def test_norse_does_not_look_at_r_and_begins_at_the_leak(tmp_path: Path) -> None:
    path = written(tmp_path, {"n": lif(r=100.0, v_leak=0.75)})
    assert spikes(path, [0.5, 0.5, 0], "norse") == [0, 1, 0]  # 0.75, 1.0, 1.125


def test_sinabs_sends_every_threshold_and_clips_integrators_alone(tmp_path: Path) -> None:
    path = written(tmp_path, {"n": nir.IF(r=one(7.0), v_threshold=one(1.0), v_reset=one(0.5))})
    assert spikes(path, [3.5, 0.5, -5, 2], "sinabs") == [3, 1, 0, 1]
    path = written(tmp_path, {"n": lif(tau=1e4)})
    assert spikes(path, [3.5, 0.5, -5, 2], "sinabs") == [
        3,
        0,
        0,
        0,
    ]  # the leak takes it below the threshold, and nothing clips


def test_spyx_subtracts_as_it_adds_the_next_input(tmp_path: Path) -> None:
    path = written(tmp_path, {"n": nir.IF(r=one(1.0), v_threshold=one(1.0), v_reset=one(0.0))})
    assert spikes(path, [2.5, 0, 0, 0], "spyx") == [0, 1, 1, 0]
    path = written(tmp_path, {"n": lif()})
    assert spikes(path, [2, 0.75, 0, 0], "spyx") == [
        0,
        1,
        0,
        0,
    ]  # 1 + 0.75 - 1: half of what was there, whole threshold


def test_what_a_tool_changes_without_a_word_is_refused_by_name(tmp_path: Path) -> None:
    def why(like: str, nodes: dict[str, Any], *edges: str, dt: float = 1.0) -> str:
        with pytest.raises(NirError) as caught:
            sp.from_nir(written(tmp_path, nodes, *edges), like=like, dt=dt)
        return str(caught.value)

    integrator = nir.IF(r=one(1.0), v_threshold=one(1.0), v_reset=one(0.0))
    cuba = nir.CubaLIF(**dict.fromkeys(("tau_syn", "tau_mem", "r", "v_threshold", "v_leak"), one(1.0)))
    back = nir.Affine(weight=np.ones((1, 1)), bias=np.ones(1))
    assert "n: snntorch has no IF" in why("snntorch", {"n": integrator}, dt=1e-4)
    assert "its step is 1e-4 s" in why("snntorch", {"n": lif()})
    assert "leaks to v_leak" in why("norse", {"n": cuba})
    assert "n: sinabs has no CubaLIF" in why("sinabs", {"n": cuba})
    assert "v_leak is dropped" in why("sinabs", {"n": lif(v_leak=0.5)})
    assert "clipped" in why("spyx", {"n": lif(tau=0.5)})
    ends = [nir.Input(input_type={"input": np.array([1])}), nir.Output(output_type={"output": np.array([1])})]
    nodes = {"start": ends[0], "n": lif(), "output": ends[1]}
    nir.write(tmp_path / "named.nir", nir.NIRGraph(nodes, [("start", "n"), ("n", "output")]))
    with pytest.raises(NirError, match="start: spyx: it is not called input"):
        sp.from_nir(tmp_path / "named.nir", like="spyx", dt=1.0)
    loop = ("input n", "n w", "w n", "n output")
    assert "n: spyx: of several edges" in why("spyx", {"n": lif(), "w": back}, *loop)
    assert "in a loop" in why("sinabs", {"n": lif(), "w": back}, *loop)
    last = ("input n", "n output", "n w", "w n")
    assert "returns what w gives" in why("norse", {"n": lif(), "w": back}, *last)
    assert sp.from_nir(written(tmp_path, {"n": lif(), "w": back}, *loop), like="norse")


@pytest.mark.parametrize("like", ["snntorch", "norse", "spikingjelly", "sinabs"])
def test_sums_over_windows_whose_mean_rounds_are_refused(tmp_path: Path, like: str) -> None:
    """15 / 25 * 25 is above 15 in float32; of 9 and of powers of two no count rounds."""

    def read(side: int, padding: int = 0) -> Any:
        window = np.array([side, side])
        shape, left = (1, 10, 10), (10 - side) // side + 1
        neurons = {"tau": 2e-4, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
        nodes = {
            "input": nir.Input(input_type={"input": np.array(shape)}),
            "pool": nir.SumPool2d(kernel_size=window, stride=window, padding=np.array([padding, padding])),
            "n": nir.LIF(**{name: np.full((1, left, left), value) for name, value in neurons.items()}),
            "output": nir.Output(output_type={"output": np.array([1, left, left])}),
        }
        edges = [("input", "pool"), ("pool", "n"), ("n", "output")]
        nir.write(tmp_path / "pool.nir", nir.NIRGraph(nodes, edges, type_check=False))
        return sp.from_nir(tmp_path / "pool.nir", like=like, dt=1e-4)

    assert isinstance(read(3), DynamicNetwork)
    assert isinstance(read(8), DynamicNetwork)
    with pytest.raises(NirError, match="a mean times 25, and 15 spikes add up to another number"):
        read(5)
    with pytest.raises(NirError, match="padding is dropped"):
        read(4, padding=1)


def test_a_node_that_norse_runs_before_one_of_its_sources_is_named(tmp_path: Path) -> None:
    nodes = {"a": nir.Linear(weight=np.ones((1, 1))), "n": lif(), "b": nir.Linear(weight=np.ones((1, 1)))}
    skip = ("input a", "a n", "a b", "b n", "n output")
    with pytest.raises(NirError, match="n: norse: it is run before b"):
        sp.from_nir(written(tmp_path, nodes, *skip), like="norse")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_tool_reads_its_plain_chain(name: str, tmp_path: Path) -> None:
    dt = 1e-4
    tau = 2.0 if name == "sinabs" else 2 * dt
    path = written(tmp_path, {"n": lif(tau=tau)})
    assert sum(spikes(path, [4, 4, 4, 4], name, dt)) > 0
