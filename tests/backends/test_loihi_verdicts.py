"""What is said before compiling is what compiling finds: verdicts on Loihi against its backends."""

from __future__ import annotations

import pytest

import spikeport as sp
from spikeport import codes
from spikeport.errors import LowerError, OptionError
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
