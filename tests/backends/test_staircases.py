"""Tables of thresholds on every stepper, under every code that carries them: the same spikes and the integer network's counts."""

from importlib.util import find_spec

import numpy as np
import pytest

from spikeport import codes, native
from spikeport.backends import reference
from spikeport.errors import OptionError
from spikeport.quantize import StaircaseLayer, evaluate
from tests.integer_networks import random_input, random_network


@pytest.mark.parametrize("code", sorted(codes.CODES))
def test_all_steppers_climb_the_same_tables(code: str) -> None:
    carried = 0
    for seed in range(24):
        network = random_network(seed, digits=True, curved=True)
        if not any(isinstance(layer, StaircaseLayer) for layer in network.layers):
            continue
        try:
            spiking = codes.encode(network, code)
        except OptionError:  # a maximum over both signs
            continue
        x = random_input(network, seed)
        expected = reference.simulate(spiking, x)
        assert np.array_equal(expected.readout[-1], evaluate(network, x))
        steppers = []
        if native.available():
            from spikeport.backends.native import simulate

            steppers.append(simulate)
        if find_spec("torch"):
            from spikeport.backends.torch import simulate as on_torch

            steppers.append(on_torch)
        for step in steppers:
            found = step(spiking, x)
            assert np.array_equal(found.readout[-1], expected.readout[-1])
            for name, counts in expected.counts.items():
                assert np.array_equal(found.counts[name], counts), (seed, name)
        carried += 1
    assert carried > 5
