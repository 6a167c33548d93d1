import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikeport as sp
from spikeport.codes import encode
from spikeport.nir import from_nir, to_nir
from spikeport.primitives import Dense, InputEncoder
from spikeport.quantize import CountLayer, IntegerNetwork, Readout
from tests.nir.networks import assert_same, assert_same_spikes, chain_cases, data, network, networks, residual


def round_trip(before, folder):
    path = folder / "network.nir"
    to_nir(before, path)
    return from_nir(path)


@pytest.mark.parametrize("code", ["signed", "graded"])
@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("case", chain_cases())
def test_every_synapse_comes_back_exactly(case, code, kind, tmp_path):
    rng = np.random.default_rng(2)
    shape, chain = chain_cases()[case]
    before = network(rng, shape, [[chain]], code=code, kind=kind)
    after = round_trip(before, tmp_path)
    assert_same(before, after)
    assert_same_spikes(before, after, data(rng, before))


@pytest.mark.parametrize("code", ["signed", "graded"])
def test_a_residual_block_comes_back_exactly(code, tmp_path):
    rng = np.random.default_rng(3)
    before = residual(rng, code=code)
    after = round_trip(before, tmp_path)
    assert_same(before, after)
    assert_same_spikes(before, after, data(rng, before))


@settings(max_examples=60)
@given(networks(), st.integers(0, 2**32))
def test_any_network_comes_back_exactly(tmp_path_factory, before, seed):
    after = round_trip(before, tmp_path_factory.mktemp("nir"))
    assert_same(before, after)
    assert_same_spikes(before, after, data(np.random.default_rng(seed), before))


def test_a_file_that_nir_read_and_wrote_is_the_same_network(tmp_path):
    rng = np.random.default_rng(4)
    before = residual(rng)
    to_nir(before, tmp_path / "ours.nir")
    nir.write(tmp_path / "theirs.nir", nir.read(tmp_path / "ours.nir"))
    after = from_nir(tmp_path / "theirs.nir")
    assert_same(before, after)
    assert_same_spikes(before, after, data(rng, before))


@pytest.mark.parametrize("code", ["signed", "graded"])
def test_an_encoded_integer_network_comes_back_exactly(code, tmp_path):
    rng = np.random.default_rng(5)
    template = residual(rng)
    (block, out) = template.populations
    encoder = InputEncoder(
        *("in/put", (4, 6, 6), "static", np.full((4, 1, 1), 0.1), -127, 127),
        gain=np.float32(rng.normal(size=(4, 1, 1))),
        shift=rng.normal(size=(4, 6, 6)),
    )
    layers = (
        CountLayer(
            block.name,
            block.shape,
            block.neuron.threshold,
            block.neuron.bias,
            block.neuron.threshold // 2,
            0,
            15,
            np.ones(1),
        ),
        Readout(out.name, out.shape, out.neuron.bias, 1e-3),
    )
    before = encode(IntegerNetwork(encoder, layers, template.connections, weight_bits=8, state_bits=24), code)
    after = round_trip(before, tmp_path)
    assert_same(before, after)
    assert_same_spikes(before, after, rng.normal(size=(4, 4, 6, 6)))


@pytest.mark.parametrize("largest", [2**22 - 1, 2**22 + 1, 2**24 + 1, 2**45 + 1])
def test_large_integers_come_back_exactly(largest, tmp_path):
    rng = np.random.default_rng(6)
    before = network(rng, (3,), [[(Dense(np.array([[largest, -largest, 1]])),)]], presentation=7)
    neuron = before.populations[0].neuron
    object.__setattr__(neuron, "bias", np.array([-largest]))
    object.__setattr__(neuron, "threshold", np.array([largest]))
    assert_same(before, round_trip(before, tmp_path))


def test_names_come_back_whatever_they_are(tmp_path):
    rng = np.random.default_rng(7)
    chain = (Dense(np.eye(3, dtype=np.int64)),)
    before = network(rng, (3,), [[chain], [chain], [chain], [chain]])
    names = dict(zip([p.name for p in before.populations], ["a.b", "a/b", "a b", "input", "output"], strict=True))
    names |= {"in/put": "ü/.."}
    for item in (before.input, *before.populations):
        object.__setattr__(item, "name", names[item.name])
    for connection in before.connections:
        object.__setattr__(connection, "source", names[connection.source])
        object.__setattr__(connection, "target", names[connection.target])
    object.__setattr__(before, "output", "output")
    object.__setattr__(before, "by_name", {p.name: p for p in before.populations})
    assert_same(before, round_trip(before, tmp_path))


def test_an_infinite_entry_of_the_ledger_comes_back(tmp_path):
    before = network(np.random.default_rng(8), (3,), [])
    object.__setattr__(before, "ledger", (sp.Approximation("x", "unbounded", float("inf"), "steps"),))
    assert round_trip(before, tmp_path).ledger == before.ledger


def test_the_public_functions_read_and_write(tmp_path):
    before = network(np.random.default_rng(9), (3,), [])
    ledger = sp.to_nir(before, str(tmp_path / "network.nir"))
    assert all(isinstance(entry, sp.Approximation) for entry in ledger)
    assert any("statistical" in entry.what and not entry.is_remark for entry in ledger)
    assert nir.read(tmp_path / "network.nir").metadata["spikeport_reading"].startswith("statistical")
    assert_same(before, sp.from_nir(str(tmp_path / "network.nir")))


def test_the_same_network_gives_the_same_bytes(tmp_path):
    before = residual(np.random.default_rng(10))
    for name in ("a.nir", "b.nir"):
        to_nir(before, tmp_path / name)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
