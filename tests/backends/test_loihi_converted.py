"""Converted networks on Loihi: every code and step, skewed and placed; and the population code on CUBA-LIF units."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport import codes, native
from spikeport.backends.loihi import effective_weights
from spikeport.backends.loihi.backend import LOIHI1, LOIHI2, LoihiOptions
from spikeport.backends.loihi.cuba import HIGHEST, CubaView, carry
from spikeport.backends.loihi.digits import digits
from spikeport.backends.loihi.engine import open_engine
from spikeport.backends.loihi.placed import apply_chain
from spikeport.backends.loihi.programmable import programmable
from spikeport.backends.loihi.session import LoihiSession
from spikeport.errors import BackendError, DataError, LowerError, OptionError
from spikeport.lower import Part, Placement
from spikeport.primitives import (
    Connection,
    Dense,
    InputEncoder,
    MaxUnit,
    OneToOne,
    SpikingNetwork,
    UnitBank,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Readout
from spikeport.targets import find_target
from tests.backends.loihi_networks import parts_of
from tests.backends.loihi_runs import compared
from tests.integer_networks import random_input, random_network

ENGINES = ["numpy", *(["native"] if native.available() else [])]
LOIHI = {backend.name: backend for backend in (LOIHI1, LOIHI2)}


def encoded(seed: int, code: Any) -> tuple[SpikingNetwork, np.ndarray] | None:
    """A random network under a code, with skips, pools, tables and maxima; None where the code does not carry it."""
    kind = "events" if seed % 3 == 0 else "static"
    base = random_network(seed, kind=kind, digits=True, curved=seed % 2 == 1)
    steps = {"steps": 4} if code == "rate" or (kind == "events" and code != "population") else {}
    try:
        return codes.encode(base, code, **steps), random_input(base, seed)
    except OptionError:
        return None


@pytest.mark.parametrize("on", ENGINES)
@pytest.mark.parametrize("code", sorted(codes.CODES))
def test_every_code_sends_the_spikes_of_the_reference_on_any_cores(code: str, on: str) -> None:
    spikes, seen = 0, 0
    for seed in range(8):
        case = encoded(seed, code)
        if case is None:
            continue
        network, x = case
        view, _ = programmable(network, find_target("loihi2"))
        parts = parts_of(view.placed.groups, np.random.default_rng(seed))
        assert len({part.core for part in parts}) > 1
        spikes += compared(view, network, x, on)
        compared(replace(view, placed=replace(view.placed, parts=parts)), network, x, on, threads=2)
        seen += 1
    assert seen > 2
    assert spikes > 100


def maxima_of_sums(network: SpikingNetwork) -> bool:
    """Whether a maximum sees anything but one bank."""
    maxima = [p.name for p in network.populations if isinstance(p.neuron, MaxUnit) and p.name not in network.on_host()]
    return any(c.source == network.input.name or c.synapses for name in maxima for c in network.incoming(name))


@pytest.mark.parametrize("on", ENGINES)
@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_cuba_lif_units_carry_the_population_code(chip: Any, on: str) -> None:
    spikes, seen = 0, 0
    for seed in range(10):
        case = encoded(seed, "population")
        if case is None:
            continue
        network, x = case
        if maxima_of_sums(network):
            with pytest.raises(LowerError, match="is a maximum that CUBA-LIF units do not take"):
                carry(network, chip, find_target(chip))
            continue
        view, ledger = carry(network, chip, find_target(chip))
        assert any("equal to the vendor's model" in entry.what for entry in ledger)
        spikes += compared(view, network, x, on)
        seen += 1
    assert seen > 3
    assert spikes > 100


def one_layer(
    weights: Any, *, threshold: int = 1, bias: int = 0, high: int = 3, low: int = -7, top: int = 7
) -> IntegerNetwork:
    """One neuron behind an input, and a read-out that sees it."""
    weight = np.array([weights])
    source = InputEncoder("input", (weight.shape[1],), "static", np.ones(()), low, top)
    layer = CountLayer("hidden", (1,), np.array(threshold), np.array(bias), np.array(0), 0, high, np.ones(()))
    readout = Readout("output", (1,), np.zeros(1, np.int64), 1.0)
    chain = (Connection("input", "hidden", (Dense(weight),)), Connection("hidden", "output", (Dense(np.array([[1]])),)))
    return IntegerNetwork(source, (layer, readout), chain, 8, 24)


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_a_unit_fires_at_its_level_and_not_below(chip: Any) -> None:
    """U from -1 to 4 levels of 5, each side of every threshold."""
    network = codes.encode(one_layer([1, 5], threshold=5, bias=-2), "population")
    view, _ = carry(network, chip, None)
    x = np.array([[a, b] for a in range(-5, 8) for b in range(-2, 4)], dtype=float)
    assert compared(view, network, x, ENGINES[-1]) > 50


@pytest.mark.parametrize(("chip", "reach"), [("loihi1", 2**15 - 1), ("loihi2", 2**17 - 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_registers_are_filled_to_their_ends_and_no_further(chip: Any, reach: int, sign: int) -> None:
    # c_1 = bias - threshold + 1 = bias; inputs of 127 * 8 on top
    fits = codes.encode(one_layer([127], bias=sign * (reach - 127 * 7), high=1), "population")
    view, _ = carry(fits, chip, None)
    x = np.arange(-7, 8, dtype=float).reshape(-1, 1)
    compared(view, fits, x, ENGINES[-1])
    # -2^15 itself is held by loihi1, -2^17 by neither
    beyond = 2 if chip == "loihi1" and sign < 0 else 1
    over = codes.encode(one_layer([127], bias=sign * (reach + beyond - 127 * 7), high=1), "population")
    with pytest.raises(LowerError, match=f"hidden: may get from .* CUBA-LIF of {chip} holds"):
        carry(over, chip, None)


def test_the_network_of_units_is_one_that_vendors_models_run() -> None:
    base = one_layer([1, 5], threshold=5)
    view, _ = carry(codes.encode(base, "population"), "loihi1", None)
    assert isinstance(view, CubaView)
    assert view.network is not None
    for population in view.network.populations:
        assert population.neuron.du == 4095
        assert population.neuron.threshold in (0, HIGHEST)
    for link in view.network.projections:
        assert -7 <= link.exponent <= 7
        assert 0 <= link.delay <= 62
        for synapse in link.synapses:
            weight = getattr(synapse, "weight", None)
            if weight is not None:
                assert np.array_equal(effective_weights(weight), weight)


@given(st.lists(st.integers(-(2**19), 2**19 - 1), min_size=1, max_size=6), st.integers(0, 6))
def test_digits_add_up_to_the_weights(weights: list[int], zeros: int) -> None:
    whole = np.array(weights) << zeros
    total = np.zeros(len(whole))
    for digit in digits(whole):
        assert np.array_equal(effective_weights(digit.weights), digit.weights)  # the memory holds them
        total += digit.weights * 2.0**digit.exponent
    assert total.tolist() == whole.tolist()


def test_weights_of_eight_bits_are_one_synapse_and_wider_ones_two_or_refused() -> None:
    def lowered(weight: int) -> Any:
        base = one_layer([3])
        skip = Connection("hidden", "output", (OneToOne(np.array([weight])),))
        network = codes.encode(replace(base, connections=(base.connections[0], skip)), "signed")
        return programmable(network, find_target("loihi2"))[0].placed

    def exponents(placed: Any) -> list[int]:
        return [link.exponent for link in placed.links if link.source == "hidden"]

    assert exponents(lowered(127)) == exponents(lowered(-127)) == [-1]
    assert exponents(lowered(-128)) == [0]
    assert exponents(lowered(129)) == exponents(lowered(-129)) == exponents(lowered(1 - 2**14)) == [-1, 7]
    assert exponents(lowered(2**13)) == [6]
    # three digits: no limit of exponents is known for sure, and the ledger says how far this one goes
    assert exponents(lowered(127 * 257)) == [-1, 7]
    assert exponents(lowered(-128 * 257)) == [0, 8]
    assert exponents(lowered(127 * 257 + 2)) == [-1, 8, 15]
    base = one_layer([3])
    skip = Connection("hidden", "output", (OneToOne(np.array([127 * 257 + 2])),))
    network = codes.encode(replace(base, connections=(base.connections[0], skip)), "signed")
    target = find_target("loihi2")
    _, ledger = programmable(network, target)
    assert any("the exponent 15, and not more than 7 is known" in entry.what for entry in ledger)
    assert target.weight_exponent_max is not None
    sure = replace(target, weight_exponent_max=replace(target.weight_exponent_max, enforced=True))
    with pytest.raises(LowerError, match="hidden -> output: has weights that need the exponent 8"):
        programmable(network, sure)


def chain(length: int) -> SpikingNetwork:
    """So many layers of one neuron, and a skip from the first to the read-out."""
    base = one_layer([1])
    layers, connections, before = [], [base.connections[0]], "hidden"
    for i in range(length - 1):
        name = f"l{i}"
        layers.append(replace(base.layers[0], name=name))
        connections.append(Connection(before, name, (Dense(np.array([[1]])),)))
        before = name
    connections += [replace(base.connections[1], source=before), replace(base.connections[1], source="hidden")]
    return codes.encode(
        replace(base, layers=(base.layers[0], *layers, base.layers[1]), connections=tuple(connections)), "graded"
    )


@pytest.mark.parametrize("on", ENGINES)
def test_a_skip_waits_62_steps_and_no_more(on: str) -> None:
    longest = chain(63)
    view, _ = programmable(longest, find_target("loihi2"))
    assert max(link.delay for link in view.placed.links) == 62
    compared(view, longest, np.array([[3.0], [-1.0]]), on)
    with pytest.raises(LowerError, match="hidden -> output: needs a delay of 63 steps"):
        programmable(chain(64), find_target("loihi2"))


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_programs_of_equal_networks_are_equal_and_say_what_they_take(chip: str) -> None:
    def made() -> Any:
        network = codes.encode(random_network(2, digits=True, everything=False), "population")
        return LOIHI[chip].compile(network, find_target(chip))

    one, two = made(), made()
    assert one.document == two.document
    assert one.arrays.keys() == two.arrays.keys()
    for name, array in one.arrays.items():
        assert array.dtype == two.arrays[name].dtype
        assert array.tobytes() == two.arrays[name].tobytes()
    assert one.bill["cores"].used >= 1
    assert one.bill["cores"].limit == 128
    assert one.bill["synapses"].used > 0
    simulated = "equal to the vendor's model in the compared cases" if chip == "loihi1" else "no external oracle"
    assert any(simulated in entry.what for entry in one.ledger)


def opened(chip: str = "loihi2", **options: Any) -> tuple[LoihiSession, SpikingNetwork]:
    network = codes.encode(one_layer([1, 5], threshold=5), "population")
    program = LOIHI[chip].compile(network, find_target(chip), LoihiOptions(**options))
    session = LOIHI[chip].open(program, record=["hidden"], potentials=["hidden", "output"])
    assert isinstance(session, LoihiSession)
    return session, network


@pytest.mark.parametrize(("chip", "neuron"), [("loihi1", None), ("loihi2", "cuba_lif"), ("loihi2", "programmable")])
def test_a_session_steps_resets_and_closes(chip: str, neuron: Any) -> None:
    session, _ = opened(chip, neuron=neuron)
    offset = session.program.offsets["hidden"]
    assert session.program.offsets == {"hidden": 1, "output": 2}

    def first() -> list[Any]:
        found = []
        for t in range(4):
            step = session.step(currents={"hidden": np.array([[17], [-3]])} if t == offset else {})
            found.append((step.spikes["hidden"].ravel().tolist(), step.potentials["output"].ravel().tolist()))
        return found

    session.reset(2)
    once = first()
    assert once == [([0, 0], [0, 0]), ([3, 0], [0, 0]), ([0, 0], [3, 0]), ([0, 0], [3, 0])]
    session.reset(2)
    assert first() == once
    with pytest.raises(DataError) as error:
        session.step(currents={"output": np.zeros((2, 1), np.int64), "hidden": np.zeros((1, 1), np.int64)})
    assert "output: is no population that takes currents" in str(error.value)
    assert "hidden: has shape (1, 1, 1)" in str(error.value)
    with pytest.raises(DataError, match="not whole numbers"):
        session.step(currents={"hidden": np.full((2, 1), 0.5)})
    with pytest.raises(DataError, match=f"has a value of {2**24 + 1}, and those of this network end at"):
        session.step(currents={"hidden": np.full((2, 1), 2**24 + 1)})
    session.close()
    session.close()
    with pytest.raises(BackendError, match="is closed"):
        session.step()
    with pytest.raises(BackendError, match="is closed"):
        session.reset()


@pytest.mark.parametrize("on", ENGINES)
def test_no_samples_give_no_recordings(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeport.backends.loihi.session.open_engine", partial(open_engine, on=on))
    session, network = opened()
    assert session.run(np.zeros((0, *network.input.shape))).output.shape == (0, 1)
    assert len(session.run(np.zeros((2, *network.input.shape))).output) == 2


def test_programs_that_are_not_theirs_are_refused() -> None:
    session, _ = opened()
    program, backend = session.program, LOIHI["loihi2"]

    def opens(text: str, **changes: Any) -> None:
        with pytest.raises(BackendError, match=text):
            backend.open(replace(program, **changes), record=(), potentials=())

    opens("was compiled by loihi1 1", backend="loihi1")
    opens("was compiled by loihi2 0", backend_version="0")
    document = dict(program.document)
    opens("does not belong to its network", document={k: v for k, v in document.items() if k != "links"})
    opens("does not belong to its network", document=document | {"links": document["links"][:-1]})
    opens("has no core for some neurons", document=document | {"parts": document["parts"][:-1]})
    opens("does not belong to its network", arrays={})
    opens("it is placed for 'loihi1'", document=document | {"chip": "loihi1"})
    for neuron in ("zzz", None, 5):
        opens(f"its units are {neuron!r}", document=document | {"neuron": neuron})
    for part in (
        ["hidden", 0, 1, -5],
        ["hidden", 0, 1, 1.7],
        ["hidden", 0.4, 1, 0],
        [7, 0, 1, 0],
        ["hidden", False, 1, 0],
    ):
        opens("is no part of a population on a core", document=document | {"parts": [part, *document["parts"][1:]]})
    for value, dtype in ((2**24 + 1, np.int64), (-(2**63), np.int64), (2**63, np.uint64)):
        wide = {name: np.full(array.shape, value, dtype) for name, array in program.arrays.items()}
        opens("has weights beyond 16,777,216", arrays=wide)
    short = {name: array[:0] for name, array in program.arrays.items()}
    opens("does not belong to its network", arrays=short)
    with pytest.raises(OptionError, match="nowhere: is not a population of this network"):
        backend.open(program, record=["nowhere"], potentials=())


def test_options_and_placements_that_do_not_fit_are_refused() -> None:
    network = codes.encode(one_layer([1]), "population")
    signed = codes.encode(one_layer([1]), "signed")
    loihi1, loihi2 = find_target("loihi1"), find_target("loihi2")
    with pytest.raises(OptionError, match="loihi1 has CUBA-LIF units alone"):
        LOIHI["loihi1"].compile(network, loihi1, LoihiOptions(neuron="programmable"))
    with pytest.raises(OptionError, match="neuron: is 'cuba'"):
        LOIHI["loihi2"].compile(network, loihi2, LoihiOptions(neuron="cuba"))  # type: ignore[arg-type]
    with pytest.raises(LowerError, match="is under the signed code"):
        LOIHI["loihi2"].compile(signed, loihi2, LoihiOptions(neuron="cuba_lif"))
    own = Placement("slices", (Part("hidden", 0, 1, 5), Part("output", 0, 1, 127)), ())
    program = LOIHI["loihi2"].compile(network, loihi2, LoihiOptions(placement=own))
    assert program.bill["cores"].used == 2
    gone = replace(own, parts=own.parts[:1])
    with pytest.raises(LowerError, match="output: neurons from 0 to 1 are on no core"):
        LOIHI["loihi2"].compile(network, loihi2, LoihiOptions(placement=gone))
    far = replace(own, parts=(own.parts[0], replace(own.parts[1], core=128)))
    with pytest.raises(LowerError, match="core 128"):
        LOIHI["loihi2"].compile(network, loihi2, LoihiOptions(placement=far))


def test_bounds_of_units_are_those_of_all_inputs() -> None:
    """Intervals that the refusal rests on, against every input of a small network."""
    network = codes.encode(one_layer([3, -2], threshold=4, bias=5, low=-2, top=2), "population")
    neuron = network["hidden"].neuron
    assert isinstance(neuron, UnitBank)
    xs = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(-1, 2)
    sums = apply_chain(network.connections[0].synapses, xs).ravel()
    from spikeport.backends.loihi.cuba import _Builder

    builder = _Builder(network, "loihi2", None)
    low, high = builder._sums((network.connections[0],), builder._ranges())
    assert (int(low[0]), int(high[0])) == (sums.min(), sums.max())
