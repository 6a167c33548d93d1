"""The limit is a rate: positive under every instruction set."""

from spikeport import native
from spikeport.native import peak
from tests.native.test_loader import needs_library


@needs_library
def test_every_instruction_set_multiplies_in_registers() -> None:
    for name in native.levels():
        with native.using(name):
            assert peak.products_per_second(threads=2, duration=1e-4) > 0
