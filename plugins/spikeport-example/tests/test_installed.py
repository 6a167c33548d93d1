"""That spikeport finds the backend by its name."""

import spikeport
from spikeport_example import BACKEND


def test_the_entry_point_leads_here() -> None:
    assert spikeport.backend("example") is BACKEND
