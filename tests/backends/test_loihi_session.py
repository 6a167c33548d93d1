"""Whole runs of compiled programs through the door: the very recordings of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from spikeport import codes
from spikeport.backends import reference
from spikeport.backends.loihi.backend import LOIHI1, LOIHI2, LoihiOptions
from spikeport.errors import DataError, LowerError
from spikeport.plugin import Backend
from spikeport.plugin.inputs import spiking, with_membrane
from spikeport.primitives import (
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    GradedThreshold,
    Projection,
    SpikeInput,
    SpikingNetwork,
)
from tests.backends.loihi_networks import fixed_networks
from tests.integer_networks import random_input, random_network
from tests.recordings import assert_equal_recordings


def run(
    backend: Backend, network: SpikingNetwork | DynamicNetwork, x: Any, options: Any = None, **run_options: Any
) -> Any:
    program = backend.compile(network, backend.targets[0], options)
    with backend.open(program, record=spiking(network), potentials=with_membrane(network)) as session:
        return session.run(x, **run_options)


@pytest.mark.parametrize("code", sorted(codes.CODES))
@pytest.mark.parametrize("kind", ["static", "events"])
def test_recordings_are_those_of_the_reference(code: Any, kind: str) -> None:
    base = random_network(5, kind=kind, digits=True)
    steps = {"steps": 5} if code == "rate" or (kind == "events" and code != "population") else {}
    network, x = codes.encode(base, code, **steps), random_input(base, 5)
    assert_equal_recordings(run(LOIHI2, network, x), reference.simulate(network, x, record=None))
    # cut short, and in the middle of a chunk
    short = reference.simulate(network, x, record=None, max_steps=1)
    assert_equal_recordings(run(LOIHI2, network, x, max_steps=1), short)


@pytest.mark.parametrize(("backend", "neuron"), [(LOIHI1, None), (LOIHI2, "cuba_lif")])
@pytest.mark.parametrize("kind", ["static", "events"])
def test_recordings_of_cuba_lif_units_are_too(backend: Backend, neuron: Any, kind: str) -> None:
    base = random_network(5, kind=kind, everything=False)
    network, x = codes.encode(base, "population"), random_input(base, 5)
    found = run(backend, network, x, LoihiOptions(neuron=neuron))
    assert_equal_recordings(found, reference.simulate(network, x, record=None))


@given(fixed_networks())
@settings(max_examples=25)
def test_hand_made_networks_give_the_same_recordings(case: Any) -> None:
    network, x = case
    backend = LOIHI1 if network.contract.integrator == "loihi1" else LOIHI2
    if backend is LOIHI1:  # whose spikes carry no number
        x = {name: (values != 0).astype(np.int64) for name, values in x.items()}
    found = run(backend, network, x)
    expected = reference.simulate_dynamics(network, x, record=None, potentials=list(network.by_name))
    for name in network.by_name:
        one, two = found.spikes[name], expected.spikes[name]
        np.testing.assert_array_equal(one.train().raster, two.train().raster)
        assert one.train().raster.dtype == two.train().raster.dtype
        np.testing.assert_array_equal(found.potentials[name], expected.potentials[name])
        np.testing.assert_array_equal(found.counts[name], expected.counts[name])
        if not isinstance(network[name].neuron, GradedThreshold):
            np.testing.assert_array_equal(found.currents[name], expected.currents[name])


@pytest.mark.parametrize(("chip", "value"), [("loihi1", 2), ("loihi1", -1), ("loihi2", 2**24 + 1)])
def test_spikes_that_the_chip_does_not_carry_are_refused(chip: Any, value: int) -> None:
    population = DynamicPopulation("n", (1,), FixedCubaLIF(du=0, dv=0, threshold=64))
    links = (Projection("in", "n", (Dense(np.array([[2]])),), delay=1),)
    network = DynamicNetwork("net", (SpikeInput("in", (1,)),), (population,), links, DynamicsContract.loihi(chip))
    backend = LOIHI1 if chip == "loihi1" else LOIHI2
    run(backend, network, np.ones((3, 1, 1), int))
    with pytest.raises(DataError, match="in: has values beyond"):
        run(backend, network, np.full((3, 1, 1), value))


def test_the_numerics_of_the_other_chip_are_refused() -> None:
    population = DynamicPopulation("n", (1,), FixedCubaLIF(du=0, dv=0, threshold=64))
    network = DynamicNetwork("net", (), (population,), (), DynamicsContract.loihi("loihi1"))
    with pytest.raises(LowerError, match="net: follows the equations of loihi1"):
        LOIHI2.compile(network, LOIHI2.targets[0], None)


@pytest.mark.parametrize(
    ("weights", "exponent", "links"),
    [
        ([1, 3], 0, [0]),  # one sign: as they are
        ([-1, 3], 0, [-1]),  # twice as much, half the exponent
        ([-1, 3], -2, [-3]),
        ([-5, 3], 7, [6]),
        ([256, 2], -1, [0]),  # the zero that is shifted out anyway
        ([-300, 41], 3, [2, 10]),
        ([-300, 41], -3, None),
    ],
)
def test_weights_of_hand_made_networks_are_held_with_the_same_sums(weights: Any, exponent: int, links: Any) -> None:
    population = DynamicPopulation("n", (1,), FixedCubaLIF(du=1000, dv=200, threshold=7 << 6))
    joined = Projection("in", "n", (Dense(np.array([weights])),), exponent=exponent)
    network = DynamicNetwork(
        "net", (SpikeInput("in", (2,)),), (population,), (joined,), DynamicsContract.loihi("loihi2")
    )
    if links is None:
        with pytest.raises(LowerError, match="in -> n: weights of 10 bits are several synapses of 8"):
            LOIHI2.compile(network, LOIHI2.targets[0], None)
        return
    assert [link["exponent"] for link in LOIHI2.compile(network, LOIHI2.targets[0], None).document["links"]] == links
    x = np.random.default_rng(0).integers(-3, 4, (20, 2, 2))
    found = run(LOIHI2, network, x)
    expected = reference.simulate_dynamics(network, x, record=None, potentials=["n"])
    np.testing.assert_array_equal(found.potentials["n"], expected.potentials["n"])
    np.testing.assert_array_equal(found.currents["n"], expected.currents["n"])
