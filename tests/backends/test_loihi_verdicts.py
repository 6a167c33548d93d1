"""What is said before compiling is what compiling finds: verdicts on Loihi against its backends."""

from __future__ import annotations

import numpy as np
import pytest

import spikeport as sp
from spikeport import codes
from spikeport.backends.loihi import backend
from spikeport.errors import LowerError, OptionError
from spikeport.primitives import Connection, Dense, InputEncoder
from spikeport.quantize import IntegerNetwork, Readout
from tests.integer_networks import random_network


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_what_fits_compiles_and_what_does_not_is_refused(target: str) -> None:
    fitting = refused = 0
    for seed in range(8):
        integer = random_network(seed, kind="events" if seed % 2 else "static", digits=True)
        for code in codes.NEEDS:
            try:
                network = codes.encode(integer, code)
            except OptionError:
                continue
            if sp.check(network, target, suggest=False).fits:
                sp.compile(network, target)
                fitting += 1
            else:
                with pytest.raises(LowerError):
                    sp.compile(network, target)
                refused += 1
    assert fitting >= 4
    assert refused or target == "loihi2"


def test_a_network_far_too_large_is_refused_before_its_weights_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 11_000
    weight = np.broadcast_to(np.ones((), np.int8), (size, size))
    layers = (Readout("out", (size,), np.zeros(1, np.int64), 1.0),)
    encoder = InputEncoder("in", (size,), "events", np.ones(()), 0, 7)
    network = codes.encode(
        IntegerNetwork(encoder, layers, (Connection("in", "out", (Dense(weight),)),), 8, 24), "graded", steps=1
    )

    def lowered(*_: object) -> None:
        raise AssertionError("lowered")

    monkeypatch.setattr(backend, "_lowered", lowered)
    with pytest.raises(LowerError, match="takes 121,000,000 synapses, and Loihi 2 has 120,000,000"):
        sp.compile(network, "loihi2")
