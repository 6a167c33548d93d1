"""Files that lava-dl wrote, beside what Lava's own reader of them sent: `bench/lava_dl.py --golden` recorded both."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import spikeport as sp

RECORDED = Path(__file__).with_name("lava_networks.npz")
STATES = {"LIF": ("v", "u"), "Delta": ("act",), "SigmaDelta": ("sigma",), "Sigma": ("sigma",)}
"""Variables of Lava's neurons: the potential, and the current."""
THRESHOLD_OF_18_BITS = {"readout_0"}
"""CUBA-LIF neurons of lava-dl that never fire: the chip holds 17 bits."""


@cache
def recorded():
    with np.load(RECORDED) as stored:
        return dict(stored)


def recorded_names():
    with np.load(RECORDED) as stored:
        return sorted(name.removesuffix(" file") for name in stored.files if name.endswith(" file"))


NAMES = recorded_names()
CLASSES = {name.rpartition("_")[0] for name in NAMES}


DELAYED_MAPS = "delayed_maps_0"
"""Lava's reader leaves delays of convolutions out: recorded is what lava-dl's training code sent."""


def read(name, folder):
    """A network, and what enters: shape (time, batch, *input)."""
    path = folder / f"{name}.net"
    path.write_bytes(recorded()[f"{name} file"].tobytes())
    return sp.read_lava_dl(path), recorded()[f"{name} x"].astype(np.int64)[:, None]


def integrates(network, population):
    """Whether a layer has no neurons in the file: Lava sums in the current what we sum in the potential."""
    return any(entry.node == population and entry.what.startswith("has no neurons") for entry in network.ledger)


def values(recording, kind, population):
    """Shape (time, *population)."""
    found = getattr(recording, kind)[population]
    return (found.train().raster if kind == "spikes" else found)[:, 0]


def test_every_class_was_recorded():
    assert {
        "dense", "readout", "fed", "channels", "delayed", "recurrent", "maps", "pooled", "delayed_maps", "sums",
        "sum_maps", "edges",
    } == CLASSES  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name != DELAYED_MAPS])
def test_spikes_and_states_are_those_of_lava(name, tmp_path):
    network, x = read(name, tmp_path)
    ours = sp.simulate(network, x, record=None, on="reference")
    kinds = recorded()[f"{name} kinds"].tolist()
    assert len(kinds) == len(network.populations)
    for i, (population, kind) in enumerate(zip(network.populations, kinds, strict=True)):
        potential = values(ours, "potentials", population.name)
        sent = potential if kind == "Sigma" else values(ours, "spikes", population.name)
        np.testing.assert_array_equal(sent, recorded()[f"{name} spikes {i}"])
        for state, mine in zip(STATES[kind], ("potentials", "currents"), strict=False):
            if mine == "currents" and integrates(network, population.name):
                continue
            theirs = recorded()[f"{name} {state} {i}"]
            np.testing.assert_array_equal(values(ours, mine, population.name)[-len(theirs) :], theirs)


def test_delays_of_maps_are_those_of_the_training_code(tmp_path):
    network, x = read(DELAYED_MAPS, tmp_path)
    assert {p.delay for p in network.projections} > {0, 1}
    ours = sp.simulate(network, x, record=None, on="reference")
    for population in network.populations:
        theirs = recorded()[f"{DELAYED_MAPS} {population.name.replace('layer', 'slayer ')}"]
        assert theirs.any()
        np.testing.assert_array_equal(values(ours, "spikes", population.name), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_the_compiled_program_sends_the_same_or_is_refused_by_name(name, tmp_path):
    network, x = read(name, tmp_path)
    if name in THRESHOLD_OF_18_BITS:
        with pytest.raises(sp.LowerError, match=r"layer\d\.threshold: takes 18 bits"):
            sp.compile(network, target="loihi2", progress=False)
        return
    ours = sp.simulate(network, x, record=None, on="reference")
    with sp.open(sp.compile(network, target="loihi2", progress=False), record=None) as session:
        found = session.run(x)
    for population in network.populations:
        theirs = values(found, "spikes", population.name)
        np.testing.assert_array_equal(theirs, values(ours, "spikes", population.name))
