"""Population code as plain NIR: one step of the graph is the network, whichever comparison and reset a simulator has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport import codes
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError, OptionError, ProofError
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_from_object, read_graph
from spikeport.nir.wave import DIALECTS, agreeing, wave_graph
from spikeport.plugin.presenting import encode_steps
from spikeport.primitives import (
    Connection,
    Conv,
    Dense,
    DynamicNetwork,
    InputEncoder,
    NirContract,
    OneToOne,
    Reshape,
    SpikingNetwork,
    SumPool,
    UnitBank,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Readout


def integers(*values: Any) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def small(skip: bool = False) -> SpikingNetwork:
    """A convolution, pooling and two dense layers; with `skip` the convolution is also added to another one."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-3, 4, shape)

    maps, same = (3, 4, 4), ((1, 1), (1, 1))
    encoder = InputEncoder("in", (2, 4, 4), "static", np.asarray(0.5), 0, 5)
    each = np.arange(3).reshape(3, 1, 1)
    layers: list[Any] = [CountLayer("a", maps, 4 + each, each - 1, 0 * each + 2, 0, 4, np.asarray(1.0))]
    connections = [Connection("in", "a", (Conv(weights(3, 2, 3, 3), (1, 1), same, (1, 1)),))]
    if skip:
        layers.append(CountLayer("s", maps, 3 + 0 * each, each, 0 * each, 0, 3, np.asarray(1.0)))
        connections.append(Connection("a", "s", (Conv(weights(3, 3, 3, 3), (1, 1), same, (1, 1)),)))
        connections.append(Connection("a", "s", (OneToOne(integers(2)),)))
    last = layers[-1].name
    layers.append(CountLayer("b", (5,), integers(6), integers(0, 1, -2, 3, 4), integers(1), 0, 7, np.asarray(1.0)))
    pool = (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))), Reshape((12,)), Dense(weights(5, 12)))
    connections.append(Connection(last, "b", pool))
    layers.append(Readout("out", (3,), integers(5, -5, 0), 0.25))
    connections.append(Connection("b", "out", (Dense(weights(3, 5)),)))
    network = IntegerNetwork(encoder, tuple(layers), tuple(connections), weight_bits=4, state_bits=24)
    return codes.encode(network, "population")


def outputs(found: DynamicNetwork, x: np.ndarray, steps: int = 1) -> np.ndarray:
    shown = found.outputs[0].source
    raster = np.concatenate([x[None], np.zeros((steps - 1, *x.shape))])
    return simulate_dynamics(found, raster, potentials=[shown]).potentials[shown]


@pytest.mark.parametrize("dialect", [None, *DIALECTS])
def test_a_file_gives_the_integers_of_the_network(dialect: str | None, tmp_path: Path) -> None:
    network = small()
    values = np.random.default_rng(0).uniform(-0.5, 3, (20, 2, 4, 4))
    expected = sp.simulate(network, values)
    assert len(np.unique(expected.readout[-1], axis=0)) > 10
    remarks = sp.to_nir(network, tmp_path / "net.nir", dialect=dialect)
    assert any("takes integers" in str(r) for r in remarks)
    found = sp.from_nir(tmp_path / "net.nir")
    assert isinstance(found, DynamicNetwork)
    encoded = np.asarray(encode_steps(network, values), dtype=float)
    assert np.array_equal(outputs(found, encoded)[0], expected.readout[-1])
    if dialect != "snntorch":  # NIR's own reader accepts all of them
        nir.read(tmp_path / "net.nir")


@pytest.mark.parametrize("compare", [">", ">="])
@pytest.mark.parametrize("reset", ["to_value", "subtract"])
@pytest.mark.parametrize("spikes", ["single", "multi"])
def test_neither_comparison_nor_reset_nor_counting_matters(compare: Any, reset: Any, spikes: Any) -> None:
    network = small(skip=True)
    graph, _ = wave_graph(network)
    said = NirContract(
        dynamics=sp.DynamicsContract(dt=1e-4, integrator="accumulate", compare=compare, reset=reset, spikes=spikes),
        if_gain="step",
        v_min="-threshold",
    )
    values = np.random.default_rng(1).uniform(-0.5, 3, (10, 2, 4, 4))
    expected = sp.simulate(network, values).readout[-1]
    encoded = np.asarray(encode_steps(network, values), dtype=float)
    assert np.array_equal(outputs(network_of(graph_from_object(graph), said), encoded)[0], expected)


def test_thresholds_are_never_met() -> None:
    graph, _ = wave_graph(small())
    for name, node in graph.nodes.items():
        if name.endswith("_units"):
            assert (node.bias % 1 == 0.5).all()
            assert (graph.nodes[name.removesuffix("_units")].v_threshold % 1 == 0).all()


def test_what_a_tool_would_read_otherwise_is_refused_by_name(tmp_path: Path) -> None:
    network = small(skip=True)
    for dialect in ("norse", "sinabs"):
        with pytest.raises(NirError, match=r"(?s)a: has 1 connections in and 2 out.*s: has 2 connections in"):
            sp.to_nir(network, tmp_path / "net.nir", dialect=dialect)
    for dialect in (None, "snntorch", "spikingjelly"):
        sp.to_nir(network, tmp_path / "net.nir", dialect=dialect)
    with pytest.raises(OptionError, match="is 'torch'"):
        sp.to_nir(network, tmp_path / "net.nir", dialect="torch")


def test_other_codes_and_sums_beyond_floats_are_refused(tmp_path: Path) -> None:
    network = small()
    bank = network["b"].neuron
    assert isinstance(bank, UnitBank)

    def with_bias(value: Any) -> SpikingNetwork:
        populations = tuple(
            replace(p, neuron=replace(bank, bias=value)) if p.name == "b" else p for p in network.populations
        )
        return replace(network, populations=populations)

    graph, remarks = wave_graph(with_bias(integers(2**24)))
    assert graph.nodes["b"].v_threshold.dtype == np.float64
    assert any("needs float64" in str(r) for r in remarks)
    with pytest.raises(NirError, match="b: its sums are beyond what floats hold exactly"):
        wave_graph(with_bias(integers(2**52)))
    maps = network["a"].neuron
    assert isinstance(maps, UnitBank)
    uneven = replace(maps, bias=np.arange(48).reshape(3, 4, 4))
    populations = tuple(replace(p, neuron=uneven) if p.name == "a" else p for p in network.populations)
    with pytest.raises(NirError, match="a: its bias differs from place to place"):
        wave_graph(replace(network, populations=populations))


def test_a_graph_that_is_not_the_network_is_found() -> None:
    network = small()
    graph, _ = wave_graph(network)
    agreeing(network, graph)
    graph.nodes["b_units"].bias[0] += 40
    with pytest.raises(ProofError, match="another read-out"):
        agreeing(network, graph)


def test_names_are_safe(tmp_path: Path) -> None:
    network = small()
    renamed = replace(
        network,
        populations=tuple(replace(p, name="x/y .z" if p.name == "b" else p.name) for p in network.populations),
        connections=tuple(
            replace(
                c, source="x/y .z" if c.source == "b" else c.source, target="x/y .z" if c.target == "b" else c.target
            )
            for c in network.connections
        ),
    )
    sp.to_nir(renamed, tmp_path / "net.nir")
    assert all("/" not in name and "." not in name for name in read_graph(tmp_path / "net.nir").nodes)


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    for key in ("spikeport_content", "spikeport_wave"):
        sp.to_nir(small(), path)
        with h5py.File(path, "r+") as file:
            file["node/nodes/b_units/bias"][0] += 1
            del file[f"node/metadata/{key}"]
        with pytest.raises(NirError, match="does not hold what was written"):
            sp.from_nir(path)
